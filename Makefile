# pgherd. `make demo` shows it, `make test` proves it; both install what they need.

CARGO ?= cargo
PREFIX ?= /usr/local
DESTDIR ?=
RUNTIME ?= smol
# Further flags of `pgherd demo`, such as DEMO="--standbys 4 --port 6432".
DEMO ?=
# Seconds a fuzz target.
SECONDS_EACH ?= 10
# Further flags of the benchmark, such as BENCH="--only select --target smol".
BENCH ?=
# Further flags of PostgreSQL's regression suite, such as REGRESS="--passes split".
REGRESS ?=

.PHONY: help demo build test test-regress bench fuzz install clean

help:
	@echo "make demo     a throw-away herd of PostgreSQL servers with pgherd in front"
	@echo "make test     everything: lints, unit, property, simulated and real scenarios, docs"
	@echo "make test-regress  PostgreSQL's own regression suite, directly and through pgherd"
	@echo "make bench    pgherd beside its peers, into benches/results (BENCH="--quick")"
	@echo "make fuzz     every fuzz target for SECONDS_EACH=$(SECONDS_EACH) seconds"
	@echo "make install  the program under PREFIX=$(PREFIX), also by the names of Pgpool-II's"

demo: build
	@./scripts/need postgresql
	@./target/release/pgherd demo --runtime $(RUNTIME) $(DEMO)

build:
	@./scripts/need rust
	$(CARGO) build --release --locked --package pgherd

test:
	@./scripts/test

test-regress:
	@./scripts/need rust regress
	@python3 -B scripts/regress $(REGRESS)

bench:
	@./scripts/need rust postgresql clients peers
	@./scripts/bench $(BENCH)

fuzz:
	@./scripts/need rust
	@./fuzz/run.sh $(SECONDS_EACH)

install: build
	install -D -m 755 target/release/pgherd $(DESTDIR)$(PREFIX)/bin/pgherd
	./scripts/link $(DESTDIR)$(PREFIX)/bin

clean:
	$(CARGO) clean
