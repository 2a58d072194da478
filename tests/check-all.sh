#!/bin/bash
# SPDX-License-Identifier: MIT
#
# `make check-all`: all of pspy's checks, one after the other; each runs whatever became of those before it.
# tests/check-all.sh [BUILD]
#
# The last lines name the tests that are unsteady, say how many, and sum up. The exit status says whether any test failed;
# more than three unsteady ones fail the run of tests that they are in (tests/runner.py).
set -u
cd "$(dirname "$0")/.." || exit 1
unset MAKEFLAGS MAKELEVEL MFLAGS

build=${1:-build}
passed=0 failed=0 skipped=0
summary=() unsteady=()

# add NAME STATUS FOLDER: counts the tests that FOLDER/junit*.xml tell of; a step that failed otherwise counts as one
# failure.
add() {
    local name=$1 status=$2 folder=$3 tests=0 failures=0 errors=0 skips=0 head xml line
    for xml in "$folder"/junit*.xml; do
        [ -s "$xml" ] || continue
        head=$(grep -o '<testsuite [^>]*>' "$xml" | head -n 1)
        tests=$((tests + $(number tests "$head"))) failures=$((failures + $(number failures "$head")))
        errors=$((errors + $(number errors "$head"))) skips=$((skips + $(number skipped "$head")))
    done
    if [ -s "$folder/unsteady.txt" ]; then
        while read -r line; do unsteady+=("$name: $line"); done <"$folder/unsteady.txt"
    fi
    local bad=$((failures + errors))
    local good=$((tests - bad - skips))
    if [ "$status" = 77 ]; then
        skips=$((skips + 1))
    elif [ "$status" != 0 ] && [ "$bad" = 0 ]; then
        bad=1
    elif [ "$status" = 0 ] && [ "$tests" = 0 ]; then
        good=1
    fi
    passed=$((passed + good)) failed=$((failed + bad)) skipped=$((skipped + skips))
    summary+=("$(printf '%-40s %s passed, %s failed, %s skipped' "$name" "$good" "$bad" "$skips")")
}

number() {
    local digits
    digits=$(sed -n 's/.* '"$1"'="\([0-9]*\)".*/\1/p' <<<"$2")
    echo "${digits:-0}"
}

# step NAME FOLDER COMMAND...
step() {
    local name=$1 folder=$2 started=$SECONDS status=0
    shift 2
    rm -f "$folder"/junit*.xml "$folder"/unsteady.txt
    echo
    echo "==== $name"
    "$@" || status=$?
    echo "==== $name: status $status after $((SECONDS - started)) s"
    add "$name ($((SECONDS - started)) s)" "$status" "$folder"
}

# make gives 2 for every failure of a recipe; what it cannot do here (77) is asked of the script itself.
fresh() {
    tests/fresh.sh "$build"
}

# strict_build COMPILER
strict_build() {
    make -j"$(nproc)" CC="$1" DEV=1 BUILD="$build-$1" all unit
}

# The README's command comes first, then what it leaves out, of the same build.
step "make check" "$build" make check BUILD="$build" WIDTH=few
step "interpreters for the tests" /nonexistent tests/pythons.sh build-pythons
step "the rest of the tests" "$build/rest" make test BUILD="$build" WIDTH=rest
step "gcc, warnings are errors" /nonexistent strict_build gcc
step "clang, warnings are errors" /nonexistent strict_build clang
step "all tests with SAN=address,undefined" "$build-san" make check BUILD="$build-san" SAN=address,undefined WIDTH=all
step "make check-fresh" "$build/fresh" fresh

echo
printf '%s\n' "${summary[@]}"
[ ${#unsteady[@]} = 0 ] || printf 'unsteady: %s\n' "${unsteady[@]}"
echo "${#unsteady[@]} unsteady"
echo "$passed passed, $failed failed, $skipped skipped" | tee "$build/sum.txt"
[ "$failed" = 0 ]
