# SPDX-License-Identifier: MIT
"""What the self-describing Python targets share: read the own stack, know when to leave.

A leaf calls `in_position(sys._getframe())` on the very line where it then stays, so that every
stated line, the leaf's too, is the f_lineno of a live frame and none is typed by hand.
"""
import fcntl
import json
import os
import select
import signal
import stat
import sys
import threading


def frames_of(frame):
    """[name, qualified name or None (before 3.11), file, line] of every frame, root first."""
    frames = []
    while frame is not None:
        code = frame.f_code
        qualname = getattr(code, "co_qualname", None)
        frames.append([code.co_name, qualname, code.co_filename, frame.f_lineno])
        frame = frame.f_back
    return frames[::-1]


def native_id():
    """The calling thread's kernel id; threading.get_native_id came with 3.8."""
    return int(os.readlink("/proc/thread-self").rsplit("/", 1)[1])


def describe_thread(frames, state):
    name = threading.current_thread().name
    return {"tid": native_id(), "name": name, "state": state, "frames": frames}


def announce(target, threads):
    """The one line that says: from now on the threads stand where it says."""
    statement = {
        "target": target,
        "pid": os.getpid(),
        "python": sys.version.split()[0],
        "threads": threads,
    }
    sys.stdout.write(json.dumps(statement) + "\n")
    sys.stdout.flush()


def leave_at_once(_signum, _frame):
    os._exit(0)


def leave_when_asked(seconds, install=lambda signum: signal.signal(signum, leave_at_once)):
    """Leave at SIGTERM, when stdin (a pipe or socket) closes or speaks, or after `seconds`.

    The kernel tells each by a signal, so that neither a thread nor a check in the busy loop is
    needed. With 0 seconds there is no limit.
    """
    for signum in (signal.SIGTERM, signal.SIGALRM, signal.SIGIO):
        install(signum)
    if seconds:
        signal.setitimer(signal.ITIMER_REAL, seconds)
    watch_stdin()


def watch_stdin():
    try:
        mode = os.fstat(0).st_mode
    except OSError:
        return
    if not (stat.S_ISFIFO(mode) or stat.S_ISSOCK(mode)):
        return
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, fcntl.fcntl(0, fcntl.F_GETFL) | os.O_ASYNC)
    already = select.poll()
    already.register(0, select.POLLIN)
    if already.poll(0):
        os.kill(os.getpid(), signal.SIGIO)
