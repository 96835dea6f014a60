#!/usr/bin/env bash
# Installs what is missing, and nothing else: with everything in place it needs neither network nor sudo.
# Usage: install.sh build|demo|test|screenshots (each takes in the one before)
set -euo pipefail
cd "$(dirname "$0")/../.."
goal=${1:?build, demo, test or screenshots}

NEXTEST=0.9.143
TAURI_DRIVER=2.1.0

# A C compiler for SQLite and aws-lc; the web view; D-Bus, which tells the window whether the desktop is dark; the tray's
# icon. Neither OpenSSL nor CMake is needed.
packages=(build-essential pkg-config libwebkit2gtk-4.1-dev libdbus-1-dev libayatana-appindicator3-dev)
# The real keyring, in a D-Bus session of its own.
keyring=(dbus gnome-keyring libsecret-tools)
# The window test; then the SSH servers, the login shells and the kinds of account that devices have.
tests=(webkit2gtk-driver xvfb xauth
  openssh-server openssh-client dropbear-bin tinysshd sudo acl zsh fish tcsh busybox-static)
case $goal in
build) ;;
demo) packages+=("${keyring[@]}") ;;
test) packages+=("${keyring[@]}" "${tests[@]}") ;;
# ImageMagick takes pictures of the display.
screenshots) packages+=("${keyring[@]}" "${tests[@]}" imagemagick) ;;
*)
  echo "install.sh: build, demo, test or screenshots, not \"$goal\"" >&2
  exit 2
  ;;
esac

installed() {
  [ "$(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

as_root() {
  if [ "$(id -u)" = 0 ]; then "$@"; else sudo "$@"; fi
}

# Both packages bring servers that listen as soon as they are installed. The tests start their own on loopback; the
# machine of someone who only ran the tests must not begin to offer SSH.
keep_servers_off() {
  local units=() missing
  for missing in "$@"; do
    case $missing in
    openssh-server) units+=(ssh.service ssh.socket) ;;
    tinysshd) units+=(tinysshd.socket) ;;
    esac
  done
  [ -d /run/systemd/system ] && [ ${#units[@]} -gt 0 ] && printf '%s\n' "${units[@]}"
  return 0
}

system_packages() {
  local package missing=() quiet=()
  for package in "${packages[@]}"; do
    installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -gt 0 ] || return 0
  if [ "$(id -u)" != 0 ] && ! command -v sudo >/dev/null; then
    echo "Some system packages are missing, and there is no sudo; run as root: apt-get install ${missing[*]}" >&2
    exit 1
  fi
  echo "Installing system packages: ${missing[*]}"
  mapfile -t quiet < <(keep_servers_off "${missing[@]}")
  [ ${#quiet[@]} -eq 0 ] || as_root systemctl mask --quiet "${quiet[@]}"
  local status=0
  as_root apt-get update -qq &&
    as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null ||
    status=$?
  if [ ${#quiet[@]} -gt 0 ]; then
    as_root systemctl unmask --quiet "${quiet[@]}"
    as_root systemctl disable --quiet "${quiet[@]}" 2>/dev/null || true
  fi
  return $status
}

npm_packages() {
  # npm writes this file last, when everything is in place.
  [ ui/node_modules/.package-lock.json -nt ui/package-lock.json ] && return 0
  echo "Installing npm packages"
  (cd ui && npm ci --silent)
}

# cargo_tool NAME VERSION COMMAND…: COMMAND prints the version that is there.
cargo_tool() {
  local name=$1 version=$2
  shift 2
  if "$@" 2>/dev/null | grep -qF "$version"; then return 0; fi
  echo "Installing $name $version"
  # Not built into the project's own folder, where it would be rebuilt for each clone.
  env -u CARGO_TARGET_DIR cargo install --quiet --locked "$name" --version "$version"
}

case $(uname -s) in
Linux)
  if command -v dpkg-query >/dev/null && command -v apt-get >/dev/null; then
    system_packages
  elif ! pkg-config --exists webkit2gtk-4.1 2>/dev/null; then
    echo "This system has no apt; install what these Debian packages hold, and run the same again: ${packages[*]}" >&2
    exit 1
  fi
  ;;
esac
npm_packages
if [ "$goal" = test ] || [ "$goal" = screenshots ]; then
  cargo_tool cargo-nextest $NEXTEST cargo nextest --version
  if [ "$(uname -s)" = Linux ]; then
    # tauri-driver can't tell its version; cargo's record of what it installed can.
    cargo_tool tauri-driver $TAURI_DRIVER bash -c 'command -v tauri-driver >/dev/null && cargo install --list | grep "^tauri-driver v"'
  fi
fi
