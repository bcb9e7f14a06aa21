//! The one composition root: what a process of this engine consists of.

use crate::{
    admin,
    config::{self, Asked},
    control::Control,
    error::{Error, Kind},
    exchange::{self, Exchange},
    feed::{Feeds, Ledger, push::Push},
    health, ingest, limits,
    listen::Incoming,
    model::Model,
    readiness::Readiness,
    runtime,
    serve::{self, Serve},
    settings::{Group, Setting, Settings},
    shutdown::{self, Shutdown},
    view::{self, View},
};
use std::{
    env, fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    pin::Pin,
    process::ExitCode,
    sync::Arc,
    task::{Context, Poll},
    thread,
    time::Duration,
};
use tokio::{sync::Semaphore, task::JoinHandle};
use tonic::{
    body::Body,
    codegen::http::{Request, Response},
    service::Routes,
    transport::Server,
};
use tower_service::Service;

/// What belongs to no module.
#[derive(Clone, Debug)]
pub struct Config {
    /// File that says where the process listens, once it does.
    pub ready_file: Option<PathBuf>,
}

/// Where a running process can be reached.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// The Unix socket.
    pub socket: PathBuf,
    /// TCP for direct callers.
    pub listen: Option<SocketAddr>,
    /// For operators.
    pub admin: SocketAddr,
}

/// A running engine.
pub struct Running {
    /// Where it can be reached.
    pub addresses: Addresses,
    shutdown: Shutdown,
    main: JoinHandle<()>,
}

/// Everything that a model's requests and events pass through.
struct Engine<M: Model> {
    view: View<M>,
    feeds: Feeds<M>,
    serve: Serve<M>,
    exchange: Exchange<M>,
    ledger: Arc<Ledger>,
    readiness: Arc<Readiness>,
    reporter: health::Reporter,
    shutdown: Shutdown,
    config: serve::Config,
}

/// Hot methods go past tonic's router: it costs more than many of them.
struct Dispatch<M: Model> {
    serve: Serve<M>,
    /// For the shim only.
    exchange: Option<Exchange<M>>,
    others: Routes,
}

impl Config {
    /// What can be set.
    pub const SETTINGS: Group = Group {
        title: "Launchers",
        settings: &[Setting::new(
            "ready-file",
            "PATH",
            "",
            "Written once listening: JSON of pid, socket, listen and admin",
        )],
    };

    /// Reads the settings.
    pub fn resolve(settings: &mut Settings) -> Self {
        Self {
            ready_file: settings.text("ready-file").map(PathBuf::from),
        }
    }
}

/// A whole process that serves `M`: reads its command line, serves until told to stop, returns its exit code.
#[must_use]
pub fn main<M: Model>() -> ExitCode {
    let ended = match config::read(env::args_os().skip(1), env::vars_os()) {
        Ok(Asked::Print(text)) => print(&text),
        Ok(Asked::Run(config)) => run::<M>(*config),
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            complain(&error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Starts an engine on the current runtime.
///
/// # Errors
/// If a socket or port cannot be had; nothing is left behind then.
pub async fn start<M: Model>(config: config::Config) -> Result<Running, Error> {
    let room = Arc::new(Semaphore::new(config.listen.max_connections));
    let (unix, socket) = Incoming::unix(&config.listen, &room)?;
    let tcp = config
        .listen
        .listen
        .map(|address| Incoming::tcp(address, &room))
        .transpose()?;
    let operators = admin::bind(&config.admin).await?;
    let addresses = Addresses {
        socket: socket.path().to_owned(),
        listen: tcp.as_ref().map(|(_, bound)| *bound),
        admin: operators.address(),
    };
    let (engine, writer) = Engine::<M>::new(&config)?;
    engine.reporter.prepare::<M>().await;

    let mut servers = vec![tokio::spawn(listen(
        unix,
        engine.private()?,
        engine.transport(),
        engine.shutdown.clone(),
    ))];
    if let Some((incoming, _)) = tcp {
        servers.push(tokio::spawn(listen(
            incoming,
            engine.public()?,
            engine.transport(),
            engine.shutdown.clone(),
        )));
    }
    let status = admin::Status {
        view: engine.view.clone(),
        feeds: engine.feeds.clone(),
        serve: engine.serve.clone(),
        exchange: engine.exchange.clone(),
        readiness: Arc::clone(&engine.readiness),
    };
    let operators = tokio::spawn(operators.run(status));
    let ready_file = config.app.ready_file;
    if let Some(path) = &ready_file {
        write_ready_file(path, &addresses).inspect_err(|_| engine.shutdown.end())?;
    }
    announce::<M>(&addresses);

    let shutdown = engine.shutdown.clone();
    let drain = config.shutdown.drain;
    let main = tokio::spawn(async move {
        engine.live(servers, drain).await;
        operators.abort();
        drop(socket);
        if let Some(path) = ready_file {
            let _ = fs::remove_file(path);
        }
        // The writer ends with the last feed; it holds nothing that must be saved.
        drop(writer);
        tracing::info!("stopped");
    });
    Ok(Running {
        addresses,
        shutdown,
        main,
    })
}

impl Running {
    /// Drains and ends, as SIGTERM does.
    pub fn stop(&self) {
        self.shutdown.drain();
    }

    /// The switch that [`Self::stop`] uses.
    #[must_use]
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Waits for the end.
    pub async fn ended(self) {
        let _ = self.main.await;
    }
}

impl<M: Model> Engine<M> {
    fn new(config: &config::Config) -> Result<(Self, thread::JoinHandle<()>), Error> {
        let (publisher, view) = view::new::<M>(config.view.clone());
        let no_thread = |error| Error::new(Kind::Io, "the writer cannot be started").because(error);
        let (ingest, writer) = ingest::spawn(&config.ingest, publisher).map_err(no_thread)?;
        let readiness = Arc::new(Readiness::new(config.readiness.clone()));
        let ledger = Arc::new(Ledger::default());
        let (serve, shutdown) = (
            Serve::new(config.serve.clone(), view.clone(), Arc::clone(&readiness)),
            Shutdown::default(),
        );
        let engine = Self {
            exchange: Exchange::new(&serve, shutdown.clone()),
            serve,
            feeds: Feeds::new(ingest, Arc::clone(&readiness), Arc::clone(&ledger)),
            reporter: health::Reporter::default(),
            shutdown,
            config: config.serve.clone(),
            view,
            ledger,
            readiness,
        };
        Ok((engine, writer))
    }

    /// What direct callers reach.
    fn public(&self) -> Result<Dispatch<M>, Error> {
        let others = Routes::new(self.reporter.service());
        Ok(self.dispatch(health::with_reflection::<M>(others, false)?, None))
    }

    /// What the shim reaches.
    fn private(&self) -> Result<Dispatch<M>, Error> {
        let (view, ledger) = (self.view.clone(), Arc::clone(&self.ledger));
        let control = Control::service(view, ledger, self.config.max_message_bytes)?;
        let (view, ledger) = (self.view.clone(), Arc::clone(&self.ledger));
        let feed = Push::service(self.feeds.clone(), view, ledger, self.shutdown.clone());
        let others = Routes::new(self.reporter.service())
            .add_service(control)
            .add_service(feed);
        let exchange = Some(self.exchange.clone());
        Ok(self.dispatch(health::with_reflection::<M>(others, true)?, exchange))
    }

    fn dispatch(&self, others: Routes, exchange: Option<Exchange<M>>) -> Dispatch<M> {
        Dispatch {
            serve: self.serve.clone(),
            exchange,
            others: others.prepare(),
        }
    }

    fn transport(&self) -> Server {
        Server::builder()
            .initial_stream_window_size(limits::STREAM_WINDOW_BYTES)
            .initial_connection_window_size(limits::CONNECTION_WINDOW_BYTES)
            .max_concurrent_streams(limits::STREAMS)
            .http2_max_header_list_size(limits::HEADER_BYTES)
            .http2_keepalive_interval(Some(limits::KEEPALIVE))
    }

    /// Until told to stop; then gives requests in flight up to `drain`.
    async fn live(self, servers: Vec<JoinHandle<()>>, drain: Duration) {
        let (readiness, view) = (Arc::clone(&self.readiness), self.view.clone());
        let health = tokio::spawn(self.reporter.clone().follow(
            readiness,
            view,
            self.shutdown.clone(),
        ));
        self.shutdown.draining().await;
        self.readiness.drain();
        self.reporter.drain::<M>().await;
        let drained = tokio::time::timeout(drain, async {
            // Feeds stay open meanwhile: a request in flight may be waiting for a position.
            self.serve.idle().await;
            self.shutdown.end();
            let _ = health.await;
            for server in servers {
                let _ = server.await;
            }
        });
        if drained.await.is_err() {
            tracing::warn!(
                "not drained after {} ms: cutting {} requests",
                drain.as_millis(),
                self.serve.in_flight()
            );
        }
        self.shutdown.end();
    }
}

impl<M: Model> Clone for Dispatch<M> {
    fn clone(&self) -> Self {
        Self {
            serve: self.serve.clone(),
            exchange: self.exchange.clone(),
            others: self.others.clone(),
        }
    }
}

impl<M: Model> Service<Request<Body>> for Dispatch<M> {
    type Response = Response<Body>;
    type Error = std::convert::Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Both sides are always ready.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        if Serve::<M>::serves(request.uri().path()) {
            return self.serve.call(request);
        }
        let exchange = self.exchange.as_ref();
        if let Some(exchange) = exchange.filter(|_| request.uri().path() == exchange::PATH) {
            Box::pin(std::future::ready(Ok(exchange.call(request))))
        } else {
            Box::pin(self.others.call(request))
        }
    }
}

fn run<M: Model>(config: config::Config) -> Result<(), Error> {
    runtime::log(&config.runtime);
    let runtime = runtime::start(&config.runtime)?;
    let ended = runtime.block_on(async {
        let failed = |error| Error::new(Kind::Io, "signals cannot be handled").because(error);
        let signals = shutdown::signals().map_err(failed)?;
        let lifeline = config.shutdown.lifeline;
        let running = start::<M>(config).await?;
        tokio::spawn(signals.obey(running.shutdown().clone()));
        if lifeline {
            shutdown::on_lifeline(running.shutdown().clone()).map_err(failed)?;
        }
        running.ended().await;
        Ok(())
    });
    // What is still running had its time.
    runtime.shutdown_background();
    ended
}

async fn listen<M: Model>(
    incoming: Incoming,
    dispatch: Dispatch<M>,
    server: Server,
    shutdown: Shutdown,
) {
    let stop = async move { shutdown.draining().await };
    if let Err(error) = server
        .serve_with_incoming_shutdown(dispatch, incoming, stop)
        .await
    {
        tracing::error!("a listener failed: {error}");
    }
}

fn announce<M: Model>(addresses: &Addresses) {
    let socket = addresses.socket.display();
    let listen = addresses
        .listen
        .map_or_else(|| "none".to_owned(), |address| address.to_string());
    tracing::info!(
        "serving {}: socket {socket}, listen {listen}, admin http://{}/",
        M::SERVICE,
        addresses.admin
    );
}

fn write_ready_file(path: &Path, addresses: &Addresses) -> Result<(), Error> {
    let listen = addresses
        .listen
        .map_or_else(|| "null".to_owned(), |address| format!("\"{address}\""));
    let json = format!(
        "{{\"pid\":{},\"socket\":\"{}\",\"listen\":{listen},\"admin\":\"{}\"}}\n",
        std::process::id(),
        admin::json_text(&addresses.socket.to_string_lossy()),
        addresses.admin,
    );
    let mut unready = path.as_os_str().to_owned();
    unready.push(".new");
    let written = fs::write(&unready, json).and_then(|()| fs::rename(&unready, path));
    let text = format!("the ready file {} cannot be written", path.display());
    written.map_err(|error| Error::new(Kind::CannotCreate, text).because(error))
}

/// The one use of standard output.
#[allow(clippy::print_stdout)]
fn print(text: &str) -> Result<(), Error> {
    use std::io::Write as _;
    let written = std::io::stdout().write_all(text.as_bytes());
    written.map_err(|error| Error::new(Kind::Io, "standard output failed").because(error))
}

fn complain(error: &Error) {
    use std::io::Write as _;
    // Nobody is left to tell if this fails.
    let _ = writeln!(std::io::stderr(), "hotpathd: {error}");
}
