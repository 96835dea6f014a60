# The commands of a person and of CI are the same. `make` alone lists them.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Set CARGO_TARGET_DIR to build elsewhere.
TARGET := $(or $(CARGO_TARGET_DIR),target)

# Always the whole workspace, filtered: cargo picks features by what is asked for, and would build dependencies again for
# each other choice. The fleet is built of Linux's namespaces.
ALL := --locked --workspace
UNIT := $(ALL) $(if $(filter Linux,$(shell uname -s)),-E 'not package(keywheel-fleet)',--exclude keywheel-fleet)

.PHONY: help build demo shell pictures screenshots run test unit integration window reliability torture fuzz fmt lint types check-types deny advisories setup require

help: ## Lists these commands
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1|\2/p' Makefile | column -t -s '|'

require:
	@tests/setup/require.sh

setup: require ## Installs everything that building and testing need
	@tests/setup/install.sh test

.PHONY: setup-build setup-demo
setup-build: require
	@tests/setup/install.sh build
setup-demo: require
	@tests/setup/install.sh demo

build: setup-build ## Builds target/release/keywheel and target/release/keywheel-desktop
	cargo build --release --locked -p keywheel -p keywheel-desktop
	@ls -l $(TARGET)/release/keywheel $(TARGET)/release/keywheel-desktop

# With a display the window opens on the demo's vault, and the key is changed there.
demo: setup-demo ## Changes a key on five devices, live, with nothing of yours involved
	$(if $(DISPLAY)$(WAYLAND_DISPLAY),@cargo build --quiet --locked -p keywheel-fleet -p keywheel-desktop --bin demo --bin keywheel-desktop,@cargo build --quiet --locked -p keywheel-fleet --bin demo)
	@exec $(TARGET)/debug/demo $(if $(DISPLAY)$(WAYLAND_DISPLAY),--window)

shell: setup-demo ## A shell where keywheel has a keyring and five devices of its own
	@cargo build --quiet --locked -p keywheel-fleet -p keywheel --bin demo --bin keywheel
	@exec $(TARGET)/debug/demo -- $${SHELL:-sh}

# Recorded in a terminal of this size; drawn while the last device is at its fourth stage.
RECORD = env -u NO_COLOR LC_ALL=C.UTF-8 TERM=xterm-256color script -qec 'stty rows 50 cols 100; $(1)' /dev/null </dev/null >$(TARGET)/record.txt
PICTURE = $(TARGET)/debug/picture docs/pictures/$(1) <$(TARGET)/record.txt
FAR := far-1      ✓ check ━━ ✓ add ━━ ✓ prove ━━

pictures: setup-demo ## Draws docs/pictures anew, from real runs
	cargo build --quiet --locked -p keywheel-fleet -p keywheel --bin demo --bin picture --bin keywheel
	$(call RECORD,$(TARGET)/debug/demo)
	$(call PICTURE,change.svg 'Key change' '$(FAR) ◐|$(FAR) ◓|$(FAR) ◑|$(FAR) ◒')
	$(call PICTURE,proof.svg 'Proof')
	$(call RECORD,$(TARGET)/debug/demo -- $(CURDIR)/docs/pictures/first-change.sh)
	$(call PICTURE,rotate.svg '$$ keywheel rotate')
	rm $(TARGET)/record.txt

screenshots: setup ## Writes docs/screenshots anew, from a real run
	@tests/setup/install.sh screenshots
	cargo build --quiet --locked -p keywheel-fleet -p keywheel-desktop --bin screenshots --bin keywheel-desktop
	dbus-run-session --config-file=tests/setup/session.conf -- xvfb-run -a -s '-screen 0 1280x800x24' $(TARGET)/debug/screenshots docs/screenshots

run: setup-build ## Builds the app and opens its window
	cargo run --locked -p keywheel-desktop

test: setup ## Sets up, builds and runs every test
	cargo build --locked --workspace --bins --tests
	@$(MAKE) --no-print-directory unit integration window

unit: require ## Runs the tests that need no other program
	cd ui && npm test --silent
	cargo nextest run $(UNIT)

# The tests of the matrix wait for devices more than they compute.
WAITING := $(shell expr 3 '*' $$(nproc 2>/dev/null || echo 1))

integration: ## Runs the tests over real SSH servers and a real keyring
	cargo nextest run $(ALL) -E 'package(keywheel-fleet) - binary(window) - binary(matrix)'
	cargo nextest run $(ALL) --test-threads $(WAITING) -E 'package(keywheel-fleet) & binary(matrix)'

window: ## Runs the tests of the real window, on a display of their own
	dbus-run-session --config-file=tests/setup/session.conf -- xvfb-run -a -s '-screen 0 1280x900x24' cargo nextest run $(ALL) -E 'package(keywheel-fleet) & binary(window)'

reliability: ## Writes the fault matrix into docs/RELIABILITY.md
	KEYWHEEL_WRITE_RELIABILITY=1 cargo nextest run $(ALL) --test matrix the_documentation

# Each of its tests ends after KEYWHEEL_TORTURE_MINUTES; KEYWHEEL_SEED chooses the same random moments again.
torture: setup ## Kills key changes at every place, and KEYWHEEL_TORTURE (2000) times at random
	cargo build --locked --workspace --bins --tests
	KEYWHEEL_TORTURE=$${KEYWHEEL_TORTURE:-2000} KEYWHEEL_TORTURE_MINUTES=$${KEYWHEEL_TORTURE_MINUTES:-30} \
	  cargo nextest run $(ALL) --profile torture --no-fail-fast --success-output final -E 'package(keywheel-fleet) & binary(kill)'

# What is found beyond the corpus stays in target/; an input that breaks a promise is written to artifacts/ and belongs into
# the corpus with its mend. Fuzzing needs flags of rustc that are not stable; the pinned compiler takes them when told so.
SECONDS_EACH ?= 60
FUZZ = RUSTC_BOOTSTRAP=1 cargo fuzz run --fuzz-dir src-tauri/core/fuzz --target-dir $(abspath $(TARGET))/fuzz --features libfuzzer --sanitizer none $(1) \
	$(abspath $(TARGET))/fuzz/corpus/$(1) $(abspath src-tauri/core/fuzz/corpus/$(1)) $(2) -- -max_total_time=$(SECONDS_EACH) -timeout=60 -rss_limit_mb=4096

fuzz: setup-build ## Fuzzes all that reads foreign bytes, SECONDS_EACH=60 seconds each
	@command -v cargo-fuzz >/dev/null || env -u CARGO_TARGET_DIR cargo install --quiet --locked cargo-fuzz --version 0.13.2
	mkdir -p $(foreach name,authorized_keys key_file csv_import sshd_config,$(TARGET)/fuzz/corpus/$(name))
	$(call FUZZ,authorized_keys)
	$(call FUZZ,key_file,$(wildcard $(abspath src-tauri/core/tests/keys)/*/))
	$(call FUZZ,csv_import)
	$(call FUZZ,sshd_config)

fmt: ## Formats the Rust sources
	cargo fmt --all

lint: setup ## Checks formatting, clippy and Svelte
	cargo fmt --all --check
	cargo clippy --locked --workspace --all-targets -- -D warnings
	cd ui && npm run --silent check

types: ## Writes ui/src/generated from the Rust types
	KEYWHEEL_WRITE_TYPES=1 cargo nextest run --locked -p keywheel-desktop types::

check-types: ## Fails when ui/src/generated is stale (a unit test, too)
	cargo nextest run --locked -p keywheel-desktop types::

deny: ## Checks licences, duplicate versions and sources of all crates
	@command -v cargo-deny >/dev/null || env -u CARGO_TARGET_DIR cargo install --quiet --locked cargo-deny --version 0.20.2
	cargo deny --locked check licenses bans sources

advisories: ## Checks all crates for known holes (fetches the advisory database)
	@command -v cargo-deny >/dev/null || env -u CARGO_TARGET_DIR cargo install --quiet --locked cargo-deny --version 0.20.2
	cargo deny --locked check advisories
