#!/usr/bin/env bash
# Gets a data set from where it is published: fetch-data.sh NAME [FOLDER]
#
# FOLDER is where `sapwood` looks for it: $SAPWOOD_DATA/NAME, or $XDG_DATA_HOME/sapwood/NAME (~/.local/share if unset).
# A download that was cut off goes on where it stopped. Files are checked (SHA-256), unpacked beside FOLDER and moved
# into place as a whole: FOLDER is complete or not there.
#
# For mirrors and tests: SAPWOOD_FETCH_URL replaces the address before the files' names, SAPWOOD_FETCH_SUMS names a
# file of sums, as sha256sum prints them.
set -euo pipefail

say() { printf 'fetch-data: %s\n' "$*" >&2; }
fail() {
  say "$@"
  exit 1
}

mnist_files=(train-images-idx3-ubyte.gz train-labels-idx1-ubyte.gz t10k-images-idx3-ubyte.gz t10k-labels-idx1-ubyte.gz)
names='fashion-mnist mnist cifar10 cifar100 tiny-imagenet'
name=${1:-}
# url: the folder of the files; sums: one a file, in their order; inner: what an archive unpacks to.
inner=
case $name in
fashion-mnist)
  url=http://fashion-mnist.s3-website.eu-central-1.amazonaws.com
  files=("${mnist_files[@]}")
  sums=(3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84
    a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845
    346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073
    67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5)
  ;;
mnist)
  # The files of yann.lecun.com, which no longer hands them out, byte for byte.
  url=https://storage.googleapis.com/cvdf-datasets/mnist
  files=("${mnist_files[@]}")
  sums=(440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609
    3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c
    8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6
    f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6)
  ;;
cifar10)
  url=https://www.cs.toronto.edu/~kriz
  files=(cifar-10-binary.tar.gz)
  sums=(c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd)
  inner=cifar-10-batches-bin
  ;;
cifar100)
  url=https://www.cs.toronto.edu/~kriz
  files=(cifar-100-binary.tar.gz)
  sums=(58a81ae192c23a4be8b1804d68e518ed807d710a4eb253b1f2a199162a40d8ec)
  inner=cifar-100-binary
  ;;
tiny-imagenet)
  url=http://cs231n.stanford.edu
  files=(tiny-imagenet-200.zip)
  sums=(6198c8ae015e2b3e007c7841da39ec069199b9aa3bfa943a462022fe5e43c821)
  inner=tiny-imagenet-200
  ;;
*)
  say "usage: fetch-data.sh NAME [FOLDER]; NAME is one of: $names"
  exit 2
  ;;
esac
[ $# -le 2 ] || fail "more than a name and a folder"
usual=${SAPWOOD_DATA:-${XDG_DATA_HOME:-${HOME:?}/.local/share}/sapwood}/$name
folder=${2:-$usual}
folder=${folder%/}
url=${SAPWOOD_FETCH_URL:-$url}
marker=.complete
if [ -n "${SAPWOOD_FETCH_SUMS:-}" ]; then
  for i in "${!files[@]}"; do
    sums[i]=$(awk -v file="${files[i]}" '$2 == file { print $1 }' "$SAPWOOD_FETCH_SUMS")
  done
fi

use="--data $name"
[ "$folder" = "${usual%/}" ] || use="--data $name:$folder"
if [ -e "$folder/$marker" ]; then
  say "$folder is complete already; $use"
  exit 0
fi
if [ -e "$folder" ] && ! rmdir "$folder" 2>/dev/null; then
  fail "$folder is there and not from here: remove it, or name another folder"
fi
command -v curl >/dev/null || fail "curl is not installed"

# ---- download, beside the folder ----

part=$folder.part
mkdir -p "$part"
exec 9>"$part/.lock"
if command -v flock >/dev/null && ! flock -n 9; then fail "another fetch-data.sh is at work on $folder"; fi

is_right() { # file, sum
  [ -f "$1" ] && [ "$(sha256sum <"$1" | cut -d' ' -f1)" = "$2" ]
}

# What is there of a file is gone on with first. Where that comes to nothing (a server that cannot go on in the middle,
# a file that is another by now) the file is fetched afresh, once.
download() { # file, sum
  local path=$part/$1 found=nothing from status answer
  is_right "$path" "$2" && return
  say "$url/$1"
  for from in middle start; do
    [ "$from" = start ] || [ -s "$path" ] || continue
    local curl=(curl --fail --location --show-error --retry 3 --write-out '%{http_code}' --output "$path")
    if [ -t 2 ]; then curl+=(--progress-bar); else curl+=(--silent); fi
    if [ "$from" = middle ]; then curl+=(--continue-at -); else rm -f "$path"; fi
    status=0
    answer=$("${curl[@]}" "$url/$1") || status=$?
    is_right "$path" "$2" && return
    case $status:$answer in
    0:* | 33:* | 36:* | 22:416) ;;
    22:*) fail "$1: $url answers $answer" ;;
    *) fail "$1: the download was cut off; run this again to go on" ;;
    esac
  done
  [ ! -s "$path" ] || found=$(sha256sum <"$path" | cut -d' ' -f1)
  rm -f "$path"
  fail "$1: SHA-256 $found, expected $2"
}

for i in "${!files[@]}"; do download "${files[i]}" "${sums[i]}"; done

# ---- unpack, and put in place as a whole ----

rm -rf "$part/unpacked"
mkdir "$part/unpacked"
case ${files[0]} in
*.tar.gz) tar -xzf "$part/${files[0]}" -C "$part/unpacked" --no-same-owner || fail "${files[0]}: cannot be unpacked" ;;
*.zip)
  if command -v unzip >/dev/null; then
    unzip -q "$part/${files[0]}" -d "$part/unpacked" || fail "${files[0]}: cannot be unpacked"
  else
    python3 -m zipfile -e "$part/${files[0]}" "$part/unpacked" || fail "${files[0]}: cannot be unpacked"
  fi
  ;;
*) for file in "${files[@]}"; do ln "$part/$file" "$part/unpacked/$file"; done ;;
esac
ready=$part/unpacked${inner:+/$inner}
[ -d "$ready" ] || fail "${files[0]}: no folder $inner in it"
printf '%s\n' "${sums[@]}" >"$ready/$marker"
sync "$ready/$marker" 2>/dev/null || true
mv -T "$ready" "$folder"
rm -rf "$part"
say "$folder is complete; $use"
