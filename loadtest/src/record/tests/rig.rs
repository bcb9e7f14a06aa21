//! A target, the recorder in front of it, and callers, all in this process.

mod target;

use super::super::*;
use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};
use http_body_util::{BodyExt as _, Full};
use hyper::{
    HeaderMap, Request, Response,
    body::{Body, Frame, Incoming},
    client::conn::http2 as client,
};
use hyper_util::rt::{TokioExecutor, TokioIo};
use std::{
    convert::Infallible,
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll},
    thread,
};
use tempfile::TempDir;
use tokio::{
    runtime::Runtime,
    sync::{Notify, mpsc},
    task::JoinHandle,
};
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};

pub(super) struct Rig {
    runtime: Runtime,
    target: Option<JoinHandle<()>>,
    target_address: Address,
    recorder: thread::JoinHandle<Result<Recorded>>,
    journal: Arc<super::super::journal::Journal>,
    address: Address,
    notes: Arc<Mutex<Vec<String>>>,
    stop: Arc<AtomicBool>,
    /// Notified when a call hangs at the target.
    pub(super) hanging: Arc<Notify>,
    /// Notified when such a call was cancelled.
    pub(super) cancelled: Arc<Notify>,
    folder: TempDir,
}

/// What a recorder leaves when it stops. The capture is removed when this is dropped.
pub(super) struct Stopped {
    recorded: Recorded,
    _folder: TempDir,
}

pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
    pub(super) trailers: Option<HeaderMap>,
}

/// A body that is sent piece by piece.
pub(super) struct Pieces(pub(super) mpsc::Receiver<Frame<Bytes>>);

#[derive(Debug, Default, Clone, Copy)]
struct Raw;

/// Options for the rig, which chooses the target and the file itself, unless the target is a socket.
pub(super) fn options() -> RecordOptions {
    let any = Address::Tcp("127.0.0.1:0".parse().unwrap());
    RecordOptions::new(any, PathBuf::new())
}

pub(super) fn framed(message: &str) -> Bytes {
    let mut framed = BytesMut::new();
    framed.put_u8(0);
    framed.put_u32(u32::try_from(message.len()).unwrap());
    framed.put_slice(message.as_bytes());
    framed.freeze()
}

pub(super) fn request<B>(path: &str, body: B) -> Request<B> {
    Request::post(format!("http://some.name{path}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .header("x-ask", "asked")
        .header("authorization", "Bearer secret")
        .body(body)
        .unwrap()
}

impl Rig {
    pub(super) fn start(mut options: RecordOptions) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .enable_all()
            .build()
            .unwrap();
        let (hanging, cancelled) = (Arc::default(), Arc::default());
        let (target, target_address) =
            target::start(&runtime, &options.target, &hanging, &cancelled);
        let folder = tempfile::tempdir().unwrap();
        options.target = target_address.clone();
        options.file = folder.path().join("some.capture");
        let recorder = Recorder::bind(options).unwrap();
        let address = recorder.address().clone();
        let journal = Arc::clone(&recorder.journal);
        let (stop, notes) = (
            Arc::new(AtomicBool::new(false)),
            Arc::new(Mutex::new(Vec::new())),
        );
        let (stopped, noted) = (Arc::clone(&stop), Arc::clone(&notes));
        let serve =
            move || recorder.serve(&stopped, |note| noted.lock().unwrap().push(note.to_owned()));
        Self {
            runtime,
            target: Some(target),
            target_address,
            recorder: thread::spawn(serve),
            journal,
            address,
            notes,
            stop,
            hanging,
            cancelled,
            folder,
        }
    }

    pub(super) fn stop(self) -> Stopped {
        self.stop.store(true, Ordering::Relaxed);
        Stopped {
            recorded: self.recorder.join().unwrap().unwrap(),
            _folder: self.folder,
        }
    }

    pub(super) fn run<T>(&self, work: impl Future<Output = T>) -> T {
        let limit = Duration::from_secs(30);
        self.runtime
            .block_on(async { tokio::time::timeout(limit, work).await })
            .unwrap()
    }

    pub(super) fn call(&self, path: &str, body: Bytes) -> Answer {
        self.call_as("application/grpc", path, body)
    }

    pub(super) fn call_as(&self, kind: &'static str, path: &str, body: Bytes) -> Answer {
        let mut request = request(path, Full::new(body));
        request
            .headers_mut()
            .insert("content-type", kind.parse().unwrap());
        self.run(async {
            let mut sender = self.connect().await;
            let (head, body) = sender.send_request(request).await.unwrap().into_parts();
            let body = body.collect().await.unwrap();
            Answer {
                status: head.status.as_u16(),
                headers: head.headers,
                trailers: body.trailers().cloned(),
                body: body.to_bytes(),
            }
        })
    }

    pub(super) async fn send<B>(&self, path: &str, body: B) -> Response<Incoming>
    where
        B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
    {
        let mut sender = self.connect().await;
        sender.send_request(request(path, body)).await.unwrap()
    }

    pub(super) async fn connect<B>(&self) -> client::SendRequest<B>
    where
        B: Body<Data = Bytes, Error = Infallible> + Send + Unpin + 'static,
    {
        let socket = listen::connect(&self.address).await.unwrap();
        let builder = client::Builder::new(TokioExecutor::new());
        let (sender, connection) = builder.handshake(TokioIo::new(socket)).await.unwrap();
        tokio::spawn(connection);
        sender
    }

    /// Calls as a gRPC client does, and returns the outcome.
    pub(super) fn tonic(&self, path: &'static str) -> std::result::Result<String, tonic::Status> {
        let call = self.tonic_call(path);
        self.run(call).unwrap()
    }

    pub(super) fn tonic_call(
        &self,
        path: &'static str,
    ) -> JoinHandle<std::result::Result<String, tonic::Status>> {
        let uri = format!("http://{}", self.address);
        self.runtime.spawn(async move {
            let endpoint = tonic::transport::Endpoint::from_shared(uri).unwrap();
            let channel = endpoint.connect().await.unwrap();
            let mut client = tonic::client::Grpc::new(channel);
            client.ready().await.unwrap();
            let path = http::uri::PathAndQuery::from_static(path);
            let request = tonic::Request::new("m".to_owned());
            let answer = client.unary(request, path, Raw).await?;
            Ok(answer.into_inner())
        })
    }

    /// Ends the target and returns its address, so that another one can take its place.
    pub(super) fn kill_target(&mut self) -> Address {
        let target = self.target.take().unwrap();
        target.abort();
        // Once the task is gone, its sockets are closed too.
        let _ = self.run(target);
        self.target_address.clone()
    }

    pub(super) fn start_target(&mut self, address: &Address) {
        let started = target::start(&self.runtime, address, &self.hanging, &self.cancelled);
        self.target = Some(started.0);
    }

    /// Waits until this many calls are written or counted. That happens after the caller has got its answer.
    pub(super) fn judged(&self, calls: u64) {
        while self.journal.judged() < calls {
            thread::yield_now();
        }
    }

    pub(super) fn noted(&self) -> Vec<String> {
        loop {
            let notes = self.notes.lock().unwrap().clone();
            if !notes.is_empty() {
                return notes;
            }
            thread::yield_now();
        }
    }
}

impl std::ops::Deref for Stopped {
    type Target = Recorded;

    fn deref(&self) -> &Recorded {
        &self.recorded
    }
}

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<std::result::Result<Frame<Bytes>, Infallible>>> {
        self.0.poll_recv(context).map(|piece| piece.map(Ok))
    }
}

impl Codec for Raw {
    type Encode = String;
    type Decode = String;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = String;
    type Error = tonic::Status;

    fn encode(
        &mut self,
        item: String,
        to: &mut EncodeBuf<'_>,
    ) -> std::result::Result<(), Self::Error> {
        to.put_slice(item.as_bytes());
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = String;
    type Error = tonic::Status;

    fn decode(
        &mut self,
        from: &mut DecodeBuf<'_>,
    ) -> std::result::Result<Option<String>, Self::Error> {
        let bytes = from.copy_to_bytes(from.remaining());
        Ok(Some(String::from_utf8_lossy(&bytes).into_owned()))
    }
}
