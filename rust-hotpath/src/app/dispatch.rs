//! Finds out who answers a request.

use crate::{
    error::{Error, Kind},
    exchange::{self, Exchange},
    model::Model,
    serve::{self, Core, Serve},
};
use hyper::{
    body::Incoming,
    http::{Request, Response},
    service::Service,
};
use std::{convert::Infallible, pin::Pin, sync::Arc};
use tokio::time::timeout;
use tonic::{body::Body, service::Routes};
use tower_service::Service as _;

/// Routes requests. Hot methods do not go through tonic's router, which costs more than many of them. Cloning is cheap.
pub(super) struct Dispatch<M: Model> {
    serve: Serve<M>,
    /// Only for the shim.
    exchange: Option<Exchange<M>>,
    others: Routes,
    max_header_bytes: usize,
}

impl<M: Model> Dispatch<M> {
    pub(super) fn new(
        serve: Serve<M>,
        exchange: Option<Exchange<M>>,
        others: Routes,
        max_header_bytes: usize,
    ) -> Self {
        Self {
            max_header_bytes,
            serve,
            exchange,
            others: others.prepare(),
        }
    }

    /// What answers hot calls.
    pub(super) fn core(&self) -> &Arc<Core<M>> {
        self.serve.core()
    }

    /// What serves lanes, where there are any.
    pub(super) fn exchange(&self) -> Option<&Exchange<M>> {
        self.exchange.as_ref()
    }
}

impl<M: Model> Clone for Dispatch<M> {
    fn clone(&self) -> Self {
        Self {
            serve: self.serve.clone(),
            exchange: self.exchange.clone(),
            others: self.others.clone(),
            max_header_bytes: self.max_header_bytes,
        }
    }
}

impl<M: Model> Service<Request<Incoming>> for Dispatch<M> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        if let Err(refused) = serve::admit(&request, self.max_header_bytes) {
            return Box::pin(std::future::ready(Ok(*refused)));
        }
        if Serve::<M>::serves(request.uri().path()) {
            return self.serve.call(request);
        }
        let request = request.map(Body::new);
        let exchange = self.exchange.as_ref();
        if let Some(exchange) = exchange.filter(|_| request.uri().path() == exchange::PATH) {
            Box::pin(std::future::ready(Ok(exchange.call(request))))
        } else {
            let time = serve::timeout_of(request.headers());
            // tonic's services are always ready, so nothing polls for that.
            let answer = self.others.clone().call(request);
            Box::pin(async move {
                match time {
                    None => answer.await,
                    Some(time) => timeout(time, answer).await.unwrap_or_else(|_| {
                        let error = Error::new(Kind::TooLate, "the caller's time is up");
                        Ok(error.status().into_http())
                    }),
                }
            })
        }
    }
}
