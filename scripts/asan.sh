#!/usr/bin/env bash
# The C tests, and the program under its command-line tests, with AddressSanitizer, LeakSanitizer and UBSan.
# The last line is "N passed, N failed[, N skipped]".
set -uo pipefail
cd "$(dirname "$0")/.."
folder=build-asan
logs=$folder/meson-logs
rm -f "$logs"/testlog*.json
scripts/build.sh "$folder" -Db_sanitize=address,undefined -Dbuildtype=debugoptimized || exit 1

export ASAN_OPTIONS=detect_leaks=1
export UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1

test_run() { # log name, further words for meson test
  meson test -C "$folder" --no-rebuild --print-errorlogs --timeout-multiplier 4 --logbase "$@"
}
# Of the Python tests only those that start the program: an interpreter without the sanitizers cannot load the library.
test_run testlog --no-suite python
test_run testlog-cli cli
python3 scripts/tally.py "$logs/testlog.json" "$logs/testlog-cli.json"
