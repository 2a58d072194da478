#!/bin/sh
# SPDX-License-Identifier: MIT
# install.sh DIR: the browser tests' npm packages, as package-lock.json names them, into DIR/node_modules.
# Does nothing when they are there already. No package's own install script is run.
set -eu

[ $# -eq 1 ] || { echo "usage: install.sh DIR" >&2; exit 2; }
here=$(cd "$(dirname "$0")" && pwd)
dir=$1

if ! command -v npm >/dev/null; then
    echo "install.sh: npm is missing: the browser tests will be skipped; install nodejs and npm to run them" >&2
    exit 0
fi
mkdir -p "$dir"
if cmp -s "$here/package-lock.json" "$dir/installed-lock.json"; then
    exit 0
fi
cp "$here/package.json" "$here/package-lock.json" "$here/.npmrc" "$dir/"
(cd "$dir" && npm ci --ignore-scripts --no-progress)
cp "$here/package-lock.json" "$dir/installed-lock.json"
