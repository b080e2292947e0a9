# Everything a developer or a machine runs by name. `make help` lists it.

GO     ?= go
BINARY := bin/garrison

# The Kubernetes release whose API is served: k8s.io modules v0.N are Kubernetes 1.N.
KUBE_VERSION = $(shell $(GO) list -m -f '{{.Version}}' k8s.io/api | sed 's/^v0\./v1./')
COMMIT       = $(shell git rev-parse HEAD 2>/dev/null)
COMMIT_DATE  = $(shell TZ=UTC git log -1 --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd 2>/dev/null)

# kubectl and /version report these; Garrison's own version is stamped by the Go toolchain.
VERSION_FLAGS = $(foreach package,k8s.io/component-base/version k8s.io/client-go/pkg/version, \
	-X $(package).gitVersion=$(KUBE_VERSION)+garrison \
	-X $(package).gitMajor=$(word 1,$(subst ., ,$(KUBE_VERSION:v%=%))) \
	-X $(package).gitMinor=$(word 2,$(subst ., ,$(KUBE_VERSION:v%=%))) \
	$(if $(COMMIT),-X $(package).gitCommit=$(COMMIT) -X $(package).buildDate=$(COMMIT_DATE)))

# Packages built or tested at a time. Linking the API server takes about 2 GB.
JOBS ?= 2

.DEFAULT_GOAL := build
.PHONY: help setup build demo test conformance check generate golden bench clean

help: ## List the targets
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 12

setup: ## Install the Debian packages that the machine lacks
	@missing=; \
	command -v git >/dev/null || missing="$$missing git ca-certificates"; \
	command -v gcc >/dev/null || missing="$$missing gcc libc6-dev"; \
	command -v containerd >/dev/null || missing="$$missing containerd"; \
	PATH=$$PATH:/usr/sbin command -v runc >/dev/null || missing="$$missing runc"; \
	PATH=$$PATH:/usr/sbin command -v iptables >/dev/null || missing="$$missing iptables"; \
	test -x /usr/lib/cni/bridge -o -x /opt/cni/bin/bridge || missing="$$missing containernetworking-plugins"; \
	test -x /bin/busybox || missing="$$missing busybox-static"; \
	command -v ip >/dev/null || missing="$$missing iproute2"; \
	if ! command -v $(GO) >/dev/null; then \
		echo 'Go is missing: install it from https://go.dev/dl/' >&2; exit 1; \
	elif [ -n "$$missing" ]; then \
		apt-get update -q && apt-get install -q -y --no-install-recommends $$missing; \
	else \
		echo 'nothing to install'; \
	fi

build: ## Build bin/garrison
	CGO_ENABLED=0 $(GO) build -p $(JOBS) -trimpath -ldflags '-s -w $(strip $(VERSION_FLAGS))' -o $(BINARY) ./cmd/garrison

demo: setup build ## Show agents in real containers, a rollout, an update, nodes that join and leave, all thrown away
	$(GO) build -o bin/images ./test/images
	@test/demo/run.sh $(BINARY) bin/images

test: setup ## Run every test, with the race detector
	$(GO) test -p $(JOBS) -race -timeout 20m ./...

conformance: setup build ## Run Kubernetes' own specs, on simulated nodes and on this machine
	$(GO) build -o bin/images ./test/images
	cd test/conformance && \
		CGO_ENABLED=0 $(GO) build -p $(JOBS) -trimpath -ldflags '-s -w' -o ../../bin/ k8s.io/kubernetes/test/images/agnhost k8s.io/kubernetes/test/images/nonewprivs ./shell && \
		$(GO) test -c -p $(JOBS) -o ../../bin/conformance.test . && \
		../../bin/conformance.test -test.timeout 20m

check: ## Check format, vet, staticcheck and generated files
	@unformatted=$$(gofmt -l $$(git ls-files '*.go')); \
	if [ -n "$$unformatted" ]; then echo "run gofmt -w on:" $$unformatted >&2; exit 1; fi
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	@$(MAKE) --no-print-directory generate
	@git diff --exit-code --stat -- '*zz_generated*' || \
		{ echo 'generated files were out of date: commit what make generate wrote' >&2; exit 1; }

generate: ## Write the generated files
	$(GO) generate ./...

golden: ## Rewrite the golden transcripts; commit only what you understand
	$(GO) test -p $(JOBS) $$(git grep -l cockroachdb/datadriven -- '*_test.go' | xargs -n1 dirname | sort -u | sed 's|^|./|') -rewrite

bench: build ## Measure speed and memory against their targets
	$(GO) run ./bench -binary $(BINARY)

clean: ## Remove what was built
	rm -rf bin
