#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Records the Gray-Scott example twice, as a flame graph and for speedscope: `tests/demo.sh BUILD`.
# `make demo` calls it once everything is there and built.
set -eu

build=${1:-build}
size=256
steps=3000

# The interpreter behind `python3`, not a version manager's script of that name; the distribution's, when only that
# one has NumPy.
interpreter_with_numpy() {
    for name in python3 /usr/bin/python3; do
        if "$name" -c 'import numpy, sys; print(sys.executable)' 2>/dev/null; then
            return
        fi
    done
    echo "demo: no python3 here has NumPy; on Debian or Ubuntu: sudo apt-get install -y python3-numpy" >&2
    exit 1
}

python=$(interpreter_with_numpy)
mkdir -p "$build/demo"
flame_graph=$build/demo/gray_scott.svg
speedscope=$build/demo/gray_scott.speedscope.json
rm -f "$flame_graph" "$speedscope"

record() {
    echo
    echo "\$ $build/pspy record $*"
    "$build/pspy" record "$@"
}

record -n -o "$flame_graph" -- "$python" sample_targets/gray_scott.py --size "$size" --steps "$steps"
record -n -f speedscope -o "$speedscope" -- "$python" sample_targets/gray_scott.py --size "$size" --steps "$steps"

for file in "$flame_graph" "$speedscope"; do
    if [ ! -s "$file" ]; then
        echo "demo: pspy ended well but left no $file" >&2
        exit 1
    fi
done

folder=$(cd "$build/demo" && pwd)
cat <<END

The demo's two recordings of sample_targets/gray_scott.py (Python, and the C code of NumPy below it):
  $folder/gray_scott.svg
      a flame graph: open it in any browser; click a frame to zoom, Ctrl-F to search
  $folder/gray_scott.speedscope.json
      drop it on the page of speedscope (https://www.speedscope.app), which reads it locally; Left Heavy sums it up
END
