# Everything a developer or CI does; each target says what it needs. `make help` lists them.
CARGO ?= cargo
# Every debug build selects the whole workspace, also for one program: with another selection, tokio and all above it would have other
# features and be compiled again.
PROGRAM = $(CARGO) build --locked --workspace --bin mcp-relay
# Seconds that each fuzz target runs in `make check`.
FUZZ_SECONDS ?= 5
# Seeds of the fleet simulation in `make soak`; ten times as many of the link simulation.
SIM_SEEDS ?= 100
# RELEASE=1: `make soak` on release binaries.
SOAK_PROFILE = $(if $(RELEASE),release,debug)

# Name of the image that `make image` builds; of `make image-release` and `make charts-release`, with registry.
IMAGE ?= mcp-relay
# Names of the image that `make image-pilot` builds, and of the one that it takes the binary from.
PILOT_IMAGE ?= mcp-relay-pilot
RELAY_IMAGE ?= $(IMAGE):$(VERSION)
# Version that they get.
VERSION ?= $(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml | head -n 1)
# File that releases write digests to, for a job that signs them. Empty: they sign themselves.
export DIGEST_FILE ?=

.PHONY: help demo build release test test-proxy test-ui test-squid test-conformance test-clients test-oauth test-fronts check check-arm64 deny docs charts charts-update test-dashboards compose-test test-cluster packages packages-test test-release image image-pilot image-release charts-release fmt bench bench-check link-order profile soak setup

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

setup: ## Install what the other targets need (Debian packages, Rust components)
	@./scripts/setup

build: ## Build the debug binary, target/debug/mcp-relay
	$(PROGRAM)

release: ## Build the release binary, target/release/mcp-relay
	$(CARGO) build --locked --release -p mcp-relay

demo: ## Run the main job end to end on loopback: one proxy, two slaves, real MCP calls
	@./scripts/needs-rust
	$(PROGRAM)
	./target/debug/mcp-relay demo

test: ## Run all tests, also after one has failed (needs Rust only; about 10 minutes on 2 cores)
	@./scripts/needs-rust 8000 8001 9000
	$(CARGO) build --locked --workspace --all-targets
	$(CARGO) test --locked --workspace --lib --bins --tests --no-fail-fast

test-proxy: ## Run the document's integration test on ports 8000, 8001 and 9000
	@./scripts/needs-rust 8000 8001 9000
	$(PROGRAM)
	$(CARGO) test --locked --workspace --test document -- --nocapture

test-ui: ## Test the status pages in a headless Chromium; UI_SCREENSHOTS=folder keeps pictures
	./scripts/setup ui
	$(CARGO) build --locked --workspace --bins
	$(CARGO) test --locked --workspace --test ui

test-squid: ## Test the way out through a real Squid with authentication
	./scripts/setup squid
	$(PROGRAM)
	PATH="$$PATH:/usr/sbin" $(CARGO) test --locked --workspace --test squid

test-conformance: ## Run the official conformance suite directly and through the relay, and compare; ONLY='stdio-*' (needs npm and Python)
	./scripts/setup conformance
	$(PROGRAM)
	$(CARGO) build --locked --manifest-path tests/conformance/Cargo.toml --target-dir target
	python3 tests/conformance/run.py $(ONLY)

test-clients: ## Run clients of npm and PyPI against servers of npm and PyPI through the relay; ONLY='sdk1 inspector' (needs npm and Python)
	./scripts/setup conformance
	$(PROGRAM)
	python3 tests/clients/run.py $(ONLY)

test-oauth: ## Have the SDKs' clients sign in at Keycloak, oidc-provider and the broker, also behind nginx and Caddy; ONLY='keycloak broker-*' (needs Java, npm, Python, Chromium, nginx, Caddy)
	./scripts/setup oauth
	$(PROGRAM)
	python3 tests/oauth/run.py $(ONLY)

test-fronts: ## Run nginx and Caddy as docs/run/fronts.md has them in front of a proxy with TLS; ONLY='nginx' (needs Python, nginx and Caddy)
	./scripts/setup fronts
	$(PROGRAM)
	python3 tests/fronts/run.py $(ONLY)

check: ## Check format, scripts, the making of releases, YAML, Dockerfile, workflows, charts, dependencies, lints and docs, build the book, and fuzz for a short time
	$(CARGO) fmt --all --check
	shellcheck .ci/run scripts/* fuzz/run.sh tests/compose/run tests/packages/run tests/release/run packaging/deb/* packaging/rpm/* $(filter-out tests/cluster/parts,$(wildcard tests/cluster/*))
	./tests/release/run
	./scripts/setup charts
	./scripts/charts
	./scripts/deny
	./scripts/docs
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	$(CARGO) clippy --locked --workspace --test ui --test squid -- -D warnings
	RUSTDOCFLAGS="-D warnings -A rustdoc::private_intra_doc_links" $(CARGO) doc --locked --workspace --no-deps --document-private-items
	$(MAKE) test-dashboards
	./fuzz/run.sh $(FUZZ_SECONDS)

check-arm64: ## Type-check everything, tests too, for Linux on arm64 (installs a cross compiler, which C parts are built with)
	./scripts/setup arm64
	$(CARGO) check --locked --workspace --all-targets --target aarch64-unknown-linux-gnu

deny: ## The part of `make check` that is about dependencies: licences, bans, sources, known vulnerabilities (installs its tool under .tools)
	./scripts/deny

docs: ## Build docs/ as a book into target/book and check its links, a part of `make check` (installs its tool under .tools)
	./scripts/docs

charts: ## The part of `make check` that is about YAML, Dockerfile, workflows, Helm charts and k8s/ (installs its tools under .tools)
	./scripts/setup charts
	./scripts/charts

charts-update: ## Make the charts' READMEs and snapshots and k8s/ anew
	./scripts/charts update

packages: ## Build .deb, .rpm and tarball of this machine's architecture in target/packages (installs its tools under .tools)
	./scripts/setup packages
	./scripts/packages

packages-test: packages ## Install, use, upgrade and remove the packages in clean Debian roots that systemd boots (needs root; debootstrap makes the first one)
	./tests/packages/run

test-release: ## Make a release of stand-ins and install from it by its script, also damaged and unsigned, a part of `make check` (needs Python, curl, wget; installs the SBOM's tool under .tools)
	./tests/release/run

image: ## Build the image IMAGE:VERSION for this machine
	./scripts/image build $(IMAGE) $(VERSION)

image-pilot: ## Build PILOT_IMAGE for slaves that review code: MR_PILOT=<folder, archive or git URL of mr-pilot> (after make image or docker compose up)
	./scripts/image pilot $(PILOT_IMAGE) $(RELAY_IMAGE) "$(MR_PILOT)"

compose-test: ## Build the image, look at it, and run docker-compose.yml: calls, a killed slave, SIGTERM (installs an engine where none runs)
	./scripts/engine up
	./scripts/engine images
	./scripts/engine run ./tests/compose/run

test-cluster: ## Test the charts on the cluster of KUBECONFIG, or on one made with kind; IMAGE, IMAGE_LOAD='command'
	./tests/cluster/run

image-release: ## Build IMAGE:VERSION for amd64 and arm64 with SBOM and provenance, push it, and sign it (or write its digest to DIGEST_FILE)
	./scripts/image release $(IMAGE) $(VERSION)

charts-release: ## Package the charts as VERSION, push them to CHARTS (oci://…), and sign them (or write their digests to DIGEST_FILE)
	./scripts/setup charts
	./scripts/charts release $(VERSION) $(CHARTS)

test-dashboards: ## Check grafana/: run every panel and rule against a real Prometheus, proxies and slaves (about a minute)
	./scripts/setup grafana
	$(PROGRAM)
	./scripts/dashboards

fmt: ## Format the code
	$(CARGO) fmt --all

# As the image's program is linked (Dockerfile), which needs glibc 2.36.
bench bench-check: export RUSTFLAGS = -C link-arg=-Wl,-z,pack-relative-relocs
bench: ## Measure cost, latency and memory; writes docs/BENCHMARKS.md; WSTUNNEL=binary compares with it, too
	./scripts/setup bench
	$(CARGO) build --locked --release -p mcp-relay -p mcp-relay-bench
	./target/release/mcp-relay-bench

bench-check: ## Fail where a call costs more than its bound in tests/bench/bounds.json (installs valgrind, strace, nginx); RECORD=1 writes the bounds
	./scripts/setup bench
	$(CARGO) build --locked --release -p mcp-relay -p mcp-relay-bench
	./target/release/mcp-relay-bench --check tests/bench/bounds.json $(if $(RECORD),--record)

link-order: ## Choose anew which functions are linked first (services/mcp-relay/link-order.ld): after an update of Rust, or where bench-check finds more memory (installs valgrind, needs Python)
	./scripts/setup bench
	./scripts/link-order

profile: ## Draw flame graphs of proxy and slave under the bench into target/profile (needs perf and Python); SHAPE=0 (of 0 to 5), PROFILE_SECONDS=10
	./scripts/profile $(or $(SHAPE),0) $(or $(PROFILE_SECONDS),10)

soak: ## Simulate many seeds, then storm real processes; SOAK_SECONDS=600 or CALLS=n, SEED=n, RELEASE=1
	SIM_SEEDS=$$((10 * $(SIM_SEEDS))) $(CARGO) test --locked -p mcp-relay-protocol --test simulation
	SIM_SEEDS=$(SIM_SEEDS) $(CARGO) test --locked -p mcp-relay-protocol --test fleet -- --nocapture
	$(CARGO) build --locked $(if $(RELEASE),--release) -p mcp-relay -p mcp-relay-tests --bins
	MCP_RELAY_BIN=./target/$(SOAK_PROFILE)/mcp-relay ./target/$(SOAK_PROFILE)/mcp-relay-soak
