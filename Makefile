# What to type. `make test` needs Go and nothing else; the targets that need more
# fetch it into .cache/ and say so.

BIN      := .cache/bin
# A count, not a time: at the end of a time the go command now and then reports its
# own deadline as a failure of the target.
FUZZTIME ?= 20000x

.DEFAULT_GOAL := help
.PHONY: help demo build test race lint bench crowd faults sim fuzz cover interop interop-clients conformance keychain windows release-check clean

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## the whole flow against the practice company, told step by step
	go run ./cmd/mcpauth-demo --auto

build: ## mcpauth and mcpauth-demo, into .cache/bin/
	go build -o $(BIN)/ ./cmd/...

test: ## every test that needs nothing but Go
	go test ./...
	cd testdata/interop && go test ./zitadel

# A process under the detector sleeps a second when it ends, and scripts run a
# thousand of them. `make test` vets, so this does not.
race: ## the same under the race detector
	GORACE=atexit_sleep_ms=0 go test -race -vet off ./...

# golangci-lint has staticcheck in it. Its second run finds what nothing but tests use.
# Vetting for another system compiles the standard library for it, which goes faster
# without what only a program needs.
lint: ## gofmt, go vet for every system that is released, golangci-lint
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); if [ -n "$$unformatted" ]; then echo "gofmt: $$unformatted" >&2; exit 1; fi
	for os in $(filter-out $(shell go env GOOS),linux darwin windows); do GOOS=$$os go vet -gcflags='all=-N -l -dwarf=false' ./... || exit 1; done
	go vet ./... ./testdata/resilience ./testdata/sim
	cd testdata/interop && go vet ./...
	cd testdata/interop/clients && go vet ./...
	cd testdata/conformance && go vet ./...
	.ci/tools golangci-lint
	$(BIN)/golangci-lint run ./...
	$(BIN)/golangci-lint run --tests=false --enable-only unused ./...

bench: ## benchmarks, and ratios to the floor and to a peer where the script is there
	go test -run '^$$' -bench . -benchmem ./...
	@if [ -x testdata/bench/run ]; then testdata/bench/run; fi

crowd: ## a hundred processes at once, and holders that stop, hang and die; FULL=1 repeats it 50 times
	go vet ./testdata/resilience
	FULL=$(FULL) go test -count=1 -timeout 30m -run 'TestCrowd' $(if $(FULL),-v) ./testdata/resilience

faults: ## kills at system calls, damaged files, bad networks and disks; FULL=1 for all of it; Linux, needs strace
	FULL=$(FULL) go test -count=1 -timeout 60m -run 'TestFaults' $(if $(FULL),-v) ./testdata/resilience

sim: ## what 10,000 employees with 50 servers each ask of the identity provider in a day
	go run ./testdata/sim

bench-bridge: ## the bridge beside mcp-remote: start, latency, calls a second, memory; needs npm
	testdata/bench-bridge/run

soak: ## a million calls through the bridge, and what is left of memory after each tenth
	testdata/bench-bridge/run soak

fuzz: ## every fuzz target for FUZZTIME each
	FUZZTIME=$(FUZZTIME) .ci/fuzz

cover: ## which lines the tests reach; the page is .cache/cover.html
	@mkdir -p .cache
	go test -coverpkg=./pkg/...,./internal/... -coverprofile=.cache/cover.out ./...
	go tool cover -html=.cache/cover.out -o .cache/cover.html
	go tool cover -func=.cache/cover.out | tail -1

interop: ## zitadel, oidc-provider, a go-sdk server and Chromium; needs Node and Chromium
	testdata/interop/run

interop-clients: ## Claude Code, Codex, Cline, Continue, Inspector, the SDKs and curl with mcpauth; FULL=1 for all of it; needs npm and 1 GB
	FULL=$(FULL) testdata/interop/clients/run

conformance: ## the public MCP suite against the real binary; needs npm
	testdata/conformance/run

keychain: ## the keychain tests against a real gnome-keyring; needs dbus and gnome-keyring
	internal/vault/testdata/with-keyring.sh go test -count=1 ./internal/vault/

windows: ## the demo and the tests as Windows programs, under Wine; needs wine
	testdata/windows/run

release-check: ## is the release configuration valid; not in CI, since goreleaser takes minutes to build
	.ci/tools goreleaser
	$(BIN)/goreleaser check

clean: ## remove what was fetched and built
	rm -rf .cache dist
