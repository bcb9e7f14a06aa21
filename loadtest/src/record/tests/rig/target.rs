//! The target: a server whose methods behave as their names say.

use super::*;
use http_body_util::combinators::BoxBody;
use hyper::{body::SizeHint, server::conn::http2 as server, service::service_fn};
use tokio::task::JoinSet;

type AnyBody = BoxBody<Bytes, hyper::Error>;
type AnyError = Box<dyn std::error::Error + Send + Sync>;

/// Notifies when a call is given up.
struct OnDrop(Arc<Notify>);

/// A body without a known size, so that hyper adds no content-length.
struct UnknownSize<B>(Pin<Box<B>>);

/// The body of an answer that consists of headers only.
struct Nothing;

pub(super) fn start(
    runtime: &Runtime,
    address: &Address,
    hanging: &Arc<Notify>,
    cancelled: &Arc<Notify>,
) -> (JoinHandle<()>, Address) {
    let (hanging, cancelled) = (Arc::clone(hanging), Arc::clone(cancelled));
    let listener = Listener::bind(address).unwrap();
    let address = listener.address().clone();
    let serving = async move {
        let accepting = listener.accepting().unwrap();
        let mut connections = JoinSet::new();
        loop {
            let socket = accepting.accept().await.unwrap();
            let (hanging, cancelled) = (Arc::clone(&hanging), Arc::clone(&cancelled));
            let service = service_fn(move |request| {
                answer(request, Arc::clone(&hanging), Arc::clone(&cancelled))
            });
            let mut builder = server::Builder::new(TokioExecutor::new());
            builder.auto_date_header(false);
            connections.spawn(builder.serve_connection(TokioIo::new(socket), service));
        }
    };
    (runtime.spawn(serving), address)
}

/// Echoes the request, unless the method's name says otherwise.
async fn answer(
    request: Request<Incoming>,
    hanging: Arc<Notify>,
    cancelled: Arc<Notify>,
) -> std::result::Result<Response<AnyBody>, AnyError> {
    let header = |name: &str| {
        request
            .headers()
            .get(name)
            .map(|v| v.to_str().unwrap().to_owned())
    };
    let kept = [header("x-ask"), header("te")].map(Option::unwrap_or_default);
    let response = Response::builder().header("content-type", "application/grpc");
    let method = request.uri().path().rsplit('/').next().unwrap().to_owned();
    match method.as_str() {
        "Refuse" => {
            let refusal = response.header("grpc-status", "5");
            let refusal = refusal.header("grpc-message", "no such thing");
            Ok(refusal.body(Nothing.boxed())?)
        }
        "Reset" => Err(h2::Error::from(h2::Reason::REFUSED_STREAM).into()),
        "Hang" => {
            let _cancelled = OnDrop(cancelled);
            hanging.notify_one();
            std::future::pending().await
        }
        "Stall" => {
            let (sender, receiver) = mpsc::channel(1);
            sender.send(Frame::data(framed("m"))).await?;
            tokio::spawn(async move {
                let _open = sender;
                hanging.notify_one();
                std::future::pending::<()>().await;
            });
            let body = Pieces(receiver).map_err(|never| match never {});
            Ok(response.body(body.boxed())?)
        }
        "Twice" => {
            let message = request.into_body().collect().await?.to_bytes();
            let twice = Full::new(Bytes::from([message.clone(), message].concat()));
            let twice = twice.map_err(|never| match never {});
            Ok(response.body(with_trailers(twice))?)
        }
        _ => {
            let response = response.header("x-kept", format!("{}; te: {}", kept[0], kept[1]));
            Ok(response.body(with_trailers(request.into_body()))?)
        }
    }
}

fn with_trailers<B>(body: B) -> AnyBody
where
    B: Body<Data = Bytes, Error = hyper::Error> + Send + Sync + 'static,
{
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    trailers.insert("x-of-target", "yes".parse().unwrap());
    let unsized_body = UnknownSize(Box::pin(body));
    unsized_body
        .with_trailers(std::future::ready(Some(Ok(trailers))))
        .boxed()
}

impl<B: Body> Body for UnknownSize<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<B::Data>, B::Error>>> {
        self.0.as_mut().poll_frame(context)
    }
}

impl Body for Nothing {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, hyper::Error>>> {
        Poll::Ready(None)
    }

    fn is_end_stream(&self) -> bool {
        true
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(0)
    }
}

impl Drop for OnDrop {
    fn drop(&mut self) {
        self.0.notify_one();
    }
}
