//! The exchange carries many requests per message on a few long-lived streams (lanes), instead of one call per request.
//!
//! A call costs more than most of the reads it carries. On a lane, one wake-up parses a batch in place, answers it from
//! one version and sends one message of replies. A request that cannot be answered at once leaves the lane: it waits
//! for its position in a task, or another thread reads for it, while the lane answers the cheap requests behind it.
//!
//! Start with `lane`, which has a picture of a lane's states. It knows no connection: `stream` carries a lane over hyper,
//! and the front carries it in its own frames. `docs/exchange.md` explains both sides and the measurements.

mod counts;
mod frame;
mod inbox;
mod lane;
mod late;
mod long;
mod reply;
mod stream;

pub use counts::Counts;
pub use frame::{Cursor, Item, RequestFrame};
pub use inbox::Pieces;
pub(crate) use inbox::{Came, Source};
pub(crate) use lane::{Lane, Said};
pub use reply::{Open, Replies};

use crate::{
    error::{Error, Kind},
    limits,
    model::Model,
    serve::{Core, GRPC, Serve},
    shutdown::Shutdown,
};
use hyper::http::{HeaderValue, Request, Response, header::CONTENT_TYPE};
use std::sync::{Arc, atomic::Ordering::Relaxed};
use stream::Stream;
use tonic::body::Body;

/// Path of the service's one method.
pub const PATH: &str = "/hotpath.v1.ExchangeService/Exchange";

/// The exchange service. Cloning is cheap.
pub struct Exchange<M: Model> {
    shared: Arc<Shared<M>>,
}

struct Shared<M: Model> {
    core: Arc<Core<M>>,
    shutdown: Shutdown,
    counts: Counts,
}

/// A place among the lanes, given back on drop.
struct Place<M: Model>(Arc<Shared<M>>);

impl<M: Model> Exchange<M> {
    /// Makes a service that gives the same answers as `serve`, until `shutdown`.
    #[must_use]
    pub fn new(serve: &Serve<M>, shutdown: Shutdown) -> Self {
        let shared = Arc::new(Shared {
            core: Arc::clone(serve.core()),
            shutdown,
            counts: Counts::default(),
        });
        Self { shared }
    }

    /// Opens a lane. The body of the response does all of its work whenever the connection asks for more. No task and
    /// no queue lies in between, and the lane does not compute what the peer does not take.
    #[must_use]
    pub fn call(&self, request: Request<Body>) -> Response<Body> {
        match self.admit() {
            Err(error) => {
                self.shared.counts.ended(error.kind());
                error.status().into_http()
            }
            Ok(place) => {
                let stream = Stream::new(place, request.into_body());
                let mut response = Response::new(Body::new(stream));
                let headers = response.headers_mut();
                headers.insert(CONTENT_TYPE, HeaderValue::from_static(GRPC));
                response
            }
        }
    }

    /// Opens a lane for a front that has judged the call itself. Without a place there is none, and [`Self::call`] says why.
    pub(crate) fn open(&self) -> Option<Lane<M>> {
        self.admit().ok().map(Lane::new)
    }

    /// The counts of all lanes.
    #[must_use]
    pub fn counts(&self) -> &Counts {
        &self.shared.counts
    }

    fn admit(&self) -> Result<Place<M>, Error> {
        if self.shared.shutdown.is_draining() {
            return Err(draining());
        }
        let place = Place(Arc::clone(&self.shared));
        let others = self.shared.counts.lanes.fetch_add(1, Relaxed);
        if usize::try_from(others).map_or(true, |others| others >= limits::LANES) {
            let text = format!("more than {} lanes", limits::LANES);
            return Err(Error::new(Kind::Overloaded, text));
        }
        Ok(place)
    }
}

impl<M: Model> Clone for Exchange<M> {
    fn clone(&self) -> Self {
        Self {
            shared: Arc::clone(&self.shared),
        }
    }
}

impl<M: Model> Drop for Place<M> {
    fn drop(&mut self) {
        self.0.counts.lanes.fetch_sub(1, Relaxed);
    }
}

fn draining() -> Error {
    Error::new(Kind::Draining, "the sidecar is draining")
}
