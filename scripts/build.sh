#!/usr/bin/env bash
# Configures a build folder once, then builds it: build.sh FOLDER [meson setup options]
set -euo pipefail
cd "$(dirname "$0")/.."
folder=$1
shift

if [ ! -f "$folder/build.ninja" ]; then
  # A folder whose first configuration failed is started afresh.
  rm -rf "$folder"
  meson setup "$folder" "$@"
fi
meson compile -C "$folder"
