#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Installs what is absent, and nothing else: `tests/install-deps.sh build|demo|test|fresh|pythons ...`.
#
# Each need is a row: a probe and the Debian package that serves it. A probe looks for the thing itself (a command, a
# header, a Python module), not for the package, so that a machine that has it from elsewhere is left alone and a
# complete machine needs neither root nor apt.
#
#   --list   only print the packages that are absent
set -eu

cc=${CC:-gcc}
cc=${cc%% *}

rows() {
    case $1 in
    build) cat <<END
command make                     make
command $cc                      $(package_of_compiler)
header  stdio.h                  libc6-dev
header  libunwind.h              libunwind-dev
header  libelf.h                 libelf-dev
header  elfutils/libdw.h         libdw-dev
header  lzma.h                   liblzma-dev
header  zlib.h                   zlib1g-dev
header  cjson/cJSON.h            libcjson-dev
header  libiberty/demangle.h     libiberty-dev
END
        ;;
    demo) cat <<END
command python3                  python3
numpy   -                        python3-numpy
END
        ;;
    test) cat <<END
command python3                  python3
module  ensurepip                python3-venv
embed   Python.h                 python3-dev
command gcc                      gcc
command g++                      g++
command clang                    clang
command clang-format             clang-format
command gdb                      gdb
command ld.lld                   lld
command node                     nodejs
command npm                      npm
command chromium                 chromium
command xmllint                  libxml2-utils
command xz                       xz-utils
header  sqlite3.h                libsqlite3-dev
command mandoc                   mandoc
command eu-readelf               elfutils
command dwz                      dwz
command llvm-symbolizer          llvm
command gfortran                 gfortran
command rustc                    rustc
command strace                   strace
command git                      git
command ps                       procps
command zsh                      zsh
command fish                     fish
debug   libc.so.6                libc6-dbg
command mpirun                   openmpi-bin
system  mpi4py                   python3-mpi4py
system  numpy                    python3-numpy
command aarch64-linux-gnu-gcc    gcc-aarch64-linux-gnu
cross   aarch64-linux-gnu        libc6-dev-arm64-cross
command qemu-aarch64             qemu-user
command gdb-multiarch            gdb-multiarch
END
        ;;
    fresh) cat <<END
command debootstrap              debootstrap
command unshare                  util-linux
command git                      git
END
        ;;
    pythons) cat <<END
command $cc                      $(package_of_compiler)
command make                     make
command xz                       xz-utils
command debootstrap              debootstrap
command unshare                  util-linux
header  ffi.h                    libffi-dev
header  zlib.h                   zlib1g-dev
END
        ;;
    *)
        echo "install-deps: unknown group '$1'; there are build, demo, test, fresh and pythons" >&2
        exit 2
        ;;
    esac
}

package_of_compiler() {
    case $cc in
    cc) echo gcc ;;
    */*) echo "${cc##*/}" ;;
    *) echo "$cc" ;;
    esac
}

# Succeeds when the thing is there.
probe() {
    case $1 in
    command) command -v "$2" >/dev/null 2>&1 ;;
    header) echo "#include <$2>" | "$cc" -E -x c - >/dev/null 2>&1 ;;
    module) python3 -c "import $2" >/dev/null 2>&1 ;;
    # A module of the distribution's python3.
    system) /usr/bin/python3 -c "import $2" >/dev/null 2>&1 ;;
    # Any of the interpreters the demo would take.
    numpy) python3 -c 'import numpy' >/dev/null 2>&1 || /usr/bin/python3 -c 'import numpy' >/dev/null 2>&1 ;;
    # The distribution's python3 and its headers: the targets' extension modules are built for it.
    embed)
        /usr/bin/python3 -c 'import os, sysconfig
raise SystemExit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))' >/dev/null 2>&1
        ;;
    # A C library for another machine.
    cross) [ -e "/usr/$2/lib/libc.a" ] ;;
    # Debug information of the C library, which Debian keeps under /usr/lib/debug by build-id.
    debug) dpkg -s libc6-dbg >/dev/null 2>&1 || ! command -v dpkg >/dev/null 2>&1 ;;
    esac
}

list_only=
if [ "${1-}" = --list ]; then
    list_only=yes
    shift
fi

missing=
for group; do
    while read -r kind name package; do
        if [ -n "$kind" ] && ! probe "$kind" "$name"; then
            case " $missing " in
            *" $package "*) ;;
            *) missing="$missing $package" ;;
            esac
        fi
    done <<END
$(rows "$group")
END
done
missing=${missing# }

if [ -n "$list_only" ]; then
    [ -z "$missing" ] || printf '%s\n' "$missing"
    exit 0
fi
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null 2>&1; then
    echo "pspy: this machine lacks what these Debian packages provide, and has no apt-get to install them:" >&2
    echo "    $missing" >&2
    exit 1
fi
if [ "$(id -u)" = 0 ]; then
    as_root=
elif command -v sudo >/dev/null 2>&1; then
    as_root=sudo
else
    echo "pspy: packages are missing, and installing them needs root or sudo. As root, run:" >&2
    echo "    apt-get install -y $missing" >&2
    exit 1
fi

echo "pspy: installing with apt-get: $missing"
# shellcheck disable=SC2086 # the words of $missing and of $as_root are meant to be split
apt_install() {
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y -q -o Dpkg::Use-Pty=0 \
        --no-install-recommends $missing
}
# The package lists may be absent (a new container) or too old (a mirror that moved on): update them and try again.
# shellcheck disable=SC2086
if ! $as_root apt-get install -s -q --no-install-recommends $missing >/dev/null 2>&1 || ! apt_install; then
    $as_root apt-get update -q
    apt_install
fi
