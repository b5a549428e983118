#!/usr/bin/env bash
# The C tests and a short run of the program under AddressSanitizer, LeakSanitizer and UBSan.
# The last line is "N passed, N failed[, N skipped]".
set -uo pipefail
cd "$(dirname "$0")/.."
folder=build-asan

scripts/build.sh "$folder" -Db_sanitize=address,undefined -Dbuildtype=debugoptimized || exit 1

export ASAN_OPTIONS=detect_leaks=1:abort_on_error=0
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1
export LSAN_OPTIONS=suppressions=$PWD/scripts/lsan.supp:print_suppressions=0

# The Python tests load the library into an interpreter that is not built with the sanitizers.
rm -f "$folder/meson-logs/testlog.json"
meson test -C "$folder" --no-rebuild --print-errorlogs --no-suite python --timeout-multiplier 4

run=$(mktemp -d)
trap 'rm -rf "$run"' EXIT
steps=()
step() { # name, command...
  local name=$1 status=0
  shift
  "$@" || status=$?
  steps+=(--step "$name:$status")
}
program=$folder/cli/sapwood
if [ -x "$program" ]; then
  step 'sapwood info' "$program" info
  step 'sapwood train' "$program" train --data fashion-mnist --model linear --method sap --iterations 1 --epochs 1 \
    --quiet -o "$run/run"
  step 'sapwood eval' "$program" eval "$run/run"
fi
python3 scripts/tally.py "${steps[@]}" "$folder/meson-logs/testlog.json"
