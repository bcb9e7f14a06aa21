//! The HTTP/2 proxy. Each connection of a caller gets a connection to the target.

use super::{
    body::{RequestBody, ResponseBody, UNAVAILABLE, is_reset},
    journal::Journal,
    listen::{self, Listener, Socket},
};
use crate::generator::Address;
use hyper::{
    Request, Response, Uri,
    body::Incoming,
    client::conn::http2::{self as client, SendRequest},
    header::{CONTENT_TYPE, HeaderValue},
    server::conn::http2 as server,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use std::{fmt::Display, io, pin::pin, sync::Arc, time::Duration};
use tokio::{
    sync::{Mutex, watch},
    task::JoinSet,
};

/// As large as streaming servers usually offer: the proxy must not slow a stream down.
const STREAM_WINDOW: u32 = 1 << 20;
const CONNECTION_WINDOW: u32 = 4 << 20;
const MAX_HEADER_BYTES: u32 = 1 << 20;
/// Callers may cancel many calls at once. That is no attack.
const MAX_RESETS: usize = 1 << 16;
const GRACE: Duration = Duration::from_secs(2);
/// The pause after an error that passes, such as too many open files.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// The connection to the target that belongs to a caller's connection.
struct Upstream {
    target: Address,
    sender: Mutex<Option<SendRequest<RequestBody>>>,
    journal: Arc<Journal>,
}

/// Passes calls on until `stopped`. Then calls that are under way get [`GRACE`] to end.
pub(super) async fn serve(
    listener: Listener,
    target: Address,
    journal: &Arc<Journal>,
    stopped: impl Future<Output = ()>,
) -> io::Result<()> {
    let accepting = listener.accepting()?;
    let (stop, stopping) = watch::channel(false);
    let mut connections = JoinSet::new();
    let mut stopped = pin!(stopped);
    loop {
        tokio::select! {
            () = &mut stopped => break,
            accepted = accepting.accept() => match accepted {
                Ok(socket) => {
                    let upstream = Upstream {
                        target: target.clone(),
                        sender: Mutex::new(None),
                        journal: Arc::clone(journal),
                    };
                    connections.spawn(connection(socket, upstream, stopping.clone()));
                }
                Err(_) => tokio::time::sleep(ACCEPT_PAUSE).await,
            },
            Some(_) = connections.join_next() => {}
        }
    }
    drop(accepting);
    // This fails only if there is no connection.
    let _ = stop.send(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    let _ = tokio::time::timeout(GRACE, ended).await;
    Ok(())
}

async fn connection(socket: Box<dyn Socket>, upstream: Upstream, mut stop: watch::Receiver<bool>) {
    let upstream = Arc::new(upstream);
    let service = service_fn(move |request| pass(Arc::clone(&upstream), request));
    let mut builder = server::Builder::new(TokioExecutor::new());
    builder
        .timer(TokioTimer::new())
        .auto_date_header(false)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(None)
        .max_header_list_size(MAX_HEADER_BYTES)
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_RESETS);
    let mut serving = pin!(builder.serve_connection(TokioIo::new(socket), service));
    // A connection may end with an error; only its caller is concerned.
    tokio::select! {
        _ = serving.as_mut() => return,
        _ = stop.wait_for(|stop| *stop) => serving.as_mut().graceful_shutdown(),
    }
    let _ = serving.await;
}

async fn pass(
    upstream: Arc<Upstream>,
    request: Request<Incoming>,
) -> Result<Response<ResponseBody>, hyper::Error> {
    let content_type = request.headers().get(CONTENT_TYPE);
    let grpc = content_type.is_some_and(|kind| kind.as_bytes().starts_with(b"application/grpc"));
    let call = Arc::new(upstream.journal.begin(request.uri().path(), grpc));
    let mut request = request.map(|body| RequestBody::new(body, Arc::clone(&call)));
    name_server(request.uri_mut());
    let mut sender = match upstream.sender().await {
        Ok(sender) => sender,
        Err(error) => return Ok(unavailable(&error)),
    };
    match sender.send_request(request).await {
        Ok(response) => Ok(response.map(|body| ResponseBody::new(body, call))),
        Err(error) if is_reset(&error) => Err(error),
        Err(error) => Ok(unavailable(&error)),
    }
}

/// Adds a server's name to the URI. HTTP/2 allows requests without one, but hyper's client requires it.
fn name_server(uri: &mut Uri) {
    if uri.authority().is_some() && uri.scheme().is_some() {
        return;
    }
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    let named = Uri::builder()
        .scheme("http")
        .authority("localhost")
        .path_and_query(path);
    if let Ok(named) = named.build() {
        *uri = named;
    }
}

impl Upstream {
    async fn sender(&self) -> Result<SendRequest<RequestBody>, Box<dyn std::error::Error>> {
        let mut kept = self.sender.lock().await;
        if let Some(sender) = kept.as_ref().filter(|sender| !sender.is_closed()) {
            return Ok(sender.clone());
        }
        let socket = listen::connect(&self.target).await?;
        let (sender, connection) = client::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADER_BYTES)
            .handshake(TokioIo::new(socket))
            .await?;
        // Each call learns of the connection's end by itself.
        tokio::spawn(connection);
        *kept = Some(sender.clone());
        Ok(sender)
    }
}

/// Returns the answer that stands for a target that can't be reached.
fn unavailable(error: &dyn Display) -> Response<ResponseBody> {
    let mut response = Response::new(ResponseBody::none());
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/grpc"));
    headers.insert("grpc-status", UNAVAILABLE);
    let text: String = format!("loadtest record: the target can't be reached: {error}")
        .chars()
        .map(|c| {
            if c.is_ascii_graphic() && c != '%' || c == ' ' {
                c
            } else {
                '?'
            }
        })
        .collect();
    if let Ok(text) = HeaderValue::from_str(&text) {
        headers.insert("grpc-message", text);
    }
    response
}
