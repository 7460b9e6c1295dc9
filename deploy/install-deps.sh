#!/bin/bash
# Installs what building, testing, linting and fuzzing need on Debian 12, and nothing that is already there.
#
#   deploy/install-deps.sh [build] [package] [test] [lint] [fuzz]      (default: build)
#
# Does nothing, and needs no root, when all is installed. None of these packages starts a service;
# Prometheus and nginx, which would, are unpacked privately by fetch-parts.sh instead.
set -euo pipefail

BUILD_PACKAGES=(
  g++ cmake ninja-build pkg-config ccache lld
  libgrpc++-dev libprotobuf-dev protobuf-compiler protobuf-compiler-grpc
  prometheus-cpp-dev libcurl4-openssl-dev libcli11-dev libluajit2-5.1-dev libsqlite3-dev
  libspdlog-dev libyaml-cpp-dev libsimdjson-dev nlohmann-json3-dev libsystemd-dev
  libmicrohttpd-dev libpugixml-dev libseccomp-dev libssl-dev libgtest-dev libbenchmark-dev
  libhowardhinnant-date-dev tzdata
  python3
)
PACKAGE_PACKAGES=(dpkg-dev file)  # which libraries the programs need
# The oracle of AWS signatures; moto's environment; the plugin in Python that a test runs.
TEST_PACKAGES=(python3-botocore python3-venv python3-grpcio python3-protobuf)
LINT_PACKAGES=(clang-format clang-tidy)
FUZZ_PACKAGES=(clang-14 libclang-rt-14-dev llvm-14)  # the last for llvm-symbolizer

wanted=()
for group in "${@:-build}"; do
  case $group in
    build) wanted+=("${BUILD_PACKAGES[@]}") ;;
    package) wanted+=("${PACKAGE_PACKAGES[@]}") ;;
    test) wanted+=("${PACKAGE_PACKAGES[@]}" "${TEST_PACKAGES[@]}") ;;
    lint) wanted+=("${LINT_PACKAGES[@]}") ;;
    fuzz) wanted+=("${FUZZ_PACKAGES[@]}") ;;
    *) echo "install-deps: unknown group '$group': build, package, test, lint or fuzz" >&2; exit 2 ;;
  esac
done

if ! command -v dpkg-query >/dev/null; then
  echo "install-deps: this is not a Debian system; install the equivalents of: ${wanted[*]}" >&2
  exit 1
fi

installed=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' "${wanted[@]}" 2>/dev/null |
            awk '$1 == "installed" { print $2 }' || true)
missing=()
for package in "${wanted[@]}"; do
  grep -qxF "$package" <<<"$installed" || missing+=("$package")
done
[[ ${#missing[@]} -eq 0 ]] && exit 0

as_root=()
if [[ $EUID -ne 0 ]]; then
  if ! command -v sudo >/dev/null; then
    echo "install-deps: not root and no sudo; run this as root once, then again as yourself:" >&2
    echo "  apt-get update && apt-get install -y --no-install-recommends ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi

# --no-remove: never at the price of something the machine has. The lock is waited for, as
# unattended-upgrades may hold it.
apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -o DPkg::Lock::Timeout=300)
echo "install-deps: installing ${missing[*]}"
"${apt[@]}" update
"${apt[@]}" install -y --no-install-recommends --no-remove "${missing[@]}"
