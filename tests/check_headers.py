# SPDX-License-Identifier: MIT
"""Every public header compiles alone, and every source by both compilers, without a warning."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

REPO = pathlib.Path(__file__).resolve().parent.parent
BUILD = pathlib.Path(os.environ.get("BUILD") or REPO / "build")  # syscall_names.h is there
COMPILERS = ("gcc", "clang")
HEADERS = sorted(path.relative_to(REPO / "include") for path in (REPO / "include").rglob("*.h"))
LAYERS = sorted(path.name for path in (REPO / "src").iterdir() if list(path.glob("*.c")))


def flags():
    """The Makefile's warnings, taken from there so that both say the same."""
    makefile = (REPO / "Makefile").read_text(encoding="utf-8")
    warnings = re.search(r"^WARNINGS := (.*)$", makefile, re.MULTILINE).group(1).split()
    assert "-Wall" in warnings and "-Wextra" in warnings
    return ["-std=gnu17", "-D_GNU_SOURCE", f"-I{REPO}/include", f"-I{BUILD}", "-DPSPY_VERSION=\"0\"", "-O2", *warnings, "-Werror"]


def compile_text(compiler, text):
    """The compiler's complaints about a translation unit; "" when it has none."""
    done = subprocess.run([compiler, "-fsyntax-only", *flags(), "-x", "c", "-"], input=text, capture_output=True,
                          text=True, check=False, cwd=REPO)
    return done.stderr if done.returncode else ""


@pytest.fixture(params=COMPILERS)
def compiler(request):
    if not shutil.which(request.param):
        pytest.skip(f"{request.param} is not installed: make check installs it")
    return request.param


@pytest.mark.parametrize("header", HEADERS, ids=str)
def test_header_compiles_alone(compiler, header):
    # Twice: the guard holds. A declaration after it: the header is complete in itself.
    complaints = compile_text(compiler, f'#include "{header}"\n#include "{header}"\nextern int the_end;\n')
    assert not complaints, complaints


def test_header_check_can_fail(compiler):
    assert compile_text(compiler, "struct a { size_t not_included; };\n")
    assert compile_text(compiler, "int not_declared(void) { return 1; }\n")
    assert not compile_text(compiler, "#include <stddef.h>\nstruct a { size_t included; };\n")


@pytest.mark.parametrize("layer", LAYERS)
def test_sources_compile(compiler, layer):
    paths = sorted(str(path.relative_to(REPO)) for path in (REPO / "src" / layer).glob("*.c"))
    done = subprocess.run([compiler, "-fsyntax-only", *flags(), *paths], capture_output=True, text=True, check=False,
                          cwd=REPO)
    assert done.returncode == 0, done.stderr
