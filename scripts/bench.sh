#!/usr/bin/env bash
# Runs every benchmark of a build folder, one after the other: bench.sh FOLDER
set -uo pipefail
cd "$(dirname "$0")/.."
status=0
found=0
for program in "$1"/bench/bench_*; do
  [ -f "$program" ] && [ -x "$program" ] || continue
  found=1
  printf '\n== %s\n' "$(basename "$program")"
  "$program" || status=1
done
[ "$found" = 1 ] || echo "no benchmark in $1/bench" >&2
exit "$status"
