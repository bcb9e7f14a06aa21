//! The handshake. Shim and sidecar compare the protocol, the ledger, and the schema of each hot method.

use crate::{
    error::{Error, Kind},
    feed::{self, Ledger},
    limits,
    model::Model,
    program::Program,
    proto::hotpath::{
        HelloRequest, HelloResponse, HotMethod, MethodVerdict,
        control_service_server::{ControlService, ControlServiceServer},
    },
    schema::{Hash, Schema},
    view::View,
};
use std::{collections::HashMap, sync::Arc};
use tonic::{Request, Response, Status};

/// The gRPC service.
pub struct Control<M: Model> {
    view: View<M>,
    ledger: Arc<Ledger>,
    methods: HashMap<String, (u32, Hash)>,
    max_message_bytes: u64,
    program: Program,
}

impl<M: Model> Control<M> {
    /// The service, ready to be routed to.
    ///
    /// # Errors
    /// If the model's descriptors do not describe its methods.
    pub fn service(
        view: View<M>,
        ledger: Arc<Ledger>,
        max_message_bytes: usize,
        program: Program,
    ) -> Result<ControlServiceServer<Self>, Error> {
        Ok(ControlServiceServer::new(Self {
            view,
            ledger,
            methods: methods::<M>()?,
            max_message_bytes: u64::try_from(max_message_bytes).unwrap_or(u64::MAX),
            program,
        }))
    }

    fn greet(&self, hello: HelloRequest) -> Result<HelloResponse, Error> {
        feed::check_protocol(hello.protocol_version)?;
        self.ledger.accepts(&hello.ledger_id)?;
        if hello.methods.len() > limits::HELLO_METHODS {
            return Err(Error::new(
                Kind::Argument,
                format!("methods: must be at most {}", limits::HELLO_METHODS),
            ));
        }
        let verdicts = hello.methods.into_iter().map(|method| self.judge(method));
        Ok(HelloResponse {
            protocol_version: feed::PROTOCOL_VERSION,
            ledger_id: self.ledger.id().to_owned(),
            methods: verdicts.collect(),
            position: self.view.position(),
            build: format!("{} {}", self.program.name, self.program.version),
            max_message_bytes: self.max_message_bytes,
        })
    }

    fn judge(&self, method: HotMethod) -> MethodVerdict {
        let known = self.methods.get(&method.full_method);
        let refusal = match known {
            None => "is not served here".to_owned(),
            Some((_, hash)) if hash[..] == method.schema_sha256[..] => String::new(),
            Some((_, hash)) => {
                let [ours, theirs] = [&hash[..], &method.schema_sha256].map(short);
                format!("has another schema: {ours} here, {theirs} there")
            }
        };
        MethodVerdict {
            full_method: method.full_method,
            accepted: refusal.is_empty(),
            refusal,
            index: known.map_or(0, |(index, _)| *index),
        }
    }
}

#[tonic::async_trait]
impl<M: Model> ControlService for Control<M> {
    async fn hello(
        &self,
        request: Request<HelloRequest>,
    ) -> Result<Response<HelloResponse>, Status> {
        let answer = self.greet(request.into_inner());
        answer.map(Response::new).map_err(|error| error.status())
    }
}

/// Checks that the model's descriptors describe its methods.
///
/// # Errors
/// The first method that they lack.
pub fn check<M: Model>() -> Result<(), Error> {
    methods::<M>().map(drop)
}

/// Returns the index in exchange frames and the schema hash of each method, by full name.
fn methods<M: Model>() -> Result<HashMap<String, (u32, Hash)>, Error> {
    let broken = |what: String| Error::new(Kind::BadModel, format!("{}: {what}", M::SERVICE));
    let schema = Schema::decode(M::DESCRIPTORS);
    let schema = schema.map_err(|error| broken("bad descriptors".to_owned()).because(error))?;
    let methods = (0..).zip(M::METHODS).map(|(index, method)| {
        let full = format!("/{}/{method}", M::SERVICE);
        let hash = schema.hash(&full);
        let hash = hash.ok_or_else(|| broken(format!("descriptors lack {method}")))?;
        Ok((full, (index, hash)))
    });
    methods.collect()
}

/// The first bytes of a hash. They suffice to tell two hashes apart in a log.
fn short(hash: &[u8]) -> String {
    hash.iter()
        .take(4)
        .map(|byte| format!("{byte:02x}"))
        .collect()
}
