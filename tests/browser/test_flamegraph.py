# SPDX-License-Identifier: MIT
"""The flame graph: its static picture against the folded stacks, and what a person does with it in a browser.

The case "known" (see emit_profile.c), 15 samples:
    all 15 > main 15 > idle 3 | inner 5 | work 7 > inner 3
"""
import re
import xml.etree.ElementTree as ElementTree

import pytest

SVG = "{http://www.w3.org/2000/svg}"

# What is drawn, as the page's elements say: label -> [left %, width %, classes, text], hidden frames left out.
SHOWN = """Object.fromEntries([...document.querySelectorAll("#frames g.f")]
  .filter((g) => getComputedStyle(g).display !== "none")
  .map((g) => {
    const rect = g.querySelector("rect"), text = g.querySelector("text");
    const depth = Number(rect.getAttribute("y")) / 18;
    return [depth + " " + g.querySelector("title").textContent.split(" (")[0],
            [parseFloat(rect.getAttribute("x")), parseFloat(rect.getAttribute("width")),
             g.getAttribute("class").split(" ").slice(2).join(" "), text ? text.textContent : ""]];
  }))"""
MATCHED = 'document.querySelector("#matched").textContent'
ALL_SHOWN = ["0 all", "1 main", "2 idle", "2 inner", "2 work", "3 inner"]


def frame(label):
    """A selector of the first frame with this label."""
    return f'xpath=//*[local-name()="g"][*[local-name()="title"][starts-with(., "{label} (")]]/*[local-name()="rect"]'


@pytest.fixture
def known(emit):
    return emit("known", "flamegraph", "known.svg")


# ---- the static picture ---------------------------------------------------------------------------------------------

def read_frames(path):
    """[(row, first sample, samples, label)] from the file alone."""
    frames = []
    for group in ElementTree.parse(path).iter(SVG + "g"):
        if not group.get("class", "").startswith("f "):
            continue
        title, rect = group.find(SVG + "title").text, group.find(SVG + "rect")
        label, count = re.fullmatch(r"(.*) \(([\d,]+) samples, [\d.]+%\)", title, re.S).groups()
        assert int(count.replace(",", "")) == int(group.get("data-n"))
        frames.append((int(rect.get("y")) // 18, int(group.get("data-s")), int(group.get("data-n")), label,
                       float(rect.get("x")[:-1]), float(rect.get("width")[:-1])))
    return frames


def folded_tree(path):
    """{path of labels: samples} for every prefix of every folded stack."""
    tree = {}
    for line in path.read_text().splitlines():
        stack, count = line.rsplit(" ", 1)
        parts = tuple(stack.split(";"))
        for depth in range(len(parts) + 1):
            tree[parts[:depth]] = tree.get(parts[:depth], 0) + int(count)
    return tree


@pytest.mark.parametrize("case", ["known", "realistic", "wide"])
def test_frames_equal_the_folded_stacks(emit, case):
    frames = read_frames(emit(case, "flamegraph", f"{case}.svg"))
    tree = folded_tree(emit(case, "raw", f"{case}.txt"))
    total, path, drawn = tree[()], [], {}
    for row, start, count, label, left, width in frames:
        assert row <= len(path), "a frame without its caller"
        path[row:] = [(label, start, count)]
        if row:
            assert path[row - 1][1] <= start and start + count <= path[row - 1][1] + path[row - 1][2]
        assert left == pytest.approx(100 * start / total, abs=1e-3)
        assert width == pytest.approx(100 * count / total, abs=1e-3)
        drawn[tuple(name for name, _, _ in path[1:])] = count
    least = min(drawn.values())
    assert len(frames) <= 4900 and total == frames[0][2]
    # Frames are left out only where the limit demands it, or under 0.01 %.
    assert all(drawn.get(path) == count for path, count in tree.items() if count >= max(least, total / 10000))
    assert all(tree[path] == count for path, count in drawn.items())


def test_no_frame_overlaps_another(emit):
    rows = {}
    for row, start, count, *_ in read_frames(emit("realistic", "flamegraph", "realistic.svg")):
        assert start >= rows.get(row, 0)
        rows[row] = start + count


def test_what_is_cut_is_said(emit):
    wide, deep = (emit(case, "flamegraph", f"{case}.svg").read_text() for case in ("wide", "deep"))
    assert "Frames under 0.0125% are not drawn: 50.00% of the samples end in one." in wide
    assert "Stacks are cut below 1000 frames: 90.00% of the samples go deeper." in deep
    assert "are not drawn" not in emit("known", "flamegraph", "known.svg").read_text()


def test_empty_profile(emit, browse):
    path = emit("empty", "flamegraph", "empty.svg")
    assert browse(path, [["eval", "document.querySelector('#empty').textContent"]]) == ["no samples"]


def test_without_scripts(known, browse):
    shown, hint, bar = browse(known, [
        ["eval", SHOWN],
        ["eval", "getComputedStyle(document.querySelector('#hint')).display"],
        ["eval", "document.querySelector('#bar')"],
    ], scripts=False)
    assert sorted(shown) == ALL_SHOWN
    assert shown["2 work"][:2] == [pytest.approx(100 * 8 / 15, abs=1e-3), pytest.approx(100 * 7 / 15, abs=1e-3)]
    assert shown["3 inner"][3] == "inner (app.py:1)"
    assert hint != "none" and bar is None


def test_root_at_the_bottom(emit, browse):
    path = emit("known", "flamegraph", "flame.svg", "--flame")
    shown, _, zoomed = browse(path, [["eval", SHOWN], ["click", frame("work")], ["eval", SHOWN]])
    assert sorted(shown) == ["0 inner", "1 idle", "1 inner", "1 work", "2 main", "3 all"]
    assert sorted(zoomed) == ["0 inner", "1 work", "2 main", "3 all"]


# ---- zoom -----------------------------------------------------------------------------------------------------------

def test_zoom_and_its_ends(known, browse):
    results = browse(known, [
        ["eval", SHOWN], ["click", frame("work")], ["eval", SHOWN],
        ["press", "Escape"], ["eval", SHOWN],
        ["click", frame("work")], ["click", "#reset"], ["eval", SHOWN],
        ["click", frame("work")], ["click", frame("all")], ["eval", SHOWN],
        ["click", frame("work")], ["click", frame("main")], ["eval", SHOWN],
    ])
    whole, zoomed, after_escape, after_reset, after_root, on_main = (results[i] for i in (0, 2, 4, 7, 10, 13))
    assert sorted(whole) == ALL_SHOWN
    assert {name: value[:3] for name, value in zoomed.items()} == {
        "0 all": [0, 100, "up"], "1 main": [0, 100, "up"], "2 work": [0, 100, ""],
        "3 inner": [0, pytest.approx(300 / 7), ""]}
    assert after_escape == after_reset == after_root == whole
    assert sorted(on_main) == ALL_SHOWN and on_main["0 all"][2] == "up"


def test_zoom_of_a_big_page(emit, browse):
    """Of thousands of frames those are left that share samples with the clicked one."""
    path = emit("realistic", "flamegraph", "realistic.svg")
    frames = read_frames(path)
    _, start, count, *_ = frames[2]
    kept = sum(begin < start + count and start < begin + samples for _, begin, samples, *_ in frames)
    click = "document.querySelectorAll('#frames g.f')[2].dispatchEvent(new MouseEvent('click', { bubbles: true }))"
    shown = """[...document.querySelectorAll("#frames g.f")]
               .filter((g) => getComputedStyle(g).display !== "none").length"""
    assert path.stat().st_size < 1_000_000
    assert 1000 < len(frames)
    assert browse(path, [["eval", shown], ["eval", click], ["eval", shown]])[::2] == [len(frames), kept]
    assert kept < len(frames)


# ---- search ---------------------------------------------------------------------------------------------------------

@pytest.mark.parametrize("pattern, matched", [
    ("inner", "2 frames, 53.33% of all samples"),
    ("^main|inner", "3 frames, 100.00% of all samples"),
    ("INNER", "0 frames, 0.00% of all samples"),
    ("work \\(app\\.py:\\d\\)$", "1 frame, 46.67% of all samples"),
    ("(app", "5 frames, 100.00% of all samples"),
])
def test_search(known, browse, pattern, matched):
    _, text, shown, bad = browse(known, [
        ["fill", "#search", pattern], ["eval", MATCHED], ["eval", SHOWN],
        ["eval", "document.querySelector('#search').classList.contains('bad')"]])
    assert text == matched
    assert sum("hit" in value[2].split() for value in shown.values()) == int(matched.split()[0])
    assert bad == (pattern == "(app")


def test_search_inside_a_zoom(known, browse):
    results = browse(known, [["click", frame("work")], ["fill", "#search", "inner"], ["eval", MATCHED],
                             ["press", "Escape"], ["eval", MATCHED], ["eval", SHOWN]])
    assert results[2] == "2 frames, 53.33% of all samples, 42.86% of this view"
    assert results[4] == "" and "2 idle" not in results[5], "the first Escape ends the search, not the zoom"


# ---- the URL --------------------------------------------------------------------------------------------------------

def test_state_in_the_url(known, browse):
    results = browse(known, [
        ["click", frame("work")], ["fill", "#search", "in.er"], ["eval", "location.hash"],
        ["reload"], ["eval", SHOWN], ["eval", MATCHED], ["eval", "document.querySelector('#search').value"],
        ["back"], ["eval", SHOWN], ["forward"], ["eval", SHOWN]])
    assert results[2].endswith("&search=in.er")
    assert sorted(results[4]) == ["0 all", "1 main", "2 work", "3 inner"]
    assert results[5].startswith("2 frames, 53.33%") and results[6] == "in.er"
    assert sorted(results[8]) == ALL_SHOWN
    assert sorted(results[10]) == ["0 all", "1 main", "2 work", "3 inner"]


@pytest.mark.parametrize("fragment", ["#zoom=99999", "#zoom=-1", "#zoom=x&search=%5B", "#nonsense", "#search=%E0%A4%A"])
def test_strange_url(known, browse, fragment):
    assert sorted(browse(known.as_uri() + fragment, [["eval", SHOWN]])[0]) == ALL_SHOWN


# ---- window, keyboard, details --------------------------------------------------------------------------------------

def test_resize_cuts_labels_anew(known, browse):
    texts = "[...document.querySelectorAll('#frames text')].map((text) => text.textContent)"
    too_wide = """[...document.querySelectorAll("#frames g.f")].filter((g) => {
      const text = g.querySelector("text");
      return text && text.getComputedTextLength() > g.querySelector("rect").getBoundingClientRect().width;
    }).length"""
    wide, overflow, _, _, narrow, overflow_narrow = browse(known, [
        ["eval", texts], ["eval", too_wide], ["resize", 400, 900],
        ["wait", "document.querySelector('#frames').getAttribute('width') === '380'"], ["eval", texts], ["eval", too_wide]])
    assert "idle (app.py:1)" in wide and "idle (app.py:1)" not in narrow and "idle (ap…" in narrow
    assert overflow == overflow_narrow == 0


def test_keyboard(known, browse):
    current = "document.querySelector('.current title').textContent.split(' (')[0]"
    results = browse(known, [
        ["press", "/"], ["eval", "document.activeElement.id"], ["press", "Escape"],
        ["press", "ArrowDown"], ["eval", current], ["press", "ArrowDown"], ["press", "ArrowDown"], ["eval", current],
        ["press", "ArrowRight"], ["press", "ArrowRight"], ["eval", current], ["press", "Enter"], ["eval", SHOWN],
        ["press", "ArrowUp"], ["eval", current],
        ["press", "Control+f"], ["eval", "document.activeElement.id"],
        ["fill", "#search", "inner"], ["press", "Enter"], ["eval", current]])
    assert results[1] == results[16] == "search"
    assert [results[i] for i in (4, 7, 10, 14, 19)] == ["all", "idle", "work", "main", "inner"]
    assert sorted(results[12]) == ["0 all", "1 main", "2 work", "3 inner"]


def test_details_follow_the_mouse(known, browse):
    details = "document.querySelector('#details').textContent"
    results = browse(known, [["eval", details], ["hover", frame("idle")], ["eval", details],
                             ["click", frame("work")], ["hover", frame("work")], ["eval", details]])
    assert results[0] == "Point at a frame to see it in full."
    assert results[2] == "idle (app.py:1)  —  3 samples, 20.00%"
    assert results[5] == "work (app.py:1)  —  7 samples, 46.67%, 100.00% of this view"


def test_dark(known, browse):
    fill = "getComputedStyle(document.querySelector('#background')).fill"
    assert browse(known, [["eval", fill]])[0] == "rgb(255, 255, 255)"
    assert browse(known, [["eval", fill]], dark=True)[0] == "rgb(27, 27, 31)"


# ---- hostile names --------------------------------------------------------------------------------------------------

def test_hostile_names(emit, browse):
    path = emit("hostile", "flamegraph", "hostile.svg")
    ElementTree.parse(path)
    titles, document_title, _, matched = browse(path, [
        ["eval", "[...document.querySelectorAll('#frames title')].map((title) => title.textContent)"],
        ["eval", "document.title"], ["fill", "#search", "</script>"], ["eval", MATCHED]])
    assert len(titles) == 23 and document_title == "python3 -c '</title></svg>]]>&\ufffd\"'"
    labels = {title.rsplit(" (", 1)[0].rsplit(" (app.py", 1)[0] for title in titles}
    assert {"</script><script>document.title='owned'</script>", "<module>", "]]>", "a\"b'c&d", "nul\u2400byte", "x" * 10000,
            "ctrl\x1b[31m\x7f".replace("\x1b", ""), "invalid\ufffd\ufffd\ufffd(" + "\ufffd" * 7, "漢字の名前", " "} <= labels
    assert matched.startswith("1 frame, ")
