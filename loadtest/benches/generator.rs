//! Measures the generator: the highest constant rate that it sends on time, and what a request costs it.
//!
//! `cargo bench -p loadtest --bench generator` measures. The generator runs on the last core. On the first core runs a
//! server process that costs next to nothing. Arguments after `--`: the address of a target to load instead of that
//! server; `rate=N` for one window at that rate. Without `--bench`, as under `cargo test`, the program only checks that
//! every request is accounted for. On a machine with other work, put `chrt -f 10` in front of the program, so that the
//! other work is not measured.

#[path = "generator/server.rs"]
mod server;

use loadtest::{
    error::{Error, Kind, Result},
    generator::{Address, Endpoints, Generator, Options, Progress},
    measure::{Latencies, Observed},
    traffic::{Method, Request, Spread, Window, Workload},
};
use rustix::thread::{CpuSet, sched_setaffinity};
use std::{
    env,
    io::{BufRead as _, BufReader, Write as _, stdout},
    process::{Child, Command, ExitCode, Stdio},
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};

/// The argument that makes this program the server.
const SERVE: &str = "serve";
const WINDOW: Duration = Duration::from_secs(2);
/// A window does not count if the p99 of its lag is higher.
const MAX_LAG_NS: u64 = 1_000_000;
const FIRST_QPS: f64 = 50_000.0;
const STEP: f64 = 25_000.0;
/// The number of windows at a rate before it counts as too high, because other work on the machine breaks single ones.
const TRIES: usize = 3;

/// A workload that sends the same small request again and again.
struct Trivial {
    methods: Vec<Method>,
}

/// The server process. It ends when its standard input does.
struct Server(Child);

impl Drop for Server {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

impl Workload for Trivial {
    fn methods(&self) -> &[Method] {
        &self.methods
    }

    fn read(&self, _seed: u64, _n: u64) -> Request<'_> {
        Request {
            method: 0,
            message: &[5; 20],
        }
    }

    fn write(&self, _k: u64) -> Option<(u16, Vec<u8>)> {
        None
    }
}

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let has = |wanted: &str| arguments.iter().any(|argument| argument == wanted);
    let done = if has(SERVE) {
        server::serve().map_err(|error| Error::caused(Kind::Internal, "server", error))
    } else if has("--bench") {
        measure(&arguments)
    } else {
        check()
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "{error}");
            ExitCode::from(error.kind().exit_code())
        }
    }
}

/// Checks that every request is accounted for, in a short window and without judging times.
fn check() -> Result<()> {
    let (address, _server) = start()?;
    let mut generator = connect(&address)?;
    let observed = window(&mut generator, 5_000.0, Duration::from_millis(200))?;
    let ok = observed.ok;
    if ok == 0 || observed.planned != ok || observed.from_planned.len() != ok {
        let message = format!(
            "{} planned, {} sent, {ok} OK",
            observed.planned, observed.sent
        );
        return Err(Error::new(Kind::Internal, message));
    }
    Ok(())
}

fn measure(arguments: &[String]) -> Result<()> {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    pin(0);
    let (own, _server) = start()?;
    pin(cores - 1);
    let given = arguments.iter().find(|argument| argument.contains(':'));
    let address = given.map_or(Ok(own), |given| given.parse())?;
    let mut generator = connect(&address)?;
    say("     rate   achieved   cpu     us/req   lag p50     p99   planned p99   sent p99");
    let rate = arguments
        .iter()
        .find_map(|argument| argument.strip_prefix("rate="));
    if let Some(rate) = rate.and_then(|rate| rate.parse().ok()) {
        attempt(&mut generator, rate)?;
        return Ok(());
    }
    let mut qps = FIRST_QPS;
    while held(&mut generator, qps)? {
        qps += STEP;
    }
    say(&format!(
        "highest rate on time: {:.0} requests/s",
        qps - STEP
    ));
    Ok(())
}

fn held(generator: &mut Generator, qps: f64) -> Result<bool> {
    for _ in 0..TRIES {
        if attempt(generator, qps)? {
            return Ok(true);
        }
    }
    Ok(false)
}

fn attempt(generator: &mut Generator, qps: f64) -> Result<bool> {
    let observed = window(generator, qps, WINDOW)?;
    let us = |latencies: &Latencies, quantile| latencies.value_at_quantile(quantile) as f64 / 1e3;
    let lag = &observed.generator.lag;
    let cpu = observed.generator.cpu_fraction;
    say(&format!(
        "{qps:>9.0} {:>10.0} {cpu:>5.2} {:>10.2} {:>9.1} {:>7.1} {:>13.1} {:>10.1}",
        observed.achieved_qps,
        cpu * observed.elapsed.as_secs_f64() * 1e6 / observed.planned as f64,
        us(lag, 0.5),
        us(lag, 0.99),
        us(&observed.from_planned, 0.99),
        us(&observed.from_sent, 0.99),
    ));
    if !observed.statuses.is_empty() {
        say(&format!("  other statuses: {:?}", observed.statuses));
    }
    let complete = observed.ok == observed.planned && observed.achieved_qps > 0.98 * qps;
    Ok(complete && lag.value_at_quantile(0.99) <= MAX_LAG_NS)
}

fn window(generator: &mut Generator, qps: f64, duration: Duration) -> Result<Observed> {
    let window = Window {
        from_qps: qps,
        to_qps: qps,
        duration,
        spread: Spread::Poisson,
        in_flight: None,
        seed: 1,
        keep_replies: false,
    };
    let stop = AtomicBool::new(false);
    generator.run(&window, &mut 0, &Progress::default(), &stop)
}

fn connect(address: &Address) -> Result<Generator> {
    let endpoints = Endpoints {
        front: address.clone(),
        hot: None,
    };
    let options = Options {
        connections: 4,
        idle_connections: 0,
        max_in_flight: 20_000,
        timeout: Duration::from_secs(5),
        writes_per_second: 0.0,
        writes_per_read: 0.0,
        writes_at_once: 1,
        reply_budget_bytes: 0,
    };
    let method = Method {
        path: "/wallet.v1.WalletService/GetBalance".to_owned(),
        hot: false,
    };
    let methods = vec![method];
    Generator::connect(&endpoints, Arc::new(Trivial { methods }), options)
}

/// Starts this program again as the server. It runs on the core that this thread is pinned to, if it is pinned.
fn start() -> Result<(Address, Server)> {
    let failed = |error| Error::caused(Kind::Internal, "the server does not start", error);
    let program = env::current_exe().map_err(failed)?;
    let mut child = Command::new(program)
        .arg(SERVE)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(failed)?;
    let out = child.stdout.take();
    let server = Server(child);
    let mut address = String::new();
    if let Some(out) = out {
        BufReader::new(out)
            .read_line(&mut address)
            .map_err(failed)?;
    }
    Ok((address.trim().parse()?, server))
}

/// Pins the calling thread, and the processes that it starts from now on.
fn pin(core: usize) {
    let mut cores = CpuSet::new();
    cores.set(core);
    if let Err(error) = sched_setaffinity(None, &cores) {
        say(&format!("core {core}: not pinned: {error}"));
    }
}

fn say(line: &str) {
    let _ = writeln!(stdout(), "{line}");
}
