# frond: `make` tells what there is.

GO       ?= go
# Test output for a person; .ci/run passes -json and counts.
TESTFLAGS ?=
INTEROP  := cmd/interop
SOAK     ?= 20
FUZZTIME ?= 1m
PAIRS    ?= 9
# Systems that nobody runs the tests on: the program builds and vets there.
OTHERS   := darwin freebsd netbsd openbsd windows

.DEFAULT_GOAL := help
.PHONY: help run test unit tools interop demo bench bench-compare soak size lint fuzz mutants release packages container

help: ## this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  make \1\t\2/' | expand -t 18

run: ## start an edge on this machine: NATS 4222, MQTT 1883, monitoring 8222
	$(GO) run ./cmd/frond edge

test: unit tools interop ## race tests of the product, then the tests with real peers (at most 10 minutes)

unit:
	$(GO) test $(TESTFLAGS) -race -tags invariants -timeout 20m ./...

tools:
	cd cross/release && $(GO) test $(TESTFLAGS) -timeout 20m ./...
	cd cross/kube && $(GO) test $(TESTFLAGS) -timeout 20m ./...

interop:
	cd $(INTEROP) && $(GO) test $(TESTFLAGS) -timeout 20m ./...

demo: ## 5,000 readings from a device to a hub, through cuts and a kill -9 (HUB=stock: nats-server; EDGES=3)
	@cd $(INTEROP) && $(GO) run ./demo -hub $(or $(HUB),frond) -edges $(or $(EDGES),1)

bench: ## frond beside nats-server and mosquitto, in alternating pairs (PAIRS=9)
	@cd $(INTEROP) && $(GO) run ./bench -pairs $(PAIRS) -results bench/results

bench-compare: ## frond beside frond of the commit REF, in alternating pairs (REF=, RUN=regexp)
	@cd $(INTEROP) && $(GO) run ./bench -pairs $(PAIRS) -ref $(REF) -run '$(or $(RUN),pub|consume|create)' -results bench/results

soak: ## crash, leaf and durability tests many times over (SOAK=20), packages installed, other machines emulated
	FROND_SOAK=1 $(GO) test -race -tags invariants -timeout 0 -count=$(SOAK) ./edgestore/... ./core/jetstream/...
	cd $(INTEROP) && FROND_SOAK=1 $(GO) test -timeout 0 -count=$(SOAK) -run 'Crash|Damage|Leaf|Gateways|Origin|OldStock|into_a_stream' -kills 20 -damages 20 -gateways 20 .
	cd $(INTEROP) && FROND_SOAK=1 $(GO) test -timeout 0 -count=1 -v -run ManyStreams .
	cd cross/release && FROND_SOAK=1 $(GO) test -timeout 0 -count=1 -v -run Soak .
	FROND_SOAK=1 $(GO) test -timeout 0 -count=1 -v ./cross/emulated
	FROND_SOAK=1 $(GO) test -timeout 0 -count=1 -v -run Churn ./cmd/frond
	cd $(INTEROP) && FROND_SOAK=1 $(GO) test -timeout 0 -count=1 -v -run 'Stalled|Memory' .

size: ## bytes of each build beside its gate and nats-server, and what costs most
	@$(GO) run ./cross/size

lint: ## format, vet, import floors, house rules, size budget
	@test -z "$$(gofmt -l . | tee /dev/stderr)"
	$(GO) vet ./...
	$(GO) vet -tags edge ./...
	$(GO) vet -tags edge,lite ./...
	$(GO) vet -tags invariants ./...
	@for os in $(OTHERS); do echo "build and vet for $$os"; \
	  GOOS=$$os CGO_ENABLED=0 $(GO) build -o /dev/null ./cmd/frond && GOOS=$$os CGO_ENABLED=0 $(GO) vet ./... || exit 1; done
	cd $(INTEROP) && $(GO) vet ./...
	cd cross/release && $(GO) vet ./...
	cd cross/kube && $(GO) vet ./...
	$(GO) test -count=1 ./cross
	$(GO) run ./cross/size -check
	$(GO) run ./cross/mutants -check

fuzz: ## every fuzz target for a while (FUZZTIME=1m each)
	@for f in $$(grep -rl --include='*_test.go' '^func Fuzz' .); do \
	  for t in $$(sed -nE 's/^func (Fuzz[A-Za-z0-9_]*).*/\1/p' $$f); do \
	    echo "$$(dirname $$f) $$t"; \
	    $(GO) test $$(dirname $$f) -run '^$$' -fuzz "^$$t\$$" -fuzztime $(FUZZTIME) || exit 1; \
	  done; \
	done

mutants: ## weaken the code in each way of cross/mutants/*.patch: a named test must notice
	@$(GO) run ./cross/mutants

RELEASE = $(if $(ONLY),-only '$(ONLY)') $(if $(OUT),-out $(abspath $(OUT))) $(if $(KEY),-key $(abspath $(KEY)))

release: ## archives for every machine in dist/, with checksums (KEY=file signs them, ONLY=regexp makes some)
	cd cross/release && $(GO) run . archives $(RELEASE)

packages: ## deb, rpm, apk and ipk in dist/ (ONLY=_amd64.deb: that one)
	cd cross/release && $(GO) run . packages $(RELEASE)

container: ## a container image in dist/, as an OCI layout (ONLY=linux-arm64: for that machine only)
	cd cross/release && $(GO) run . container $(RELEASE)
