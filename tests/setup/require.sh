#!/usr/bin/env bash
# Looks for what the set-up can't install itself, and names the command that installs it.
# Usage: require.sh (changes nothing)
set -euo pipefail
cd "$(dirname "$0")/../.."

stop() {
  printf '%s\n' "$1" >&2
  exit 1
}

rust=$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)
found=$(RUSTUP_AUTO_INSTALL=0 rustc --version 2>/dev/null | cut -d' ' -f2) || found=
if [ "$found" != "$rust" ]; then
  if command -v rustup >/dev/null; then
    stop "Keywheel is built with Rust $rust, which is not installed; run: rustup toolchain install $rust --profile minimal -c rustfmt -c clippy"
  fi
  stop "Keywheel is built with Rust $rust by way of rustup, which is not installed; run: curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh -s -- -y --default-toolchain $rust"
fi

if ! command -v node >/dev/null || ! command -v npm >/dev/null ||
  ! node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a >= 24 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1)'; then
  # nvm and not the system's package: Debian 12 and Ubuntu 24.04 have Node.js 18.
  stop "Keywheel's window is built with Node.js 20.19, 22.12 or 24 and newer, and npm (found: $(node --version 2>/dev/null || echo none)); run: curl -fsSL https://raw.githubusercontent.com/nvm-sh/nvm/v0.40.3/install.sh | bash && . ~/.nvm/nvm.sh && nvm install 22"
fi
