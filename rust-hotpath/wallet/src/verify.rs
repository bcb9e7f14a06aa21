//! `hotpathd verify`: audits a live sidecar. It asks the sidecar and Go the same questions at the same position, and has
//! the sidecar compare its index with a scan.
//!
//! ```text
//!  options ──> survey (accounts and times, from Go) ──> draw ──> peer: sidecar, then peer: Go ──> differ ──> tally
//!          └─> http: the modes of the shim, and the sidecar's audit of itself (`wallet::audit`) ───────────────^
//! ```

mod differ;
mod http;
mod options;
mod peer;
mod survey;
mod tally;

use crate::{
    draw::{self, Random},
    wallet::Wallet,
};
use differ::Messages;
use hotpath::model::Model as _;
use options::{Asked, HELP, Options, Sidecar, WithGo};
use peer::{At, Peer};
use std::{
    ffi::OsString,
    hash::{BuildHasher as _, Hasher as _},
    io::Write as _,
    net::SocketAddr,
    process::ExitCode,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
    time::{Duration, Instant},
};
use survey::Survey;
use tally::{Ended, Outcome, Own, Tally, not_answered};
use tokio::task::JoinSet;
use tonic::codegen::http::uri::PathAndQuery;

/// The line about this command in the program's help.
pub const SUMMARY: &str =
    "  verify    Audit a live sidecar against Go and against itself: hotpathd verify --help\n";

/// `GetBalance`, by which the sidecar is asked for its position.
const BALANCE: usize = 0;
const USAGE: u8 = 64;
const IO: u8 = 74;
/// How long a page of metrics may take.
const METRICS: Duration = Duration::from_secs(10);

/// Runs the command with the arguments behind `verify`, and returns the exit code.
#[must_use]
pub fn main(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let options = match options::read(args) {
        Ok(Asked::Help) => return finish(HELP, 0),
        Ok(Asked::Verify(options)) => *options,
        Err(mistakes) => {
            complain(&format!(
                "{mistakes}\nhotpathd verify --help shows every option."
            ));
            return ExitCode::from(USAGE);
        }
    };
    let runtime = tokio::runtime::Builder::new_current_thread();
    match { runtime }.enable_all().build() {
        Ok(runtime) => runtime.block_on(verify(options)),
        Err(error) => {
            complain(&format!("the runtime cannot be started: {error}"));
            ExitCode::from(IO)
        }
    }
}

async fn verify(options: Options) -> ExitCode {
    let seed = options.seed.unwrap_or_else(any_seed);
    // This comes first, so that a run that is killed can be repeated too.
    if print(&format!("seed {seed}\n")).is_err() {
        return ExitCode::from(IO);
    }
    let tally = Arc::new(Mutex::new(Tally::new(options.differences)));
    let wanted = options.with_go.as_ref().map_or(0, |_| options.questions);
    let deadline = options.deadline;
    let work = work(options, seed, Arc::clone(&tally));
    let (ended, result) = tokio::select! {
        result = work => (Ended::Done, result),
        () = tokio::time::sleep(deadline) => (Ended::Deadline, Ok(())),
        _ = tokio::signal::ctrl_c() => (Ended::Interrupted, Ok(())),
    };
    let tally = lock(&tally);
    let code = tally.exit_code(wanted, ended, result.is_err());
    let text = tally.text(ended);
    if let Err(why) = result {
        complain(&why);
    }
    finish(&format!("{text}{}", Tally::verdict(code)), code)
}

async fn work(options: Options, seed: u64, tally: Arc<Mutex<Tally>>) -> Result<(), String> {
    let until = Instant::now() + options.deadline;
    if let Some(with_go) = options.with_go.clone() {
        compare(&with_go, &options, seed, &tally).await?;
    }
    if let Some(admin) = options.admin {
        let left = until.saturating_duration_since(Instant::now());
        let own = audit(admin, seed, options.questions, left).await?;
        lock(&tally).own(own);
    }
    Ok(())
}

/// Compares the sidecar with Go.
async fn compare(
    with_go: &WithGo,
    options: &Options,
    seed: u64,
    tally: &Arc<Mutex<Tally>>,
) -> Result<(), String> {
    answers_itself(with_go.go_admin).await?;
    let uri = match &with_go.sidecar {
        Sidecar::Socket(path) => format!("unix:{}", path.display()),
        Sidecar::Listen(address) => format!("http://{address}"),
    };
    let sidecar = Peer::connect("sidecar", uri, options.timeout).await?;
    let go = Peer::connect("Go", format!("http://{}", with_go.go), options.timeout).await?;
    let head = head(&sidecar).await?;
    let account = options.account.as_deref();
    let survey = Survey::of(&go, head, (seed, options.questions), account).await?;
    let found = survey.places.len();
    print(&format!(
        "the sidecar is at position {head}; asking about {found} accounts and assets\n"
    ))?;
    let paths = Wallet::METHODS.iter().map(|name| survey::path(name));
    let shared = Arc::new(Shared {
        sidecar,
        go,
        survey,
        messages: Messages::new()?,
        paths: paths.collect::<Result<_, _>>()?,
        seed,
        questions: options.questions,
        next: AtomicU64::new(0),
        first: head,
        newest: AtomicU64::new(head),
        tally: Arc::clone(tally),
    });
    let mut workers = JoinSet::new();
    for _ in 0..options.in_flight.min(options.questions) {
        workers.spawn(Arc::clone(&shared).ask_all());
    }
    while let Some(ended) = workers.join_next().await {
        ended.map_err(|error| error.to_string())?;
    }
    // If somebody switched the modes meanwhile, some answers of Go were the sidecar's own.
    answers_itself(with_go.go_admin).await
}

/// Makes sure that Go answers by itself.
async fn answers_itself(go_admin: SocketAddr) -> Result<(), String> {
    let (code, page) = http::get(go_admin, "/metrics", METRICS).await?;
    if code != 200 {
        return Err(format!("http://{go_admin}/metrics gives status {code}"));
    }
    let forwarded = http::forwarded(&page);
    if forwarded.is_empty() {
        return Ok(());
    }
    Err(format!(
        "Go forwards {} to the sidecar, which would be compared with itself: set these methods to \"legacy\" in Go's \
         modes file, or name a Go service without a sidecar over the same ledger",
        forwarded.join(", ")
    ))
}

/// The newest position of the sidecar. Any answer tells it, also that there is no such account.
async fn head(sidecar: &Peer) -> Result<u64, String> {
    let method = Wallet::METHODS.get(BALANCE).copied().unwrap_or_default();
    // The encoding of account_id = "a".
    let request = b"\x0a\x01a".to_vec();
    let answer = sidecar
        .ask(survey::path(method)?, request, At::Newest)
        .await;
    let why = || {
        format!(
            "the sidecar gives no answer: {} {}",
            answer.why(),
            answer.message
        )
    };
    answer.decided().ok_or_else(why)
}

/// Has the sidecar audit itself.
async fn audit(
    admin: SocketAddr,
    seed: u64,
    questions: u64,
    within: Duration,
) -> Result<Own, String> {
    let target = format!("/debug/audit?seed={seed}&questions={questions}");
    let (code, page) = http::get(admin, &target, within).await?;
    let own = (code == 200).then(|| Own::parse(&page)).flatten();
    own.ok_or_else(|| {
        format!(
            "http://{admin}{target} gives status {code}: {}",
            page.trim()
        )
    })
}

/// What the workers share.
struct Shared {
    sidecar: Peer,
    go: Peer,
    survey: Survey,
    messages: Messages,
    paths: Vec<PathAndQuery>,
    seed: u64,
    questions: u64,
    next: AtomicU64,
    /// The position of the sidecar at the beginning, and the newest one that it answered at.
    first: u64,
    newest: AtomicU64,
    tally: Arc<Mutex<Tally>>,
}

impl Shared {
    async fn ask_all(self: Arc<Self>) {
        loop {
            let number = self.next.fetch_add(1, Relaxed);
            if number >= self.questions {
                return;
            }
            self.ask(number).await;
        }
    }

    /// Asks both sides question `number`.
    async fn ask(&self, number: u64) {
        let mut random = Random::of(self.seed, number);
        let method = usize::try_from(number).unwrap_or(0) % Wallet::METHODS.len();
        let (Some(path), Some(place)) = (self.paths.get(method), self.survey.place(&mut random))
        else {
            return;
        };
        let request = draw::question(&mut random, method, place, &self.survey.places);
        let at = self.position(&mut random);
        let mut answer = self.sidecar.ask(path.clone(), request.clone(), at).await;
        if answer.not_retained() {
            lock(&self.tally).asked_again();
            answer = self
                .sidecar
                .ask(path.clone(), request.clone(), At::Newest)
                .await;
        }
        let outcome = match answer.decided() {
            None => not_answered(self.sidecar.name, &answer),
            Some(position) => {
                self.newest.fetch_max(position, Relaxed);
                let at = At::Position(position);
                let other = self.go.ask(path.clone(), request.clone(), at).await;
                match other.decided() {
                    None => not_answered(self.go.name, &other),
                    Some(_) => {
                        let lines = self.messages.differences(method, &answer, &other);
                        if lines.is_empty() {
                            Outcome::Equal
                        } else {
                            Outcome::Differs(lines)
                        }
                    }
                }
            }
        };
        let about = || {
            let name = Wallet::METHODS.get(method).copied().unwrap_or_default();
            let position = answer.position.unwrap_or_default();
            let request = self.messages.request(method, &request);
            format!("question {number}, {name} at position {position}\n  request: {request}")
        };
        lock(&self.tally).count(method, outcome, about);
    }

    /// The newest position, or one in four times one that the sidecar has been at since the beginning.
    fn position(&self, random: &mut Random) -> At {
        if random.below(4) > 0 {
            return At::Newest;
        }
        let since = self.newest.load(Relaxed).saturating_sub(self.first);
        At::Position(self.first + random.below(since + 1))
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A seed that differs from run to run.
fn any_seed() -> u64 {
    // It is seeded by the system.
    let hasher = std::hash::RandomState::new().build_hasher();
    // Short enough to be typed.
    hasher.finish() % 1_000_000_000
}

fn finish(text: &str, code: u8) -> ExitCode {
    match print(text) {
        Ok(()) => ExitCode::from(code),
        Err(why) => {
            complain(&why);
            // A difference matters more than a report that could not be written.
            ExitCode::from(if code == 1 { 1 } else { IO })
        }
    }
}

fn print(text: &str) -> Result<(), String> {
    let mut output = std::io::stdout();
    let written = output
        .write_all(text.as_bytes())
        .and_then(|()| output.flush());
    written.map_err(|error| format!("standard output failed: {error}"))
}

fn complain(text: &str) {
    // If this fails, there is nobody left to tell.
    let _ = writeln!(std::io::stderr(), "hotpathd verify: {text}");
}
