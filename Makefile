# `make` alone prints this help. What CI runs is in .ci/run.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
BINARY  := dist/anabranch
LINT    := github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.15.0

.DEFAULT_GOAL := help
.PHONY: help build test race e2e chaos soak compat mistakes sim power fuzz bench bench-http lint fmt demo image clean

help: ## Print this help
	@awk 'BEGIN {FS = ":.*## "} /^[a-z0-9-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

build: ## Build the daemon into dist/
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags "-s -w -X main.version=$(VERSION)" -o $(BINARY) ./cmd/anabranch

test: ## Vet, then all tests; the core of them also under the race detector
	$(GO) vet ./...
	$(GO) test ./...
	$(GO) test -race -short ./crdt ./delta ./store/... ./sync ./internal/sim ./http

race: ## All tests under the race detector
	$(GO) test -race ./...

e2e: build ## Real daemons: network namespaces, kill -9, data sets (needs root)
	test/e2e.sh

chaos: build ## Five real daemons under all kinds of trouble: make chaos MINUTES=30 SEED=7 (needs root)
	MINUTES=$(or $(MINUTES),5) SEED=$(or $(SEED),1) TIMEOUT=$$(($(or $(MINUTES),5) + 15))m test/e2e.sh chaos

soak: build ## Daemons under load for long, sampled into dist/soak and judged: make soak HOURS=1 (needs root)
	mkdir -p dist/soak
	SOAK=$(or $(HOURS),1)h SOAK_OUT=$(CURDIR)/dist/soak TIMEOUT=0 test/e2e.sh soak

compat: build ## Daemons of this version and of an older commit together: make compat OLD=COMMIT
	test/compat.sh $(OLD)

mistakes: ## Plant known mistakes in the code, one at a time, and demand that the simulator finds them; CORE=1: only the worst
	$(GO) test ./internal/sim -run TestPlantedMistakes -count=1 -v -timeout 60m -sim.mistakes $(if $(CORE),-sim.core)

sim: ## Simulated clusters: make sim SEEDS=10000 FIRST=1
	$(GO) test ./internal/sim -run 'TestSeeds$$' -count=1 -v -timeout 0 -sim.seeds=$(or $(SEEDS),2000) -sim.first=$(or $(FIRST),1)

power: ## Cut the power at every write of the store's histories, let each file operation fail: make power SEEDS=100 FIRST=1
	$(GO) test ./store -run 'TestPowerCuts$$' -count=1 -v -timeout 0 -power.every=1 -power.seeds=$(or $(SEEDS),20) -power.first=$(or $(FIRST),1)
	$(GO) test ./store -run 'TestFaultyDisk$$' -count=1 -timeout 0 -faults.every=1

fuzz: ## Each fuzz target for a while: make fuzz TIME=1m
	test/fuzz.sh $(or $(TIME),20s)

bench: ## Benchmarks, with the yardsticks that they are compared with
	$(GO) test -run '^$$' -bench . -skip 'BenchmarkRoutes|BenchmarkFanOut' -benchtime $(or $(TIME),2s) ./store ./delta ./http ./sync/...

bench-http: ## Every route against bare net/http, by 1 and 64 connections; a feed of 256 readers
	$(GO) test -run '^$$' -bench BenchmarkRoutes -benchtime $(or $(TIME),300ms) -timeout 0 ./http
	$(GO) test -run '^$$' -bench BenchmarkFanOut -benchtime 20000x -timeout 0 ./http

lint: ## gofmt and golangci-lint
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	$(GO) run $(LINT) run

fmt: ## Format the code
	gofmt -w .

demo: build ## Three daemons part, diverge and converge before your eyes
	$(BINARY) demo

image: ## Build the container image anabranch:dev
	docker build --build-arg VERSION=$(VERSION) -t anabranch:dev .

clean: ## Remove what was built
	rm -rf dist
