# SPDX-License-Identifier: MIT
"""Chrome traces: balance, nesting and times, checked here; that another program's importer reads them."""
import collections
import json

import pytest

from browser.test_speedscope import open_in_speedscope  # noqa: F401 (a fixture)

CASES = ["known", "hostile", "deep", "threads", "wide", "realistic", "empty"]


@pytest.fixture(scope="session")
def trace(emit):
    return lambda case: emit(case, "chrometrace", f"{case}.json")


def read_calls(path):
    """{(pid, tid): [(begin, end, depth, event)]}; fails where events are not nested."""
    open_calls, calls, last = collections.defaultdict(list), collections.defaultdict(list), {}
    for event in json.loads(path.read_text())["traceEvents"]:
        if event["ph"] == "M":
            continue
        track, time = (event["pid"], event["tid"]), event["ts"]
        assert time >= last.get(track, 0), "time goes back"
        last[track] = time
        if event["ph"] == "B":
            open_calls[track].append(event)
            continue
        assert event["ph"] == "E"
        begin = open_calls[track].pop()
        assert begin["name"] == event["name"]
        calls[track].append((begin["ts"], time, len(open_calls[track]), begin))
    assert not any(open_calls.values()), "calls that never end"
    return calls


@pytest.mark.parametrize("case", CASES)
def test_calls_are_nested_and_end(trace, case):
    read_calls(trace(case))


def test_calls_equal_the_truth(trace):
    calls = {track: sorted((begin, end, depth, event["name"]) for begin, end, depth, event in events)
             for track, events in read_calls(trace("known")).items()}
    ms = 1000
    assert calls == {
        (10, 10): [(0, 70 * ms, 0, "main"), (0, 70 * ms, 1, "work"), (40 * ms, 70 * ms, 2, "inner"),
                   (170 * ms, 200 * ms, 0, "main"), (170 * ms, 200 * ms, 1, "idle")],
        (10, 11): [(50 * ms, 100 * ms, 0, "main"), (50 * ms, 100 * ms, 1, "inner")],
    }


def test_names_and_places(trace):
    events = json.loads(trace("known").read_text())["traceEvents"]
    names = {(event["name"], event.get("tid")): event["args"]["name"] for event in events if event["ph"] == "M"}
    assert names == {("process_name", None): "python3 app.py", ("thread_name", 10): "MainThread"}
    begin = next(event for event in events if event["ph"] == "B")
    assert begin["args"] == {"filename": "/srv/app.py", "line": 1} and begin["cat"] == "python"


def test_a_recursion_over_lines_stays_nested(trace):
    calls = read_calls(trace("deep"))[(10, 10)]
    assert max(depth for _, _, depth, _ in calls) == 19999


def test_threads_of_two_processes(trace):
    calls = read_calls(trace("threads"))
    assert len(calls) == 3000 and {pid for pid, _ in calls} == {20, 21}


@pytest.mark.parametrize("case", ["known", "hostile", "threads"])
def test_another_importer_reads_it(trace, open_in_speedscope, case):  # noqa: F811
    assert open_in_speedscope(trace(case), [])[0].endswith(" - speedscope")
