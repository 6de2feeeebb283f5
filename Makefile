GO ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
COMMIT = $(shell git rev-parse HEAD 2>/dev/null)
DATE = $(shell TZ=UTC0 git show -s --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd HEAD 2>/dev/null)
LDFLAGS = -s -w -X main.version=$(VERSION) -X main.commit=$(COMMIT) -X main.date=$(DATE)

FUZZTIME ?= 10s
SOAK ?= 10m

.PHONY: build test race lint tidy fresh generate proto proto-check proto-release fmt demo verify test-interop test-prometheus test-datadog test-plugins test-python test-faults test-drill fuzz soak package e2e e2e-vm test-package

build: ## the binary, ./windsock
	CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o windsock ./cmd/agent

test: ## what the README says
	$(GO) test ./...

PROCESSES = /internal/faults$$|/plugins/plugintest$$|/systemd/

race: ## but for packages whose tests only start programs, which are built without the detector: `go test ./...` runs those
	$(GO) test -race $$($(GO) list ./... | grep -vE '$(PROCESSES)')

lint:
	$(GO) tool -modfile=tools/go.mod golangci-lint run ./...

tidy:
	$(GO) mod tidy -diff

generate: ## the schema, docs/metrics.md, docs/checks, docs/exporters
	$(GO) generate ./...

fresh: generate proto ## fails where a generated file is stale
	git diff --exit-code -- schedules.schema.json docs plugins

BUF = $(GO) tool -modfile=../../tools/buf/go.mod buf

proto: ## what is made of the .proto files of the plugin protocol: Go code, docs/plugins/reference.md, the descriptors for Python; no network and no protoc
	cd plugins/proto && $(BUF) generate && $(BUF) build --as-file-descriptor-set --exclude-source-info -o ../sdk/python/api.binpb

proto-check: ## lint, and nothing that a plugin of the released protocol would trip over
	cd plugins/proto && $(BUF) lint && $(BUF) format --exit-code --diff && $(BUF) breaking --against baseline.binpb

proto-release: ## with a release: from now on nothing may break what the protocol says today
	cd plugins/proto && $(BUF) build -o baseline.binpb

fmt:
	$(GO) tool -modfile=tools/go.mod golangci-lint fmt ./...

demo:
	$(GO) run ./cmd/agent demo

test-interop: ## the official TypeScript client against the simulator; needs Node and npm
	cd internal/simulator/interop && npm ci --silent && $(GO) test -tags interop -count=1 ./...

test-prometheus: ## the prometheus check, the source of the spend check, the questions about traffic, the rules that are written and the alertmanager exporter, against real servers and promtool; needs Debian's packages, and installs them where they are missing
	command -v prometheus >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends prometheus; }
	command -v prometheus-alertmanager >/dev/null || { apt-get update -q && apt-get install -qy --no-install-recommends prometheus-alertmanager; }
	$(GO) test -tags prometheus -count=1 ./checks/prometheus ./checks/spend/internal/promsource ./internal/traffic ./internal/alerts/render ./exporters/alertmanager

test-datadog: ## the monitors that are written, decoded by Datadog's own client
	$(GO) test -tags datadog -count=1 ./internal/alerts/render

PLUGINS = /usr/lib/nagios/plugins

test-plugins: ## the exec check with real monitoring plugins; needs Debian's monitoring-plugins-basic, which root installs here
	test -x $(PLUGINS)/check_http || { apt-get update -q && apt-get install -qy --no-install-recommends monitoring-plugins-basic; }
	$(GO) test -tags plugins -run TestReal -count=1 ./checks/exec

test-python: ## the library for plugins in Python, its example and what init writes; needs Debian's python3-grpcio and python3-protobuf, which root installs here
	/usr/bin/python3 -c 'import grpc, google.protobuf' || { apt-get update -q && apt-get install -qy --no-install-recommends python3-grpcio python3-protobuf; }
	$(GO) test -count=1 ./plugins/sdk/python ./plugins/examples/imap-login ./internal/scaffold
	$(GO) test -count=1 -run TestPluginScripts/python ./cmd/agent

test-faults: ## docs/faults.md, with network namespaces, small disks and other users; needs root and installs what it needs
	@command -v ip >/dev/null && command -v iptables >/dev/null || ! test -w / || { apt-get update -q && apt-get install -qy iproute2 iptables; }
	$(GO) test -tags faults -count=1 -timeout 10m -parallel 10 ./internal/faults

test-drill: ## every scenario on the configuration that ships, and on one with all that can fail
	$(GO) test -tags drill -count=1 -timeout 10m -run IsGreen ./internal/drill

soak: ## SOAK=10m of random faults; memory, goroutines and descriptors by slope
	$(GO) test -tags soak -count=1 -timeout 0 -v -run Soak ./internal/faults -args -soak $(SOAK)

package: ## dist/: deb, rpm, archives, bills of materials, checksums; VERSION=1.2.3 where git is not to say it, PACKAGE='-arch amd64 -format deb' for less
	$(GO) run ./systemd/packages $(PACKAGE)

PACKAGERS = lintian rpm mmdebstrap mandoc man-db

test-package: ## what `make package` builds: the same twice, its contents, lintian, and installed, upgraded and removed by dpkg, rpm and hand; needs root, installs what it needs, and makes a Debian tree once
	dpkg-query --show $(PACKAGERS) >/dev/null 2>&1 || { apt-get update -q && apt-get install -qy --no-install-recommends $(PACKAGERS); }
	$(GO) test -tags packages -count=1 -timeout 15m ./systemd/packages

e2e: ## the package on Debian releases with a real systemd as PID 1: systemd/e2e/README.md; needs root and installs what it needs
	@command -v mmdebstrap >/dev/null && command -v systemd-nspawn >/dev/null || ! test -w / || { apt-get update -q && apt-get install -qy --no-install-recommends systemd-container mmdebstrap; }
	$(GO) test -tags e2e -count=1 -timeout 12m -parallel 6 -run TestReleases ./systemd/e2e

e2e-vm: ## what needs a kernel and a clock of its own, on an emulated computer; as e2e, and slow
	@command -v mmdebstrap >/dev/null && command -v systemd-nspawn >/dev/null && command -v qemu-system-x86_64 >/dev/null && command -v mke2fs >/dev/null || ! test -w / || { apt-get update -q && apt-get install -qy --no-install-recommends systemd-container mmdebstrap qemu-system-x86 e2fsprogs; }
	$(GO) test -tags e2e -count=1 -timeout 15m -run TestComputer ./systemd/e2e

fuzz: ## every fuzz target for FUZZTIME
	@for dir in $$(grep -rlE --include='*_test.go' '^func Fuzz' . | xargs -n1 dirname | sort -u); do \
		for target in $$(cd $$dir && grep -hoE '^func Fuzz[A-Za-z0-9_]+' *_test.go | cut -c6-); do \
			echo "$$dir $$target" && $(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) $$dir || exit 1; \
		done; \
	done

verify: tidy lint proto-check race fresh test-interop test-prometheus test-datadog test-plugins test-python test-faults test-drill test-package e2e ## all that CI runs after the tests
