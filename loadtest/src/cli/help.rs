//! The help: examples first.

use super::{COMMANDS, options};
use std::fmt::Write as _;

const OVERVIEW: &str = "\
loadtest measures gRPC services with an open loop: targets take turns on one schedule, and the ratio is the result.

Examples:
  loadtest run mixed --target legacy --target sidecar
      start both on the same ledger, raise the rate until each breaks, then compare them at equal load
  loadtest run balances --target legacy --target legacy
      the same server twice: what is measured is the noise of this machine
  loadtest run hop --target a=127.0.0.1:7450 --target b=unix:/tmp/b.sock --qps 2000 --compare
      two servers that run already, at one rate, and whether they answer alike
  loadtest run hop --target legacy --target sidecar --closed --max-in-flight 128
      what a read costs at full load: each is asked as much as it answers
  loadtest record --listen 127.0.0.1:7460 --to 127.0.0.1:7450 --out day.capture
  loadtest replay day.capture --target a=127.0.0.1:7450 --speed 2
      what real callers asked, twice as fast

Words:
  open loop     reads are sent when they are due, whether or not answers have come: real callers don't wait for each other
  closed loop   the next read is sent when an answer has come: it fills a server, and hides what waiting it causes
  planned send  when a read was due; latencies count from there, so that waiting to be sent is not hidden
  void          the generator itself fell behind: the window, or the run, says nothing about the target
  noise floor   the baseline against itself: a ratio within it says nothing
";

const EXITS: &str = "
Exit codes:
  0   done, or ended by Ctrl-C with a report of what was measured
  3   void: the numbers are not to be trusted
  4   answers of two targets differed
  5   no target held the objective, even at the lowest rate
  64  the command line is wrong
  65  an input file is wrong or missing, or a README's table is stale
  69  a target, or a program to start, failed
  70  a defect of this program
  74  a file can't be written
";

const TARGETS: &str = "
Targets:
  legacy       walletd alone
  best-go      walletd alone, with the best read model in Go
  sidecar      walletd and hotpathd; with :unary by a gRPC call for each request
  direct       the same, hot reads straight to hotpathd
               each with :workers (128 of them), :workers=N (1-4096) or :no-workers;
               given twice, two servers are started
  NAME=ADDRESS a server that runs already: host:port or unix:PATH, then, if need be,
               ,hot=ADDRESS ,pid=NAME:NUMBER (repeatable) ,admin=host:port (Go's
               collector, of the first process)
  At most 16. Only those named by ADDRESS can be elsewhere than on this machine.
";

/// The text of `--help`, or of one command.
#[must_use]
pub fn help(command: Option<&str>) -> String {
    match command {
        None | Some("help") => overview(),
        Some(command) => explain(command),
    }
}

fn overview() -> String {
    let mut text = format!("{OVERVIEW}\nCommands:\n");
    for (name, what) in COMMANDS {
        // Writing to a `String` cannot fail.
        let _ = writeln!(text, "  {name:<10} {what}");
    }
    text.push_str("\n`loadtest help COMMAND` lists its options.\n");
    text + EXITS
}

fn explain(command: &str) -> String {
    let what = COMMANDS.iter().find(|(name, _)| *name == command);
    let what = what.map_or("", |(_, what)| what);
    let mut text = format!("{what}.\n\n{}", examples(command));
    for group in options::groups(command) {
        let _ = writeln!(text, "\n{}:", group.title);
        for flag in group.flags {
            let name = format!("--{} {}", flag.name, flag.value);
            let _ = writeln!(text, "  {name:<28} {}", flag.help);
        }
    }
    if matches!(command, "run" | "replay") {
        text.push_str("\nWithout a value in brackets, the scenario says what is not given.\n");
        text.push_str(TARGETS);
        text.push_str(EXITS);
    }
    text
}

const fn examples(command: &str) -> &'static str {
    match command.as_bytes() {
        b"run" => {
            "Examples:\n  loadtest run mixed --target legacy --target best-go --target sidecar --target direct\n  \
             loadtest run mixed --target legacy --target sidecar --from 2000 --step x1.5 --every 2 --until-failure\n  \
             loadtest run my.toml --target a=127.0.0.1:7450,pid=server:4711 --qps 500 --rounds 5\n  \
             loadtest run mixed --target legacy --target sidecar --budget 170\n  \
             loadtest run hop --target legacy --target legacy:workers=32 --closed --max-in-flight 128\n\n\
             Usage: loadtest run SCENARIO [--target T]... [options]\n  \
             SCENARIO: a file, or the name of one of `loadtest scenarios`\n"
        }
        b"replay" => {
            "Examples:\n  loadtest replay day.capture --target legacy --target sidecar --db wallet.db --speed 2\n  \
             loadtest replay day.capture --target a=127.0.0.1:7450 --from 500 --step x2 --to 50000\n\n\
             Usage: loadtest replay CAPTURE [--target T]... [--speed X | rates] [options]\n"
        }
        b"break-even" => {
            "Examples:\n  loadtest break-even\n  loadtest break-even --work-us 0,10,100 --budget 30\n\n\
             Usage: loadtest break-even [options]\n  \
             Needs burnd, built with cgo, and its sidecar; `make break-even` builds both.\n"
        }
        b"record" => {
            "Example:\n  loadtest record --listen 127.0.0.1:7460 --to 127.0.0.1:7450 --out day.capture\n\n\
             Usage: loadtest record --listen ADDRESS --to ADDRESS --out FILE [options]\n  \
             Callers connect to --listen; what they ask is passed on and written down, until Ctrl-C.\n"
        }
        b"inspect" => "Usage: loadtest inspect CAPTURE\n",
        b"check" => {
            "Example:\n  loadtest check mixed my.toml\n\nUsage: loadtest check SCENARIO...\n"
        }
        b"scenarios" => "Usage: loadtest scenarios [--scenarios DIR]\n",
        _ => {
            "Examples:\n  loadtest report target/loadtest/results/20260102-030405-mixed\n  \
             loadtest report loadtest/results/2026-01-02-linux-2-cores/mixed --readme README.md --check\n\n\
             Usage: loadtest report FOLDER [--readme FILE [--check]]\n"
        }
    }
}
