#!/usr/bin/env bash
# Remakes the tables and figures of docs/results from folders of runs:
# results.sh [-p PROGRAM] [-o OUT] [-a FOLDER of the ablations] FOLDER...
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)

program=$root/build/sapwood out=$root/docs/results ablation=()
while getopts p:o:a: option; do
  case $option in
    p) program=$OPTARG ;;
    o) out=$OPTARG ;;
    a) ablation=("$OPTARG") ;;
    *) exit 2 ;;
  esac
done
shift $((OPTIND - 1))
if [ $# = 0 ]; then
  echo 'results: which folders of runs? results.sh [-p PROGRAM] [-o OUT] [-a FOLDER] FOLDER...' >&2
  exit 2
fi

made=$(mktemp -d)
trap 'rm -rf "$made"' EXIT

# Everything is made before anything is replaced.
figures=(--only tradeoff --only tradeoff-top --only phases --only pqi --only pruned-pqi --only layers-density)
"$program" report "$@" --format csv --only summary --only densities --only phases -o "$made" >/dev/null
"$program" report "$@" --format svg "${figures[@]}" -o "$made" >/dev/null
{
  # shellcheck disable=SC2016 # these are Markdown's
  printf '# Tables\n\nMade by `scripts/results.sh` from the runs of [README.md](README.md).\n'
  "$root/scripts/claims.py" "$@" "${ablation[@]/#/--ablation=}" --program "$program"
} >"$made/tables.md"
"$root/scripts/iterations.py" "$@" "${ablation[@]}" >"$made/iterations.csv"

# A network of one layer has nothing to tell its layers' figure, and little in the others.
rm -f "$made"/linear-*-{layers-density,pruned-pqi,tradeoff-top}.svg
mkdir -p "$out"
cp "$made"/* "$out"/
echo "results: $(find "$made" -type f | wc -l) files in $out"
