#!/bin/sh
# Installs what is missing, and nothing else, on Debian 12 or 13. Needs root or sudo only if something is missing.
#
# usage: scripts/install-deps.sh [build|test|all]        build (default): compiler and libraries; test: and the tools of
#                                                        ./test.sh but for its interop part; all: and that
set -eu

build="gcc libc6-dev cmake ninja-build pkgconf libgnutls28-dev nettle-dev libsodium-dev libssl-dev libuv1-dev libidn2-dev
       libcurl4-gnutls-dev libsqlite3-dev libqrencode-dev ca-certificates"
test="libcmocka-dev libjansson-dev clang clang-format python3 git iproute2"
interop="python3-venv python3-cryptography chromium-headless-shell"

part=${1:-build}
case $part in
build) wanted=$build ;;
test) wanted="$build $test" ;;
all) wanted="$build $test $interop" ;;
*)
    sed -n '2,5s/^# \{0,1\}//p' "$0" >&2
    exit 2
    ;;
esac

updated=no
log=$(mktemp)
trap 'rm -f "$log"' EXIT

is_installed() {
    dpkg -s "$1" 2>/dev/null | grep -q '^Status: install ok installed'
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        env DEBIAN_FRONTEND=noninteractive "$@"
    elif command -v sudo >/dev/null; then
        sudo env DEBIAN_FRONTEND=noninteractive "$@"
    else
        echo "install-deps: neither root nor sudo; please install:$missing" >&2
        return 1
    fi
}

# Runs apt-get, which has much to say, and shows it only when it fails.
apt() {
    as_root apt-get -qq "$@" >"$log" 2>&1 || {
        cat "$log" >&2
        echo "install-deps: apt-get $1 failed" >&2
        exit 1
    }
}

install_missing() {
    missing=
    for package in "$@"; do
        is_installed "$package" || missing="$missing $package"
    done
    [ -n "$missing" ] || return 0
    command -v apt-get >/dev/null || { echo "install-deps: not Debian; please install:$missing" >&2; exit 1; }
    echo "install-deps: installing$missing" >&2
    if [ $updated = no ]; then
        apt update
        updated=yes
    fi
    # shellcheck disable=SC2086
    apt install -y --no-install-recommends $missing
}

# shellcheck disable=SC2086
install_missing $wanted

if [ "$part" != build ]; then
    # A root that nobody set up as a machine, such as a chroot, may not know the name that tests dial.
    getent ahosts localhost >/dev/null || install_missing libnss-myhostname
    # libFuzzer and the sanitizers of whatever version `clang` is here.
    version=$(clang --version | sed -n 's/.*clang version \([0-9]*\).*/\1/p')
    install_missing "libclang-rt-$version-dev"
fi
if [ "$part" = all ]; then
    # A Node of any origin will do; so the command counts, not the package.
    command -v node >/dev/null || install_missing nodejs
    command -v npm >/dev/null || install_missing npm
fi
