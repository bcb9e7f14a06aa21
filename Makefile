# The two commands of the README are `make demo` and `make test`; `make help` lists the rest.
# It needs Rust (from rustup), Go and a C compiler; `fuzz` also needs a C++ compiler. Cargo or go fetches every other tool, each
# at a fixed version.

BUF        := go run github.com/bufbuild/buf/cmd/buf@v1.57.0
STATICCHECK := go run honnef.co/go/tools/cmd/staticcheck@v0.8.2

ROOT       := $(CURDIR)
BIN        := $(ROOT)/target/bin
# Real ledgers for `make data-test`, in folders berka, cdnow and uk_spending; see go-shim/examples/wallet/e2e/data.
HOTPATH_DATA ?= $(ROOT)/../shared/data

FUZZ_SECONDS ?= 10
# How long all of `make break-even` may take, from the start of the first server to the report.
BREAK_EVEN_SECONDS ?= 225
# The report that README.md's result table is generated from.
RESULTS ?= loadtest/results/2026-11-27-linux-2-cores/mixed-index
BREAK_EVEN_RESULTS ?= loadtest/results/2026-11-27-linux-2-cores/break-even
# The reports of other scenarios in README.md, and those of docs/front-door.md.
SCENARIO_RESULTS ?= $(addprefix loadtest/results/,$(addprefix 2026-11-27-linux-2-cores/,statistics live large) 2026-11-28-linux-2-cores/pair)
HOP_RESULTS ?= $(addprefix loadtest/results/2026-11-27-linux-2-cores/hop-,closed-128 closed-8 closed-1 2000)
MODE_RESULTS ?= loadtest/results/2026-11-28-linux-2-cores/modes
TARGETS := $(addprefix --target ,legacy best-go best-go:spliced sidecar sidecar:spliced direct)
# Those that tell algorithm, language, hop and copies apart.
BENCH_TARGETS := $(addprefix --target ,legacy store best-go-scan best-go best-go:spliced sidecar:scan sidecar sidecar:spliced \
	sidecar:spliced:store direct direct:spliced)

# Most tests wait for a process, a socket or a deadline. If only as many ran at once as there are cores, the cores would be idle.
export RUST_TEST_THREADS ?= $(shell cores=$$(getconf _NPROCESSORS_ONLN); echo $$((cores > 8 ? cores : 8)))
GO_TEST := go test -race -parallel $(RUST_TEST_THREADS)
# GO_ALL names the packages of all four Go modules: go-shim, its frontdoor, its shimotel and its examples. Use it in go-shim/examples, whose
# go.mod names new versions of all dependencies. The other go.mod files name the oldest versions that these modules work
# with, and GO_OLDEST is the oldest Go that they work with.
GO_ALL := hotpath.dev/go-shim/...
GO_OLDEST := go1.25.10
# By default each program that is built with -race, walletd included, sleeps for a second before it exits.
export GORACE ?= atexit_sleep_ms=50

.DEFAULT_GOAL := help
.PHONY: help build demo rollout soak drills clients attack bench stress burnd burn-sidecar break-even results check-results lengths ingest test test-rust test-go test-binaries test-oldest test-again container adopting \
	fuzz data-test lint generate check-generated golden package deny clean

help: ## What can be made
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build hotpathd, loadtest, walletd and the demo into target/bin
	cargo build --release --locked --bin hotpathd --bin loadtest
	@mkdir -p $(BIN)
	@ln -sf ../release/hotpathd ../release/loadtest $(BIN)/
	cd go-shim/examples && go build -trimpath -o $(BIN)/ ./wallet/cmd/walletd ./wallet/cmd/demo

demo: build ## Run the whole thing behind both front doors, in two minutes, and compare every answer (DEMO_SECONDS shortens it)
	@target/bin/demo --walletd target/bin/walletd --hotpathd target/bin/hotpathd --out target/demo
	@echo
	@target/bin/demo --walletd target/bin/walletd --hotpathd target/bin/hotpathd --out target/demo/one-copy \
		--read-model store --sidecars 2 --accounts 20000 --transactions 100000

# The ledger of uk_spending is made once.
rollout: build ## A whole rollout on the ledger of uk_spending, a million answers compared (ROLLOUT_FLAGS="--compare N --db COPY")
	cd go-shim/examples && go build -trimpath -o $(BIN)/ ./wallet/cmd/rollout hotpath.dev/go-shim/cmd/hotpathctl
	@mkdir -p target/rollout
	@test -f target/rollout/uk.db || { $(BIN)/walletd import --db target/rollout/new.db --format uk \
		$(HOTPATH_DATA)/uk_spending/normalised.csv.gz && mv target/rollout/new.db target/rollout/uk.db; }
	@cp target/rollout/uk.db target/rollout/ledger.db && rm -f target/rollout/ledger.db-*
	@target/bin/rollout --db target/rollout/ledger.db $(ROLLOUT_FLAGS)

soak: ## Five minutes and more of load and faults behind both front doors, judged by metrics for leaks (SOAK_SECONDS lengthens it)
	cargo build --release --locked --bin hotpathd
	@mkdir -p $(BIN)
	@ln -sf ../release/hotpathd $(BIN)/
	cd go-shim/examples && go build -trimpath -o $(BIN)/ ./wallet/cmd/walletd ./wallet/cmd/soak
	@target/bin/soak --walletd target/bin/walletd --hotpathd target/bin/hotpathd --out target/soak $(SOAK_FLAGS)

# faulty-sidecar is hotpathd with a fault, for the drills that need one.
drills: ## Break the sidecar, files, feed and clock on purpose, under load, behind both front doors; no caller may notice (DRILLS="name,name", DRILLS_FLAGS="--list")
	cargo build --release --locked --bin hotpathd --bin faulty-sidecar
	@mkdir -p $(BIN)
	@ln -sf ../release/hotpathd ../release/faulty-sidecar $(BIN)/
	cd go-shim/examples && go build -trimpath -o $(BIN)/ ./wallet/cmd/walletd ./wallet/cmd/drills hotpath.dev/go-shim/cmd/hotpathctl
	@target/bin/drills $(DRILLS) --walletd target/bin/walletd --hotpathd target/bin/hotpathd --out target/drills $(DRILLS_FLAGS)

clients: build ## Real clients (grpc-go, grpcio, grpc-java, tonic, ghz, h2load, h2spec) at every front door; installs them
	cd go-shim/examples && go build -trimpath -o $(BIN)/ ./wallet/cmd/clients
	.ci/clients $(CLIENTS_FLAGS)

# 50,000 connections need as many open files in each process. Only root may raise the limit. Where it cannot be raised, that
# test fails and says so.
attack: build ## Attacks on every front door in earnest, and 50,000 connections (ATTACK_FLAGS="-run Idle" picks)
	ulimit -n 120000 2>/dev/null || ulimit -n $$(ulimit -Hn); \
	cd go-shim/examples && TEST_HOTPATHD=$(BIN)/hotpathd TEST_WALLETD=$(BIN)/walletd \
		go test -tags attack -count 1 -timeout 2h -v $(ATTACK_FLAGS) ./wallet/doors/

# The generator shares the machine with all these servers, so it may lag by 2 ms; the objective is 50 ms.
bench: build ## Old path against new in 10 minutes: legacy Go, best Go, the sidecar behind either door and directly, each with its twins
	target/bin/loadtest run mixed $(BENCH_TARGETS) --compare --window 1.5 --every 1.2 --step x2 --max-lag-us 2000 --budget 540 $(if $(KEEP),--keep) $(BENCH_FLAGS)

stress: build ## The same, raising the load slowly until each of them breaks; Ctrl-C gives the report so far
	target/bin/loadtest run mixed $(TARGETS) --compare --until-failure --every 3 $(STRESS_FLAGS)

# The service of the break-even report, with the Rust static library linked in. This is the only build that needs cgo. Go does
# not notice when the library changes, so the old program is removed.
burnd:
	cargo build --release --locked -p burner
	@mkdir -p $(BIN) && rm -f $(BIN)/burnd
	cd go-shim/examples && CGO_ENABLED=1 CGO_LDFLAGS="-L$(ROOT)/target/release" \
		go build -trimpath -tags burn_cgo -o $(BIN)/ ./burn/cmd/burnd

burn-sidecar:
	cargo build --release --locked --bin burn-sidecar
	@mkdir -p $(BIN) && ln -sf ../release/burn-sidecar $(BIN)/

break-even: burnd burn-sidecar ## From which handler on a sidecar pays, in 4 minutes (BREAK_EVEN_SECONDS shortens it, KEEP=1 keeps it)
	cargo build --release --locked --bin loadtest
	@ln -sf ../release/loadtest $(BIN)/
	target/bin/loadtest break-even --budget $(BREAK_EVEN_SECONDS) $(if $(KEEP),--keep) $(BREAK_EVEN_FLAGS)

results: build ## Rewrite the tables of README.md, docs/front-door.md and docs/rollout.md from the committed results
	target/bin/loadtest report $(RESULTS) --readme README.md
	target/bin/loadtest report $(SCENARIO_RESULTS) --readme README.md
	target/bin/loadtest report $(BREAK_EVEN_RESULTS) --readme README.md
	target/bin/loadtest report $(HOP_RESULTS) --readme docs/front-door.md
	target/bin/loadtest report $(MODE_RESULTS) --readme docs/rollout.md

check-results: build ## Fail if those tables are not what those reports say
	target/bin/loadtest report $(RESULTS) --readme README.md --check
	target/bin/loadtest report $(SCENARIO_RESULTS) --readme README.md --check
	target/bin/loadtest report $(BREAK_EVEN_RESULTS) --readme README.md --check
	target/bin/loadtest report $(HOP_RESULTS) --readme docs/front-door.md --check
	target/bin/loadtest report $(MODE_RESULTS) --readme docs/rollout.md --check

test: test-rust test-go ## Every test of both languages, over real sockets and the real binaries

# Programs and libraries of each language that the tests of the other need.
test-binaries:
	cargo build --locked -p hotpath-wallet -p burner -p burn-sidecar -p interop-sidecar -p faulty-sidecar --lib --bins
	cd go-shim/examples && go build -trimpath -o $(ROOT)/target/debug/walletd ./wallet/cmd/walletd
	@rm -f target/debug/burnd
	cd go-shim/examples && CGO_ENABLED=1 CGO_LDFLAGS="-L$(ROOT)/target/debug" \
		go build -trimpath -tags burn_cgo -o $(ROOT)/target/debug/burnd ./burn/cmd/burnd

test-rust: test-binaries
	TEST_WALLETD=$(ROOT)/target/debug/walletd TEST_HOTPATHD=$(ROOT)/target/debug/hotpathd \
		TEST_BURND=$(ROOT)/target/debug/burnd TEST_BURN_SIDECAR=$(ROOT)/target/debug/burn-sidecar BROWSER_BIN="$$(.ci/browser)" \
		cargo test --workspace --locked --all-targets $(CARGO_TEST_FLAGS)
	cargo test --workspace --locked --doc
	.ci/spliced-front

test-go: test-binaries
	prometheus=$$(.ci/prometheus) && browser=$$(.ci/browser) && cd go-shim/examples && PROMETHEUS_BIN="$$prometheus" BROWSER_BIN="$$browser" \
		TEST_HOTPATHD=$(ROOT)/target/debug/hotpathd TEST_INTEROP_SIDECAR=$(ROOT)/target/debug/interop-sidecar \
		TEST_FAULTY_SIDECAR=$(ROOT)/target/debug/faulty-sidecar \
		$(GO_TEST) -timeout 20m $(GO_TEST_FLAGS) $(GO_ALL)
	cd go-shim/examples && TEST_FRONT_DOOR=spliced HOTPATHD_FRONT=spliced E2E_SEED=1 TEST_HOTPATHD=$(ROOT)/target/debug/hotpathd \
		$(GO_TEST) -timeout 20m $(GO_TEST_FLAGS) hotpath.dev/go-shim ./wallet/e2e
	cd go-shim/examples && CGO_ENABLED=1 CGO_LDFLAGS="-L$(ROOT)/target/debug" $(GO_TEST) -tags burn_cgo $(GO_TEST_FLAGS) ./burn/...

test-oldest: ## The shim's tests with the oldest Go and grpc-go that it works with
	cd go-shim && GOTOOLCHAIN=$(GO_OLDEST) go test ./...
	cd go-shim/frontdoor && GOTOOLCHAIN=$(GO_OLDEST) go test ./...
	cd go-shim/shimotel && GOTOOLCHAIN=$(GO_OLDEST) go test ./...

# N is how often each whole suite runs. OFTEN is how often the tests with clocks, processes or sockets run besides: with the
# default, ten times as often in all.
N ?= 3
OFTEN ?= $(shell expr 9 '*' $(N))

test-again: ## Each suite N times on a machine whose cores are all busy, to find tests that fail now and then (N=3, OFTEN=9*N; RESUME=1 counts the runs of a call that was stopped)
	.ci/test-again $(N) $(OFTEN) $(if $(RESUME),resume)

container: test-binaries ## walletd as PID 1, without root, on a read-only root file system; needs the right to make namespaces
	TEST_HOTPATHD=$(ROOT)/target/debug/hotpathd TEST_WALLETD=$(ROOT)/target/debug/walletd .ci/container

adopting: ## Follow docs/adopting.md to the letter, from an empty folder
	cd go-shim/examples && go test -tags adopting -count 1 -timeout 30m -v ./adopting

fuzz: ## Both sides of the exchange against made-up bytes, FUZZ_SECONDS for each of five targets in Go and as many in Rust
	cd go-shim && go test ./internal/transport/lane -run '^$$' -fuzz '^FuzzReplies$$' -fuzztime $(FUZZ_SECONDS)s
	cd go-shim && go test ./internal/transport/lane -run '^$$' -fuzz '^FuzzRequests$$' -fuzztime $(FUZZ_SECONDS)s
	cd go-shim && go test ./internal/wire -run '^$$' -fuzz '^FuzzPeer$$' -fuzztime $(FUZZ_SECONDS)s
	cd go-shim && go test ./internal/h2 -run '^$$' -fuzz '^FuzzConnection$$' -fuzztime $(FUZZ_SECONDS)s
	cd go-shim && GOWORK=$(ROOT)/go-shim/newest.work go test ./internal/splice -run '^$$' -fuzz '^FuzzSameAnswersAsGRPC$$' -fuzztime $(FUZZ_SECONDS)s
	rust-hotpath/fuzz/run $(FUZZ_SECONDS)

# The measurement wants a quiet machine. LENGTHS_FLAGS="--out loadtest/results/…/lengths" keeps it, --up-to 1000 shortens it.
lengths: ## Reads by the length of the history, 10 to 1,000,000 entries, in Rust and Go, scanned and indexed; charts in target/lengths
	cd go-shim/examples && go run ./wallet/cmd/lengths $(LENGTHS_FLAGS)

# The measurement wants a quiet machine and five minutes. INGEST_FLAGS="--entries 100000 --busy-entries 50000 --seconds 10" tries it out.
ingest: ## How fast hotpathd takes events in, what an entry takes in memory, how soon a commit is seen; figures in target/ingest
	cargo build --release --locked --bin hotpathd
	@mkdir -p $(BIN)
	@ln -sf ../release/hotpathd $(BIN)/
	cd go-shim/examples && go build -trimpath -o $(BIN)/ ./wallet/cmd/ingest
	@target/bin/ingest --hotpathd target/bin/hotpathd --out target/ingest $(INGEST_FLAGS)

data-test: build ## The same checks over the real ledgers in HOTPATH_DATA; fails if they are not there
	cd go-shim/examples && HOTPATH_DATA=$(HOTPATH_DATA) TEST_HOTPATHD=$(BIN)/hotpathd TEST_WALLETD=$(BIN)/walletd \
		go test -tags datatest -count 1 -timeout 90m -v ./wallet/e2e/data/

lint: ## Formatting and lints of both languages and of the protos
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cd go-shim && test -z "$$(gofmt -l . | tee /dev/stderr)"
	cd go-shim/examples && go vet -tags datatest,adopting,attack,container $(GO_ALL) && $(STATICCHECK) -tags datatest,adopting,attack,container $(GO_ALL)
	cd go-shim/examples && go vet -tags burn_cgo ./burn/... && $(STATICCHECK) -tags burn_cgo ./burn/...
	cd proto && $(BUF) lint && $(BUF) format --diff --exit-code

generate: ## Rewrite the generated Go code from proto/
	cd proto && $(BUF) generate

check-generated: ## Fail if the committed Go code is not what proto/ generates
	.ci/check-generated

golden: ## Rewrite proto/golden/ from the legacy Go service
	cd go-shim/examples && go test ./wallet/golden -update

package: ## The engine as cargo would publish it, built from its package, in target/package
	cargo package -p hotpath --locked --allow-dirty

deny: ## Licences, sources and known vulnerabilities of the dependencies
	.ci/deny

clean: ## Remove everything that was built
	rm -rf target
