# Osmoslice. "make help" lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
COMMIT  ?= $(shell git rev-parse --short=12 HEAD 2>/dev/null || echo unknown)
LDFLAGS := -s -w -X github.com/osmoslice/osmoslice/internal/version.Version=$(VERSION) -X github.com/osmoslice/osmoslice/internal/version.Commit=$(COMMIT)
COMMANDS := osmosliced slicectl lite-gateway lite-server
GOBUILD := CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)'
SWAGGER := go tool -modfile=internal/tools/go.mod swagger
LINTER := go tool -modfile=internal/tools/lint/go.mod golangci-lint

.PHONY: help
help: ## this list
	@awk 'BEGIN {FS = ":.*## "} /^[a-zA-Z0-9_-]+:.*## / {printf "  %-18s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## the commands, into bin/
	@mkdir -p bin
	@for c in $(COMMANDS); do $(GOBUILD) -o bin/$$c ./cmd/$$c; done
	@$(GOBUILD) -o bin/demo ./test/demo
	@$(GOBUILD) -o bin/devices ./test/devices/cmd/devices

.PHONY: senml-export
senml-export: ## EdgeX's SenML export, a module of its own, into bin/ (GOARCH=arm64 for a Raspberry Pi)
	@mkdir -p bin
	@cd cmd/edgex-senml-export && $(GOBUILD) -o ../../bin/edgex-senml-export .

.PHONY: generate
generate: ## api/ and models/ from swagger.yaml
	@internal/tools/generate.sh

.PHONY: verify
verify: ## fails when generated code, formatting or module files are not what the sources say
	@internal/tools/verify.sh

.PHONY: lint
lint: ## golangci-lint over everything written by hand
	@$(LINTER) run ./...

.PHONY: prerequisites
prerequisites: ## what the tests need from the system (Debian, root)
	@test/prerequisites.sh

.PHONY: test
test: prerequisites ## everything: unit, race, databases, brokers, acceptance
	@test/run.sh

.PHONY: test-unit
test-unit: ## unit tests only, in seconds once compiled
	@go test -short ./...

.PHONY: race
race: prerequisites ## all packages under the race detector
	@CGO_ENABLED=1 go test -race -short -timeout 40m ./internal/... ./domains/...

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME (10s) each
	@test/fuzz.sh $${FUZZTIME:-10s}

.PHONY: demo
demo: build ## the main job: an order becomes a running slice with real readings (ONCE=1 tears down)
	@bin/demo $(if $(ONCE),--once)

.PHONY: run
run: build ## the service on loopback, state in osmoslice-data/
	@bin/osmosliced

.PHONY: bench
bench: bench-service bench-gateway bench-placement ## all benchmarks, each beside its peer or limit

.PHONY: bench-service
bench-service: ## orders/s, GETs/s, slices/s beside their bare SQL; growth; memory
	@$(MAKE) build
	@go run ./test/servicebench

.PHONY: bench-gateway
bench-gateway: ## the light gateway and server beside a bare broker
	@$(MAKE) build
	@go run ./test/gatewaybench

.PHONY: e2e
e2e: prerequisites ## slices on two real Kubernetes clusters (Debian, root; about a quarter of an hour)
	@test/e2e.sh '^TestKube(Smoke|Changes|MissingImage|Drift)$$'

.PHONY: e2e-smoke
e2e-smoke: prerequisites ## the shortest of it: order, running, readings across clusters, isolation, delete
	@test/e2e.sh '^TestKubeSmoke$$'

.PHONY: e2e-full
e2e-full: prerequisites ## all of it: kill -9 at every step, partitions, hand edits, two replicas
	@E2E_TIMEOUT=120m test/e2e.sh '^TestKube'
	@$(MAKE) e2e-domain

.PHONY: e2e-products
e2e-products: prerequisites ## EdgeX and Mainflux in a slice on real clusters; IMAGES=DIR holds their images as archives, else stand-ins
	@$(if $(IMAGES),,test/prerequisites.sh standin)
	@MORE_IMAGES=edgex-senml-export PRODUCT_IMAGES="$(or $(IMAGES),standin)" E2E_TIMEOUT=80m test/e2e.sh '^TestProducts$$'

.PHONY: e2e-itself
e2e-itself: prerequisites ## the service by its own chart on a real cluster: two replicas, upgrade, uninstall
	@test/prerequisites.sh standin
	@MORE_IMAGES=osmosliced PRODUCT_IMAGES=standin test/e2e.sh '^TestItself$$'

.PHONY: e2e-addons
e2e-addons: prerequisites ## InfluxDB beside a Mainflux on a real cluster, with stand-ins: readings arrive in both
	@test/prerequisites.sh standin addons
	@PRODUCT_CHARTS=,influxdb PRODUCT_IMAGES=standin test/e2e.sh '^TestAddOns$$'

.PHONY: standin-images
standin-images: prerequisites ## stand-ins for the images of EdgeX and Mainflux, into OUT=DIR
	@test -n "$(OUT)" || { echo "OUT=DIR is missing" >&2; exit 2; }
	@test/prerequisites.sh standin
	@go run ./test/productimages --standin --out "$(OUT)"

.PHONY: e2e-domain
e2e-domain: prerequisites ## the contract of every driver, kills and drift on a real cluster
	@go test -c -trimpath -tags cluster -o bin/domain.test ./domains/kubernetes
	@test/on-clusters.sh bash -c 'cd domains/kubernetes && OSMOSLICE_TEST_LITE_IMAGES=1 OSMOSLICE_TEST_KUBECONFIG=$$OSMOSLICE_TESTBED_DIR/kubeconfig/edge ../../bin/domain.test -test.timeout 40m -test.v'

.PHONY: demo-k8s
demo-k8s: prerequisites ## the demo on two real Kubernetes clusters, torn down at its end
	@test/on-clusters.sh bash -c 'bin/demo --once --clusters $$OSMOSLICE_TESTBED_DIR'

.PHONY: bench-e2e
bench-e2e: prerequisites ## order to running on real clusters beside a bare Helm SDK
	@go build -trimpath -o bin/kubebench ./test/kubebench
	@test/on-clusters.sh bin/kubebench $(BENCH_ARGS)

.PHONY: bench-placement
bench-placement: ## the placer beside the peer's search, 20 to 20,000 nodes
	@go run ./test/placementbench --table --large

.PHONY: dist
dist: ## release archives for amd64 and arm64, into dist/
	@test/dist.sh "$(VERSION)" "$(LDFLAGS)"

.PHONY: images
images: ## OCI images for amd64 and arm64, into dist/images/ (PUSH=REGISTRY pushes them instead)
	@go run ./internal/bundle/images --version "$(VERSION)" --commit "$(COMMIT)" --ldflags '$(LDFLAGS)' --created "$$(git log -1 --format=%cI 2>/dev/null || date -u +%Y-%m-%dT%H:%M:%SZ)" $(if $(PUSH),--push $(PUSH))

.PHONY: testbed-build
testbed-build: ## the programs real clusters are made of, into the cache (the first time: 10 minutes)
	@go run ./test/testbed build >/dev/null

.PHONY: testbed-test
testbed-test: prerequisites testbed-build ## the test bed itself: two real clusters (root)
	@OSMOSLICE_TESTBED_TEST=1 go test -count=1 -v -timeout 30m ./test/testbed/...

.PHONY: clean
clean: ## what was built here
	@rm -rf bin dist .cache
