# mailseal. Works with GNU make, which is gmake on FreeBSD; there `gmake build`
# and `gmake unit` are what is meant to work.

GO := $(or $(shell command -v go),$(wildcard /usr/local/go/bin/go),go)
PREFIX ?= /usr/local
STATICCHECK = honnef.co/go/tools/cmd/staticcheck@v0.8.2
CROSS = linux/amd64 linux/arm64 freebsd/amd64 freebsd/arm64 openbsd/amd64
FUZZTIME ?= 10s
ROUNDS ?= 5
# Packages whose tests are ten times as long under the race detector and start few
# goroutines, or none: it looks at them in make check alone.
ARITHMETIC = ^mailseal/(cmd/mailseal|certmgr/(ca|install)|internal/(pki|trust/(path|revocation))|smime(/cms(/(recipient|content))?)?)$$
UNRACED = $(ARITHMETIC)
TESTFLAGS ?=

# Tests run each in its own folder: they get absolute names.
MAILSEAL_CORPORA ?= ../shared/corpora
override MAILSEAL_CORPORA := $(abspath $(MAILSEAL_CORPORA))
export MAILSEAL_CORPORA

# The tests call go too, and sudo may have taken it out of PATH.
export PATH := $(patsubst %/,%,$(dir $(GO))):$(PATH)

# git does not speak of a tree that belongs to somebody else; go build would
# fail over it instead of leaving the version out.
ifeq ($(shell git rev-parse HEAD 2>/dev/null),)
export GOFLAGS := $(strip $(GOFLAGS) -buildvcs=false)
endif

.NOTPARALLEL:
.PHONY: help build demo test check bench bench-mails bench-quick figures clean install tools tools-demo fmt vet staticcheck unit lean mta lint fuzz cross tidy interop interop-new

help:
	@echo 'make demo     two organisations exchange signed mail through two private Postfix (root)'
	@echo 'make test     formatting, vet, staticcheck, unit tests with -race, tests with real MTAs (root)'
	@echo 'make check    make test with -shuffle and the slow tests, lint, fuzzing, cross builds, go.mod'
	@echo 'make build    bin/mailseal'
	@echo 'make install  PREFIX=$(PREFIX), DESTDIR'
	@echo 'make unit     unit tests alone'
	@echo 'make mta      tests with real MTAs alone'
	@echo 'make lint     what public CAs check their certificates by (zlint), of the private CA'
	@echo 'make bench    whole mails through MTAs beside other milters (root), and operations beside'
	@echo '              the bare primitives; renews doc/performance.md in ten minutes'
	@echo 'make bench-quick  the shape of whole mails in a minute, on the terminal'
	@echo 'make interop  with which S/MIME programs mailseal works; renews doc/interop.md, and'
	@echo '              interop-new does it with newer ones that debootstrap unpacks (root)'
	@echo 'make clean    removes bin and build'

build:
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/mailseal ./cmd/mailseal

demo: tools-demo build
	bin/mailseal demo

test: tools fmt vet staticcheck unit lean mta

check: UNRACED = ^$$
check: TESTFLAGS += -shuffle=on -timeout 60m
check: export MAILSEAL_SLOW = 1
check: test lint fuzz cross tidy

# What is missing is installed, and said; nothing is removed or started.
tools:
	@test/tools.sh test

tools-demo:
	@test/tools.sh demo

fmt:
	@bad=$$(gofmt -l .); [ -z "$$bad" ] || { echo "not gofmt-ed: $$bad"; exit 1; }

vet:
	$(GO) vet ./...

staticcheck:
	$(GO) run $(STATICCHECK) ./...

unit:
	CGO_ENABLED=1 $(GO) test -race $(TESTFLAGS) $$($(GO) list ./... | grep -v '^mailseal/test/' | grep -Ev '$(UNRACED)')

# As it is shipped: what the race detector disturbs, by the tests' names, and the
# arithmetic that it would take minutes for. Four at once, as some wait for the disk.
lean:
	CGO_ENABLED=0 $(GO) test -p 4 $(TESTFLAGS) $$($(GO) list ./... | grep -E '$(ARITHMETIC)')
	CGO_ENABLED=0 $(GO) test -run 'Memory|Ratio' $(TESTFLAGS) $$($(GO) list ./... | grep -v '^mailseal/test/' | grep -Ev '$(ARITHMETIC)')

# What an MTA does is not in the cache's key.
mta:
	CGO_ENABLED=1 $(GO) test -race -count=1 -timeout 15m $(TESTFLAGS) ./test/...

fuzz:
	@list=$$($(GO) test -list '^Fuzz' ./...) || { echo "$$list"; exit 1; }; \
	echo "$$list" | awk '/^Fuzz/ { f[n++] = $$1 } /^ok/ { while (n) print $$2, f[--n] }' | \
	while read -r pkg name; do \
		echo "$$pkg $$name"; \
		$(GO) test -run '^$$' -fuzz "^$$name\$$" -fuzztime $(FUZZTIME) $$pkg </dev/null || exit 1; \
	done

cross:
	@for t in $(CROSS); do \
		echo "$$t"; \
		CGO_ENABLED=0 GOOS=$${t%/*} GOARCH=$${t#*/} $(GO) build -trimpath -o build/cross/mailseal-$${t%/*}-$${t#*/} ./cmd/mailseal || exit 1; \
	done
	CGO_ENABLED=0 GOOS=freebsd $(GO) vet ./...
	CGO_ENABLED=0 GOARCH=386 $(GO) vet ./...

# A module of its own: nothing else wants what zlint needs.
lint:
	cd test/lint && CGO_ENABLED=0 $(GO) test -count=1 ./...

tidy:
	$(GO) mod tidy -diff
	cd test/lint && $(GO) mod tidy -diff

# Both renew their tables in doc/performance.md. Whole mails go through private
# MTAs (root). Other benchmarks: go test -bench REGEXP ./PACKAGE
bench: bench-mails figures

bench-mails: tools build/bench
	build/bench -rounds $(ROUNDS) -out doc/performance.md

bench-quick: tools build/bench
	build/bench -quick

.PHONY: build/bench
build/bench: build
	CGO_ENABLED=0 $(GO) build -o $@ ./test/bench

figures:
	$(GO) run ./test/figures -rounds $(ROUNDS) -out doc/performance.md

# Each renews its tables in doc/interop.md, which make test compares with what
# it sees.
interop: tools
	CGO_ENABLED=0 $(GO) test -count=1 -run '^TestPeers$$' ./test/interop -args -update

interop-new:
	test/interop/newer.sh
	MAILSEAL_INTEROP_NEW=1 CGO_ENABLED=0 $(GO) test -count=1 -run '^TestNewerPeers$$' ./test/interop -args -update

# Where a package would put things; no configuration is touched, no user made
# and nothing started. SYSTEM=FreeBSD installs as there.
SYSTEM ?= $(shell uname -s)
BINARY ?= bin/mailseal
DOCS = $(PREFIX)/share/doc/mailseal
ifeq ($(SYSTEM),FreeBSD)
EXAMPLES = $(PREFIX)/share/examples/mailseal
SERVICE = install-rc
else
EXAMPLES = $(DOCS)/examples
SERVICE = install-systemd
endif

# BSD's install has no -D.
define put
	install -d '$(DESTDIR)$(dir $(2))'
	install -m $(or $(3),644) $(1) '$(DESTDIR)$(2)'

endef

# What names the program names it where it is put.
define put_named
	$(call put,$(1),$(2),$(3))
	sed 's,/usr/local/bin/,$(PREFIX)/bin/,' $(1) >'$(DESTDIR)$(2)'

endef

.PHONY: install-systemd install-rc
install: build $(SERVICE)
	$(call put,$(BINARY),$(PREFIX)/bin/mailseal,755)
	$(call put,doc/mailseal.toml.5,$(PREFIX)/share/man/man5/mailseal.toml.5)
	$(call put,doc/mailseal.8,$(PREFIX)/share/man/man8/mailseal.8)
	$(foreach f,README.md README.ja.md CHANGELOG.md LICENSE $(wildcard doc/*.md doc/ja/*.md),$(call put,$f,$(DOCS)/$(f:doc/%=%)))
	$(foreach f,$(shell cd contrib && find . -type f | sed 's,^[.]/,,' | sort),$(call put,contrib/$f,$(EXAMPLES)/$f))

install-systemd:
	$(foreach f,$(notdir $(wildcard systemd/*.socket)),$(call put,systemd/$f,$(PREFIX)/lib/systemd/system/$f))
	$(foreach f,$(notdir $(wildcard systemd/*.service)),$(call put_named,systemd/$f,$(PREFIX)/lib/systemd/system/$f))
	$(call put,systemd/mailseal.sysusers,$(PREFIX)/lib/sysusers.d/mailseal.conf)
	$(call put,systemd/mailseal.tmpfiles,$(PREFIX)/lib/tmpfiles.d/mailseal.conf)
	$(foreach f,$(notdir $(wildcard systemd/*.socket.d)),$(call put,systemd/$f/chroot.conf,$(EXAMPLES)/systemd/$f/chroot.conf))
	$(foreach f,$(patsubst systemd/%,%,$(wildcard systemd/*.service.d/*.conf)),$(call put,systemd/$f,$(EXAMPLES)/systemd/$f))

# The scripts find their configuration where the product looks for it, which is
# below /usr/local whatever PREFIX is.
install-rc:
	$(foreach f,$(notdir $(wildcard rc.d/*)),$(call put_named,rc.d/$f,$(PREFIX)/etc/rc.d/$f,755))
	$(call put,contrib/mailseal.toml,$(PREFIX)/etc/mailseal/mailseal.toml.sample)

clean:
	rm -rf bin build
