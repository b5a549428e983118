#!/usr/bin/env bash
# The engines' tests with oneDNN 3.2, from the Python registry, in place of the system's 2.6.
# The last line is "N passed, N failed", or "left out: …" where the packages cannot be had.
set -uo pipefail
cd "$(dirname "$0")/.."
folder=build-onednn3
library=$PWD/$folder-library
version=2023.2.0  # of the packages; the library in them says 3.2

if [ ! -e "$library/lib/libdnnl.so" ]; then
  rm -rf "$library"
  { python3 -m venv "$library" && "$library/bin/pip" install --quiet --no-deps "onednn-cpu-gomp==$version" \
    "onednn-devel-cpu-gomp==$version"; } || { echo 'left out: oneDNN 3.2 could not be installed'; exit 0; }
fi
export CPATH=$library/include LDFLAGS=-L$library/lib LD_LIBRARY_PATH=$library/lib
export XDG_CACHE_HOME=$library/cache
[ -f "$folder/build.ninja" ] || meson setup "$folder" -Donednn=enabled || exit 1
meson compile -C "$folder" cli/sapwood || exit 1
"$folder/cli/sapwood" info | grep -Eq '^ *onednn .* 3\.' || { echo 'the program was not built with oneDNN 3' >&2; exit 1; }
meson test -C "$folder" --print-errorlogs choices conv_product 'engine avx512' 'engine avx2' 'engine scalar' \
  'train avx512' 'train avx2' 'train scalar' torch torch_step
python3 scripts/tally.py "$folder/meson-logs/testlog.json"
