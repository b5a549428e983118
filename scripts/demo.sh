#!/usr/bin/env bash
# The paper's experiment in small: an MLP on Fashion-MNIST, pruned six times by SAP. demo.sh PROGRAM
set -euo pipefail
cd "$(dirname "$0")/.."
program=$1

# A fresh folder each time: a run is never overwritten.
stamp=$(date +%Y%m%d-%H%M%S)
run=runs/demo-$stamp
for ((n = 2; ; n++)); do
  [ -e "$run" ] || break
  run=runs/demo-$stamp-$n
done
mkdir -p runs

(set -x; "$program" train --data fashion-mnist --model mlp --method sap --iterations 6 --epochs 10 -o "$run")
"$program" report "$run" -o "$run.html" >/dev/null
echo "report: $run.html"
