# SPDX-License-Identifier: MIT
"""The command line from outside: help, manual page, completions and README tell the same; errors help."""
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import time

import pytest

EXIT_PSPY = 125
COMMANDS = ("record", "report", "convert", "merge", "diff", "completions", "help")
FORMATS = ["flamegraph", "speedscope", "raw", "chrometrace", "report", "pspy"]
OPTION_LINE = re.compile(r"^ {2}(?:-(?P<letter>\w), |    )--(?P<name>[\w-]+)(?: (?P<value>[A-Z=]+))?(?: |$)", re.M)
PYSPY_RECORD = {  # py-spy 0.4.3's options of `record` that pspy has: habits and scripts carry over
    "pid": "p", "output": "o", "format": "f", "rate": "r", "duration": "d", "native": "n", "threads": "t", "idle": "i",
    "gil": "g", "subprocesses": "s", "function": "F", "nolineno": None, "full-filenames": None, "nonblocking": None, "help": "h",
}


def help_options(text):
    """{long name: (letter or None, value's name or None)} from a --help."""
    return {match["name"]: (match["letter"], match["value"]) for match in OPTION_LINE.finditer(text)}


@pytest.fixture
def record_options(run_pspy):
    return help_options(run_pspy(["record", "--help"], check=0).stdout)


@pytest.fixture
def script(run_pspy, tmp_path):
    """script(shell) -> the path of its completion script."""

    def write(shell):
        path = tmp_path / f"completion.{shell}"
        path.write_text(run_pspy(["completions", shell], check=0).stdout)
        return path

    return write


def need(program):
    return shutil.which(program) or pytest.skip(f"{program} is not here")


def run(argv, **arguments):
    return subprocess.run([str(word) for word in argv], capture_output=True, text=True, timeout=60, check=False,
                          stdin=subprocess.DEVNULL, **arguments)


# ---- help and version ----------------------------------------------------------------------------------------------

@pytest.mark.parametrize("argv", [["-h"], ["--help"], ["help"], ["he"], ["--h"]])
def test_help_of_all(run_pspy, argv):
    done = run_pspy(argv, check=0)
    assert not done.stderr
    assert done.stdout.startswith("Usage: pspy")
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", done.stdout, re.M)
    assert " man " not in done.stdout.replace("'man pspy'", "")


@pytest.mark.parametrize("name", [*COMMANDS, "man"])
def test_help_of_a_command(run_pspy, name):
    text = run_pspy([name, "-h"], check=0).stdout
    assert text.startswith(f"Usage: pspy {name} ")
    assert run_pspy(["help", name], check=0).stdout == text
    assert run_pspy([name, "--help", "--bogus"], check=0).stdout == text


@pytest.mark.parametrize("argv", [["-h"], *([name, "-h"] for name in COMMANDS)])
def test_help_fits_a_terminal(run_pspy, argv):
    lines = run_pspy(argv, check=0).stdout.splitlines()
    assert max(map(len, lines)) < 80
    assert not [line for line in lines if line != line.rstrip()]


def test_pyspy_names_and_letters(record_options):
    letters = {name: option[0] for name, option in record_options.items()}
    assert {name: letters.get(name, "absent") for name in PYSPY_RECORD} == PYSPY_RECORD


def test_no_command(run_pspy):
    done = run_pspy([], check=EXIT_PSPY)
    assert not done.stdout and done.stderr == run_pspy(["-h"], check=0).stdout


@pytest.mark.parametrize("option", ["-V", "--version", "--vers"])
def test_version(run_pspy, repo, option):
    version = re.search(r"^VERSION := (\S+)$", (repo / "Makefile").read_text(), re.M)[1]
    assert run_pspy([option], check=0).stdout == f"pspy {version}\n"


def test_full_disk_is_an_error(pspy):
    with open("/dev/full", "w", encoding="ascii") as full:
        done = subprocess.run([pspy, "--help"], stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False)
    assert done.returncode == EXIT_PSPY
    assert done.stderr == "pspy: cannot write to standard output: No space left on device\n"


# ---- errors --------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("line, part", [
    ("recrod", "did you mean 'record'?"),
    ("python3 app.py", "'pspy record -- python3'"),
    ("--versoin", "did you mean --version?"),
    ("record", "give a process with --pid PID or a program behind --"),
    ("record --formt raw true", "did you mean --format?"),
    ("record --full_filenames true", "did you mean --full-filenames?"),
    ("record --f raw true", "may be any of"),
    ("record -f svg true", "needs flamegraph, speedscope, raw, chrometrace, report or pspy"),
    ("record -f speedscop true", "did you mean 'speedscope'?"),
    ("record -r 0 true", "--rate needs a number from 0.01 to 1000000"),
    ("record -d 1,5 true", "--duration needs seconds such as 30 or 0.5"),
    ("record -p python", "--pid needs a process id"),
    ("record -p 1 true", "leave one of them out"),
    ("record -F --nolineno true", "leave one of them out"),
    ("record -n --nonblocking true", "needs a short stop"),
    ("record --kill -p 1", "leave --kill out"),
    ("record --as-root -p 1", "leave --as-root out"),
    ("record --ranks 0 -p 1", "leave --ranks out"),
    ("record --include read true", "--include needs WHAT=REGEX with thread, process, state, module, function or line as WHAT, such as function=^read"),
    ("record --include file=x true", "not 'file=x'"),
    ("record --exclude thread= true", "--exclude needs a regular expression behind 'thread='"),
    ("record --exclude function=read( true", "(Unmatched ( or \\(; a \\ lets a character stand for itself), not 'read('"),
    ("record --include", "--include needs a value: --include WHAT=REGEX"),
    ("record -o %y true", "-o knows no %y"),
    ("completions", "bash, zsh or fish"),
    ("completions tcsh", "bash, zsh or fish"),
    ("completions bash zsh", "has no use for 'zsh'"),
    ("help nothing", "there is no command 'nothing'"),
    ("ma", "there is no command 'ma'"),
    ("re", "'re' may be record or report"),
    ("man pages", "there is no manual page 'pages'"),
    ("convert x.pspy", "-o is missing"),
    ("convert -o x.svg", "there is nothing to read"),
    ("convert -o x.svg a b", "there is no use for 'b'"),
    ("convert -o x.xyz a.pspy", "'x.xyz' names no format"),
    ("convert -o x.pspy.gz a.txt", "compressed already"),
    ("convert -o x.svg nothing.pspy", "cannot open 'nothing.pspy'"),
    ("report", "there is nothing to read"),
    ("report --from 3 --to 2 x", "give --to more seconds than --from"),
    ("merge -o x.pspy", "there is nothing to read"),
    ("diff a", "there is nothing to read"),
    ("record -f raw -o a.txt -o b.txt true", "-f raw is for one -o, and there are 2"),
    ("record -o a.txt -o a.txt true", "are one file"),
])
def test_error_is_one_sentence(run_pspy, line, part):
    done = run_pspy(line.split(), check=EXIT_PSPY)
    assert not done.stdout
    assert re.fullmatch(r"pspy: [^\n]+\n", done.stderr)
    assert part in done.stderr


# ---- manual page ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("name, words", [("pspy.1", []), ("pspy-recording.5", ["recording"])])
def test_manual_is_clean(run_pspy, tmp_path, name, words):
    page = tmp_path / name
    page.write_text(run_pspy(["man", *words], check=0).stdout)
    done = run([need("mandoc"), "-T", "lint", "-W", "warning", page])
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_manual_has_the_options_of_record(run_pspy, record_options):
    page = run_pspy(["man"], check=0).stdout.replace("\\-", "-")
    section = page[page.index(".Ss pspy record\n"):]
    section = section[:section.index("\n.Ss ")]
    found = {}
    for letter, name, value in re.findall(r'^\.It (?:Fl (\w) , )?Fl -([\w-]+)(?: Ar "([\w=]+)")?$', section, re.M):
        found[name] = (letter or None, value or None)
    assert record_options and found == record_options


def test_readme_knows_no_other_options(run_pspy, repo):
    readme = repo / "README.md"
    if not readme.exists():
        pytest.skip("there is no README.md")
    known = set()
    for argv in (["-h"], *([name, "-h"] for name in COMMANDS)):
        known |= set(help_options(run_pspy(argv, check=0).stdout))
    used = set()
    for line in readme.read_text().splitlines():
        for arguments in re.findall(r"pspy\s+(?:record|rec|r)\b([^`\n]*)", line):
            used |= set(re.findall(r"(?<!\S)--([a-z][\w-]+)", re.split(r"\s--(?:\s|$)", arguments)[0]))
    assert not used - known


# ---- completions ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_parses(script, shell):
    done = run([need(shell), "-n", script(shell)])
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_script_knows_all_options(script, record_options, shell):
    text = script(shell).read_text()
    for name in record_options:
        assert re.search(rf"(--|-l ){name}\b", text), name


BASH_PROBE = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMP_LINE="$*"; COMP_POINT=${#COMP_LINE}
_pspy
for word in "${COMPREPLY[@]}"; do printf '%s\\n' "$word"; done
"""


@pytest.fixture
def complete_bash(script, tmp_path):
    """complete_bash(words) -> what bash offers for the last one, in a folder with two files."""
    path, folder = script("bash"), tmp_path / "folder"
    folder.mkdir()
    for name in ("profile.svg", "two words.txt"):
        (folder / name).touch()

    def ask(*words):
        done = run([need("bash"), "--norc", "-c", BASH_PROBE, "bash", path, *words], cwd=folder)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout.splitlines()

    return ask


@pytest.mark.parametrize("words, offered", [
    (["rec"], ["record"]),
    ([""], list(COMMANDS)),
    (["--v"], ["--version"]),
    (["rec", "--fu"], ["--function", "--full-filenames"]),
    (["record", "-f", ""], FORMATS),
    (["record", "-nf", "r"], ["raw", "report"]),
    (["record", "--format", "=", "s"], ["speedscope"]),
    (["record", "--format", "="], FORMATS),
    (["record", "-o", ""], ["profile.svg", "two words.txt"]),
    (["record", "-o", "-n"], []),
    (["record", "-r", ""], []),
    (["record", "-o", "x", "--", "mkfif"], ["mkfifo"]),
    (["record", "-o", "x", "mkfif"], ["mkfifo"]),
    (["record", "-o", "x", "python3", "pro"], ["profile.svg"]),
    (["record", "--", "python3", "--fu"], []),
    (["completions", ""], ["bash", "zsh", "fish"]),
    (["help", "comp"], ["completions"]),
    (["convert", "-o", "x.svg", "pro"], ["profile.svg"]),
    (["nothing", ""], []),
])
def test_bash_completes(complete_bash, words, offered):
    assert sorted(complete_bash("pspy", *words)) == sorted(offered)


def test_bash_completes_pids(complete_bash):
    assert str(os.getpid()) in complete_bash("pspy", "record", "-p", "")


@pytest.mark.parametrize("line, offered", [
    ("pspy rec", ["record"]),
    ("pspy ", sorted(COMMANDS)),
    ("pspy rec --fu", ["--full-filenames", "--function"]),
    ("pspy record -f ", sorted(FORMATS)),
    ("pspy record --format=s", ["--format=speedscope"]),
    ("pspy record -o pro", ["profile.svg"]),
    ("pspy record -o x -- mkfif", ["mkfifo"]),
    ("pspy record -o x python3 pro", ["profile.svg"]),
    ("pspy completions ", ["bash", "fish", "zsh"]),
    ("pspy help comp", ["completions"]),
])
def test_fish_completes(script, tmp_path, line, offered):
    (tmp_path / "profile.svg").touch()
    done = run([need("fish"), "--no-config", "-c", f"source {script('fish')}; complete -C '{line}'"], cwd=tmp_path,
               env={**os.environ, "HOME": str(tmp_path)})
    assert done.returncode == 0 and not done.stderr
    assert [each.split("\t")[0] for each in done.stdout.splitlines()] == offered


def test_zsh_loads(script):
    zsh = need("zsh")
    probe = f"autoload -U compinit; compinit -u -D; source {script('zsh')}; print -- ${{_comps[pspy]}}"
    done = run([zsh, "-f", "-c", probe])
    assert (done.stdout, done.stderr) == ("_pspy\n", "")


class Terminal:
    """An interactive zsh on a pseudo terminal that has loaded the script."""

    def __init__(self, zsh, script, folder):
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.environ.update(TERM="dumb", HOME=str(folder))
            os.execv(zsh, ["zsh", "-f", "-i"])
        self.text = ""
        # The word in the prompt is put together by the shell, so that the echo of this line is not taken for it.
        self.type(f"PS1='re''ady> '; autoload -U compinit; compinit -u -D; source {script}\n")
        self.expect("ready> ")

    def type(self, text):
        os.write(self.fd, text.encode())

    def expect(self, pattern, deadline=30):
        """Reads until the output since the last call matches, colours and modes of the terminal left out."""
        end = time.monotonic() + deadline
        while not re.search(pattern, re.sub(r"\x1b\[[?0-9;]*[a-zA-Z]", "", self.text)):
            ready = select.select([self.fd], [], [], max(0, end - time.monotonic()))[0]
            assert ready, f"no {pattern!r} in {self.text!r}"
            self.text += os.read(self.fd, 4096).decode(errors="replace")
        self.text = ""

    def close(self):
        os.close(self.fd)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)


@pytest.fixture
def terminal(script, tmp_path):
    (tmp_path / "profile.svg").touch()
    opened = Terminal(need("zsh"), script("zsh"), tmp_path)
    yield opened
    opened.close()


@pytest.mark.parametrize("typed, completed", [
    ("pspy rec", "record "),
    ("pspy --v", "--version "),
    ("pspy rec --full", "full-filenames "),
    ("pspy rec -nf sp", "speedscope "),
    ("pspy record --format=sp", "speedscope "),
    ("pspy record -o pro", "profile.svg "),
    ("pspy record -o x -- mkfif", "mkfifo "),
    ("pspy record -o x python3 pro", "profile.svg "),
    ("pspy completions f", "fish "),
    ("pspy help comp", "completions "),
])
def test_zsh_completes(terminal, typed, completed):
    terminal.type(typed + "\t")
    terminal.expect(re.escape(typed.rsplit(" ", 1)[0].rsplit("=", 1)[0]) + r".*" + re.escape(completed))
