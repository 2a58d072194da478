# SPDX-License-Identifier: MIT
"""The house rules of the sources, checked as text: layers, licence lines, banned functions, host names, layout.

Each check is a function from texts to a list of complaints, so that a test can show that it is able to complain.
"""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

REPO = pathlib.Path(__file__).resolve().parent.parent

# Which rooms each room may include besides itself: the picture in src/README.md.
FILES = {"base", "cfi", "machine", "elf"}
LOWER = {
    "base": set(),
    "cfi": {"base"},
    "machine": {"base", "cfi"},
    "elf": {"base", "cfi", "machine"},
    "target": FILES,
    "unwind": FILES | {"target"},
    "python": FILES | {"target"},
    "profile": {"base", "elf"},
    "sampler": FILES | {"target", "unwind", "python", "profile"},
    "naming": FILES | {"target", "unwind", "python", "profile"},
    "output": {"base", "elf", "profile"},
    "cli": FILES | {"target", "unwind", "python", "profile", "sampler", "naming", "output"},
}
# Only a live process has what these tell. Neither these rooms may know them, nor what they include of target/.
LIVE = {f"pspy/target/{name}.h" for name in ("access", "launch", "live", "procfs", "ptrace")}
ANY_TARGET = ("unwind", "python", "machine")
BANNED = ("strcpy", "strcat", "sprintf", "vsprintf", "strtok", "atoi", "atol", "alloca", "gets")
VERSION_ROOMS = ("include/pspy/python/layout.h", "src/python/layout.c", "src/python/debugoffsets.c", "src/python/detect.c")
SPDX = "SPDX-License-Identifier: MIT"
SPDX_SUFFIXES = {".c", ".h", ".S", ".py", ".sh", ".js", ".mjs", ".css", ".html", ".pyx"}
SPDX_NAMES = {"Makefile", "run"}
# Hosts of package registries, taken apart so that this file does not name them itself.
REGISTRIES = [".".join(parts) for parts in (
    ("deb", "debian", "org"), ("security", "debian", "org"), ("ftp", "debian", "org"), ("archive", "ubuntu", "com"),
    ("registry", "npmjs", "org"), ("registry", "yarnpkg", "com"), ("pypi", "org"), ("files", "python" "hosted", "org"),
    ("pkg", "dev"), ("jfrog", "io"), ("deb", "nodesource", "com"), ("proxy", "golang", "org"))]
INCLUDE = re.compile(r'^[ \t]*#[ \t]*include[ \t]*([<"])([^>"]+)[>"]', re.MULTILINE)
NOT_CODE = re.compile(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'', re.DOTALL)


# ---- the files -----------------------------------------------------------------------------------------------------

def tracked_files():
    """What git tracks, and new files not ignored; in an unpacked archive: everything but builds."""
    listed = subprocess.run(["git", "-C", REPO, "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
                            capture_output=True, text=True, check=False) if shutil.which("git") else None
    if listed and listed.returncode == 0:
        paths = [REPO / name for name in listed.stdout.split("\0") if name]
    else:
        paths = [pathlib.Path(folder) / name for folder, folders, names in os.walk(REPO)
                 for name in names if not is_output(pathlib.Path(folder).relative_to(REPO))]
    return sorted(path for path in set(paths) if path.is_file())


def is_output(folder):
    return any(part.startswith("build") or part in (".git", "__pycache__", "node_modules") for part in folder.parts)


def read_text(path):
    """None when it is not text."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None


def texts(paths):
    return {str(path.relative_to(REPO)): text for path in paths for text in [read_text(path)] if text is not None}


def sources(*folders):
    """The C sources and headers below these folders."""
    return texts(path for folder in folders for path in sorted((REPO / folder).rglob("*"))
                 if path.suffix in (".c", ".h", ".S"))


# ---- the checks ----------------------------------------------------------------------------------------------------

def layer_of(path):
    """src/LAYER/x.c, include/pspy/LAYER/x.h; None outside the layers."""
    parts = pathlib.PurePath(path).parts
    if parts[0] == "src" and len(parts) > 2:
        return parts[1]
    if parts[:2] == ("include", "pspy") and len(parts) > 3:
        return parts[2]
    return None


def layer_complaints(files):
    complaints = []
    for path, text in files.items():
        layer = layer_of(path)
        if layer not in LOWER:
            complaints.append(f"{path}: not in the folder of a layer ({', '.join(LOWER)})")
            continue
        for match in INCLUDE.finditer(text):
            line = text.count("\n", 0, match.start()) + 1
            complaints += [f"{path}:{line}: {why}" for why in [include_complaint(path, layer, *match.groups())] if why]
    return complaints


def include_complaint(path, layer, quote, name):
    """What is wrong with one #include; None when nothing is."""
    parts = pathlib.PurePath(name).parts
    if parts[0] == "pspy":
        if quote == "<":
            return f'write #include "{name}" with quotes'
        if len(parts) != 3 or parts[1] not in LOWER:
            return f"{name} is not pspy/LAYER/module.h"
        if parts[1] != layer and parts[1] not in LOWER[layer]:
            return f"layer {layer} must not include layer {parts[1]} ({name})"
        return None
    if quote == '"':
        # A private header, beside the source or below it: never by another layer's folder.
        if ".." in parts or parts[0] in LOWER or name.startswith("/"):
            return f"{name} reaches into another folder"
        if path.startswith("include/"):
            return f"{name} is private, and {path} is a public header"
    return None


def live_complaints(files):
    return [f"{path}:{text.count(chr(10), 0, match.start()) + 1}: {match[2]} is of live processes only"
            for path, text in files.items() for match in INCLUDE.finditer(text)
            if match[2] in LIVE and (layer_of(path) in ANY_TARGET or
                                     (path.startswith("include/pspy/target/") and path.removeprefix("include/") not in LIVE))]


def proc_complaints(files):
    """Those rooms ask the target; none of its files by itself."""
    return [f"{path}:{text.count(chr(10), 0, match.start()) + 1}: opens a file of /proc" for path, text in files.items()
            if layer_of(path) in ANY_TARGET for match in re.finditer(r'"/proc/', text)]


def banned_complaints(files):
    pattern = re.compile(r"(?<![\w.>])(" + "|".join(BANNED) + r")\s*\(")
    complaints = []
    for path, text in files.items():
        code = NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)
        complaints += [f"{path}:{code.count(chr(10), 0, match.start()) + 1}: {match.group(1)} is banned"
                       for match in pattern.finditer(code)]
    return complaints


def version_complaints(files):
    """Code asks a layout for its shapes. Only where layouts are made may it ask which CPython it is."""
    compares = r"(?:[<>=!]=|(?<![-<>])[<>](?![<>]))"
    version = r"\b(?:full_version|layout\s*(?:\.|->)\s*version)\b"
    pattern = re.compile(rf"\bPYTHON_VERSION\s*\(|{version}[^;{{]*?{compares}|{compares}[^;{{]*?{version}")
    complaints = []
    for path, text in files.items():
        if path in VERSION_ROOMS:
            continue
        code = NOT_CODE.sub(lambda match: re.sub(r"[^\n]", " ", match.group()), text)
        complaints += [f"{path}:{code.count(chr(10), 0, match.start()) + 1}: decides by CPython's version"
                       for match in pattern.finditer(code)]
    return complaints


def spdx_complaints(files):
    return [f"{path}: no '{SPDX}' in its first five lines" for path, text in files.items()
            if needs_spdx(path) and SPDX not in "\n".join(text.splitlines()[:5])]


def needs_spdx(path):
    path = pathlib.PurePath(path)
    return "golden" not in path.parts and (path.suffix in SPDX_SUFFIXES or path.name in SPDX_NAMES)


def host_complaints(files, hosts):
    found = re.compile("|".join(re.escape(host) for host in hosts), re.IGNORECASE)
    return [f"{path}:{text.count(chr(10), 0, match.start()) + 1}: names the host {match.group()}"
            for path, text in files.items() for match in found.finditer(text)]


def hosts_of_this_machine():
    """The registries this machine really uses: what could slip into a file here."""
    questions = (["apt-get", "indextargets", "--format", "$(SITE)"], ["npm", "config", "get", "registry"],
                 ["python3", "-m", "pip", "config", "get", "global.index-url"])
    hosts = set()
    for question in questions:
        if shutil.which(question[0]):
            answer = subprocess.run(question, capture_output=True, text=True, cwd="/", check=False).stdout
            hosts.update(re.findall(r"//(?:[^/@\s]*@)?([^/:\s]+)", answer))
    return sorted(host for host in hosts if "." in host)


# ---- the tests -----------------------------------------------------------------------------------------------------

def none(complaints):
    assert not complaints, "\n" + "\n".join(complaints)


def test_layers():
    none(layer_complaints(sources("src", "include")))


@pytest.mark.parametrize("path, line", [
    ("src/base/x.c", '#include "pspy/elf/image.h"'),
    ("src/cfi/x.c", '#include "pspy/machine/prologue.h"'),
    ("src/machine/x.c", '#include "pspy/elf/image.h"'),
    ("src/naming/x.c", '#include "pspy/sampler/sampler.h"'),
    ("src/python/x.c", '#include "pspy/unwind/walk.h"'),
    ("src/profile/x.c", '#include "pspy/target/target.h"'),
    ("src/output/x.c", '#include "pspy/target/target.h"'),
    ("include/pspy/sampler/x.h", '# include "pspy/cli/options.h"'),
    ("src/elf/x.c", '#include "../base/secret.h"'),
    ("src/elf/x.c", '#include <pspy/base/error.h>'),
    ("src/elf/x.c", '#include "pspy.h"\n#include "pspy/everything.h"'),
    ("src/x.c", ""),
    ("src/misc/x.c", ""),
])
def test_layers_can_fail(path, line):
    assert len(layer_complaints({path: "int x;\n" + line + "\n"})) == 1


def test_stored_targets_are_targets():
    none(live_complaints(sources("src", "include")) + proc_complaints(sources("src", "include")))


@pytest.mark.parametrize("path, line", [
    ("src/unwind/x.c", '#include "pspy/target/live.h"'),
    ("src/python/x.h", '#include "pspy/target/ptrace.h"'),
    ("include/pspy/python/x.h", '#include "pspy/target/procfs.h"'),
    ("include/pspy/target/snapshot.h", '#include "pspy/target/live.h"'),
    ("src/python/x.c", 'open("/proc/self/maps");'),
])
def test_stored_targets_are_targets_can_fail(path, line):
    files = {path: "int x;\n" + line + "\n"}
    assert len(live_complaints(files) + proc_complaints(files)) == 1


def test_live_targets_may_know_each_other():
    none(live_complaints({"include/pspy/target/ptrace.h": '#include "pspy/target/live.h"\n',
                          "src/target/x.c": '#include "pspy/target/procfs.h"\n',
                          "src/sampler/x.c": '#include "pspy/target/live.h"\n'}))


def test_layers_have_no_circle():
    rooms = list(LOWER)
    none([f"{room} before {lower}" for room in rooms for lower in LOWER[room] if rooms.index(lower) >= rooms.index(room)])


def test_layers_allow_what_they_should():
    none(layer_complaints({
        "src/elf/x.c": '#include "pspy/cfi/cfi.h"\n#include "pspy/machine/codeframes.h"\n',
        "src/cli/x.c": '#include "pspy/output/registry.h"\n#include "pspy/cli/options.h"\n#include <stdio.h>\n',
        "src/sampler/x.c": '#include "pspy/python/walk.h"\n#include "private.h"\n',
        "include/pspy/output/x.h": '#include "pspy/profile/profile.h"\n'}))


def test_only_cli_and_tests_include_cli():
    others = texts(path for path in tracked_files() if path.suffix in (".c", ".h", ".S"))
    none([path for path, text in others.items() if layer_of(path) != "cli" and not path.startswith("tests/")
          and any(name.startswith("pspy/cli/") for _, name in INCLUDE.findall(text))])


def test_no_banned_function():
    none(banned_complaints(sources("src", "include")))


def test_banned_functions_can_fail():
    assert len(banned_complaints({"src/base/x.c": "".join(f"{name} (a);\n" for name in BANNED)})) == len(BANNED)
    none(banned_complaints({"src/base/x.c": '/* strcpy(a) */ puts("gets(b)"); snprintf(c); table.gets(d); // atoi(e)\n'}))


def test_only_layouts_know_versions():
    none(version_complaints(sources("src", "include")))


@pytest.mark.parametrize("line", [
    "if (version >= PYTHON_VERSION(3, 11))", "if (python->full_version < 0x030b0000)",
    "return layout->version >> 8 == 3;", "return 0x30b != python->layout.version;"])
def test_only_layouts_know_versions_can_fail(line):
    assert len(version_complaints({"src/python/walk.c": line})) == 1


def test_versions_may_be_shown():
    none(version_complaints({
        "src/python/layout.c": "if (version >= PYTHON_VERSION(3, 11))",
        "src/sampler/process.c": 'uint32_t version = python.full_version;\nprintf("%u", layout->version >> 8 & 0xff);\n'
                                 "if (layout->code_version && a->b > c) /* layout.version < 3 */;\n"}))


def test_licence_lines():
    none(spdx_complaints(texts(tracked_files())))


def test_licence_lines_can_fail():
    assert len(spdx_complaints({"src/base/x.c": "int x;\n", "tests/a.py": "\n" * 6 + SPDX, "Makefile": ""})) == 3
    none(spdx_complaints({"src/base/x.c": f"/* {SPDX} */\n", "tests/golden/a.html": "", "README.md": ""}))


def test_no_registry_hosts():
    none(host_complaints(texts(tracked_files()), REGISTRIES + hosts_of_this_machine()))


def test_registry_hosts_can_fail():
    assert len(host_complaints({"README.md": "\n".join(f"https://x.{host}/y" for host in REGISTRIES)}, REGISTRIES)) \
        == len(REGISTRIES)


def clang_format_complaints(paths):
    done = subprocess.run(["clang-format", "--dry-run", "-Werror", "--style", f"file:{REPO}/.clang-format", *paths],
                          capture_output=True, text=True, cwd=REPO, check=False)
    complaints = [line for line in done.stderr.splitlines() if re.match(r"\S+:\d+:\d+: ", line)]
    return complaints or ([done.stderr] if done.returncode else [])


needs_clang_format = pytest.mark.skipif(not shutil.which("clang-format"),
                                        reason="clang-format is not installed: make check installs it")


@needs_clang_format
def test_layout():
    paths = [str(path) for path in tracked_files() if path.suffix in (".c", ".h")
             and path.relative_to(REPO).parts[0] in ("src", "include", "tests", "bench")]
    complaints = clang_format_complaints(paths) if paths else []
    assert not complaints, "run `make format`:\n" + "\n".join(complaints[:40])


@needs_clang_format
def test_layout_can_fail(tmp_path):
    ugly = tmp_path / "ugly.c"
    ugly.write_text("int  main( ){return 0 ;}\n")
    assert clang_format_complaints([str(ugly)])
