#!/bin/sh
# SPDX-License-Identifier: MIT
#
# `make check-fresh`: does a bare Debian get by with the README's two commands? tests/fresh.sh [BUILD]
#
# Debootstraps Debian 12 (variant minbase: not even make) into a temporary folder, puts a clone of HEAD in, and runs
# there, as root, first the README's demo line, then its test line. BUILD/fresh/ gets the logs and junit*.xml.
#
# What comes from this machine: the mirror (from its apt sources, or PSPY_MIRROR), apt's settings for reaching it
# (proxies and the like), CA certificates, proxy variables, and the settings of pip and npm but for lines with secrets.
#
# All mounts live in a mount namespace of their own and all processes in a process namespace: however this ends, the
# kernel ends and unmounts both before the folder is removed.
#
# Exit status: 0 well, 77 cannot run here (the reason is said), otherwise failed.
set -eu

suite=bookworm
build=${1:-build}
cache=${XDG_CACHE_HOME:-$HOME/.cache}/pspy
here=$(cd "$(dirname "$0")/.." && pwd)

cannot() {
    echo "check-fresh: cannot run here: $*" >&2
    exit 77
}

say() {
    echo "check-fresh: $*"
}

# ---- inside the namespaces: the mounts, then the commands -------------------------------------------------------
# $1 is the new root. Runs as process 1 of its namespace.
inside() {
    root=$1
    # A mount point of its own, without which the tests could make no mount namespaces in it.
    mount --bind "$root" "$root"
    mount -t proc proc "$root/proc"
    mount --rbind /sys "$root/sys"
    mount --rbind /dev "$root/dev"
    # A terminal's and a browser's needs; the host's own may be missing or small.
    mountpoint -q "$root/dev/shm" || mount -t tmpfs -o mode=1777 tmpfs "$root/dev/shm" 2>/dev/null || true
    mkdir -p "$cache/archives/partial"
    mount --bind "$cache/archives" "$root/var/cache/apt/archives"

    # A machine in use has package lists; these are for the sources set above.
    in_fresh 'apt-get update -q' update || return 1
    failed=0
    in_fresh "$(demo_line)" demo || failed=1
    check_demo "$root/root/pspy/build/demo" || failed=1
    in_fresh "$(check_line)" check || failed=1
    return "$failed"
}

# Runs one line of the README in the new root; its output goes to the terminal and to BUILD/fresh/$2.log.
in_fresh() {
    line=$1
    if ! chroot "$root" sh -c 'command -v sudo' >/dev/null 2>&1; then
        case $line in
        *sudo\ *)
            line=$(printf '%s\n' "$line" | sed 's/sudo //g')
            say "bare Debian has no sudo and this is root: the word is left out"
            ;;
        esac
    fi
    say "\$ $line"
    started=$(date +%s)
    log=$logs/$2.log
    : >"$log"
    # Not through a pipe: a left-behind process would hold it open for ever.
    chroot "$root" env -i HOME=/root USER=root LOGNAME=root LANG=C.UTF-8 TERM="${TERM:-dumb}" \
        PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin \
        DEBIAN_FRONTEND=noninteractive sh -c '. /root/host-environment; cd /root/pspy || exit 1; '"$line" \
        </dev/null >>"$log" 2>&1 &
    command=$!
    tail -n +1 -q -f -s 0.5 --pid="$command" "$log" &
    tail=$!
    status=0
    wait "$command" || status=$?
    wait "$tail" || true
    say "$2: status $status after $(($(date +%s) - started)) s"
    return "$status"
}

# The README's line that ends in this command, or what it is meant to be while there is no README.
readme_line() {
    if [ ! -f "$root/root/pspy/README.md" ]; then
        say "no README.md in HEAD: taking the line it is to have" >&2
        echo "$2"
        return
    fi
    found=$(sed -n 's/^[[:space:]]*\(\$ \)\{0,1\}\(.*'"$1"'\)[[:space:]]*\(#.*\)\{0,1\}$/\2/p' "$root/root/pspy/README.md" |
        grep -v '`' | head -n 1)
    if [ -z "$found" ]; then
        say "README.md has no line that ends in '$1'" >&2
        found='false'
    fi
    echo "$found"
}

demo_line() {
    readme_line 'make demo' 'sudo apt-get install -y make && make demo'
}

check_line() {
    readme_line 'make check' 'make check'
}

# The demo's two files exist and are what they say they are.
check_demo() {
    python=$root/usr/bin/python3
    if [ ! -x "$python" ]; then
        say "the demo left no python3 behind"
        return 1
    fi
    chroot "$root" /usr/bin/python3 - <<'END'
import json
import sys
import xml.etree.ElementTree as tree

folder = "/root/pspy/build/demo/"
problems = []
try:
    svg = tree.parse(folder + "gray_scott.svg").getroot()
    text = " ".join(svg.itertext())
    if not svg.tag.endswith("svg"):
        problems.append("gray_scott.svg is not SVG")
    if "laplacian" not in text:
        problems.append("gray_scott.svg does not show laplacian")
except (OSError, tree.ParseError) as error:
    problems.append(f"gray_scott.svg: {error}")
try:
    with open(folder + "gray_scott.speedscope.json", encoding="utf-8") as file:
        speedscope = json.load(file)
    if not speedscope["profiles"] or not any(profile.get("samples") for profile in speedscope["profiles"]):
        problems.append("gray_scott.speedscope.json has no samples")
    if not any("laplacian" in frame["name"] for frame in speedscope["shared"]["frames"]):
        problems.append("gray_scott.speedscope.json does not show laplacian")
except (OSError, ValueError, KeyError) as error:
    problems.append(f"gray_scott.speedscope.json: {error!r}")
for problem in problems:
    print("check-fresh:", problem)
print("check-fresh: the demo's files are", "not well" if problems else "there and valid")
sys.exit(bool(problems))
END
}

if [ "${1-}" = --inside ]; then
    logs=$3
    status=0
    inside "$2" || status=1
    exit "$status"
fi

# ---- may it run here? -------------------------------------------------------------------------------------------
[ "$(id -u)" = 0 ] || cannot "it makes a new root, which only root may do"
"$here/tests/install-deps.sh" fresh || cannot "debootstrap is missing"
unshare --mount --pid --fork --kill-child true 2>/dev/null ||
    cannot "the kernel refuses new namespaces (a container without CAP_SYS_ADMIN?)"
git -C "$here" rev-parse --verify --quiet HEAD >/dev/null || cannot "this is not a git work tree with a commit"

# SITE SUITE COMPONENT of each package index that this machine's apt uses.
host_indexes() {
    # shellcheck disable=SC2016 # apt's own variables
    apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' 2>/dev/null | sort -u
}

mirror=${PSPY_MIRROR:-$(host_indexes | awk -v suite="$suite" '$2 == suite && $3 == "main" { print $1; exit }')}
[ -n "$mirror" ] || cannot "this machine's apt has no mirror of Debian $suite; name one: PSPY_MIRROR=http://..."

# ---- the new root -----------------------------------------------------------------------------------------------
mkdir -p "$build/fresh" "$cache"
logs=$(cd "$build/fresh" && pwd)
rm -f "$logs"/*.log "$logs"/junit*.xml "$logs"/unsteady.txt
parent=$(mktemp -d "${TMPDIR:-/tmp}/pspy-fresh.XXXXXX")
root=$parent/root
# Twice: processes killed a moment ago may still write.
trap 'rm -rf --one-file-system "$parent" 2>/dev/null || { sleep 1; rm -rf --one-file-system "$parent"; }' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM HUP
umask 022

# Kept for a week: debootstrap takes minutes, unpacking seconds.
base=$cache/$suite-minbase-$(uname -m).tar
if [ -z "$(find "$base" -mtime -7 2>/dev/null)" ]; then
    say "debootstrap of $suite"
    started=$(date +%s)
    unshare --mount --propagation private debootstrap --variant=minbase "$suite" "$root" "$mirror" >"$logs/debootstrap.log" 2>&1 || {
        tail -n 20 "$logs/debootstrap.log" >&2
        say "debootstrap failed; all of its output: $logs/debootstrap.log" >&2
        exit 1
    }
    say "debootstrap took $(($(date +%s) - started)) s"
    rm -rf "$root"/var/cache/apt/archives/*.deb
    tar -C "$root" --numeric-owner --one-file-system -cf "$base.new" . && mv "$base.new" "$base"
else
    say "using the base made on $(date -r "$base" +%F): $base"
    mkdir "$root"
    tar -C "$root" --numeric-owner -xf "$base"
fi

# ---- what is taken along from this machine ----------------------------------------------------------------------
# Is this the line of a secret? Those stay here.
secrets='_auth\|token\|password\|secret'

take_apt() {
    { echo "deb $mirror $suite main"
      host_indexes | awk -v suite="$suite" '$3 == "main" && ($2 == suite "-updates" || $2 == suite "-security") {
          print "deb " $1 " " $2 " " $3 }'; } >"$root/etc/apt/sources.list"
    # Proxies, certificates, retries, date checks: how apt reaches its mirrors here.
    apt-config dump | grep -i '^Acquire::\(http\|https\|Retries\|Check\|ForceIPv\)' |
        grep -vi "$secrets" >"$root/etc/apt/apt.conf.d/99host" || true
}

take_certificates() {
    mkdir -p "$root/usr/local/share/ca-certificates" "$root/etc/ssl/certs"
    for file in /usr/local/share/ca-certificates/*.crt /etc/ssl/certs/ca-certificates.crt; do
        [ ! -f "$file" ] || cp -L "$file" "$root$file"
    done
}

# name=value lines of the environment, when they are about reaching registries; a value that is a path comes along
# only when that path is in the new root.
take_environment() {
    env | grep -i '^\([a-z]*_proxy\|PIP_[A-Z_]*\|npm_config_[a-z_]*\|NODE_EXTRA_CA_CERTS\|[A-Z_]*CA_BUNDLE\|SSL_CERT_[A-Z]*\)=' |
        grep -vi "^[^=]*\\($secrets\\)" | while IFS='=' read -r name value; do
            case $value in
            /*) [ -e "$root$value" ] || continue ;;
            esac
            printf "export %s='%s'\n" "$name" "$(printf '%s' "$value" | sed "s/'/'\\\\''/g")"
        done >"$root/root/host-environment"
}

take_settings() {
    for file in "$HOME/.config/pip/pip.conf" "$HOME/.pip/pip.conf" /etc/pip.conf; do
        [ ! -f "$file" ] || { grep -vi "$secrets" "$file" >"$root/etc/pip.conf" || true; }
    done
    if [ -f "$HOME/.npmrc" ]; then
        # nodedir and the like are paths of this machine.
        grep -vi "$secrets\|nodedir\|prefix\|cache" "$HOME/.npmrc" >"$root/root/.npmrc" || true
    fi
    cp -L /etc/resolv.conf "$root/etc/resolv.conf"
    cp -L /etc/hosts "$root/etc/hosts"
}

take_apt
take_certificates
take_environment
take_settings
say "cloning HEAD ($(git -C "$here" rev-parse --short HEAD)); what is not committed is not tested"
git clone --quiet --no-hardlinks "$here" "$root/root/pspy"
# Only files: a clone's origin would lead nowhere in there.
rm -rf "$root/root/pspy/.git"

status=0
# In the background, so that a signal is served at once. unshare ignores all but SIGKILL, and its end is the end of all
# processes inside.
unshare --mount --propagation private --pid --fork --kill-child "$here/tests/fresh.sh" --inside "$root" "$logs" &
namespace=$!
trap 'kill -KILL "$namespace" 2>/dev/null; wait "$namespace" || true; exit 130' INT
trap 'kill -KILL "$namespace" 2>/dev/null; wait "$namespace" || true; exit 143' TERM HUP
wait "$namespace" || status=$?
for file in "$root"/root/pspy/build/junit*.xml "$root"/root/pspy/build/unsteady.txt; do
    [ ! -f "$file" ] || cp "$file" "$logs/"
done
if [ "$status" = 0 ]; then
    say "both commands work in a bare Debian $suite"
else
    say "failed; the output: $logs" >&2
fi
exit "$status"
