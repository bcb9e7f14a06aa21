//! The texts of the help that are not about single options.

pub(super) const OVERVIEW: &str = "\
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
  open loop     reads are sent when they are due, whether or not answers have come: callers don't wait for each other
  closed loop   the next read is sent when an answer has come: it fills a server, and hides what waiting it causes
  planned send  when a read was due; latencies count from there, so that waiting to be sent is not hidden
  void          the generator itself fell behind: the window, or the run, says nothing about the target
  noise floor   the baseline against itself: a ratio within it says nothing";

/// The end of the help of commands that measure targets.
macro_rules! measuring {
    ($examples:literal) => {
        concat!(
            $examples,
            "
Without a default, the scenario says what is not given.

Targets:
  legacy       walletd alone
  store        walletd alone, without a read model: it answers from its database
  best-go-scan walletd alone, with the best read model in Go, whose statistics scan
  best-go      the same with an index, so that statistics need not scan; with :spliced
               hot reads are answered through the spliced front door, without
               grpc-go's transport
  sidecar      walletd and hotpathd; with :unary by a gRPC call for each request,
               or with :spliced through the spliced fronts of both, below grpc-go
               and hyper; with :legacy walletd answers as if there were no shim,
               with :shadow it answers and compares with hotpathd afterwards
  direct       the same, hot reads straight to hotpathd; with :spliced to its
               spliced front, below hyper; both with :store if walletd is to have
               no read model of its own, with :pair if a second hotpathd is to
               stand by, or with :scan if hotpathd is to have no index
               each with :workers (128 of them), :workers=N (1-4096) or :no-workers;
               given twice, two servers are started
  NAME=ADDRESS a server that runs already: host:port or unix:PATH, then, if need be,
               ,hot=ADDRESS ,pid=NAME:NUMBER (repeatable) ,admin=host:port (Go's
               collector, of the first process)
  At most 16. Only those named by ADDRESS can be elsewhere than on this machine.

",
            exits!()
        )
    };
}

macro_rules! exits {
    () => {
        "\
Exit codes:
  0   done, or ended by Ctrl-C with a report of what was measured
  3   void: the numbers are not to be trusted
  4   answers of two targets differed
  5   no target held the objective, even at the lowest rate
  64  the command line is wrong
  65  an input file is wrong or missing, or a README's table is stale
  69  a target, or a program to start, failed
  70  a defect of this program
  74  a file can't be written"
    };
}

pub(super) const EXITS: &str = exits!();

pub(super) const RUN: &str = measuring!(
    "\
Examples:
  loadtest run mixed --target legacy --target best-go --target sidecar --target direct
  loadtest run mixed --target legacy --target sidecar --from 2000 --step x1.5 --every 2 --until-failure
  loadtest run my.toml --target a=127.0.0.1:7450,pid=server:4711 --qps 500 --rounds 5
  loadtest run mixed --target legacy --target sidecar --budget 170
  loadtest run hop --target legacy --target legacy:workers=32 --closed --max-in-flight 128
"
);

pub(super) const REPLAY: &str = measuring!(
    "\
Examples:
  loadtest replay day.capture --target legacy --target sidecar --db wallet.db --speed 2
  loadtest replay day.capture --target a=127.0.0.1:7450 --from 500 --step x2 --to 50000
"
);

pub(super) const BREAK_EVEN: &str = "\
Needs burnd, built with cgo, and its sidecar; `make break-even` builds both.

Examples:
  loadtest break-even
  loadtest break-even --work-us 0,10,100 --budget 30";

pub(super) const RECORD: &str = "\
Callers connect to --listen; what they ask is passed on and written down, until Ctrl-C.

Example:
  loadtest record --listen 127.0.0.1:7460 --to 127.0.0.1:7450 --out day.capture";

pub(super) const CHECK: &str = "\
Example:
  loadtest check mixed my.toml";

pub(super) const REPORT: &str = "\
Examples:
  loadtest report target/loadtest/results/20260102-030405-mixed
  loadtest report loadtest/results/2026-01-02-linux-2-cores/mixed --readme README.md --check
  loadtest report first/hop-8 first/hop-128 --readme docs/front-door.md";
