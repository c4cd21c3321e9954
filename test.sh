#!/usr/bin/env bash
# Installs what the tests need and runs them all, those of the whole program on both drivers. Arguments go to
# `cargo test`, as in: ./test.sh --test http1
# `./test.sh --prepare` only installs.
set -euo pipefail
cd "$(dirname "$0")"

install() {
    local as_root=()
    [ "$(id -u)" -eq 0 ] || as_root=(sudo)
    "${as_root[@]}" apt-get update -qq
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"
}

# A program that the tests run, and the package that has it.
needs() { command -v "$1" >/dev/null || [ -e "/usr/sbin/$1" ] || missing+=("$2"); }

missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
# Builds the fuzzer.
command -v c++ >/dev/null || missing+=(g++)
command -v python3 >/dev/null || missing+=(python3)
python3 -c 'import yaml' 2>/dev/null || missing+=(python3-yaml)
needs openssl openssl
needs nginx nginx
needs etcd etcd-server
needs etcdctl etcd-client
needs redis-server redis-server
needs redis-sentinel redis-sentinel
needs java default-jre-headless
[ -e /usr/share/java/zookeeper.jar ] || missing+=(zookeeper)
# A browser for the dashboard.
command -v chromium >/dev/null || command -v google-chrome >/dev/null || needs chromium-headless-shell chromium-headless-shell
if [ "${#missing[@]}" -gt 0 ]; then
    echo "installing: ${missing[*]}"
    install "${missing[@]}"
fi
# Packages of the distribution belong to its own Python, which need not be the first in PATH.
if ! python3 -c 'import yaml' 2>/dev/null && /usr/bin/python3 -c 'import yaml' 2>/dev/null; then
    export PATH="/usr/bin:$PATH"
fi

[ "${1:-}" != --prepare ] || exit 0

# Idle-connection tests open thousands of sockets.
ulimit -n "$(ulimit -Hn)" 2>/dev/null || true
# `fast` is release code without the long link.
run() { cargo test --workspace --no-fail-fast --profile fast "$@"; }
if [ "$#" -gt 0 ]; then
    run "$@"
    exit
fi
status=0
run || status=$?
echo "== the integration tests once more, on epoll"
RINGWAY_DRIVER=epoll run --test '*' || status=$?
exit "$status"
