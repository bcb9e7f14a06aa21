//! grpc.health.v1 and reflection: the standard ways in which callers find out about this process.

use crate::{
    error::{Error, Kind},
    model::Model,
    proto::hotpath::{
        self, control_service_server::SERVICE_NAME as CONTROL,
        exchange_service_server::SERVICE_NAME as EXCHANGE,
        feed_service_server::SERVICE_NAME as FEED,
    },
    readiness::Readiness,
    shutdown::Shutdown,
    view::View,
};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tonic::service::Routes;
use tonic_health::{
    ServingStatus,
    pb::health_server::{Health, HealthServer},
    server::{HealthReporter, HealthService},
};
use tonic_reflection::server::Builder;

/// Services whose health is that of the data. The empty name stands for the whole process.
const fn data_services<M: Model>() -> [&'static str; 3] {
    ["", M::SERVICE, EXCHANGE]
}

/// Services that work as long as the process does. They also work while the data is not ready, because the sidecar must
/// still be fed.
const LIVE: [&str; 2] = [CONTROL, FEED];

/// Reports the verdict of [`Readiness`] as health.
pub struct Reporter {
    reporter: HealthReporter,
}

impl Default for Reporter {
    fn default() -> Self {
        let reporter = HealthReporter::new();
        Self { reporter }
    }
}

impl Reporter {
    /// The health service, ready to be routed to.
    #[must_use]
    pub fn service(&self) -> HealthServer<impl Health> {
        HealthServer::new(HealthService::from_health_reporter(self.reporter.clone()))
    }

    /// Sets the health before the first connection.
    pub async fn prepare<M: Model>(&self) {
        self.say(&data_services::<M>(), ServingStatus::NotServing)
            .await;
        self.say(&LIVE, ServingStatus::Serving).await;
    }

    /// Keeps the health up to date until the process is about to end.
    pub async fn follow<M: Model>(
        self,
        readiness: Arc<Readiness>,
        view: View<M>,
        shutdown: Shutdown,
    ) {
        const NEVER: Duration = Duration::from_secs(3_600);
        let mut changes = readiness.changes();
        let mut positions = view.positions();
        let mut serving = false;
        loop {
            let position = *positions.borrow_and_update();
            let verdict = readiness.judge(position, Instant::now());
            if verdict.serving != serving {
                serving = verdict.serving;
                tracing::info!("health: {} at position {position}", verdict.reason);
                self.say(&data_services::<M>(), status(serving)).await;
            }
            tokio::select! {
                () = shutdown.ending() => break,
                _ = changes.changed() => {}
                // Once it serves, progress alone changes nothing.
                _ = positions.changed(), if !serving => {}
                () = tokio::time::sleep(verdict.look_again.unwrap_or(NEVER)) => {}
            }
        }
        self.forget::<M>().await;
    }

    /// Reports that nothing is served any more.
    pub async fn drain<M: Model>(&self) {
        self.say(&data_services::<M>(), ServingStatus::NotServing)
            .await;
        self.say(&LIVE, ServingStatus::NotServing).await;
    }

    /// Ends every watch, so that none keeps its connection open.
    async fn forget<M: Model>(self) {
        let mut reporter = self.reporter;
        for service in data_services::<M>().into_iter().chain(LIVE) {
            reporter.clear_service_status(service).await;
        }
    }

    async fn say(&self, services: &[&str], status: ServingStatus) {
        for service in services {
            self.reporter.set_service_status(service, status).await;
        }
    }
}

impl Clone for Reporter {
    fn clone(&self) -> Self {
        Self {
            reporter: self.reporter.clone(),
        }
    }
}

/// Adds reflection of the model's service and, on the shim's socket, of the private services. It speaks both versions
/// of the protocol, as grpc-go does, because many tools speak only the older one.
///
/// # Errors
/// If the model's descriptors cannot be read.
pub fn with_reflection<M: Model>(routes: Routes, private: bool) -> Result<Routes, Error> {
    let bad = |error| {
        let text = format!("{}: bad descriptors", M::SERVICE);
        Error::new(Kind::BadModel, text).because(error)
    };
    let v1 = descriptors::<M>(private).build_v1().map_err(bad)?;
    let v1alpha = descriptors::<M>(private).build_v1alpha().map_err(bad)?;
    Ok(routes.add_service(v1).add_service(v1alpha))
}

fn descriptors<M: Model>(private: bool) -> Builder<'static> {
    let builder = Builder::configure()
        .register_encoded_file_descriptor_set(M::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_reflection::pb::v1alpha::FILE_DESCRIPTOR_SET);
    if private {
        builder.register_encoded_file_descriptor_set(hotpath::DESCRIPTORS)
    } else {
        builder
    }
}

fn status(serving: bool) -> ServingStatus {
    if serving {
        ServingStatus::Serving
    } else {
        ServingStatus::NotServing
    }
}
