#!/usr/bin/env bash
# Builds the programs and shows two of them finding each other by key: one waits, the other dials its ticket and sends a
# file, and both ends must hold the same bytes. Only this machine's own addresses are used.
set -eu
cd "$(dirname "$0")"
iroh=build/release/bin/iroh
megabytes=8

say() {
    printf '\n%s\n' "$*"
}

fail() {
    printf 'demo: %s\n' "$*" >&2
    exit 1
}

here=$(mktemp -d)
listener=
clean_up() {
    [ -z "$listener" ] || kill "$listener" 2>/dev/null || true
    rm -rf "$here"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

# Every tenth of the build is one line.
progress() {
    local line shown=0
    while IFS= read -r line; do
        [[ $line =~ ^\[([0-9]+)/([0-9]+)\] ]] || continue
        local tenth=$((BASH_REMATCH[1] * 10 / BASH_REMATCH[2]))
        [ "$tenth" -gt "$shown" ] || continue
        shown=$tenth
        echo "  ${tenth}0%"
    done
}

say "1. Build: missing packages are installed, then the programs are compiled."
./scripts/install-deps.sh build
cmake --preset release >"$here/build.log" 2>&1 || { cat "$here/build.log" >&2; fail "configuring failed"; }
set -o pipefail
NINJA_STATUS='[%f/%t] ' cmake --build --preset release --target iroh 2>&1 | tee -a "$here/build.log" | progress ||
    { tail -n 40 "$here/build.log" >&2; fail "the build failed"; }

say "2. Identity: each side has a key of its own, and its public half is its address."
echo "  listener  $("$iroh" id --key "$here/listener.key")"
echo "  dialler   $("$iroh" id --key "$here/dialler.key")"

say "3. Listen: the first program waits and prints a ticket, which says who and where it is."
"$iroh" pipe listen --key "$here/listener.key" --direct-only </dev/null >"$here/received" 2>"$here/listen.log" &
listener=$!
ticket=
for _ in $(seq 100); do
    ticket=$(sed -n 's/.*iroh pipe connect \([^ ]*\).*/\1/p' "$here/listen.log" | tail -n 1)
    [ -z "$ticket" ] || break
    kill -0 "$listener" 2>/dev/null || break
    sleep 0.1
done
[ -n "$ticket" ] || { cat "$here/listen.log" >&2; fail "the listener printed no ticket"; }
echo "  $ticket"

say "4. Send: the second program dials the ticket and sends $megabytes MB of random bytes, encrypted."
head -c $((megabytes * 1000000)) /dev/urandom >"$here/sent"
start=$(date +%s%N)
timeout 120 "$iroh" pipe connect --key "$here/dialler.key" --direct-only "$ticket" \
    <"$here/sent" >/dev/null 2>"$here/connect.log" ||
    { cat "$here/connect.log" "$here/listen.log" >&2; fail "sending failed"; }
for _ in $(seq 300); do
    kill -0 "$listener" 2>/dev/null || break
    sleep 0.1
done
if kill -0 "$listener" 2>/dev/null; then
    cat "$here/listen.log" >&2
    fail "the listener did not end"
fi
wait "$listener" || { cat "$here/listen.log" >&2; fail "the listener failed"; }
listener=
echo "  done in $((($(date +%s%N) - start) / 1000000)) ms, start and end of both programs included"

say "5. Compare: the bytes that arrived are the bytes that were sent."
sent=$(sha256sum <"$here/sent" | cut -c1-64)
received=$(sha256sum <"$here/received" | cut -c1-64)
echo "  sent      $sent"
echo "  received  $received"
[ "$sent" = "$received" ] || fail "they differ"
echo "  They are the same."
