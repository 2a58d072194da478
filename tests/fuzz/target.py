# -*- coding: utf-8 -*-
# SPDX-License-Identifier: MIT
"""Threads in all positions that a walk must find its way through, all blocked. Runs on every Python from 2.7 on."""
from __future__ import print_function

import ctypes
import struct
import sys
import threading
import types

ready = threading.Semaphore(0)
never = threading.Lock()
never.acquire()


def block():
    ready.release()
    never.acquire()


def recurse(depth):
    if depth == 0:
        return block()
    return recurse(depth - 1)


def generate(depth):
    if depth == 0:
        block()
    for value in generate(depth - 1):
        yield value


class Key(object):
    def __init__(self, depth):
        self.depth = depth

    def __lt__(self, other):
        return call_back(self.depth - 1)


def call_back(depth):
    """Each level through C: sort() calls __lt__."""
    if depth == 0:
        return block()
    return sorted([Key(depth), Key(depth)])


def nest():
    return [[(lambda: block())() for _ in range(1)] for _ in range(1)]


exec(compile("def " + "long_" * 300 + "():\n  block()\nlong = " + "long_" * 300, "<" + "file" * 300 + ">", "exec"))
if sys.version_info[0] > 2:
    exec(u"def gr\u00fc\u00dfe_\u4f60\u597d():\n" + u"\n" * 500 + u"  block()\nunicode_name = gr\u00fc\u00dfe_\u4f60\u597d")
else:
    unicode_name = nest



def make_numpy():
    """What looks like NumPy with one ufunc of two loops, to whoever knows only the memory."""
    functions = [ctypes.cast(function, ctypes.c_void_p).value
                 for function in (ctypes.pythonapi.PyObject_Repr, ctypes.pythonapi.PyObject_Str)]
    pieces = [struct.pack("PP", *functions), b"\x0b\x0b\x0b\x0c\x0c\x0c", b"add\0"]
    kept = [ctypes.create_string_buffer(piece) for piece in pieces]
    places = [ctypes.addressof(buffer) for buffer in kept]
    ufunc = type("numpy.ufunc", (bytes,), {"__slots__": ()})(b"x" * 100)
    body = struct.pack("iiiiPPiiPP", 2, 1, 3, 0, places[0], 0, 2, 0, places[2], places[1])
    ctypes.memmove(id(ufunc) + object.__basicsize__, body, len(body))
    module = types.ModuleType("numpy._core._multiarray_umath")
    module.add, module.kept = ufunc, kept
    sys.modules[module.__name__] = module


make_numpy()
functions = [lambda: recurse(900), lambda: list(generate(30)), lambda: call_back(20), nest, long, unicode_name]
names = ["plain", "", "n" * 300, u"gr\u00fc\u00dfe", u"\u4f60\u597d", "last"]
for function, name in zip(functions, names):
    if sys.version_info[0] == 2:
        name = name.encode("utf-8")
    thread = threading.Thread(target=function, name=name)
    thread.daemon = True
    thread.start()
for function in functions:
    ready.acquire()
print("{}")
sys.stdout.flush()
sys.stdin.read()
