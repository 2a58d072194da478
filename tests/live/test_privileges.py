# SPDX-License-Identifier: MIT
"""Rights: what may not be seen is said; under sudo the program and the profile belong to the one who called it."""
import ctypes
import errno
import grp
import json
import os
import pwd
import shutil
import struct
import subprocess
import sys
import time

import pytest

EXIT_PSPY = 125
NOBODY = 65534
pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to be somebody else")
AS_NOBODY = ["setpriv", f"--reuid={NOBODY}", f"--regid={NOBODY}", "--clear-groups"]
WHO = """
import json, os
chosen = {name: os.environ.get(name) for name in ("HOME", "USER", "LOGNAME", "SUDO_UID", "ODD")}
print(json.dumps({"ids": os.getresuid() + os.getresgid(), "groups": sorted(os.getgroups()), "environment": chosen}))
"""
SPIN = [sys.executable, "-c", "print('{}', flush=True)\nwhile True: pass"]


@pytest.fixture
def everyones_python():
    """An interpreter that all users may run."""
    path = "/usr/bin/python3"
    return path if os.path.exists(path) else pytest.skip(f"{path} is not here")


@pytest.fixture
def public(tmp_path):
    """A folder that all users may enter and write: pytest's own are root's alone."""
    path = tmp_path
    while path.name and path.parent != path.parent.parent:
        path.chmod(path.stat().st_mode | 0o055)
        path = path.parent
    folder = tmp_path / "public"
    folder.mkdir()
    folder.chmod(0o777)
    return folder


@pytest.fixture
def everyones_pspy(pspy, public):
    """A copy that everybody may run: the repository may be in a private folder."""
    path = public.parent / "pspy"
    shutil.copy(pspy, path)
    path.chmod(0o755)
    return path


@pytest.fixture
def user():
    """A user with a group beside his own, for the time of the test."""
    name, group = "pspytest", "pspytest-more"
    if not shutil.which("useradd"):
        pytest.skip("useradd is not here")
    subprocess.run(["groupadd", "-f", group], check=True)
    subprocess.run(["useradd", "-M", "-d", "/nonexistent/pspytest", "-G", group, name], check=True)
    yield pwd.getpwnam(name), grp.getgrnam(group).gr_gid
    subprocess.run(["userdel", name], check=True, capture_output=True)
    subprocess.run(["groupdel", group], check=True)


def sudo_environment(uid, gid, name):
    return {**os.environ, "SUDO_UID": str(uid), "SUDO_GID": str(gid), "SUDO_USER": name, "USER": "root",
            "LOGNAME": "root", "HOME": "/root", "ODD": "kept"}


# ---- somebody else's processes -------------------------------------------------------------------------------------

@pytest.mark.parametrize("whose", ["init", "root"])
def test_a_process_of_another_user(start, start_target, everyones_pspy, public, whose):
    pid = 1 if whose == "init" else start_target(SPIN).pid
    for options in ([], ["-n"], ["-i", "--nonblocking"]):
        done = start([*AS_NOBODY, everyones_pspy, "record", *options, "-d", "1", "-p", str(pid)], cwd=public).wait()
        assert done.status == EXIT_PSPY
        assert done.stderr.startswith(f"pspy: no permission to look into process {pid}: ")
        assert "sudo" in done.stderr and done.stderr.count("\n") == 1
        assert os.listdir(public) == []


def refused(outcome):
    """The reason, from the only line."""
    assert outcome.status == EXIT_PSPY, outcome.stderr
    head, reason = outcome.stderr.split(": ", 2)[1:]
    assert head.startswith("no permission to look into process ") and outcome.stderr.count("\n") == 1
    return reason


def as_container(arguments):
    """pspy's command as root without the capability, which is what root is in a container."""
    return ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace", *arguments]


def test_root_without_the_capability(start, start_target, pspy, public, everyones_python):
    target = start_target([*AS_NOBODY, everyones_python, "-c", SPIN[-1]])
    for options in ([], ["-n"], ["--nonblocking"]):
        done = start(as_container([pspy, "record", *options, "-d", "1", "-p", str(target.pid)]), cwd=public).wait()
        reason = refused(done)
        assert "without CAP_SYS_PTRACE" in reason and "add the capability SYS_PTRACE" in reason
        assert os.listdir(public) == []


def test_a_process_that_protects_its_memory(start, start_target, everyones_pspy, public, everyones_python):
    script = "import ctypes\nctypes.CDLL(None).prctl(4, 0)\n" + SPIN[-1]
    target = start_target([*AS_NOBODY, everyones_python, "-c", script])
    done = start([*AS_NOBODY, everyones_pspy, "record", "-d", "1", "-p", str(target.pid)], cwd=public).wait()
    reason = refused(done)
    assert "protects its memory" in reason and "sudo" in reason
    assert os.listdir(public) == []


@pytest.fixture
def filtered():
    """For preexec_fn: a seccomp filter that refuses ptrace and process_vm_readv, as older containers have it."""
    libc = ctypes.CDLL(None, use_errno=True)
    no_new_privileges, set_seccomp, by_filter = 38, 22, 2
    refuse, allow = 0x00050000 | errno.EPERM, 0x7fff0000
    code = b"".join(struct.pack("HBBI", *row) for row in [
        (0x20, 0, 0, 0),  # the call's number
        (0x15, 1, 0, 101), (0x15, 0, 1, 310),  # ptrace, process_vm_readv
        (0x06, 0, 0, refuse), (0x06, 0, 0, allow)])
    kept = ctypes.create_string_buffer(code, len(code))
    program = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(kept))

    def install():
        libc.prctl(no_new_privileges, 1, 0, 0, 0)
        if libc.prctl(set_seccomp, by_filter, program, 0, 0):
            os._exit(99)

    yield install
    del kept


# LeakSanitizer looks for leaks by ptrace.
WITHOUT_LEAKS = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}


def test_a_seccomp_filter(start, start_target, pspy, public, filtered):
    target = start_target(SPIN)
    for options in ([], ["-n"], ["--nonblocking"]):
        done = start([pspy, "record", *options, "-d", "1", "-p", str(target.pid)], cwd=public, preexec_fn=filtered,
                     env=WITHOUT_LEAKS).wait()
        reason = refused(done)
        assert "seccomp" in reason and "SYS_PTRACE" in reason
        assert os.listdir(public) == []


def test_a_seccomp_filter_and_a_program(start, pspy, public, filtered):
    """It cannot be profiled, and runs to its end all the same."""
    done = start([pspy, "record", "-o", "x.txt", "--", "sh", "-c", "read line; echo $line"], cwd=public,
                 preexec_fn=filtered, env=WITHOUT_LEAKS)
    end = time.monotonic() + 60
    while not any("seccomp" in line for line in done.errors):
        assert time.monotonic() < end, done.errors
        time.sleep(0.002)
    done.process.stdin.write("text\n")
    done.process.stdin.close()
    status, stdout, _ = done.wait()
    assert (status, stdout) == (EXIT_PSPY, "text\n")
    assert os.listdir(public) == []


def test_ones_own_program_without_root(start, everyones_pspy, public, everyones_python):
    script = "import time\nend = time.monotonic() + 0.5\nwhile time.monotonic() < end: pass\nraise SystemExit(6)"
    done = start([*AS_NOBODY, everyones_pspy, "record", "-n", "-o", "x.txt", "--", everyones_python, "-c", script],
                 cwd=public).wait()
    assert done.status == 6, done.stderr
    assert "<module>" in (public / "x.txt").read_text()


def test_a_program_that_becomes_somebody_else(run_pspy, public, everyones_python):
    """su, sudo and setpriv in the profiled command: root sees it all the same."""
    script = "import time\nend = time.monotonic() + 0.5\nwhile time.monotonic() < end: pass"
    run_pspy(["record", "-o", public / "x.txt", "--", *AS_NOBODY, everyones_python, "-c", script], check=0)
    assert "<module>" in (public / "x.txt").read_text()


def test_a_set_user_id_program(start, everyones_pspy, public):
    """Its starter may not look into it: said, and the program runs to its end all the same."""
    program = public / "cat"
    shutil.copy(shutil.which("cat"), program)
    program.chmod(0o4755)
    (public / "in").write_text("text\n")
    done = start([*AS_NOBODY, everyones_pspy, "record", "-o", "x.txt", "--", program, "-", "in"], cwd=public,
                 stdin=subprocess.DEVNULL).wait()
    assert done.stdout == "text\n"
    if done.status != EXIT_PSPY:  # it may be over before pspy looks
        assert done.status == 0 and "ended before" in done.stderr
    else:
        assert "no permission" in done.stderr
    assert sorted(os.listdir(public)) in (["cat", "in"], ["cat", "in", "x.txt"])


# ---- sudo ----------------------------------------------------------------------------------------------------------

def test_sudo_runs_the_program_as_its_caller(run_pspy, public, user, everyones_python):
    entry, more = user
    done = run_pspy(["record", "-o", public / "x.svg", "--", everyones_python, "-c", WHO], check=0,
                    env=sudo_environment(entry.pw_uid, entry.pw_gid, entry.pw_name))
    assert json.loads(done.stdout) == {
        "ids": [entry.pw_uid] * 3 + [entry.pw_gid] * 3, "groups": sorted([entry.pw_gid, more]),
        "environment": {"HOME": entry.pw_dir, "USER": entry.pw_name, "LOGNAME": entry.pw_name,
                        "SUDO_UID": str(entry.pw_uid), "ODD": "kept"}}
    seen = (public / "x.svg").stat()
    assert (seen.st_uid, seen.st_gid) == (entry.pw_uid, entry.pw_gid)
    assert os.listdir(public) == ["x.svg"]


def test_as_root_keeps_root(run_pspy, public, user, everyones_python):
    entry, _ = user
    done = run_pspy(["record", "--as-root", "-o", public / "x.svg", "--", everyones_python, "-c", WHO], check=0,
                    env=sudo_environment(entry.pw_uid, entry.pw_gid, entry.pw_name))
    seen = json.loads(done.stdout)
    assert seen["ids"] == [0] * 6 and seen["groups"] == sorted(os.getgroups())
    assert seen["environment"]["HOME"] == "/root" and seen["environment"]["USER"] == "root"
    assert (public / "x.svg").stat().st_uid == 0


def test_sudo_by_a_user_without_an_entry(run_pspy, public, everyones_python):
    """In a container the id may have no name: no environment to set then."""
    uid = next(number for number in range(40000, 60000) if not has_entry(number))
    done = run_pspy(["record", "-o", public / "x.svg", "--", everyones_python, "-c", WHO], check=0,
                    env=sudo_environment(uid, uid, "somebody"))
    seen = json.loads(done.stdout)
    assert seen["ids"] == [uid] * 6 and seen["groups"] == [uid]
    assert (public / "x.svg").stat().st_uid == uid


def has_entry(uid):
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def test_sudo_and_an_attached_process(run_pspy, start_target, public):
    """The profile is the caller's with -p as well."""
    target = start_target(SPIN)
    run_pspy(["record", "-d", "0.2", "-o", public / "x.txt", "-p", str(target.pid)], check=0,
             env=sudo_environment(NOBODY, NOBODY, "nobody"))
    assert (public / "x.txt").stat().st_uid == NOBODY
    assert (public / "x.txt").stat().st_size > 0


@pytest.mark.parametrize("uid", ["0", "", "-1", "abc", "99999999999999"])
def test_odd_sudo_variables_change_nothing(run_pspy, public, everyones_python, uid):
    done = run_pspy(["record", "-o", public / "x.svg", "--", everyones_python, "-c", WHO], check=0,
                    env={**os.environ, "SUDO_UID": uid, "SUDO_GID": uid})
    assert json.loads(done.stdout)["ids"] == [0] * 6


def test_the_variables_give_no_rights(start, everyones_pspy, public, everyones_python):
    """Whoever is not root stays who he is, whatever they say."""
    done = start([*AS_NOBODY, everyones_pspy, "record", "-o", "x.svg", "--", everyones_python, "-c", WHO], cwd=public,
                 env={**os.environ, "SUDO_UID": "1", "SUDO_GID": "1"}).wait()
    assert done.status == 0, done.stderr
    assert json.loads(done.stdout)["ids"] == [NOBODY] * 6


def test_a_program_that_the_caller_may_not_execute(run_pspy, public, tmp_path):
    program = public / "secret"
    program.write_text("#!/bin/sh\necho ran\n")
    program.chmod(0o700)
    done = run_pspy(["record", "-o", public / "x.svg", "--", program], check=126,
                    env=sudo_environment(NOBODY, NOBODY, "nobody"))
    assert done.stdout == ""
    assert os.listdir(public) == ["secret"]
