#!/usr/bin/env bash
# Installs the packages that build, demo and tests need. Asks nothing; when nothing is missing it says
# nothing and touches no network. Fails only if something that the build cannot do without is missing.
set -uo pipefail

# package|command that shows it is there in another way|what it is for. Needed ones, then those with a fallback.
needed=(
  'gcc|cc|the C compiler'
  'libc6-dev||the C library'
  'make|make|the short commands'
  'meson|meson|the build'
  'ninja-build|ninja|the build'
  'pkg-config|pkg-config|the build'
  'zlib1g-dev||gzipped data sets'
  'libjansson-dev||JSON'
)
optional=(
  'dpkg-dev|dpkg-architecture|make install; without it libraries go where the loader may not look'
  'libdnnl-dev||the fast CPU engine; without it training uses the slow reference engine'
  'libjpeg-dev||JPEG pictures in data sets'
  'libpng-dev||PNG pictures in data sets'
  'dataset-fashion-mnist||the default data set; without it give --data fashion-mnist:FOLDER'
  'libjs-chart.js||the curves in the pages of report'
  'gnuplot-nox|gnuplot|figures for print, by report --format svg or png'
  'curl|curl|scripts/fetch-data.sh'
  'libcmocka-dev||the C tests'
  'python3|python3|the tests'
  'python3-pytest||the tests'
  'python3-numpy||the tests'
  'binutils|nm|the tests'
  'g++|c++|the tests of the headers'
  'clang-format|clang-format|make format'
  'mandoc|mandoc|the test of the manual page'
  'libonnx-testdata||the test with the cases that ONNX brings'
)

say() { printf 'install-deps: %s\n' "$*" >&2; }

# Prints the entries that are not installed; one call of dpkg-query for all of them.
missing() {
  local installed entry package program
  installed=$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${@%%|*}" 2>/dev/null)
  for entry; do
    IFS='|' read -r package program _ <<<"$entry"
    grep -qxF "installed $package" <<<"$installed" && continue
    [ -n "$program" ] && command -v "$program" >/dev/null && continue
    printf '%s\n' "$entry"
  done
}

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
  say "this is not Debian or Ubuntu; install what these packages hold there yourself:"
  printf '%s\n' "${needed[@]}" "${optional[@]}" | sed -E 's/^([^|]*)\|[^|]*\|/  \1: /' >&2
  exit 0
fi

mapfile -t lacking < <(missing "${needed[@]}" "${optional[@]}")
[ "${#lacking[@]}" -gt 0 ] || exit 0

if [ "$(id -u)" = 0 ]; then
  as_root=(env)
elif sudo -n true 2>/dev/null; then
  as_root=(sudo -n env)
else
  as_root=()
fi

# The first try runs unheard: it fails where the package lists are missing or old, and they are fetched only then.
apt_install() {
  "${as_root[@]}" DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=120 -o Acquire::Retries=2 \
    install -y -q --no-install-recommends "$@" </dev/null
}

if [ "${#as_root[@]}" = 0 ]; then
  say "no root and no sudo without a password; run as root:"
  say "  apt-get install ${lacking[*]%%|*}"
else
  say "installing ${lacking[*]%%|*}"
  if ! apt_install "${lacking[@]%%|*}" >/dev/null 2>&1; then
    "${as_root[@]}" apt-get -q update </dev/null >&2 ||
      say "the package lists could not be fetched: is there a network?"
    if ! apt_install "${lacking[@]%%|*}" >&2; then
      # One that this system does not have must not stop the others.
      for entry in "${lacking[@]}"; do apt_install "${entry%%|*}" >/dev/null 2>&1; done
    fi
  fi
fi

status=0
while IFS='|' read -r package _ use; do
  say "not installed: $package ($use)"
  status=1
done < <(missing "${needed[@]}")
while IFS='|' read -r package _ use; do
  say "not installed: $package ($use)"
  if [ "$package" = dataset-fashion-mnist ] || [ "$package" = libdnnl-dev ]; then
    say "  it is in Debian's component main and Ubuntu's universe; is that among the package sources?"
  fi
done < <(missing "${optional[@]}")
exit "$status"
