#!/usr/bin/env sh
# SPDX-License-Identifier: MIT
# exec_chain.sh PYTHON [ARGUMENT...]: one process that is env, sh, env, sh and at last Python, as under pyenv's shims.
set -eu
if [ $# -eq 0 ]; then
    echo "usage: exec_chain.sh PYTHON [ARGUMENT...]" >&2
    exit 2
fi
exec "$(dirname "$0")/exec_chain_inner.sh" "$@"
