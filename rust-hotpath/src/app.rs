//! Composes a whole process from the parts of the engine. Nothing else does that. A plain program calls [`main`]. A
//! program that does more than serve reads a [`Config`](config::Config) and calls [`start`].

mod dispatch;

pub use crate::{program::Program, ready_file::Addresses};

use crate::{
    admin,
    config::{self, Asked},
    control::{self, Control},
    error::{Error, Kind},
    exchange::Exchange,
    feed::{Feeds, Ledger, push::Push},
    frame_pointers, front, health, ingest,
    listen::{self, Arrival, Front, Listener},
    model::{self, Model},
    readiness::Readiness,
    ready_file::ReadyFile,
    runtime::{self, Cores},
    serve::{self, Serve},
    shutdown::{self, Shutdown},
    view::{self, View},
};
use dispatch::Dispatch;
use std::{env, process::ExitCode, sync::Arc, thread, time::Duration};
use tokio::{
    sync::Semaphore,
    task::{JoinHandle, JoinSet},
};
use tonic::service::Routes;

/// A running engine.
pub struct Running {
    /// Where the engine can be reached.
    pub addresses: Addresses,
    shutdown: Shutdown,
    main: JoinHandle<()>,
}

/// All parts through which requests and events of a model pass.
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
    program: Program,
    max_header_bytes: u32,
}

/// The connections of both listeners.
#[derive(Clone)]
struct Connections {
    cores: Arc<Cores>,
    room: Arc<Semaphore>,
    shutdown: Shutdown,
    bounds: listen::Bounds,
    front: Front,
}

/// Runs a whole process that serves `M`: reads its command line, serves until told to stop, and returns the exit code.
///
/// ```ignore
/// fn main() -> std::process::ExitCode {
///     hotpath::app::main::<MyModel>(hotpath::program!())
/// }
/// ```
#[must_use]
pub fn main<M: Model>(program: Program) -> ExitCode {
    let (args, vars) = (env::args_os().skip(1), env::vars_os());
    let ended = match config::read_with(program, M::CHOICES, args, vars) {
        Ok(Asked::Print(text)) => print(&text),
        Ok(Asked::Run(config)) => run::<M>(*config),
        Err(error) => Err(error),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print_error(program, &error);
            ExitCode::from(error.exit_code())
        }
    }
}

/// Starts an engine on the current runtime.
///
/// # Errors
/// If the model has a mistake, or a socket or port is not available. Then nothing is left behind.
pub async fn start<M: Model>(config: config::Config) -> Result<Running, Error> {
    check::<M>()?;
    let room = Arc::new(Semaphore::new(config.listen.max_connections));
    let (unix, socket) = Listener::unix(&config.listen, &room)?;
    let tcp = config
        .listen
        .listen
        .map(|address| Listener::tcp(address, &room))
        .transpose()?;
    let operators = admin::bind(&config.admin).await?;
    let addresses = Addresses {
        socket: socket.path().to_owned(),
        listen: tcp.as_ref().map(|(_, bound)| *bound),
        admin: operators.address(),
    };
    let (engine, writer) = Engine::<M>::new(&config)?;
    engine.reporter.prepare::<M>().await;

    let connections = Connections {
        cores: Arc::new(Cores::start(&config.runtime)?),
        room,
        shutdown: engine.shutdown.clone(),
        bounds: config.listen.bounds,
        front: config.listen.front,
    };
    let accept = connections.clone().accept(unix, engine.private()?);
    let mut accepting = JoinSet::new();
    accepting.spawn(accept);
    if let Some((listener, _)) = tcp {
        let accept = connections.clone().accept(listener, engine.public()?);
        accepting.spawn(accept);
    }
    let status = admin::Status {
        view: engine.view.clone(),
        feeds: engine.feeds.clone(),
        serve: engine.serve.clone(),
        exchange: engine.exchange.clone(),
        readiness: Arc::clone(&engine.readiness),
    };
    let ready_file = ReadyFile::write(&config.ready_file, &addresses);
    let ready_file = ready_file.inspect_err(|_| engine.shutdown.end())?;
    let operators = tokio::spawn(operators.run(status));
    announce::<M>(config.program, &addresses);

    let shutdown = engine.shutdown.clone();
    let drain = config.shutdown.drain;
    let most = u32::try_from(config.listen.max_connections).unwrap_or(u32::MAX);
    let main = tokio::spawn(async move {
        let ended = connections.ended(&mut accepting, most);
        engine.live(ended, drain).await;
        operators.abort();
        while accepting.join_next().await.is_some() {}
        connections.stop().await;
        drop(socket);
        ready_file.remove();
        // The writer ends with the last feed. It holds nothing that must be saved.
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
    /// Drains and ends, as on SIGTERM.
    pub fn stop(&self) {
        self.shutdown.drain();
    }

    /// The switch that [`Self::stop`] uses.
    #[must_use]
    pub fn shutdown(&self) -> &Shutdown {
        &self.shutdown
    }

    /// Waits until everything has ended.
    pub async fn ended(self) {
        let _ = self.main.await;
    }
}

impl<M: Model> Engine<M> {
    fn new(config: &config::Config) -> Result<(Self, thread::JoinHandle<()>), Error> {
        let choices = M::CHOICES.iter().enumerate();
        let chosen = choices.map(|(at, choice)| {
            let value = config.chosen.get(at).copied();
            value.unwrap_or(choice.default())
        });
        let chosen: Vec<&'static str> = chosen.collect();
        let (publisher, view) = view::begin::<M>(config.view.clone(), M::begin(&chosen));
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
            program: config.program,
            max_header_bytes: config.listen.bounds.header_bytes,
            view,
            ledger,
            readiness,
        };
        Ok((engine, writer))
    }

    /// The services that direct callers reach.
    fn public(&self) -> Result<Dispatch<M>, Error> {
        let others = Routes::new(self.reporter.service());
        Ok(self.dispatch(health::with_reflection::<M>(others, false)?, None))
    }

    /// The services that the shim reaches.
    fn private(&self) -> Result<Dispatch<M>, Error> {
        let (view, ledger) = (self.view.clone(), Arc::clone(&self.ledger));
        let most = self.config.max_message_bytes;
        let control = Control::service(view, ledger, most, self.program)?;
        let (view, ledger) = (self.view.clone(), Arc::clone(&self.ledger));
        let feed = Push::service(self.feeds.clone(), view, ledger, self.shutdown.clone());
        let others = Routes::new(self.reporter.service())
            .add_service(control)
            .add_service(feed);
        let exchange = Some(self.exchange.clone());
        Ok(self.dispatch(health::with_reflection::<M>(others, true)?, exchange))
    }

    fn dispatch(&self, others: Routes, exchange: Option<Exchange<M>>) -> Dispatch<M> {
        let most = usize::try_from(self.max_header_bytes).unwrap_or(usize::MAX);
        Dispatch::new(self.serve.clone(), exchange, others, most)
    }

    /// Waits until told to stop. Then gives requests in flight and `connections` up to `drain` to end.
    async fn live(self, connections: impl Future<Output = ()>, drain: Duration) {
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
            self.serve.drain().await;
            self.shutdown.end();
            let _ = health.await;
            connections.await;
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

impl Connections {
    /// Hands connections to the threads that serve them, until draining.
    async fn accept<M: Model>(self, mut listener: Listener, dispatch: Dispatch<M>) {
        let lanes = dispatch.exchange().is_some();
        let rules = front::Rules::new::<M>(self.bounds.header_bytes, lanes);
        loop {
            let arrival = tokio::select! {
                () = self.shutdown.draining() => return,
                arrival = listener.accept() => arrival,
            };
            let (dispatch, rules) = (dispatch.clone(), rules.clone());
            let (bounds, front, shutdown) = (self.bounds, self.front, self.shutdown.clone());
            self.cores.spawn(async move {
                let served = serve(arrival, dispatch, (front, rules), bounds, shutdown);
                if let Err(error) = served.await {
                    tracing::warn!("a connection cannot be polled: {error}");
                }
            });
        }
    }

    /// Waits until all connections have ended; `most` is the number of places for them. It first waits for the tasks
    /// that accept connections: these must not find that all places are taken.
    async fn ended(&self, accepting: &mut JoinSet<()>, most: u32) {
        while accepting.join_next().await.is_some() {}
        let _ = self.room.acquire_many(most).await;
    }

    /// Cuts the connections that are left. The tasks that accept connections have ended by then.
    async fn stop(self) {
        if let Some(cores) = Arc::into_inner(self.cores) {
            cores.stop().await;
        }
    }
}

/// Serves one connection until it ends.
async fn serve<M: Model>(
    arrival: Arrival,
    dispatch: Dispatch<M>,
    (front, rules): (Front, front::Rules),
    bounds: listen::Bounds,
    shutdown: Shutdown,
) -> std::io::Result<()> {
    match front {
        Front::Stock => {
            let connection = arrival.open(bounds)?;
            listen::serve(connection, dispatch, shutdown.draining()).await;
        }
        Front::Spliced => {
            let below = front::Below {
                core: Arc::clone(dispatch.core()),
                exchange: dispatch.exchange().cloned(),
            };
            let bare = arrival.bare(bounds)?;
            front::serve(bare, rules, below, dispatch, shutdown.draining()).await;
        }
    }
    Ok(())
}

fn run<M: Model>(config: config::Config) -> Result<(), Error> {
    runtime::log(&config.runtime);
    let runtime = runtime::start()?;
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
    // Whatever still runs had its time.
    runtime.shutdown_background();
    ended
}

/// Checks that the model can be served at all. If not, no setting can correct that.
fn check<M: Model>() -> Result<(), Error> {
    model::check::<M>().map_err(|mistake| {
        let text = format!("the model of {:?} has a mistake", M::SERVICE);
        Error::new(Kind::BadModel, text).because(mistake)
    })?;
    control::check::<M>()
}

fn announce<M: Model>(program: Program, addresses: &Addresses) {
    let socket = addresses.socket.display();
    let listen = addresses
        .listen
        .map_or_else(|| "none".to_owned(), |address| address.to_string());
    tracing::info!(
        "{} {} serves {}: socket {socket}, listen {listen}, admin http://{}/",
        program.name,
        program.version,
        M::SERVICE,
        addresses.admin
    );
    if let Some(mistake) = frame_pointers::missing() {
        tracing::warn!("{mistake}");
    }
}

/// Prints. Nothing else uses standard output.
#[allow(clippy::print_stdout)]
fn print(text: &str) -> Result<(), Error> {
    use std::io::Write as _;
    let written = std::io::stdout().write_all(text.as_bytes());
    written.map_err(|error| Error::new(Kind::Io, "standard output failed").because(error))
}

fn print_error(program: Program, error: &Error) {
    use std::io::Write as _;
    // If this fails, there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "{}: {error}", program.name);
}
