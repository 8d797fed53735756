#!/usr/bin/env bash
# Installs what a build of qloom needs on Debian 12: packages with apt-get, CMake and ninja from PyPI in build/venv (Debian's CMake
# is too old), and there too what a build can do without: Halide and oneDNN. Does nothing, within milliseconds, when nothing is missing. Exit codes: 0 ready, 1 an installation failed,
# 2 packages are missing and there is no way to become root.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

packages=(
  ccache
  g++
  git
  libbenchmark-dev
  libcli11-dev
  libfmt-dev
  libgtest-dev
  liblld-19-dev
  libspdlog-dev
  libzip-dev
  llvm-19-dev
  make
  nlohmann-json3-dev
  pkg-config
  python3
  python3-venv
)
python_packages=(
  cmake==4.4.5
  ninja==1.13.2
)
optional_packages=(  # cmake/optional.cmake finds them
  halide==21.0.0
  onednn-cpu-gomp==2023.2.0
  onednn-devel-cpu-gomp==2023.2.0
)
venv=$PWD/build/venv
log=$PWD/build/setup.log

say() { echo "setup: $*"; }

run() {  # a command whose output matters only when it fails
  if ! "$@" >> "$log" 2>&1 < /dev/null; then
    tail -20 "$log" >&2
    say "failed: $*" >&2
    say "the whole output is in $log" >&2
    exit 1
  fi
}

install_packages() {
  if ! command -v dpkg-query > /dev/null; then
    say "this is no Debian: if the build misses something, install your system's equivalents of: ${packages[*]}"
    return
  fi
  local states missing=()
  states=$'\n'$(dpkg-query -W -f '${db:Status-Status} ${Package}\n' "${packages[@]}" 2> /dev/null || true)$'\n'
  for package in "${packages[@]}"; do
    [[ $states == *$'\n'"installed $package"$'\n'* ]] || missing+=("$package")
  done
  [[ ${#missing[@]} -gt 0 ]] || return 0

  local root=()
  if [[ $(id -u) -ne 0 ]]; then
    if command -v sudo > /dev/null && sudo -n true 2> /dev/null; then
      root=(sudo -n)
    elif command -v sudo > /dev/null && [[ -t 0 && -t 2 ]]; then
      say "${#missing[@]} packages are missing: ${missing[*]}"
      say "sudo may ask for your password to install them (stop with Ctrl-C to do it yourself)"
      sudo -v || root=(none)
      [[ ${root[*]} == none ]] || root=(sudo)
    else
      root=(none)
    fi
    if [[ ${root[*]} == none ]]; then
      {
        say "${#missing[@]} packages are missing, and installing them needs root. Run as root:"
        echo
        echo "    apt-get update && apt-get install -y --no-install-recommends ${missing[*]}"
        echo
        say "then the same make command again"
      } >&2
      exit 2
    fi
  fi
  local start=$SECONDS
  say "installing ${#missing[@]} packages with apt-get (at most 120 MB to download, 700 MB on disk, one or two minutes): ${missing[*]}"
  local apt=("${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300 -o Acquire::Retries=3)
  run "${apt[@]}" update
  run "${apt[@]}" install -y --no-install-recommends "${missing[@]}"
  say "packages installed in $((SECONDS - start)) s"
}

install_venv() {
  # The folder is part of the stamp: the programs of a venv name their own path, and break when the checkout is moved.
  local wanted=("${optional_packages[@]}")
  [[ ${QLOOM_OPTIONAL:-yes} != no ]] || wanted=()
  local stamp="$venv: ${python_packages[*]} ${wanted[*]-}"
  [[ -x $venv/bin/cmake && -x $venv/bin/ninja && -f $venv/qloom_stamp && $(< "$venv/qloom_stamp") == "$stamp" ]] && return
  local start=$SECONDS
  local pip=("$venv/bin/python" -m pip install --disable-pip-version-check --no-deps)  # Halide's are for Python alone
  say "installing ${python_packages[*]} from PyPI into build/venv (30 MB)"
  rm -rf "$venv"
  run python3 -m venv "$venv"
  run "${pip[@]}" "${python_packages[@]}"
  say "CMake and ninja installed in $((SECONDS - start)) s"
  if [[ ${#wanted[@]} -gt 0 ]]; then
    start=$SECONDS
    say "installing ${wanted[*]} from PyPI into build/venv (110 MB; QLOOM_OPTIONAL=no leaves them out)"
    if "${pip[@]}" "${wanted[@]}" >> "$log" 2>&1 < /dev/null; then
      say "Halide and oneDNN installed in $((SECONDS - start)) s"
    else
      say "they cannot be installed ($log says why): qloom is built without them; remove build/venv to try again"
    fi
  fi
  echo "$stamp" > "$venv/qloom_stamp"
}

mkdir -p build
install_packages
install_venv
