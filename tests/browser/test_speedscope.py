# SPDX-License-Identifier: MIT
"""speedscope files: against the schema speedscope ships, and through its real importer in a browser."""
import base64
import json
import re

import pytest

CASES = ["known", "hostile", "deep", "threads", "wide", "realistic", "empty"]


@pytest.fixture(scope="session")
def scope(emit):
    return lambda case: emit(case, "speedscope", f"{case}.speedscope.json")


@pytest.fixture
def open_in_speedscope(browse, node, build, tmp_path):
    """Opens a file as speedscope's own command line does: a script beside the page hands it over."""
    page = build / "node/node_modules/speedscope/dist/release/index.html"

    def open_one(path, steps):
        script = tmp_path / "profile.js"
        content = base64.b64encode(path.read_bytes()).decode()
        script.write_text(f'speedscope.loadFileFromBase64("{path.name}", "{content}")')
        url = f"{page.as_uri()}#localProfilePath={script}"
        loaded = "/ - speedscope$/.test(document.title) || /Something went wrong/.test(document.body.innerText)"
        return browse(url, [["wait", loaded], ["eval", "document.title"], *steps])[1:]

    return open_one


SANDWICH = [["press", "3"], ["wait", "document.querySelector('table')"],
            ["eval", "[...document.querySelectorAll('table tr')].map((row) => row.innerText)"]]
NEXT_THREAD = [["press", "n"], ["wait", "![...document.querySelectorAll('table tr')].some((row) => /\\)\\s+work$/.test(row.innerText))"],
               SANDWICH[-1]]


MILLISECONDS = {"s": 1000, "ms": 1, "µs": 1e-3, "ns": 1e-6}


def read_sandwich(rows, units=MILLISECONDS):
    """{symbol: (total, self)} of rows as "70.00ms (70%) 40.00ms (40%) work"; other tables' rows are left out."""
    found = {}
    for row in rows:
        match = re.fullmatch(r"([\d.]+)(\D*) \(\S+\)\s+([\d.]+)(\D*) \(\S+\)\s(.*)", row, re.S)
        if match:
            total, total_unit, own, own_unit, symbol = match.groups()
            found[symbol.strip()] = (float(total) * units[total_unit], float(own) * units[own_unit])
    return found


# ---- the file -------------------------------------------------------------------------------------------------------

def test_schema(scope, node_script):
    files = [scope(case) for case in CASES]
    assert node_script("validate.mjs", *files) == {str(path): [] for path in files}


@pytest.mark.parametrize("case", CASES)
def test_threads_share_one_time_axis(scope, case):
    content = json.loads(scope(case).read_text())
    for profile in content["profiles"]:
        assert profile["startValue"] == 0 and profile["unit"] == "nanoseconds"
        assert len(profile["samples"]) == len(profile["weights"])
        assert sum(profile["weights"]) == profile["endValue"] == content["profiles"][0]["endValue"]
    assert 0 <= content["activeProfileIndex"] < len(content["profiles"])
    keys = [(frame["name"], frame.get("file"), frame.get("line")) for frame in content["shared"]["frames"]]
    assert len(keys) == len(set(keys)), "equal frames would be two functions"


def test_gaps_are_empty_stacks(scope):
    content = json.loads(scope("known").read_text())
    names = [frame["name"] for frame in content["shared"]["frames"]]
    for profile, wanted in zip(content["profiles"], [
            [(["main", "work"], 40), (["main", "work", "inner"], 30), ([], 100), (["main", "idle"], 30), ([], 100)],
            [([], 50), (["main", "inner"], 50), ([], 200)]]):
        runs = []
        for stack, weight in zip(profile["samples"], profile["weights"]):
            stack = [names[index] for index in stack]
            if runs and runs[-1][0] == stack:
                runs[-1][1] += weight / 1e6
            else:
                runs.append([stack, weight / 1e6])
        assert [tuple(run) for run in runs] == wanted
    assert [profile["name"] for profile in content["profiles"]] == ['Thread 10 "MainThread"', "Thread 11"]


def test_processes_are_named(scope):
    names = {profile["name"] for profile in json.loads(scope("threads").read_text())["profiles"]}
    assert len(names) == 3000 and 'Process 21 Thread 1001 "worker-1"' in names


def test_deep_stacks_keep_both_ends(scope):
    content = json.loads(scope("deep").read_text())
    frames, stack = content["shared"]["frames"], content["profiles"][0]["samples"][0]
    lines = [frames[index].get("line") for index in stack]
    assert len(stack) == 2000 and lines[:3] == [1, 2, 3] and lines[-1] == 20000
    assert sum(line is None for line in lines) == 1


# ---- the importer ---------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("case", CASES)
def test_opens(scope, open_in_speedscope, case):
    assert open_in_speedscope(scope(case), [])[0].endswith(" - speedscope")


def test_sandwich_equals_the_truth(scope, open_in_speedscope):
    results = open_in_speedscope(scope("known"), [*SANDWICH, *NEXT_THREAD])
    assert read_sandwich(results[3]) == {"main": (100, 0), "work": (70, 40), "inner": (30, 30), "idle": (30, 30)}
    assert read_sandwich(results[6]) == {"main": (50, 0), "inner": (50, 50)}


def test_hostile_names_arrive(scope, open_in_speedscope):
    title, _, _, rows = open_in_speedscope(scope("hostile"), SANDWICH)
    found = read_sandwich(rows)
    assert {"</script><script>document.title='owned'</script>", "<module>", "]]>", "a\"b'c&d", "semi;colon", "nul\u2400byte",
            "漢字の名前"} <= set(found)
    assert title.startswith("python3 -c '</title>")
