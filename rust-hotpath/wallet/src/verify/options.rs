//! The command line of `hotpathd verify`.

use std::{ffi::OsString, net::SocketAddr, path::PathBuf, time::Duration};

/// Where the sidecar is asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Sidecar {
    /// Its Unix socket.
    Socket(PathBuf),
    /// Its TCP port.
    Listen(SocketAddr),
}

/// What is compared with Go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct WithGo {
    pub(super) sidecar: Sidecar,
    pub(super) go: SocketAddr,
    pub(super) go_admin: SocketAddr,
}

/// A good command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    pub(super) with_go: Option<WithGo>,
    pub(super) admin: Option<SocketAddr>,
    pub(super) seed: Option<u64>,
    pub(super) questions: u64,
    pub(super) account: Option<String>,
    pub(super) in_flight: u64,
    pub(super) timeout: Duration,
    pub(super) deadline: Duration,
    pub(super) differences: usize,
}

/// What a command line asks for.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Asked {
    Help,
    Verify(Box<Options>),
}

pub(super) const HELP: &str = "\
Audits a live sidecar: asks it and Go the same questions at the same position, and compares the answers byte by byte.

Usage: hotpathd verify (--socket PATH | --listen IP:PORT) --go IP:PORT --go-admin IP:PORT [OPTIONS]
       hotpathd verify --admin IP:PORT [OPTIONS]

Accounts and windows are drawn by a seed, from transactions that Go has. Most windows begin and end at an entry, or a
microsecond from it. Each question goes to the sidecar first, and then to Go with the position of the sidecar's answer
(x-hotpath-at-position), so writes may go on. A quarter of the questions name an older position to both.
Go must answer by itself: verify reads the modes from --go-admin, and refuses to compare the sidecar with itself.
Variables (HOTPATHD_...) and configuration files are not read.

Whom to ask:
  --socket PATH         The sidecar's Unix socket, as its own --socket
  --listen IP:PORT      The sidecar's TCP port, as its own --listen; instead of --socket
  --go IP:PORT          Where the Go service (walletd) listens for gRPC
  --go-admin IP:PORT    Where it serves /metrics
  --admin IP:PORT       The sidecar's own --admin: the sidecar also compares its index with a scan of the same version,
                        and the figures that it stores with those that follow from the entries

What to ask:
  --questions N         Questions, to each of them [1000], 1 to 1000000
  --seed N              Draws the same questions again [drawn, and printed]
  --account ID          Asks about this account only

Bounds:
  --in-flight N         Questions at once [4], 1 to 256
  --timeout-ms MS       How long each answer may take [10000], 1 to 600000
  --deadline-s S        How long everything may take [300], 1 to 86400
  --differences N       Differences that are shown in full [5], 0 to 1000

A report goes to standard output. Ctrl-C and the deadline end the asking, and the report says how far it came.

Exit codes: 0 all questions were compared and all answers were equal, 1 some answer differs, 64 usage, 69 a side cannot
be reached, Go forwards to the sidecar, or some questions were not answered or not asked, 74 output failed,
130 interrupted, with no difference so far.

Example:
  hotpathd verify --socket /tmp/hotpathd.sock --go 127.0.0.1:7450 --go-admin 127.0.0.1:7451 --admin 127.0.0.1:9000
";

/// Reads the arguments behind `verify`.
///
/// # Errors
/// All mistakes, a line each.
pub(super) fn read(args: impl IntoIterator<Item = OsString>) -> Result<Asked, String> {
    let mut given = Given::default();
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        let Ok(arg) = arg.into_string() else {
            given.mistakes.push("an argument is not UTF-8".to_owned());
            continue;
        };
        if arg == "--help" || arg == "-h" {
            return Ok(Asked::Help);
        }
        let (flag, value) = match arg.split_once('=') {
            Some((flag, value)) => (flag.to_owned(), Some(value.to_owned())),
            None => (arg, None),
        };
        if !FLAGS.contains(&flag.as_str()) {
            given.mistakes.push(format!("{flag}: is unknown"));
            continue;
        }
        let value = value.or_else(|| args.next().and_then(|next| next.into_string().ok()));
        match value.filter(|value| !value.is_empty()) {
            None => given.mistakes.push(format!("{flag}: needs a value")),
            Some(_) if given.has(&flag) => {
                given
                    .mistakes
                    .push(format!("{flag}: is given more than once"));
            }
            Some(value) => given.values.push((flag, value)),
        }
    }
    given
        .options()
        .map(|options| Asked::Verify(Box::new(options)))
}

const FLAGS: [&str; 12] = [
    "--socket",
    "--listen",
    "--go",
    "--go-admin",
    "--admin",
    "--questions",
    "--seed",
    "--account",
    "--in-flight",
    "--timeout-ms",
    "--deadline-s",
    "--differences",
];

#[derive(Default)]
struct Given {
    values: Vec<(String, String)>,
    mistakes: Vec<String>,
}

impl Given {
    fn has(&self, flag: &str) -> bool {
        self.values.iter().any(|(other, _)| other == flag)
    }

    fn text(&self, flag: &str) -> Option<String> {
        let found = self.values.iter().find(|(other, _)| other == flag);
        found.map(|(_, value)| value.clone())
    }

    fn address(&mut self, flag: &str) -> Option<SocketAddr> {
        let text = self.text(flag)?;
        let address = text.parse().ok();
        if address.is_none() {
            let rule = "must be IP:PORT, such as 127.0.0.1:7450";
            self.mistakes.push(format!("{flag}: {text:?} {rule}"));
        }
        address
    }

    fn number(&mut self, flag: &str, low: u64, high: u64, default: u64) -> u64 {
        let Some(text) = self.text(flag) else {
            return default;
        };
        let number = text.parse().ok().filter(|n| (low..=high).contains(n));
        number.unwrap_or_else(|| {
            let rule = format!("must be a whole number from {low} to {high}");
            self.mistakes.push(format!("{flag}: {text:?} {rule}"));
            default
        })
    }

    fn options(mut self) -> Result<Options, String> {
        let options = Options {
            with_go: self.with_go(),
            admin: self.address("--admin"),
            seed: self
                .has("--seed")
                .then(|| self.number("--seed", 0, u64::MAX, 0)),
            questions: self.number("--questions", 1, 1_000_000, 1_000),
            account: self.text("--account"),
            in_flight: self.number("--in-flight", 1, 256, 4),
            timeout: Duration::from_millis(self.number("--timeout-ms", 1, 600_000, 10_000)),
            deadline: Duration::from_secs(self.number("--deadline-s", 1, 86_400, 300)),
            differences: usize::try_from(self.number("--differences", 0, 1_000, 5)).unwrap_or(5),
        };
        if options.account.is_some() && !self.has("--go") {
            let rule = "needs --go: only the comparison with Go can be about one account";
            self.mistakes.push(format!("--account: {rule}"));
        }
        if self.mistakes.is_empty() {
            return Ok(options);
        }
        Err(self.mistakes.join("\n"))
    }

    /// The comparison with Go, if any of its flags is given.
    fn with_go(&mut self) -> Option<WithGo> {
        let of_go = ["--socket", "--listen", "--go", "--go-admin"];
        if !of_go.iter().any(|flag| self.has(flag)) {
            if !self.has("--admin") {
                let rule = "whom to ask is missing: give --socket or --listen, --go and --go-admin, or --admin alone";
                self.mistakes.push(rule.to_owned());
            }
            return None;
        }
        for flag in ["--go", "--go-admin"] {
            if !self.has(flag) {
                let rule = "is required to compare the sidecar with Go";
                self.mistakes.push(format!("{flag} IP:PORT {rule}"));
            }
        }
        let (go, go_admin) = (self.address("--go"), self.address("--go-admin"));
        let listen = self.address("--listen").map(Sidecar::Listen);
        let socket = self
            .text("--socket")
            .map(PathBuf::from)
            .map(Sidecar::Socket);
        if self.has("--socket") == self.has("--listen") {
            let rule =
                "exactly one of --socket PATH and --listen IP:PORT says where the sidecar is";
            self.mistakes.push(rule.to_owned());
        }
        Some(WithGo {
            sidecar: socket.or(listen)?,
            go: go?,
            go_admin: go_admin?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Asked, String> {
        read(line.split_whitespace().map(OsString::from))
    }

    fn good(line: &str) -> Options {
        match parsed(line) {
            Ok(Asked::Verify(options)) => *options,
            other => panic!("{line}: {other:?}"),
        }
    }

    #[test]
    fn a_line_with_everything() {
        let options = good(
            "--socket=/s --go 127.0.0.1:1 --go-admin 127.0.0.1:2 --admin 127.0.0.1:3 --seed 0 --questions 7 \
             --account a --in-flight 2 --timeout-ms 5 --deadline-s 6 --differences 0",
        );
        let with_go = options.with_go.expect("a comparison with Go");
        assert_eq!(with_go.sidecar, Sidecar::Socket("/s".into()));
        assert_eq!((with_go.go.port(), with_go.go_admin.port()), (1, 2));
        assert_eq!(options.admin.map(|admin| admin.port()), Some(3));
        assert_eq!((options.seed, options.questions), (Some(0), 7));
        assert_eq!((options.in_flight, options.differences), (2, 0));
        assert_eq!(options.timeout, Duration::from_millis(5));
        assert_eq!(options.deadline, Duration::from_secs(6));
        assert_eq!(options.account.as_deref(), Some("a"));
    }

    #[test]
    fn the_sidecar_alone() {
        let options = good("--admin 127.0.0.1:3");
        assert_eq!((options.with_go, options.questions), (None, 1_000));
        assert_eq!(parsed("--bogus --help"), Ok(Asked::Help));
    }

    #[test]
    fn every_mistake_is_told_at_once() {
        let text = parsed(
            "--socket /s --listen here --go localhost:1 --questions 0 --seed -1 --go=127.0.0.1:1 what --in-flight",
        );
        let text = text.expect_err("a bad line");
        for part in [
            "--listen: \"here\" must be IP:PORT",
            "--go: \"localhost:1\" must be IP:PORT",
            "--go: is given more than once",
            "--go-admin IP:PORT is required",
            "exactly one of --socket PATH and --listen IP:PORT",
            "--questions: \"0\" must be a whole number from 1 to 1000000",
            "--seed: \"-1\" must be a whole number",
            "what: is unknown",
            "--in-flight: needs a value",
        ] {
            assert!(text.contains(part), "{part} is not in {text}");
        }
        assert!(parsed("").is_err_and(|text| text.contains("whom to ask is missing")));
        let text = parsed("--admin 127.0.0.1:3 --account a").expect_err("a bad line");
        assert!(text.contains("--account: needs --go"), "{text}");
    }

    #[test]
    fn help_names_every_flag_and_exit_code() {
        for flag in FLAGS {
            assert!(HELP.contains(&format!("  {flag} ")), "{flag}");
        }
        assert!(HELP.lines().all(|line| line.len() <= 120));
        let (_, codes) = HELP.split_once("Exit codes:").expect("exit codes");
        for code in ["0", "1", "64", "69", "74", "130"] {
            assert!(codes.split([' ', '\n']).any(|word| word == code), "{code}");
        }
    }
}
