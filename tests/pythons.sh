#!/bin/sh
# SPDX-License-Identifier: MIT
#
# Makes the interpreters that this machine lacks, for the tests: `tests/pythons.sh OUT`.
#
#   sid                   Debian sid in a folder of its own with its python3.14, python3.15 and python3.15d (debug). They
#                         run in a root and a mount namespace of their own (root only), with the process id they
#                         were started under
#   3.13t                 free-threaded, built from Debian 13's source package
#   3.11d                 Debian 12's debug build, unpacked from its packages
#
# OUT/bin has one command for each: python3.14, python3.13t, ... OUT/missing has a line for each that is not to be had
# here, and why; that is no failure. What is there is kept until the number below rises or OUT is removed.
#
# Everything comes from the mirror that this machine's apt uses (or PSPY_MIRROR) and is verified by Debian's keys.
# PSPY_PYTHONS="3.13t sid" makes only these; "none" makes none.
set -eu

revision=1
all='sid 3.13t 3.11d'
keyring=/usr/share/keyrings/debian-archive-keyring.gpg
# What no test needs, or what needs headers that few machines have.
left_out='_bz2 _codecs_cn _codecs_hk _codecs_iso2022 _codecs_jp _codecs_kr _codecs_tw _curses _curses_panel _dbm
_decimal _elementtree _gdbm _hashlib _lsprof _lzma _multibytecodec _sqlite3 _ssl _statistics _tkinter _uuid _zoneinfo
_zstd cmath pyexpat readline syslog xxlimited xxlimited_35 xxsubtype'

say() {
    echo "pythons: $*"
}

# Ends the recipe with a reason, which becomes its line in OUT/missing.
cannot() {
    echo "$*" >"$out/logs/$name.why"
    exit 1
}

# ---- Debian's archive -------------------------------------------------------------------------------------------

# The site of the Debian archive in this machine's apt sources.
find_mirror() {
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --format '$(SITE) $(COMPONENT) $(LABEL)' 'Created-By: Packages' 2>/dev/null |
        awk '$2 == "main" && $3 == "Debian" { print $1; exit }'
}

need_mirror() {
    command -v apt-get >/dev/null || cannot "no apt-get here"
    mirror=${PSPY_MIRROR:-$(find_mirror)}
    [ -n "$mirror" ] || cannot "this machine's apt has no mirror of Debian; name one: PSPY_MIRROR=http://..."
    [ -f "$keyring" ] || cannot "no $keyring (package debian-archive-keyring)"
}

# apt-get with package lists of its own in the recipe's folder, asking the suites named by need_lists.
own_apt() {
    # shellcheck disable=SC2016
    apt-get -q -o Dir::Etc::SourceList="$work/sources.list" -o Dir::Etc::SourceParts=/dev/null \
        -o Dir::State::Lists="$work/lists" -o Dir::Cache="$work/cache" -o APT::Sandbox::User= "$@"
}

# need_lists deb|deb-src SUITE
need_lists() {
    need_mirror
    mkdir -p "$work/lists/partial" "$work/cache/archives/partial"
    echo "$1 [signed-by=$keyring] $mirror $2 main" >"$work/sources.list"
    own_apt update -o Acquire::Languages=none || cannot "the package lists of Debian $2 cannot be had from $mirror"
}

# ---- the recipes: each runs in a process of its own, in the folder $work, and fills the folder $new -------------

# In /usr/bin of the new root: the interpreters of these versions, and a debug build of the last.
make_sid() {
    [ "$(id -u)" = 0 ] || cannot "only root may make and enter another root"
    command -v debootstrap >/dev/null || cannot "no debootstrap here"
    unshare --mount --propagation private true || cannot "the kernel refuses mount namespaces"
    need_mirror
    unshare --mount --propagation private debootstrap --force-check-gpg --keyring="$keyring" --variant=minbase \
        sid "$new" "$mirror" || cannot "debootstrap of Debian sid from $mirror failed"
    apt-config dump | grep -i '^Acquire::\(http\|https\|Retries\|Check\|ForceIPv\)' |
        grep -vi 'password\|token\|secret' >"$new/etc/apt/apt.conf.d/99host" || true
    cp -L /etc/resolv.conf /etc/hosts "$new/etc/"
    unshare --mount --propagation private "$here/pythons.sh" --inside "$new" || cannot "Debian sid's interpreters cannot be installed"
    rm -rf "$new/var/lib/apt/lists" "$new/var/cache/apt" "$new/usr/share/doc" "$new/usr/share/locale" "$new/debs"
    for python in 3.14 3.15 3.15d; do
        [ ! -x "$new/usr/bin/python$python" ] || write_wrapper "python$python"
    done
}

# Runs in a mount namespace; $1 is the new root. Headers and the debug build come without what they depend on.
fill_sid() {
    mount -t proc proc "$1/proc"
    mount --rbind /dev "$1/dev"
    mkdir "$1/debs"
    chroot "$1" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin LANG=C.UTF-8 DEBIAN_FRONTEND=noninteractive sh -ec '
        apt-get update -q
        for version in 3.14 3.15; do
            apt-get install -y -q --no-install-recommends python$version || continue
            cd /debs && apt-get download libpython$version-dev
        done
        apt-get download python3.15-dbg libpython3.15-dbg || true'
    for package in "$1"/debs/*.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -C "$1" --keep-directory-symlink --exclude='./usr/share' --exclude='./usr/lib/debug' -xf -
    done
    test -x "$1/usr/bin/python3.14" || test -x "$1/usr/bin/python3.15"
}

# A command that becomes the interpreter in the other root. The namespace is this process's own and ends with it; the
# machine's /tmp, the repository, the build folder and the current one are in it under their usual names.
write_wrapper() {
    mkdir -p "$new/commands"
    cat >"$new/commands/$1" <<END
#!/bin/sh
# /usr/bin/$1 of Debian sid, in its own root and mount namespace, in this very process.
exec unshare --mount --propagation private sh -ec '
    root=\$1 python=\$2
    shift 2
    for folder in /proc /sys /dev; do mount --rbind \$folder "\$root\$folder"; done
    for folder in /tmp "\${TMPDIR-}" "\${REPO-}" "\${BUILD-}" "\$PWD"; do
        case \$folder in ""|/|/tmp/*) continue ;; esac
        mkdir -p "\$root\$folder"
        mount --bind "\$folder" "\$root\$folder"
    done
    exec chroot "\$root" env -C "\$PWD" "\$python" "\$@"
' sh "\$(dirname "\$(dirname "\$(readlink -f "\$0")")")" /usr/bin/$1 "\$@"
END
    chmod 755 "$new/commands/$1"
}

# make_free_threaded VERSION SUITE
make_free_threaded() {
    command -v cc >/dev/null && command -v make >/dev/null || cannot "no C compiler or make here"
    need_lists deb-src "$2"
    own_apt source --download-only "python$1/$2" || cannot "Debian $2 has no source package python$1"
    mkdir source build build/Modules
    tar -C source --strip-components=1 -xf python"$1"_*.orig.tar.xz
    { echo '*disabled*'; echo "$left_out"; } >build/Modules/Setup.local
    cd build
    ../source/configure --quiet --prefix=/python --disable-gil --without-ensurepip --disable-test-modules OPT='-O2 -g0' ||
        cannot "configure of python$1 failed"
    make -j2 || cannot "the build of python$1 failed"
    make DESTDIR="$work/root" altbininstall inclinstall sharedinstall || cannot "the installation of python$1 failed"
    mv "$work/root/python" "$new"
    cp -r ../source/Lib/. "$(cat pybuilddir.txt)"/_sysconfigdata* "$new/lib/python$1t/"
    rm -rf "$new/lib/libpython$1t.a" "$new/lib/python$1t/test" "$new/lib/python$1t/idlelib" "$new/bin/python$1"
    mkdir "$new/commands"
    ln -s "../bin/python$1t" "$new/commands/python$1t"
    "$new/commands/python$1t" -c 'import ctypes, sys, sysconfig; sysconfig.get_paths(); assert not sys._is_gil_enabled()' ||
        cannot "the python$1t that was built does not run (libffi-dev missing?)"
}

make_3_11d() {
    need_lists deb bookworm
    own_apt download python3.11-dbg libpython3.11-dbg libpython3.11-stdlib libpython3.11-minimal libpython3.11-dev ||
        cannot "Debian bookworm's python3.11-dbg cannot be downloaded"
    mkdir "$new" "$new/commands"
    for package in *.deb; do
        dpkg-deb --fsys-tarfile "$package" | tar -C "$new" --exclude='./usr/share' --exclude='./usr/lib/debug' -xf -
    done
    ln -s ../usr/bin/python3.11d "$new/commands/python3.11d"
    "$new/commands/python3.11d" -c 'import sys; sys.gettotalrefcount()' || cannot "python3.11d does not run here"
}

recipe() {
    case $name in
    sid) make_sid ;;
    3.13t) make_free_threaded 3.13 trixie ;;
    3.11d) make_3_11d ;;
    *) cannot "no recipe of this name; there are: $all" ;;
    esac
}

# ---- one after the other ----------------------------------------------------------------------------------------

# A half-made folder never gets its final name.
make_one() {
    name=$1
    [ "$(cat "$out/$name/made" 2>/dev/null)" != "$revision" ] || return 0
    started=$(date +%s)
    say "making $name"
    work=$out/work.$name new=$out/$name.new
    rm -rf --one-file-system "$work" "$new" "$out/logs/$name.why"
    mkdir -p "$work"
    # A process of its own: set -e does not hold within a condition.
    if "$here/pythons.sh" --recipe "$name" "$out" >"$out/logs/$name.log" 2>&1 </dev/null; then
        echo "$revision" >"$new/made"
        rm -rf --one-file-system "${out:?}/$name"
        mv "$new" "$out/$name"
        for command in "$out/$name"/commands/*; do
            ln -sfn "../$name/commands/${command##*/}" "$out/bin/${command##*/}"
        done
        say "$name took $(($(date +%s) - started)) s"
    else
        why=$(cat "$out/logs/$name.why" 2>/dev/null || echo "failed; see $out/logs/$name.log")
        echo "$name: $why" >>"$out/missing"
        say "$name is not to be had here: $why"
    fi
    rm -rf --one-file-system "$work" "$new"
}

here=$(cd "$(dirname "$0")" && pwd)
umask 022
case ${1-} in
--inside)
    fill_sid "$2"
    exit
    ;;
--recipe)
    name=$2 out=$3 work=$3/work.$2 new=$3/$2.new
    cd "$work"
    recipe
    exit
    ;;
esac
if [ $# != 1 ]; then
    echo "usage: tests/pythons.sh OUT" >&2
    exit 2
fi
mkdir -p "$1/bin" "$1/logs"
out=$(cd "$1" && pwd)

wanted=${PSPY_PYTHONS:-$all}
exec 9>"$out/lock"
flock 9
: >"$out/missing"
if [ "$wanted" = none ]; then
    echo "$all: left out by PSPY_PYTHONS=none" >"$out/missing"
    say "none is made: PSPY_PYTHONS=none"
    exit 0
fi
"$here/install-deps.sh" pythons || say "not all could be installed that making interpreters needs"
for one in $wanted; do
    make_one "$one"
done
