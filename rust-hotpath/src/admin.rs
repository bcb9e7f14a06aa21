//! HTTP for operators, on loopback only: metrics, readiness, memory, audits and profiles.

mod audit;
mod metrics;
mod pprof;
mod status;

use crate::{
    error::{Error, Kind},
    exchange::Exchange,
    feed::Feeds,
    frame_pointers, limits,
    model::Model,
    readiness::Readiness,
    serve::Serve,
    settings::{Group, Setting, Settings},
    view::View,
};
use bytes::Bytes;
use http_body_util::Full;
use hyper::{
    Method, Request, Response, StatusCode,
    body::Incoming,
    header::{ALLOW, CONTENT_TYPE, HeaderValue},
    server::conn::http1,
    service::service_fn,
};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{convert::Infallible, net::SocketAddr, sync::Arc, time::Instant};
use tokio::{net::TcpListener, sync::Semaphore};

/// Where the HTTP server for operators listens.
#[derive(Clone, Debug)]
pub struct Config {
    /// A loopback address.
    pub admin: SocketAddr,
}

/// The parts of the process that operators see.
pub struct Status<M: Model> {
    /// Versions.
    pub view: View<M>,
    /// Feeds and the writer.
    pub feeds: Feeds<M>,
    /// Requests.
    pub serve: Serve<M>,
    /// Lanes.
    pub exchange: Exchange<M>,
    /// The verdict on the data.
    pub readiness: Arc<Readiness>,
}

/// A bound listener.
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
}

type Reply = Response<Full<Bytes>>;

const PATHS: &str = "\
/metrics                              Prometheus
/healthz                              200 while the process lives
/readyz                               200 if the data is fresh, else 503 and why
/debug/memory                         JSON of sizes
/debug/audit?seed=N&questions=N       compares the newest version with itself; any seed (1), 1-1000000 questions (1000)
/debug/pprof/profile?seconds=N&hz=N   CPU profile for `go tool pprof`; 1-300 s (30), 1-1000 Hz (99)
/debug/pprof/flamegraph?seconds=N&hz=N   the same as SVG
";

impl Config {
    /// What can be set.
    pub const SETTINGS: Group = Group {
        title: "Operators",
        settings: &[Setting::new(
            "admin",
            "IP:PORT",
            "127.0.0.1:0",
            "HTTP on loopback: metrics, readiness, memory, profiles; port 0 picks one",
        )],
    };

    /// Reads the settings.
    pub fn resolve(settings: &mut Settings) -> Self {
        let any = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            admin: settings.address("admin", true).unwrap_or(any),
        }
    }
}

/// Listens.
///
/// # Errors
/// If the port is taken.
pub async fn bind(config: &Config) -> Result<Admin, Error> {
    let failed = |error| {
        Error::new(
            Kind::CannotCreate,
            format!("cannot listen on {}", config.admin),
        )
        .because(error)
    };
    let listener = TcpListener::bind(config.admin).await.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Admin { listener, address })
}

impl Admin {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers requests. It never ends by itself.
    pub async fn run<M: Model>(self, status: Status<M>) {
        let status = Arc::new(status);
        let metrics = Arc::new(metrics::registry(&status));
        let room = Arc::new(Semaphore::new(limits::ADMIN_CONNECTIONS));
        loop {
            let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
                return;
            };
            let stream = match self.listener.accept().await {
                Ok((stream, _)) => stream,
                Err(error) => {
                    tracing::warn!("an admin connection was not accepted: {error}");
                    tokio::time::sleep(limits::ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let (status, metrics) = (Arc::clone(&status), Arc::clone(&metrics));
            let service = service_fn(move |request| {
                let (status, metrics) = (Arc::clone(&status), Arc::clone(&metrics));
                async move { Ok::<_, Infallible>(route(&request, &status, &metrics).await) }
            });
            tokio::spawn(async move {
                let connection = http1::Builder::new()
                    .timer(TokioTimer::new())
                    .header_read_timeout(limits::ADMIN_HEAD)
                    .keep_alive(false)
                    .serve_connection(TokioIo::new(stream), service);
                if let Err(error) = connection.await {
                    tracing::debug!("an admin connection failed: {error}");
                }
                drop(permit);
            });
        }
    }
}

async fn route<M: Model>(
    request: &Request<Incoming>,
    status: &Status<M>,
    metrics: &metrics::Metrics,
) -> Reply {
    let path = request.uri().path();
    let query = request.uri().query().unwrap_or("");
    let known = PATHS
        .lines()
        .any(|line| line.split([' ', '?']).next() == Some(path));
    if !known {
        return text(
            StatusCode::NOT_FOUND,
            format!("no such path; there are:\n{}", paths()),
        );
    }
    if request.method() != Method::GET {
        let mut reply = text(StatusCode::METHOD_NOT_ALLOWED, "only GET\n".to_owned());
        reply
            .headers_mut()
            .insert(ALLOW, HeaderValue::from_static("GET"));
        return reply;
    }
    match path {
        "/metrics" => metrics.reply(),
        "/healthz" => text(StatusCode::OK, "ok\n".to_owned()),
        "/readyz" => readyz(status),
        "/debug/memory" => status::memory(status),
        "/debug/audit" => audit::reply(query, status).await,
        "/debug/pprof/profile" => pprof::profile(query).await,
        _ => pprof::flamegraph(query).await,
    }
}

fn paths() -> String {
    match frame_pointers::missing() {
        Some(warning) => format!("{PATHS}\n{warning}\n"),
        None => PATHS.to_owned(),
    }
}

fn readyz<M: Model>(status: &Status<M>) -> Reply {
    let verdict = status
        .readiness
        .judge(status.view.position(), Instant::now());
    let code = if verdict.serving {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    text(code, format!("{}\n", verdict.reason))
}

fn text(code: StatusCode, body: String) -> Reply {
    reply(code, "text/plain; charset=utf-8", body.into_bytes())
}

fn reply(code: StatusCode, kind: &'static str, body: Vec<u8>) -> Reply {
    let mut reply = Response::new(Full::new(Bytes::from(body)));
    *reply.status_mut() = code;
    reply
        .headers_mut()
        .insert(CONTENT_TYPE, HeaderValue::from_static(kind));
    reply
}
