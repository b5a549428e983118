# Short names for the everyday commands; the build itself is Meson's (meson.build).
#
#   BUILD    build folder of the program                (build)
#   PREFIX   where `make install` puts things           (/usr/local)
#   DESTDIR  staging folder of `make install`           (none)
#   SETUP    options of `meson setup` for BUILD         (-Dtests=false)
#   TESTS    names of tests for `make check`            (all; see `meson test --list`)

BUILD ?= build
SETUP ?= -Dtests=false

# For tests and benchmarks, as the program does for itself: threads that spin long while they wait starve the others.
GOMP_SPINCOUNT ?= 1000
export GOMP_SPINCOUNT

.DEFAULT_GOAL := help
.PHONY: help demo check build bench asan install format deps clean

help:
	@echo 'make demo      train, measure and prune a small network on Fashion-MNIST (about a minute)'
	@echo 'make check     build with warnings as errors and run every test'
	@echo 'make build     build the program: $(BUILD)/sapwood'
	@echo 'make bench     run the benchmarks'
	@echo 'make asan      run the C tests and the program under AddressSanitizer and UBSan'
	@echo 'make install   install library, headers and program (PREFIX=/usr/local, DESTDIR=)'
	@echo 'make format    format the sources with clang-format'
	@echo 'make deps      install the packages that demo and check need (Debian, Ubuntu)'
	@echo 'make clean     remove the build folders'

deps:
	@scripts/install-deps.sh

demo: deps
	@$(MAKE) --no-print-directory build
	@scripts/demo.sh $(BUILD)/sapwood

check: deps
	@scripts/check.sh $(TESTS)

build:
	@scripts/build.sh $(BUILD) $(SETUP)
	@ln -sfn cli/sapwood $(BUILD)/sapwood

bench: build
	@scripts/bench.sh $(BUILD)

asan:
	@scripts/asan.sh

install: build
	@$(if $(PREFIX),meson configure $(BUILD) -Dprefix=$(PREFIX))
	meson install -C $(BUILD) --quiet
	@if [ -z "$(DESTDIR)" ] && [ "$$(id -u)" = 0 ]; then ldconfig; fi

format:
	@scripts/format.sh

clean:
	rm -rf $(BUILD) build-check build-asan
