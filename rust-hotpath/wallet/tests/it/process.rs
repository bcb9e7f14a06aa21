//! Tests the real `hotpathd`: flags, exit codes, socket files, signals.

use crate::client::{Feed, PROTOCOL_VERSION, SOON, connect, kind, open, reason, until};
use hotpath::proto::hotpath::{
    EventBatch, ExchangeRequest, RequestFrame, exchange_service_client::ExchangeServiceClient,
    feed_request::Kind,
};
use hotpath_wallet::proto::{Entry, GetBalanceRequest, GetBalanceResponse, Phase, Transaction};
use prost::Message as _;
use rustix::process::{Pid, Signal, kill_process};
use std::{
    fs,
    io::{Read as _, Write as _},
    os::unix::{fs::PermissionsExt as _, net::UnixListener},
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};
use tempfile::TempDir;
use tonic::{Code, Request, Status, codegen::http::uri::PathAndQuery, transport::Channel};
use tonic_health::pb::{HealthCheckRequest, health_client::HealthClient};

/// A running process. It is killed if a test fails halfway.
struct Process {
    child: Child,
    dir: TempDir,
}

impl Process {
    fn start(dir: TempDir, args: &[&str]) -> Self {
        let ready = dir.path().join("ready.json");
        let mut command = hotpathd(&dir.path().join("s"));
        command
            .args(["--ready-file", ready.to_str().unwrap()])
            .args(args);
        command.stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut process = Self {
            child: command.spawn().unwrap(),
            dir,
        };
        let deadline = Instant::now() + SOON;
        while !ready.exists() {
            let ended = process.child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < deadline,
                "never ready: {ended:?}"
            );
            thread::sleep(Duration::from_millis(10));
        }
        process
    }

    fn ready(&self) -> serde_json::Value {
        let text = fs::read_to_string(self.dir.path().join("ready.json")).unwrap();
        serde_json::from_str(&text).unwrap()
    }

    fn socket(&self) -> PathBuf {
        self.dir.path().join("s")
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    /// A gauge from the admin page.
    fn metric(&self, name: &str) -> Option<u64> {
        let admin = self.ready()["admin"].as_str()?.to_owned();
        let mut page = std::net::TcpStream::connect(admin).ok()?;
        page.write_all(b"GET /metrics HTTP/1.0\r\n\r\n").ok()?;
        let mut text = String::new();
        page.read_to_string(&mut text).ok()?;
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(key, _)| *key == name)?.1.parse().ok()
    }

    /// Waits until the process has ended. Returns its exit code and its log.
    fn ended(mut self) -> (Option<i32>, String, TempDir) {
        let deadline = Instant::now() + SOON;
        let status = loop {
            match self.child.try_wait().unwrap() {
                Some(status) => break status,
                None => assert!(Instant::now() < deadline, "it does not end"),
            }
            thread::sleep(Duration::from_millis(10));
        };
        let mut log = String::new();
        self.child
            .stderr
            .take()
            .unwrap()
            .read_to_string(&mut log)
            .unwrap();
        let dir = std::mem::replace(&mut self.dir, tempfile::tempdir().unwrap());
        (status.code(), log, dir)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn hotpathd(socket: &Path) -> Command {
    let mut command = bare();
    command.arg("--socket").arg(socket);
    command
}

fn bare() -> Command {
    Command::new(env!("CARGO_BIN_EXE_hotpathd"))
}

fn said(output: &Output) -> (Option<i32>, String) {
    (
        output.status.code(),
        String::from_utf8(output.stderr.clone()).unwrap(),
    )
}

#[test]
fn help_and_version() {
    let help = bare().arg("--help").output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(help.status.success() && text.contains("--socket PATH"));
    assert!(text.contains("\nCommands:\n  verify "), "{text}");
    let help = bare().args(["verify", "--help"]).output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    assert!(help.status.success() && text.contains("--go-admin IP:PORT"));
    let version = bare().arg("--version").output().unwrap();
    let text = format!("hotpathd {}\n", env!("CARGO_PKG_VERSION"));
    assert!(version.status.success());
    assert_eq!(String::from_utf8(version.stdout).unwrap(), text);
}

#[test]
fn all_mistakes_in_one_message_and_nothing_is_bound() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let output = hotpathd(&socket)
        .args(["--admin", "8.8.8.8:1", "--bogus"])
        .env("HOTPATHD_THREADS", "none")
        .env("HOTPATHD_WHAT", "1")
        .output()
        .unwrap();
    let (code, text) = said(&output);
    assert_eq!(code, Some(64), "{text}");
    for part in [
        "hotpathd: 4 mistakes",
        "flag --bogus",
        "env HOTPATHD_WHAT",
        "env HOTPATHD_THREADS",
        "flag --admin",
    ] {
        assert!(text.contains(part), "{part} is not in {text}");
    }
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn a_bad_file_has_its_own_exit_code() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("c.toml");
    fs::write(&file, "\nretain_ms = \"soon\"\n").unwrap();
    let output = hotpathd(&dir.path().join("s"))
        .arg("--config")
        .arg(&file)
        .output()
        .unwrap();
    let (code, text) = said(&output);
    assert_eq!(code, Some(78));
    assert!(
        text.contains(&format!("file {}:2: ", file.display())),
        "{text}"
    );
}

#[test]
fn places_where_nothing_can_be_created() {
    let dir = tempfile::tempdir().unwrap();
    let output = hotpathd(&dir.path().join("no/such/directory"))
        .output()
        .unwrap();
    assert_eq!(said(&output).0, Some(73), "{output:?}");
    let ready = dir.path().join("no/ready");
    let output = hotpathd(&dir.path().join("s"))
        .arg("--ready-file")
        .arg(ready)
        .output()
        .unwrap();
    assert_eq!(said(&output).0, Some(73), "{output:?}");
    fs::write(dir.path().join("file"), "precious").unwrap();
    let output = hotpathd(&dir.path().join("file")).output().unwrap();
    assert_eq!(said(&output).0, Some(73), "{output:?}");
    assert_eq!(
        fs::read_to_string(dir.path().join("file")).unwrap(),
        "precious"
    );
}

#[test]
fn it_says_where_it_listens_and_drains_on_sigterm() {
    let process = Process::start(tempfile::tempdir().unwrap(), &["--listen", "127.0.0.1:0"]);
    let ready = process.ready();
    assert_eq!(ready["pid"].as_u64(), Some(u64::from(process.child.id())));
    assert_eq!(ready["socket"].as_str(), process.socket().to_str());
    for key in ["listen", "admin"] {
        let address: std::net::SocketAddr = ready[key].as_str().unwrap().parse().unwrap();
        assert!(address.ip().is_loopback() && address.port() != 0);
        std::net::TcpStream::connect(address).unwrap();
    }
    let mode = fs::metadata(process.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    process.signal(Signal::TERM);
    let (code, log, dir) = process.ended();
    assert_eq!(code, Some(0), "{log}");
    assert!(
        log.contains("SIGTERM: draining") && log.contains("stopped"),
        "{log}"
    );
    assert!(!dir.path().join("s").exists() && !dir.path().join("ready.json").exists());
}

/// A batch with one transaction, which pays a penny to `a`.
fn penny(position: u64) -> EventBatch {
    let entry = Entry {
        account_id: "a".to_owned(),
        asset: "GBP".to_owned(),
        amount: 1,
        phase: Phase::Posted.into(),
        ..Entry::default()
    };
    let transaction = Transaction {
        position,
        transaction_id: format!("t{position}"),
        external: true,
        entries: vec![entry],
        ..Transaction::default()
    };
    EventBatch {
        first_position: position,
        events: vec![transaction.encode_to_vec()],
    }
}

/// Asks for the balance of `a` at `min_position` or later.
async fn wait_for(channel: Channel, min_position: u64) -> Result<i64, Status> {
    let mut request = Request::new(GetBalanceRequest {
        account_id: "a".to_owned(),
        ..GetBalanceRequest::default()
    });
    let metadata = request.metadata_mut();
    metadata.insert("x-hotpath-min-position", min_position.into());
    let balance = get_balance(channel, request).await?;
    Ok(balance.balances[0].posted)
}

async fn get_balance(
    channel: Channel,
    request: Request<GetBalanceRequest>,
) -> Result<GetBalanceResponse, Status> {
    let mut client = tonic::client::Grpc::new(channel);
    client.ready().await.expect("a connection");
    let path = PathAndQuery::from_static("/wallet.v1.WalletService/GetBalance");
    let codec = tonic_prost::ProstCodec::default();
    Ok(client.unary(request, path, codec).await?.into_inner())
}

/// Sends two requests that wait when the process is told to end. One waits for a position that is fed then, the other
/// for one that never comes. Returns `None` if the machine was so slow that their time was up before.
async fn waiting_at_sigterm(
    process: &Process,
    wait: Duration,
) -> Option<(Result<i64, Status>, Result<i64, Status>)> {
    let channel = connect(&process.socket()).await;
    let mut feed = Feed::open(channel.clone(), open(PROTOCOL_VERSION, "l", 1))
        .await
        .unwrap();
    feed.send(kind(Kind::Batch(penny(1)))).await;
    feed.reached(1).await;
    let began = Instant::now();
    let reached = tokio::spawn(wait_for(channel.clone(), 2));
    let missed = tokio::spawn(wait_for(channel, 3));
    until("both wait", || async {
        let both = process.metric("hotpathd_in_flight") == Some(2);
        (both || began.elapsed() > wait).then_some(())
    })
    .await;
    process.signal(Signal::TERM);
    until("it drains", || async {
        std::os::unix::net::UnixStream::connect(process.socket()).err()
    })
    .await;
    feed.send(kind(Kind::Batch(penny(2)))).await;
    let outcomes = (reached.await.unwrap(), missed);
    let in_time = began.elapsed() < wait;
    let missed = outcomes.1.await.unwrap();
    in_time.then_some((outcomes.0, missed))
}

#[test]
fn requests_in_flight_at_sigterm_end_with_an_answer_or_a_status() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let (reached, missed) = [2, 8, 25]
        .into_iter()
        .find_map(|seconds| {
            let wait_ms = format!("{seconds}000");
            let args = ["--max-wait-ms", &wait_ms, "--drain-ms", "600000"];
            let process = Process::start(tempfile::tempdir().unwrap(), &args);
            let wait = Duration::from_secs(seconds);
            let outcomes = runtime.block_on(waiting_at_sigterm(&process, wait));
            let (code, log, _) = process.ended();
            assert_eq!(code, Some(0), "{log}");
            assert!(log.contains("stopped") && !log.contains("cutting"), "{log}");
            outcomes
        })
        .expect("25 s are enough");
    assert_eq!(reached.unwrap(), 2);
    let (code, reason, _) = reason(&missed.unwrap_err());
    assert_eq!(
        (code, reason.as_str()),
        (Code::FailedPrecondition, "POSITION_NOT_REACHED")
    );
}

#[test]
fn a_second_signal_ends_it_at_once() {
    let process = Process::start(tempfile::tempdir().unwrap(), &["--drain-ms", "600000"]);
    // An open stream without requests keeps the process from being drained.
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let channel = runtime.block_on(connect(&process.socket()));
    let (_requests, stream) = tokio::sync::mpsc::channel(1);
    let mut reflection =
        tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient::new(channel);
    let stream = tokio_stream::wrappers::ReceiverStream::new(stream);
    let open = runtime
        .block_on(reflection.server_reflection_info(stream))
        .unwrap();
    process.signal(Signal::INT);
    let socket = process.socket();
    let deadline = Instant::now() + SOON;
    while std::os::unix::net::UnixStream::connect(&socket).is_ok() {
        assert!(Instant::now() < deadline, "it does not drain");
        thread::sleep(Duration::from_millis(10));
    }
    process.signal(Signal::INT);
    let (code, log, _) = process.ended();
    assert_eq!(code, Some(130), "{log}");
    drop(open);
}

#[test]
fn it_dies_with_its_parent() {
    let mut process = Process::start(tempfile::tempdir().unwrap(), &["--lifeline"]);
    drop(process.child.stdin.take());
    let (code, log, _) = process.ended();
    assert_eq!(code, Some(0), "{log}");
    assert!(log.contains("standard input ended"), "{log}");
}

#[test]
fn a_second_sidecar_is_refused_and_the_first_lives_on() {
    let process = Process::start(tempfile::tempdir().unwrap(), &[]);
    let output = hotpathd(&process.socket()).output().unwrap();
    let (code, text) = said(&output);
    assert_eq!(code, Some(69));
    assert!(
        text.contains("another process serves it; stop that one or choose another --socket"),
        "{text}"
    );
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let mut health = HealthClient::new(connect(&process.socket()).await);
        health.check(HealthCheckRequest::default()).await.unwrap();
    });
}

#[test]
fn what_a_killed_sidecar_left_is_taken_over_what_another_program_serves_is_not() {
    let mut process = Process::start(tempfile::tempdir().unwrap(), &[]);
    process.child.kill().unwrap();
    let (code, _, dir) = process.ended();
    assert_eq!(code, None, "killed");
    assert!(dir.path().join("s").exists(), "left behind");
    fs::remove_file(dir.path().join("ready.json")).unwrap();
    let process = Process::start(dir, &[]);
    process.signal(Signal::TERM);
    let (code, log, dir) = process.ended();
    assert_eq!(code, Some(0), "{log}");

    let _foreign = UnixListener::bind(dir.path().join("s")).unwrap();
    let output = hotpathd(&dir.path().join("s")).output().unwrap();
    assert_eq!(said(&output).0, Some(69));
}

/// The limit leaves room for six stacks of threads and half of another. Everything else that is allocated fits into
/// that half.
#[test]
fn threads_that_the_system_does_not_have_are_named_and_nothing_is_left() {
    let dir = tempfile::tempdir().unwrap();
    let socket = dir.path().join("s");
    let command = hotpathd(&socket);
    let output = Command::new("sh")
        .args(["-c", "ulimit -v 8400000 && exec \"$0\" \"$@\""])
        .arg(command.get_program())
        .args(command.get_args())
        .args(["--threads", "1024"])
        .env("RUST_MIN_STACK", (1 << 30).to_string())
        .output()
        .unwrap();
    let (code, text) = said(&output);
    assert_eq!(code, Some(74), "{text}");
    assert!(text.contains("no threads can be started"), "{text}");
    assert!(!socket.exists());
}

/// The request is refused because nothing was fed. It is sent as a unary call and in a lane.
#[tokio::test]
async fn the_log_of_a_failed_request_names_its_trace() {
    const PARENT: &str = "b7ad6b7169203331";
    let traces = ["0af7651916cd43dd8448eb211c80319c", &"5".repeat(32)];
    let [direct, in_lane] = traces.map(|trace| format!("00-{trace}-{PARENT}-01"));
    let args = ["--log-level", "debug"];
    let process = Process::start(tempfile::tempdir().unwrap(), &args);
    let channel = connect(&process.socket()).await;
    let mut request = Request::new(GetBalanceRequest::default());
    let metadata = request.metadata_mut();
    metadata.insert("traceparent", direct.parse().unwrap());
    let refused = get_balance(channel.clone(), request).await;
    let refused = refused.expect_err("not ready");
    assert_eq!(refused.code(), Code::Unavailable);
    let traced = RequestFrame {
        id: 1,
        budget_us: 60_000_000,
        traceparent: in_lane,
        ..RequestFrame::default()
    };
    let message = ExchangeRequest {
        requests: vec![traced],
        cancelled: Vec::new(),
    };
    let mut lanes = ExchangeServiceClient::new(channel);
    let lane = lanes.exchange(tokio_stream::iter([message])).await.unwrap();
    let replies = lane.into_inner().message().await.unwrap().unwrap().replies;
    assert_eq!(replies[0].status, Code::Unavailable as u32);
    process.signal(Signal::TERM);
    let (_, log, _) = process.ended();
    for trace in traces {
        let said = log.lines().find(|line| line.contains(trace));
        let said = said.unwrap_or_else(|| panic!("no {trace} in {log}"));
        for part in ["DEBUG", "GetBalance", "Unavailable", PARENT] {
            assert!(said.contains(part), "{part} in {said}");
        }
    }
}
