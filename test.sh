#!/usr/bin/env bash
# Builds and runs the tests, and closes with one line: N passed, N failed, N skipped.
#
# usage: ./test.sh [unit|sim|layers|format|fuzz|interop]...        default: all of them
#
# The exit status is 0 if nothing failed; with CI=true, also nothing may be skipped. Logs stay in build/results/.
# FUZZ_SECONDS (10) is how long each fuzz target runs.
set -u
cd "$(dirname "$0")" || exit 1

parts=("$@")
[ $# -gt 0 ] || parts=(layers format unit sim fuzz interop)
for part in "${parts[@]}"; do
    case $part in
    unit | sim | layers | format | fuzz | interop) ;;
    *)
        sed -n '2,7s/^# \{0,1\}//p' "$0" >&2
        exit 2
        ;;
    esac
done

results=build/results
rm -rf "$results"
mkdir -p "$results"
cores=$(nproc)

say() {
    printf '== %s\n' "$*"
}

# build PRESET: as much as can be built is built, so that one broken file hides nothing else. The first errors become
# the reason of one failed case.
build() {
    local log=$results/build-$1.out mistakes=' error: |undefined reference|CMake Error' why
    say "building ($1)"
    cmake --preset "$1" >"$log" 2>&1 && cmake --build --preset "$1" -- -k 0 >>"$log" 2>&1 && return 0
    grep -E -A 3 "$mistakes" "$log" | head -n 30
    why=$(grep -m 1 -E "$mistakes" "$log" | head -c 300)
    echo "FAIL build-$1: ${why:-see $log}" >>"$results/build.log"
    return 1
}

# Tests over real sockets and processes (`unit`) may lose a race on a busy machine: a program that fails is run once more.
run_ctest() {
    say "$1"
    local again=()
    [ "$1" != unit ] || again=(--repeat until-pass:2)
    ctest --test-dir build/dev -L "^$1\$" -j "$cores" --no-tests=ignore "${again[@]}" --output-junit "$PWD/$results/$1.xml" \
        --test-output-size-passed 10000000 --test-output-size-failed 10000000 2>&1 |
        grep -E '^ *[0-9]+/[0-9]+ Test' || true
}

run_format() {
    say format
    local version files
    version=$(clang-format --version 2>/dev/null | sed -n 's/.*version \([0-9]*\).*/\1/p')
    if [ "$version" != 14 ]; then
        echo "skip format: needs clang-format 14, found ${version:-none}" | tee "$results/format.log"
        return
    fi
    # Without a checkout, as in an archive of the sources, everything there is.
    mapfile -t files < <(git ls-files '*.[ch]' 2>/dev/null | grep . ||
        find apps bench examples fuzz include src tests -name '*.[ch]')
    if clang-format --dry-run -Werror "${files[@]}" >"$results/format.out" 2>&1; then
        echo "ok format" | tee "$results/format.log"
    else
        echo "FAIL format: $(sed -n 's/: error:.*//p' "$results/format.out" | cut -d: -f1 | sort -u | tr '\n' ' ')" |
            tee "$results/format.log"
    fi
}

has_libfuzzer() {
    echo 'int LLVMFuzzerTestOneInput(const unsigned char *d, unsigned long n) { (void)d; return (int)(n & 0); }' |
        clang -fsanitize=fuzzer -x c - -o "$results/libfuzzer" 2>"$results/libfuzzer.out"
}

# One target for a while, starting from its corpus; what it finds new stays in the build folder.
fuzz_one() {
    local name=${1##*/} stem found seeds=()
    stem=${name%_fuzz}
    found=build/fuzz/corpus/$stem
    mkdir -p "$found"
    [ -d "fuzz/corpus/$stem" ] && seeds=("fuzz/corpus/$stem")
    if timeout $((FUZZ_SECONDS + 60)) "$1" -max_total_time="$FUZZ_SECONDS" -timeout=10 -rss_limit_mb=2048 -verbosity=1 \
        -artifact_prefix="$results/$name-" "$found" "${seeds[@]}" >"$results/$name.out" 2>&1; then
        echo "ok $name"
    else
        echo "FAIL $name: $(grep -m 1 -E 'ERROR|SUMMARY|runtime error' "$results/$name.out" ||
            tail -n 1 "$results/$name.out")"
    fi
}

run_fuzz() {
    run_ctest fuzz
    export FUZZ_SECONDS=${FUZZ_SECONDS:-10} results
    export -f fuzz_one
    compgen -G 'fuzz/*_fuzz.c' >/dev/null || return 0
    if ! has_libfuzzer; then
        echo "skip fuzz: clang cannot link libFuzzer: $(tail -n 1 "$results/libfuzzer.out")" | tee "$results/fuzz.log"
        return
    fi
    build fuzz
    say "fuzz, $FUZZ_SECONDS s each"
    find build/fuzz/bin -name '*_fuzz' | sort | xargs -r -P "$cores" -I{} bash -c 'fuzz_one {}' |
        tee "$results/fuzz.log"
}

run_interop() {
    say interop
    if [ ! -x build/dev/bin/interop_peer ]; then
        echo "FAIL interop: build/dev/bin/interop_peer is not built" | tee "$results/interop.log"
        return
    fi
    timeout 1200 tests/interop/run --ours build/dev/bin/interop_peer 2>"$results/interop.out" |
        tee "$results/interop.log"
    local status=${PIPESTATUS[0]}
    if [ "$status" -ne 0 ] && ! grep -q '^FAIL' "$results/interop.log"; then
        echo "FAIL interop: exit status $status: $(tail -n 1 "$results/interop.out")" | tee -a "$results/interop.log"
    fi
    run_relay_server
    run_blobs
}

run_blobs() {
    if [ ! -x build/dev/bin/iroh ]; then
        echo "FAIL blobs: build/dev/bin/iroh is not built" | tee "$results/blobs.log"
        return
    fi
    timeout 900 tests/interop/blobs --iroh build/dev/bin/iroh 2>"$results/blobs.out" | tee "$results/blobs.log"
    local status=${PIPESTATUS[0]}
    if [ "$status" -ne 0 ] && ! grep -q '^FAIL' "$results/blobs.log"; then
        echo "FAIL blobs: exit status $status: $(tail -n 1 "$results/blobs.out")" | tee -a "$results/blobs.log"
    fi
}

run_relay_server() {
    if [ ! -x build/dev/bin/iroh-relay ]; then
        echo "FAIL relay: build/dev/bin/iroh-relay is not built" | tee "$results/relay.log"
        return
    fi
    # Endpoints, ours and real ones, through our relay; above it was the original.
    timeout 600 tests/interop/run --ours build/dev/bin/interop_peer --relay build/dev/bin/iroh-relay --only '*/relay*' \
        --peers python,node,rust 2>"$results/relay-endpoints.out" | sed 's/ / through-our-relay:/' |
        tee "$results/relay-endpoints.log"
    timeout 900 tests/interop/relay_server --relay build/dev/bin/iroh-relay 2>"$results/relay.out" |
        tee "$results/relay.log"
    local status=${PIPESTATUS[0]}
    if [ "$status" -ne 0 ] && ! grep -q '^FAIL' "$results/relay.log"; then
        echo "FAIL relay: exit status $status: $(tail -n 1 "$results/relay.out")" | tee -a "$results/relay.log"
    fi
}

case " ${parts[*]} " in
*' interop '*) needed=all ;;
*) needed=test ;;
esac
./scripts/install-deps.sh $needed || echo "FAIL install-deps: see above" | tee -a "$results/build.log"
build dev
for part in "${parts[@]}"; do
    case $part in
    unit | sim | layers) run_ctest "$part" ;;
    *) "run_$part" ;;
    esac
done

say results
shopt -s nullglob
python3 tests/tally.py "$results"/*.xml "$results"/*.log
