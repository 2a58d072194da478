#!/usr/bin/env sh
# SPDX-License-Identifier: MIT
# The second script of exec_chain.sh.
set -eu
exec "$@"
