# SPDX-License-Identifier: MIT
"""Recordings are laid out as pspy-recording(5) says: a reader made from the page alone reads a committed one. What it
must find is known from the program that made the file (made_recording.h)."""
import struct
import zlib


class Bytes:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        self.at += length
        assert self.at <= len(self.data)
        return self.data[self.at - length:self.at]

    def number(self):
        value, shift = 0, 0
        while True:
            byte = self.take(1)[0]
            value, shift = value | (byte & 127) << shift, shift + 7
            if byte < 128:
                return value

    def signed(self):
        value = self.number()
        return -(value + 1) // 2 if value % 2 else value // 2

    def left(self):
        return self.at < len(self.data)


def chunks(data):
    """Each chunk's type and bytes."""
    inflater, at = zlib.decompressobj(-15), 12
    while at < len(data):
        kind, flags = data[at:at + 2]
        stored, raw = (int.from_bytes(data[at + i:at + i + 3], "little") for i in (2, 5))
        packed = data[at + 12:at + 12 + stored]
        assert int.from_bytes(data[at + 8:at + 12], "little") == zlib.crc32(packed, zlib.crc32(data[at:at + 8]))
        unpacked = inflater.decompress(packed + b"\0\0\xff\xff")
        assert len(unpacked) == raw and flags == 1
        yield kind, Bytes(unpacked)
        at += 12 + stored


def tagged(chunk):
    while chunk.left():
        yield chunk.number(), chunk.take(chunk.number())


def read_samples(chunk, samples, traits, leaves):
    count = chunk.number()
    traits += [[chunk.number() for _ in range(4)] for _ in range(chunk.number())]
    leaves += [chunk.number() for _ in range(chunk.number())]
    sizes = [chunk.number() for _ in range(chunk.number())]
    planes = [chunk.take(len(sizes)) for _ in range(5)]
    distances = [int.from_bytes(column, "little") for column in zip(*planes)]
    distances = [chunk.number() if distance == 2 ** 40 - 1 else distance for distance in distances]
    of_samples, time = [], samples[-1][0] if samples else 0
    for size, distance in zip(sizes, distances):
        time += distance
        of_samples += [(time, distance)] * size
    weights = [chunk.number() for _ in range(count)]
    columns = [[chunk.number() for _ in range(count)] for _ in range(3)]
    for (time, distance), weight, thread, trait, leaf in zip(of_samples, weights, *columns, strict=True):
        samples.append((time, weight - 1 if weight else distance, thread, *traits[trait], leaves[leaf]))


def read(data):
    found = {"facts": {}, "counters": {}, "strings": [b""], "stacks": [(0, None)], "threads": {}, "samples": [],
             "traits": [], "leaves": [], "end": None}
    for kind, chunk in chunks(data):
        if kind in (1, 11):
            found["facts" if kind == 1 else "counters"].update(tagged(chunk))
        elif kind == 2:
            assert chunk.number() == len(found["strings"])
            while chunk.left():
                found["strings"].append(chunk.take(chunk.number()))
        elif kind == 6:
            assert chunk.number() == len(found["stacks"])
            while chunk.left():
                found["stacks"].append((len(found["stacks"]) - chunk.number(), chunk.number()))
        elif kind == 9:
            assert chunk.number() == 6
            while chunk.left():
                index, process, tid = chunk.number(), chunk.number(), chunk.signed()
                found["threads"][index] = (process, tid, *(chunk.number() for _ in range(4)))
        elif kind == 10:
            assert chunk.number() == len(found["samples"])
            read_samples(chunk, found["samples"], found["traits"], found["leaves"])
        elif kind == 12:
            found["end"] = chunk.number()
        if kind in (10, 12):
            assert not chunk.left()
    return found


def test_page(repo):
    data = (repo / "tests/corpus/pspy/good-whole.pspy").read_bytes()
    assert data[:12] == b"\x89pspy\r\n\x1a\x01\0\0\0"
    found = read(data)
    facts, counters = found["facts"], {tag: Bytes(value).number() for tag, value in found["counters"].items()}
    assert (facts[1], facts[2], facts[3], facts[4]) == (b"python app.py --all", b"node17", b"pspy 0.6.0", b"3.12.1")
    assert Bytes(facts[6]).number() == 1790000000123456789
    assert [struct.unpack("<d", facts[tag])[0] for tag in (7, 8, 12)] == [99.5, 5, 12.25]
    assert Bytes(facts[10]).number() == 2 and Bytes(facts[11]).number() == 1 + 2 + 4 + 8 + 16 + 32 + 64
    assert counters == {1: 9000000003, 2: 900, 3: 3} | {16 + cause: 3 * (cause + 1) for cause in range(7)}
    assert "f\u00fcnction_7".encode() in found["strings"]
    # Threads are made in four steps, one for each process so far; each step adds to the times of all.
    assert len(found["threads"]) == 1 + 2 + 3 + 4
    assert found["threads"][0][:2] == (0, 1000) and found["threads"][0][3:] == (4 * 1234567890, 40000000, 0 + 1 + 2 + 3)
    assert found["strings"][found["threads"][9][2]] == b"worker" and found["threads"][9][:2] == (3, 1033)


def test_samples(repo):
    found = read((repo / "tests/corpus/pspy/good-whole.pspy").read_bytes())
    samples = found["samples"]
    # Of 12 ticks each takes every first, second or third thread; there are 1, 3, 6 and 10 threads.
    assert len(samples) == found["end"] == sum(4 * sum(-(-threads // step) for step in (1, 2, 3)) for threads in (1, 3, 6, 10))
    assert [time for time, *_ in samples] == sorted(time for time, *_ in samples)
    # Each step's tenth tick comes late.
    ticks = sorted({time for time, *_ in samples})
    assert [b - a for a, b in zip(ticks, ticks[1:]) if b - a > 10 ** 9] == [2 ** (38 + step) for step in range(4)]
    assert all(0 <= thread < 10 and end < 5 and state < 4 and flags < 4 and call < 500 and stack < len(found["stacks"])
               for _, _, thread, end, state, flags, call, stack in samples)
    assert all(parent < index for index, (parent, _) in enumerate(found["stacks"]) if index)
