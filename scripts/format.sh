#!/usr/bin/env bash
# Formats the C sources in place with clang-format 14; with --check only says what would change.
set -euo pipefail
cd "$(dirname "$0")/.."

if ! program=$(command -v clang-format-14 || command -v clang-format); then
  echo "format: clang-format is not installed" >&2
  exit 1
fi
version=$("$program" --version | sed -E 's/.*version ([0-9]+).*/\1/')
if [ "$version" != 14 ]; then
  # Versions disagree about details; one of them has to be the measure.
  echo "format: found clang-format $version, expected 14: nothing done" >&2
  exit 0
fi

if [ "${1:-}" = --check ]; then action=(--dry-run -Werror); else action=(-i); fi
{ git ls-files -z -- '*.c' '*.h' 2>/dev/null || find bench cli include src tests -name '*.[ch]' -print0; } |
  xargs -0 -r "$program" "${action[@]}"
