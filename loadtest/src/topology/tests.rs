//! Small shell scripts stand in for the programs.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use super::*;
use crate::{run::sample, scenario};
use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    os::unix::fs::PermissionsExt as _,
    process,
    sync::{MutexGuard, atomic::Ordering},
    thread,
    time::Instant,
};

/// Puts the values of some flags into variables.
const FLAGS: &str = "#!/bin/sh\ncommand=$1; shift\nwhile [ $# -gt 0 ]; do case $1 in\n\
    --ready-file) ready=$2; shift;;\n--sidecar-socket) socket=$2; shift;;\n--db) db=$2; shift;;\nesac; shift; done\n";
/// Ends when its standard input does, as servers with `--lifeline` do.
const SERVE: &str = "echo '{\"pid\":1,\"listen\":\"127.0.0.1:7\",\"admin\":\"ADMIN\"}' >$ready.new\n\
    mv $ready.new $ready\nread line\n";

static NEVER: AtomicBool = AtomicBool::new(false);

struct Stand {
    _alone: MutexGuard<'static, ()>,
    folder: tempfile::TempDir,
    rig: Rig,
    ledger: PathBuf,
}

impl Stand {
    fn new(walletd: &str) -> Self {
        let alone = sample::starting();
        let folder = tempfile::tempdir().unwrap();
        let program = |name: &str, text: &str| {
            let path = folder.path().join(name);
            fs::write(&path, text).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o700)).unwrap();
            path
        };
        let ledger = folder.path().join("given.db");
        fs::write(&ledger, "a ledger").unwrap();
        fs::write(folder.path().join("given.db-wal"), "its log").unwrap();
        let rig = Rig {
            walletd: program("walletd", &format!("{FLAGS}{walletd}")),
            hotpathd: program("hotpathd", "#!/bin/sh\n"),
            work: folder.path().join("work"),
            server_cores: Vec::new(),
        };
        Self {
            _alone: alone,
            folder,
            rig,
            ledger,
        }
    }

    fn start(&self, kind: Kind) -> Result<Server> {
        Server::start(
            &self.rig,
            &spec(kind),
            &self.ledger,
            &AtomicBool::new(false),
        )
    }

    fn of_target(&self, file: &str) -> PathBuf {
        self.rig.work.join("targets/a").join(file)
    }
}

fn spec(kind: Kind) -> Spec {
    Spec {
        name: "a".into(),
        kind,
        stream_workers: STREAM_WORKERS,
        unary_hop: false,
        spliced: false,
        stored: false,
        pair: false,
        scan: false,
        mode: None,
    }
}

/// Answers every request for metrics.
fn metrics(position: u64) -> String {
    metrics_of(format!(
        "hotpath_shim_sidecar_ready 1\nhotpath_shim_sidecar_position {position}\n\
         hotpath_shim_head_position {position}\nwalletd_position 9\n"
    ))
}

/// Answers every request with this text.
fn metrics_of(body: String) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let length = body.len();
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}"
            );
        }
    });
    address
}

fn runs(pid: u32) -> bool {
    let stat = crate::process::proc::stat(pid);
    stat.is_ok_and(|stat| !stat.dead)
}

#[test]
fn a_server_that_gets_ready_is_served_from_a_copy_and_stopped_on_drop() {
    let stand = Stand::new(&format!("cp $db $db-wal ${{db%/*}}/..\n{SERVE}"));
    let server = stand.start(Kind::Legacy).unwrap();
    let pid = server.watched()[0].pid;
    assert_eq!(
        server.endpoints().front,
        Address::Tcp("127.0.0.1:7".parse().unwrap())
    );
    assert_eq!(server.endpoints().hot, None);
    assert_eq!(server.admin(), "ADMIN");
    assert!(runs(pid));
    let copied = |name| fs::read_to_string(stand.rig.work.join("targets").join(name)).unwrap();
    assert_eq!(
        (copied("ledger.db"), copied("ledger.db-wal")),
        ("a ledger".into(), "its log".into())
    );
    drop(server);
    assert!(!runs(pid));
    assert!(!stand.of_target("ledger.db").exists());
    assert!(stand.of_target("walletd.log").exists());
}

#[test]
fn a_server_that_dies_at_once_is_an_error_with_its_log() {
    let stand = Stand::new("echo 'the disk is full' >&2; exit 74\n");
    let begun = Instant::now();
    let error = stand.start(Kind::Legacy).unwrap_err();
    assert!(begun.elapsed() < START_TIMEOUT / 2);
    assert_eq!(error.kind(), ErrorKind::Target);
    let text = error.to_string();
    assert!(
        text.contains("target a: walletd ended while it started (exit status: 74)"),
        "{text}"
    );
    assert!(text.contains("| the disk is full"), "{text}");
}

#[test]
fn a_server_that_never_gets_ready_is_given_up_and_stopped() {
    let stand = Stand::new("echo $$ >$ready.pid; read line\n");
    let folder = stand.of_target("");
    fs::create_dir_all(&folder).unwrap();
    let mut command = Command::new(&stand.rig.walletd);
    command
        .args(["serve", "--ready-file"])
        .arg(ready_file(&folder));
    let mut child =
        Child::spawn("a", "walletd", command, &folder.join("walletd.log"), &[]).unwrap();
    let waiting = ready::Waiting {
        folder: &folder,
        deadline: Duration::ZERO,
        stop: &AtomicBool::new(false),
    };
    let error = ready::service(&mut child, &waiting).unwrap_err();
    assert!(
        error.to_string().contains("did not get ready within 0 s"),
        "{error}"
    );
    let pid = child.id();
    drop(child);
    assert!(!runs(pid));
}

#[test]
fn an_interrupt_ends_the_wait() {
    let stand = Stand::new("read line\n");
    let stop = AtomicBool::new(false);
    stop.store(true, Ordering::Relaxed);
    let error = Server::start(&stand.rig, &spec(Kind::Legacy), &stand.ledger, &stop).unwrap_err();
    assert!(error.to_string().contains("interrupted"), "{error}");
    assert!(!stand.of_target("ledger.db").exists(), "the copy is large");
}

#[test]
fn an_interrupt_ends_the_making_of_a_ledger() {
    let stand = Stand::new("echo half >$db; exec sleep 600\n");
    let ledger = scenario::Ledger {
        seed: 1,
        accounts: 2,
        transactions: 3,
        shape: "spending",
    };
    let stop = AtomicBool::new(true);
    let error = ledger::generate(&stand.rig, &ledger, &stop).unwrap_err();
    assert!(error.to_string().contains("interrupted"), "{error}");
    let folder = ledger::path(&stand.rig.work, &ledger);
    let left = fs::read_dir(folder.parent().unwrap()).unwrap().count();
    assert_eq!(left, 0);
}

#[test]
fn a_direct_target_has_an_address_of_its_own_for_hot_reads() {
    let ready = "echo '{\"pid\":PID,\"socket\":\"s\",\"listen\":\"127.0.0.1:8\",\"admin\":\"x\"}' >$socket.ready\n";
    let ready = ready.replace("PID", &process::id().to_string());
    let serve = SERVE.replace("ADMIN", &metrics(9));
    let environment = "env | grep HOTPATHD_ >${db%/*}/env\n";
    let stand = Stand::new(&format!("{environment}{ready}{serve}"));
    let server = stand.start(Kind::Direct).unwrap();
    assert_eq!(
        server.endpoints().hot,
        Some(Address::Tcp("127.0.0.1:8".parse().unwrap()))
    );
    assert_eq!(server.watched()[1].pid, process::id());
    let environment = fs::read_to_string(stand.of_target("env")).unwrap();
    for line in [
        "HOTPATHD_LISTEN=127.0.0.1:0",
        "HOTPATHD_MAX_CONNECTIONS=1000000",
    ] {
        assert!(environment.contains(line), "{environment}");
    }
}

#[test]
fn arguments_follow_the_kind() {
    let stand = Stand::new("");
    let line = |kind| {
        let arguments = stand
            .rig
            .arguments(&spec(kind), Path::new("l.db"), Path::new("f"));
        let words: Vec<_> = arguments
            .iter()
            .map(|word| word.to_string_lossy())
            .collect();
        words.join(" ")
    };
    let legacy = line(Kind::Legacy);
    assert!(
        legacy.starts_with("serve --db l.db --listen 127.0.0.1:0"),
        "{legacy}"
    );
    assert!(legacy.ends_with("--read-model legacy --stream-workers 128 --sidecar off --lifeline"));
    assert!(line(Kind::BestGo).contains("--read-model best --"));
    assert!(line(Kind::BestGoScan).contains("--read-model best-scan --"));
    assert!(line(Kind::Store).contains("--read-model store --"));
    let sidecar = line(Kind::Sidecar);
    assert!(sidecar.contains("--read-model legacy"), "{sidecar}");
    assert!(
        sidecar.contains("--sidecar supervise --sidecar-bin"),
        "{sidecar}"
    );
    for flag in ["--hop", "--front-door"] {
        assert!(!sidecar.contains(flag), "{sidecar}");
    }
}

#[test]
fn the_unary_hop_and_the_number_of_workers_are_asked_for() {
    let stand = Stand::new("");
    let mut spec = spec(Kind::Sidecar);
    spec.unary_hop = true;
    spec.stream_workers = 32;
    let arguments = stand
        .rig
        .arguments(&spec, Path::new("l.db"), Path::new("f"));
    assert!(arguments.windows(2).any(|pair| pair == ["--hop", "unary"]));
    assert!(
        arguments
            .windows(2)
            .any(|pair| pair == ["--stream-workers", "32"])
    );
    let about = spec.about();
    assert!(
        about.ends_with("by a gRPC call each; with 32 stream workers"),
        "{about}"
    );
}

#[test]
fn the_sidecar_may_have_the_only_copy() {
    let stand = Stand::new("");
    let mut spec = spec(Kind::Direct);
    spec.stored = true;
    let arguments = stand
        .rig
        .arguments(&spec, Path::new("l.db"), Path::new("f"));
    assert!(
        arguments
            .windows(2)
            .any(|pair| pair == ["--read-model", "store"])
    );
    let about = spec.about();
    assert!(
        about.ends_with("without a read model in Go; with 128 stream workers"),
        "{about}"
    );
}

#[test]
fn there_may_be_two_sidecars() {
    let ready = |at: &str, pid: u32| {
        format!("echo '{{\"pid\":{pid},\"listen\":\"127.0.0.1:8\"}}' >$socket{at}.ready\n")
    };
    let body = ["0", "1"].map(|at| {
        format!(
            "hotpath_shim_sidecar_ready{{sidecar=\"{at}\"}} 1\nhotpath_shim_sidecar_position{{sidecar=\"{at}\"}} 9\n"
        )
    });
    let admin = metrics_of(body.concat() + "hotpath_shim_head_position 9\nwalletd_position 9\n");
    let both = ready("", process::id()) + &ready(".1", 1);
    let stand = Stand::new(&format!("{both}{}", SERVE.replace("ADMIN", &admin)));
    let mut spec = spec(Kind::Sidecar);
    spec.pair = true;
    let arguments = stand
        .rig
        .arguments(&spec, Path::new("l.db"), Path::new("f"));
    assert!(arguments.windows(2).any(|pair| pair == ["--sidecars", "2"]));
    let about = spec.about();
    assert!(about.contains("with a second sidecar"), "{about}");
    let server = Server::start(&stand.rig, &spec, &stand.ledger, &NEVER).unwrap();
    let watched: Vec<_> = server
        .watched()
        .iter()
        .map(|one| one.name.as_str())
        .collect();
    assert_eq!(watched, ["walletd", "hotpathd", "hotpathd-2"]);
    assert_eq!(server.watched()[2].pid, 1);
}

#[test]
fn the_sidecar_may_scan() {
    let stand = Stand::new("");
    let mut spec = spec(Kind::Sidecar);
    let statistics = |spec: &Spec| {
        let command = stand.rig.command(spec, Path::new("l.db"), Path::new("f"));
        let mut set = command.get_envs();
        set.any(|pair| pair == ("HOTPATHD_STATISTICS".as_ref(), Some("scan".as_ref())))
    };
    assert!(!statistics(&spec));
    spec.scan = true;
    assert!(statistics(&spec));
    let about = spec.about();
    assert!(
        about.ends_with("to hotpathd, whose statistics scan; with 128 stream workers"),
        "{about}"
    );
}

#[test]
fn a_mode_is_set_by_the_environment() {
    let stand = Stand::new("");
    let mut spec = spec(Kind::Sidecar);
    let modes = |spec: &Spec| {
        let command = stand.rig.command(spec, Path::new("l.db"), Path::new("f"));
        let mut set = command.get_envs();
        let found = set.find(|pair| pair.0 == "HOTPATH_MODES");
        found.and_then(|pair| pair.1.map(|value| value.to_owned()))
    };
    assert_eq!(modes(&spec), None);
    spec.mode = Some("shadow");
    assert_eq!(modes(&spec), Some("default=shadow".into()));
    assert!(spec.about().contains("to hotpathd, in mode shadow; with"));
}

#[test]
fn the_spliced_fronts_are_asked_for() {
    let stand = Stand::new("");
    let mut spec = spec(Kind::Sidecar);
    spec.spliced = true;
    let (db, folder) = (Path::new("l.db"), Path::new("f"));
    let arguments = stand.rig.arguments(&spec, db, folder);
    assert!(
        arguments
            .windows(2)
            .any(|pair| pair == ["--front-door", "spliced"])
    );
    assert!(!arguments.contains(&"--hop".into()));
    let front = |spec: &Spec| {
        let command = stand.rig.command(spec, db, folder);
        let mut given = command.get_envs();
        given.any(|given| given == ("HOTPATHD_FRONT".as_ref(), Some("spliced".as_ref())))
    };
    assert!(front(&spec));
    let about = spec.about();
    assert!(
        about.ends_with("to hotpathd, below grpc-go and hyper; with 128 stream workers"),
        "{about}"
    );
    spec.kind = Kind::Direct;
    assert!(
        front(&spec)
            && !stand
                .rig
                .arguments(&spec, db, folder)
                .contains(&"--front-door".into())
    );
    spec.spliced = false;
    assert!(!front(&spec));
}

#[test]
fn best_go_may_answer_through_the_spliced_door_without_a_sidecar() {
    let stand = Stand::new("");
    let mut spec = spec(Kind::BestGo);
    spec.spliced = true;
    let arguments = stand
        .rig
        .arguments(&spec, Path::new("l.db"), Path::new("f"));
    let given = |pair: [&str; 2]| arguments.windows(2).any(|found| found == pair);
    assert!(given(["--read-model", "best"]) && given(["--sidecar", "alone"]));
    assert!(given(["--front-door", "spliced"]) && given(["--front-local", "--lifeline"]));
    assert!(!arguments.contains(&"--sidecar-bin".into()));
    let about = spec.about();
    assert!(
        about.ends_with("best read model in Go, below grpc-go; with 128 stream workers"),
        "{about}"
    );
}

#[test]
fn a_ledger_is_generated_once_and_never_half() {
    let count = "echo x >>${db%/*}/../../count; echo made >$db; [ -z \"$FAIL\" ] || exit 1\n";
    let stand = Stand::new(count);
    let ledger = scenario::Ledger {
        seed: 1,
        accounts: 2,
        transactions: 3,
        shape: "spending",
    };
    for _ in 0..2 {
        let path = ledger::generate(&stand.rig, &ledger, &NEVER).unwrap();
        assert_eq!(fs::read_to_string(path).unwrap(), "made\n");
    }
    let count = fs::read_to_string(stand.rig.work.join("count")).unwrap();
    assert_eq!(count, "x\n");

    drop(stand);
    let failing = Stand::new("echo half >$db; echo 'no room' >&2; exit 74\n");
    let error = ledger::generate(&failing.rig, &ledger, &NEVER).unwrap_err();
    assert!(error.to_string().contains("| no room"), "{error}");
    assert!(!ledger::path(&failing.rig.work, &ledger).exists());
}

#[test]
fn ids_are_listed_with_the_size_of_the_ledger() {
    let stand = Stand::new(
        "printf '# position 5\\n# accounts 2\\n# entries 11\\na\\tGBP\\t9\\t1\\t2\\n'\n",
    );
    fs::create_dir_all(&stand.rig.work).unwrap();
    let to = stand.folder.path().join("ids.tsv");
    let size = ledger::ids(&stand.rig, &stand.ledger, 10, &to, &NEVER).unwrap();
    assert_eq!((size.position, size.accounts, size.entries), (5, 2, 11));
    assert!(
        fs::read_to_string(&to)
            .unwrap()
            .ends_with("a\tGBP\t9\t1\t2\n")
    );
}

#[test]
fn programs_that_are_not_there_are_named() {
    let mut stand = Stand::new("");
    stand.rig.hotpathd = stand.folder.path().join("absent");
    stand.rig.check(&[spec(Kind::Legacy)]).unwrap();
    let error = stand
        .rig
        .check(&[spec(Kind::Sidecar)])
        .unwrap_err()
        .to_string();
    assert!(error.contains("absent: run `make build`"), "{error}");
}

#[test]
fn two_runs_do_not_share_a_work_folder() {
    let stand = Stand::new("");
    let held = ledger::lock(&stand.rig.work).unwrap();
    let error = ledger::lock(&stand.rig.work).unwrap_err();
    assert!(error.to_string().contains("--work"), "{error}");
    drop(held);
    ledger::lock(&stand.rig.work).unwrap();
}
