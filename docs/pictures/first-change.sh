#!/bin/sh
# The README's first key change, step by step; run by `make pictures` on the demo's devices: demo -- first-change.sh
set -eu

say() {
  printf '\033[1m$ %s\033[0m\n' "$*"
  "$@"
  echo
}

# The five devices, already in a file; their host keys are compared by hand in real life.
keywheel --yes device import devices.csv >/dev/null 2>&1
keywheel --yes device trust web-1 web-2 db-1 backup-1 far-1 >/dev/null 2>&1
keywheel credential add --name deploy --username deploy --original-device web-1 --device web-2 --device db-1 \
  --device backup-1 --device far-1 --import id_deploy >/dev/null 2>&1

say keywheel check deploy
say keywheel rotate deploy
say keywheel credential accepts deploy
say keywheel change list
