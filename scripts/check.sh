#!/usr/bin/env bash
# Builds with warnings as errors and runs the tests: check.sh [test names]
# The last line is "N passed, N failed[, N skipped]", counted in single cases over all test programs.
set -uo pipefail
cd "$(dirname "$0")/.."
folder=build-check
log=$folder/meson-logs/testlog.json
rm -f "$log"
# As released, but with assertions.
scripts/build.sh "$folder" --werror -Dbuildtype=release -Db_ndebug=false || exit 1

status=0
meson test -C "$folder" --no-rebuild --print-errorlogs "$@" || status=1
python3 scripts/tally.py "$log" || status=1
exit "$status"
