#!/usr/bin/env bash
# Formats the C sources in place with clang-format 14; with --check only says what would change.
set -euo pipefail
cd "$(dirname "$0")/.."
if [ "${1:-}" = --check ]; then action=(--dry-run -Werror); else action=(-i); fi
{ git ls-files -z -- '*.c' '*.h' 2>/dev/null || find bench cli include src tests -name '*.[ch]' -print0; } |
  xargs -0 -r clang-format "${action[@]}"
