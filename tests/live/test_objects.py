# SPDX-License-Identifier: MIT
"""Objects read from a Python process that runs on, against what that process says of them itself."""
import subprocess

import pytest

# Runs under every version. A statement is a list of [question to print_objects, kind of answer, answer].
STATING = r"""
from __future__ import print_function
import json, os, sys, threading, types
old = sys.version_info[0] == 2
kept, statement = [], []
def ask(question, kind, answer):
    statement.append([question, kind, answer])
def keep(thing):
    kept.append(thing)
    return id(thing)

# Texts, as numbers of characters, of bytes (2.7's str) or of UTF-16 (2.7's unicode, as it may be built).
def text(value):
    kind = "points" if not old else "units" if isinstance(value, type(u"")) else "bytes"
    ask("text %d" % keep(value), kind, [ord(c) for c in value])
class Text(str):
    pass
point = chr if not old else (lambda number: ("\\U%08x" % number).encode("ascii").decode("unicode-escape"))
text("")
text("a")
for length in (16, 183, 184, 207, 208, 215, 216, 255, 256, 257, 5000):
    text("".join(chr(97 + i % 26) for i in range(length)))
for sample in (u"gr\xf6\xdfe", u"\xff" * 300, u"\u65e5\u672c\u8a9e", u"a\u0100" * 200, point(0x1f40d), u"a" + point(0x10ffff) * 90,
               u"\ud800", u"\udfff!", u"nul\0inside", u""):
    text(sample)
text(u"".join(point(number) for number in range(1, 0x110000, 61) if not 0xd800 <= number < 0xe000))
if old:
    text(u"gr\xf6\xdfe \u65e5".encode("utf-8"))
    for raw in ("\xff\xfe", "\xe2\x82", "\xe2\x82\xac", "\xed\xa0\x80", "\xf4\x90\x80\x80", "a\0b", "\xc3" * 300):
        text(raw)
else:
    text("\udcff/gr\udcc3\udcb6\udcc3\udc9fe\udcc3")
    text("\udce2\udc82x\udc80\ud83d\ude00")
    text(Text("of a subclass"))
    text(Text("gr\xf6\xdfe"))
    text(Text("\u65e5"))
    text(sys.intern("an interned text"))

def unreadable(what, value):
    ask("%s %d" % (what, keep(value)), "equal", "-")
if not old:
    for value in (b"", b"bytes", bytes(bytearray(range(256))) * 90):
        ask("bytes %d" % keep(value), "equal", "".join("%02x" % byte for byte in bytearray(value)))

for value in [0, 1, 255, 256, 257, 2**15, 2**30 - 1, 2**30, 2**31, 2**40 + 1, 2**60 - 1, 2**60, 2**62 + 12345, 2**63 - 1]:
    ask("long %d" % keep(int(value)), "equal", str(value))
unreadable("long", -1)
unreadable("long", -2**40)
if not old:
    ask("long %d" % keep(2**63), "equal", str(2**63))
    ask("long %d" % keep(2**64 - 1), "equal", str(2**64 - 1))
    unreadable("long", 2**64)
    unreadable("long", 2**90)
    unreadable("long", -2**61)

# Dicts.
def dictionary(value):
    ask("dict %d" % keep(value), "entries", [[id(k), id(v)] for k, v in value.items()])
def without(value, keys):
    for key in keys:
        del value[key]
    return value
def numbers(count):
    return dict((str(i), i * 1000) for i in range(count))
sizes = (0, 1, 5, 6, 10, 11, 21, 22, 85, 86, 170, 171, 1000, 21845, 43690, 43691, 90000)
for count in sizes:
    dictionary(numbers(count))
    dictionary(dict((i * 7919, str(i)) for i in range(count)))
for count in (5, 100, 1000):
    dictionary(without(numbers(count), [str(i) for i in range(count // 2)]))
    dictionary(without(numbers(count), [str(i) for i in range(count)]))
mixed = {"a": 1, 2: "b", (3,): None, None: (), u"\u65e5": "c", b"d": 4.5}
dictionary(mixed)
dictionary(dict(mixed))
grown = numbers(100)
for i in range(0, 100, 3):
    grown.pop(str(i))
    grown["again %d" % i] = i
dictionary(grown)
dictionary(sys.modules)
def get(value, key):
    ask("get %d %s" % (keep(value), key), "equal", str(id(value[key])) if key in value else "-")
big = numbers(3000)
big.update((i, i) for i in range(3000))
big[u"gr\xf6\xdfe"] = 1
big["k" * 250] = "long"
for key in ("0", "254", "255", "256", "257", "2999", "3000", "k" * 250, "k" * 249):
    get(big, key)
get(sys.modules, "threading")
get(sys.modules, "no such module")
get(vars(threading), "_active")
get({}, "a")

# Attributes.
def attribute(thing, *names):
    for name in names:
        there = name in wanted(thing)
        ask("attribute %d %s" % (keep(thing), name), "equal", str(id(wanted(thing)[name])) if there else "-")
known = {}
def wanted(thing):
    return known[id(thing)]
def made(kind, *names, **more):
    thing = kind(*more.get("arguments", ()))
    known[id(thing)] = values = dict((name, ["value of " + name]) for name in names)
    for name in names:
        setattr(thing, name, values[name])
    return thing
class Plain(object): pass
class Slotted(object):
    __slots__ = ("a", "b")
class SlottedAndMore(Slotted): pass
class Number(int if not old else long): pass
class Tuple(tuple): pass
class Bytes(bytes): pass
class Failure(Exception): pass
class Both(Plain, Failure): pass
class WeakOnly(object):
    __slots__ = ("a", "__weakref__")
class DictSlot(object):
    __slots__ = ("x", "__dict__")
class Filled(object):
    def __init__(self):
        self.a, self.b, self.c = ["a"], ["b"], ["c"]
        known[id(self)] = {"a": self.a, "b": self.b, "c": self.c}
kinds = [Plain, SlottedAndMore, Failure, Both, DictSlot, threading.Thread, lambda: types.ModuleType("module"), lambda: (lambda: None),
         lambda: Number(5), lambda: Number(2**70), lambda: Number(-2**40), lambda: Tuple(range(9)), lambda: Tuple(), lambda: Bytes(b"12345")]
for kind in kinds:
    attribute(made(kind), "absent")
    attribute(made(kind, "attr", "other"), "attr", "other", "absent")
    attribute(made(kind, "other", "attr"), "attr", "other", "absent")
    attribute(made(kind, "x" * 200, "attr"), "attr", "x" * 200, "x" * 199)
    many = ["many_%d" % i for i in range(60)]
    attribute(made(kind, *many), "many_0", "many_29", "many_30", "many_31", "many_59", "many_60")
    for change in ("materialized", "deleted", "replaced", "added", "taken", "gone"):
        thing = made(kind, "one", "two", "three")
        if change == "materialized" or change == "taken":
            kept.append(vars(thing))
        if change == "deleted":
            del thing.two, known[id(thing)]["two"]
        if change == "replaced" and not isinstance(thing, types.ModuleType):
            fresh = {"new": ["new"], "two": ["2"]}
            thing.__dict__ = fresh
            known[id(thing)] = dict(fresh)
        if change == "taken":
            thing.two = known[id(thing)]["two"] = ["taken"]
            vars(thing)["four"] = known[id(thing)]["four"] = ["four"]
        if change == "gone" and isinstance(thing, (Plain, SlottedAndMore)) and not isinstance(thing, Failure):
            kept.append(vars(thing))
            del thing.__dict__
            known[id(thing)] = {}
        if change == "added":
            for name in many:
                known[id(thing)][name] = [name]
                setattr(thing, name, known[id(thing)][name])
        attribute(thing, "one", "two", "three", "four", "new", "many_59")
for kind in (Slotted, WeakOnly):
    thing = kind()
    thing.a = ["slot"]
    known[id(thing)] = {}
    attribute(thing, "a")
for value in (object(), 5, "text", (), None):
    known[id(value)] = {}
    attribute(value, "a")
filled = [Filled() for _ in range(3)]
for thing in filled:
    attribute(thing, "a", "b", "c", "d")
# Values of many at once, the classes and kinds of dicts mixed.
crowd = []
for i in range(2000):
    names = ["n%d" % j for j in range(i % 40)] + ["attr"] * (i % 3 > 0)
    thing = made([Plain, Failure, SlottedAndMore][i % 5 % 3], *names)
    if i % 7 == 0:
        kept.append(vars(thing))
    crowd.append(thing)
crowd[5::50] = [None] * 40 # not to be read
ask("attributes attr " + " ".join(str(thing and keep(thing) or 64) for thing in crowd), "equal",
    "".join("%d " % (id(thing.attr) if hasattr(thing, "attr") else 0) for thing in crowd))
ask("attributes attr", "equal", "")
print(json.dumps({"pid": os.getpid(), "statement": statement}))
sys.stdout.flush()
sys.stdin.read()
"""


def text_of(kind, numbers):
    """What a text is as UTF-8: undecodable bytes are tried as UTF-8, what is left becomes U+FFFD."""
    if kind == "bytes":
        return utf8_of(bytes(numbers))
    if kind == "units":
        numbers = joined(numbers)
    pieces, raw = [], []
    for number in numbers + [-1]:
        if 0xdc80 <= number <= 0xdcff:
            raw.append(number - 0xdc00)
            continue
        pieces.append(utf8_of(bytes(raw)))
        raw = []
        if number >= 0:
            pieces.append("\ufffd" if number == 0 or 0xd800 <= number < 0xe000 else chr(number))
    return "".join(pieces)


def joined(units):
    """UTF-16's pairs as characters."""
    points = []
    for unit in units:
        if points and 0xd800 <= points[-1] < 0xdc00 <= unit < 0xe000:
            points[-1] = 0x10000 + ((points[-1] & 0x3ff) << 10 | unit & 0x3ff)
        else:
            points.append(unit)
    return points


def utf8_of(raw):
    """Each byte that does not belong to a character becomes one U+FFFD, and NUL does."""
    text = ""
    while raw:
        for length in range(1, 5):
            try:
                text += raw[:length].decode("utf-8").replace("\0", "\ufffd")
                break
            except UnicodeDecodeError:
                continue
        else:
            text, length = text + "\ufffd", 1
        raw = raw[length:]
    return text


def check(kind, wanted, answer):
    if answer == "-" and kind != "equal":
        return False
    if kind == "entries":
        found = sorted([int(number) for number in pair.split(":")] for pair in answer.split())
        return found == sorted(wanted)
    if kind == "equal":
        return answer == wanted
    return bytes.fromhex(answer).decode("utf-8") == text_of(kind, wanted)


def test_objects(start_target, build, tmp_path, every_python):
    script = tmp_path / "stating.py"
    script.write_text(STATING, encoding="utf-8")
    target = start_target([every_python, script], stdin=subprocess.PIPE)
    statement = target.statement["statement"]
    asked = "".join(question + "\n" for question, _, _ in statement)
    done = subprocess.run([build / "tests/unit/print_objects", str(target.statement["pid"])], input=asked, text=True,
                          capture_output=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    answers = done.stdout.splitlines()
    wrong = [(question[:80], str(wanted)[:200], answer[:200]) for (question, kind, wanted), answer in
             zip(statement, answers) if not check(kind, wanted, answer)]
    assert not wrong and len(answers) == len(statement)
    assert {kind for _, kind, _ in statement} >= {"entries", "equal"} and len(statement) > 500


@pytest.mark.parametrize("kind, answer", [("entries", "1:2"), ("equal", "-"), ("points", "61")])
def test_check_can_fail(kind, answer):
    assert not check(kind, {"entries": [[1, 3]], "equal": "5", "points": [98]}[kind], answer)


@pytest.mark.parametrize("raw, text", [(b"\xe2\x82", "\ufffd\ufffd"), (b"gr\xc3\xb6\xff", "gr\xf6\ufffd"), (b"a\0", "a\ufffd")])
def test_what_undecodable_bytes_are(raw, text):
    assert utf8_of(raw) == text
