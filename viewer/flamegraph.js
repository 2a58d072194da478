/* SPDX-License-Identifier: MIT */
/*
 * Zoom, search and keyboard for pspy's flame graphs (src/output/flamegraph.c writes the page).
 *
 * Each frame is <g class="f ..." data-s="first sample" data-n="samples"> with a title "label (samples,
 * share)", a rectangle placed in percent and, where it fits, a text. Frames stand in pre-order: callers
 * first. Without this script the picture is complete; with it the width follows the window.
 *
 * What is shown follows from `state` alone, and the state is the URL's fragment: #zoom=12&search=re.
 */
(function () {
  "use strict";

  const SVG = "http://www.w3.org/2000/svg";
  const HTML = "http://www.w3.org/1999/xhtml";
  const MARGIN = 10;
  const TEXT_INDENT = 4;
  const THIN = 3; // pixels: narrower frames have no border, it would cover them
  const DETAILS_HEIGHT = 26;

  const svg = document.currentScript.ownerSVGElement;
  const canvas = svg.querySelector("#frames");
  if (!canvas) return;
  const height = Number(svg.getAttribute("height"));
  const rowHeight = Number(svg.dataset.row);
  const rootBelow = svg.dataset.root === "bottom";

  const state = { zoom: 0, search: "" };
  let current = -1; // the frame the keyboard stands on
  let detailed = -1; // the frame the details are about
  let hits = [];

  // ---- the model ------------------------------------------------------------------------------

  function readFrame(group, index) {
    const title = group.firstElementChild.textContent;
    const split = title.lastIndexOf(" (");
    const rect = group.querySelector("rect");
    const start = Number(group.dataset.s);
    const count = Number(group.dataset.n);
    return {
      index, group, rect, start, count,
      text: group.querySelector("text"),
      end: start + count,
      y: Number(rect.getAttribute("y")),
      label: title.slice(0, split),
      before: (title.slice(split).match(/, before [\d.]+%/) || [""])[0], // where changes are drawn
      kind: group.getAttribute("class").replace(" thin", ""),
      depth: 0, parent: -1, hit: false, shown: true,
    };
  }

  const frames = Array.from(canvas.querySelectorAll("g.f"), readFrame);

  (function linkParents() {
    const path = [];
    for (const frame of frames) {
      frame.depth = Math.abs(frame.y - frames[0].y) / rowHeight;
      path.length = frame.depth;
      frame.parent = frame.depth ? path[frame.depth - 1] : -1;
      path.push(frame.index);
    }
  })();

  const total = frames[0].count;

  // ---- text that fits ---------------------------------------------------------------------------

  function isWide(code) {
    return (code >= 0x1100 && code < 0x1160) || (code >= 0x2e80 && code < 0xa4d0) ||
      (code >= 0xac00 && code < 0xd7b0) || (code >= 0xf900 && code < 0xfb00) ||
      (code >= 0xff01 && code < 0xff61) || (code >= 0x1f300 && code < 0x1fa00) || code >= 0x20000;
  }

  function columnsOf(character) {
    return isWide(character.codePointAt(0)) ? 2 : 1;
  }

  function fit(text, columns) {
    if (text.length * 2 <= columns) return text;
    let used = 0;
    let kept = "";
    let cut = "";
    for (const character of text) {
      used += columnsOf(character);
      if (used > columns) return cut + "…";
      kept += character;
      if (used < columns) cut = kept;
    }
    return text;
  }

  function fitMiddle(text, columns) {
    const characters = Array.from(text);
    if (characters.length <= columns) return text;
    const left = Math.floor(columns / 2);
    const right = Math.max(0, columns - left - 1);
    return characters.slice(0, left).join("") + "…" + characters.slice(characters.length - right).join("");
  }

  /* One measurement serves all labels: the font is monospaced. */
  function measureColumn() {
    const probe = document.createElementNS(SVG, "text");
    probe.setAttribute("id", "measure");
    probe.setAttribute("y", "-50");
    probe.textContent = "0".repeat(100);
    svg.appendChild(probe);
    const width = probe.getComputedTextLength() / 100;
    probe.remove();
    return width || 7.3;
  }

  const column = measureColumn();

  function share(part, whole) {
    return (100 * part / whole).toFixed(2) + "%";
  }

  // ---- drawing ----------------------------------------------------------------------------------

  function canvasWidth() {
    return Math.max(100, (svg.clientWidth || window.innerWidth) - 2 * MARGIN);
  }

  function drawText(frame, left, pixels) {
    const columns = Math.floor((pixels - 2 * TEXT_INDENT) / column);
    if (columns < 2) {
      if (frame.text) frame.text.textContent = "";
      return;
    }
    if (!frame.text) {
      frame.text = document.createElementNS(SVG, "text");
      frame.text.setAttribute("y", String(frame.y + rowHeight - 5.5));
      frame.text.setAttribute("dx", String(TEXT_INDENT));
      frame.group.appendChild(frame.text);
    }
    frame.text.setAttribute("x", left + "%");
    frame.text.textContent = fit(frame.label, columns);
  }

  function drawFrame(frame, focus, width) {
    const above = frame.depth < focus.depth && frame.start <= focus.start && frame.end >= focus.end;
    const inside = frame.depth >= focus.depth && frame.start >= focus.start && frame.end <= focus.end;
    const left = above ? 0 : 100 * (frame.start - focus.start) / focus.count;
    const part = above ? 100 : 100 * frame.count / focus.count;
    const thin = part * width < 100 * THIN;
    frame.shown = above || inside;
    frame.group.setAttribute("class", frame.kind + (above ? " up" : "") + (frame.shown ? "" : " off") +
      (thin ? " thin" : "") + (frame.hit ? " hit" : "") + (frame.index === current ? " current" : ""));
    if (!frame.shown) return;
    frame.rect.setAttribute("x", left + "%");
    frame.rect.setAttribute("width", part + "%");
    drawText(frame, left, part * width / 100);
  }

  function drawTitle(width) {
    const title = svg.querySelector("#title");
    title.textContent = fitMiddle(svg.querySelector("title").textContent, Math.floor(width / 9));
  }

  function draw() {
    const width = canvasWidth();
    canvas.setAttribute("width", String(width));
    for (const frame of frames) drawFrame(frame, frames[state.zoom], width);
    drawTitle(width);
    drawMatched();
    resetButton.disabled = state.zoom === 0;
    showDetails(detailed);
  }

  // ---- search -----------------------------------------------------------------------------------

  /* A lower-case pattern ignores case; what is no regular expression is searched as it stands. */
  function compile(pattern) {
    const flags = pattern === pattern.toLowerCase() ? "i" : "";
    try {
      return { test: new RegExp(pattern, flags), valid: true };
    } catch (error) {
      const literal = pattern.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
      return { test: new RegExp(literal, flags), valid: false };
    }
  }

  function findHits() {
    const matcher = state.search ? compile(state.search) : null;
    input.classList.toggle("bad", Boolean(matcher) && !matcher.valid);
    for (const frame of frames) frame.hit = Boolean(matcher) && matcher.test.test(frame.label);
    hits = frames.filter((frame) => frame.hit);
  }

  /* Samples under any hit inside [start, end]: pre-order lets a hit below another hit be skipped. */
  function countMatched(start, end) {
    let covered = start;
    let sum = 0;
    for (const hit of hits) {
      const from = Math.max(hit.start, covered);
      const to = Math.min(hit.end, end);
      if (to > from) {
        sum += to - from;
        covered = to;
      }
    }
    return sum;
  }

  function drawMatched() {
    if (!state.search) {
      matched.textContent = "";
      return;
    }
    const focus = frames[state.zoom];
    let text = hits.length + (hits.length === 1 ? " frame, " : " frames, ") +
      share(countMatched(0, total), total) + " of all samples";
    if (state.zoom) text += ", " + share(countMatched(focus.start, focus.end), focus.count) + " of this view";
    matched.textContent = text;
  }

  function stepHit(step) {
    const shown = hits.filter((frame) => frame.shown);
    if (!shown.length) return;
    const at = shown.findIndex((frame) => frame.index === current);
    setCurrent(shown[at < 0 ? 0 : (at + step + shown.length) % shown.length].index);
  }

  // ---- state and its URL --------------------------------------------------------------------------

  function fragment() {
    const search = state.search ? "&search=" + encodeURIComponent(state.search) : "";
    return "#zoom=" + state.zoom + search;
  }

  function readFragment() {
    const found = new URLSearchParams(location.hash.slice(1));
    const zoom = Number(found.get("zoom"));
    state.zoom = Number.isInteger(zoom) && frames[zoom] ? zoom : 0;
    state.search = found.get("search") || "";
    input.value = state.search;
    findHits();
    draw();
  }

  /* A zoom is a step to go back from; typing a search is not. A sandboxed page may refuse both. */
  function writeFragment(step) {
    try {
      if (step) location.hash = fragment();
      else location.replace(fragment());
    } catch (error) {
      draw();
    }
  }

  function setZoom(index) {
    if (index === state.zoom) return;
    state.zoom = index;
    draw();
    writeFragment(true);
  }

  function setSearch(pattern) {
    if (pattern === state.search) return;
    state.search = pattern;
    findHits();
    draw();
    writeFragment(false);
  }

  // ---- controls -----------------------------------------------------------------------------------

  function make(parent, name, attributes, text) {
    const element = document.createElementNS(HTML, name);
    for (const key of Object.keys(attributes)) element.setAttribute(key, attributes[key]);
    if (text) element.textContent = text;
    parent.appendChild(element);
    return element;
  }

  function makePanel(y, panelHeight) {
    const panel = document.createElementNS(SVG, "foreignObject");
    panel.setAttribute("x", "0");
    panel.setAttribute("y", String(y));
    panel.setAttribute("width", "100%");
    panel.setAttribute("height", String(panelHeight));
    svg.appendChild(panel);
    return panel;
  }

  const barPanel = makePanel(Number(svg.dataset.bar), 28);
  const bar = make(barPanel, "div", { id: "bar", role: "toolbar", style: "padding: 0 " + MARGIN + "px" });
  const input = make(bar, "input", {
    id: "search", type: "search", placeholder: "Search: regular expression ( / )", spellcheck: "false",
    "aria-label": "Search frames by regular expression",
    title: "Lower case ignores case. Enter and Shift+Enter go through the matches.",
  });
  const resetButton = make(bar, "button", { id: "reset", type: "button", title: "Escape" }, "Reset zoom");
  const matched = make(bar, "span", { id: "matched", role: "status" });
  make(bar, "span", { class: "keys" }, "click: zoom · Esc: reset · arrows, Enter: move, zoom");
  const detailsPanel = makePanel(0, DETAILS_HEIGHT);
  const details = make(detailsPanel, "div", { id: "details", "aria-live": "polite" });

  /* The page fills the window; the details stay at the window's lower edge. */
  function placeDetails() {
    const alone = document.documentElement === svg;
    const pageHeight = Math.max(height + DETAILS_HEIGHT, alone ? window.innerHeight : 0);
    const edge = Math.min(window.innerHeight - svg.getBoundingClientRect().top, pageHeight);
    svg.setAttribute("height", String(pageHeight));
    detailsPanel.setAttribute("y", String(edge - DETAILS_HEIGHT));
  }

  function showDetails(index) {
    const frame = frames[index];
    detailed = index;
    if (!frame) {
      details.textContent = "Point at a frame to see it in full.";
      return;
    }
    const focus = frames[state.zoom];
    const own = frame.count.toLocaleString("en-US") + " samples, " + share(frame.count, total);
    const view = state.zoom && frame.depth >= focus.depth ? ", " + share(frame.count, focus.count) + " of this view" : "";
    details.textContent = frame.label + "  —  " + own + frame.before + view;
  }

  // ---- mouse and keyboard ---------------------------------------------------------------------------

  function frameOf(event) {
    const group = event.target.closest ? event.target.closest("g.f") : null;
    return group ? frames.findIndex((frame) => frame.group === group) : -1;
  }

  function setCurrent(index) {
    const before = frames[current];
    current = index;
    if (before) before.group.classList.remove("current");
    showDetails(current);
    if (!frames[current]) return;
    frames[current].group.classList.add("current");
    frames[current].group.scrollIntoView({ block: "nearest" });
  }

  function firstChild(index) {
    return frames.findIndex((frame) => frame.parent === index && frame.shown);
  }

  function neighbour(index, step) {
    const row = frames.filter((frame) => frame.shown && frame.depth === frames[index].depth);
    const next = row[row.findIndex((frame) => frame.index === index) + step];
    return next ? next.index : -1;
  }

  function move(key) {
    const inward = key === (rootBelow ? "ArrowUp" : "ArrowDown");
    let next = current;
    if (!frames[current] || !frames[current].shown) next = state.zoom;
    else if (key === "ArrowLeft" || key === "ArrowRight") next = neighbour(current, key === "ArrowLeft" ? -1 : 1);
    else next = inward ? firstChild(current) : frames[current].parent;
    if (next >= 0) setCurrent(next);
  }

  function inputKey(event) {
    if (event.key === "Enter") {
      stepHit(event.shiftKey ? -1 : 1);
    } else if (event.key === "Escape") {
      input.value = "";
      setSearch("");
      input.blur();
    } else {
      return;
    }
    event.preventDefault();
    event.stopPropagation();
  }

  function pageKey(event) {
    const find = (event.ctrlKey || event.metaKey) && event.key.toLowerCase() === "f";
    if (find || event.key === "F3" || (event.key === "/" && event.target !== input)) {
      input.focus();
      input.select();
    } else if (event.target === input || event.target === resetButton || event.ctrlKey || event.metaKey || event.altKey) {
      return;
    } else if (event.key === "Escape") {
      setZoom(0);
      setCurrent(-1);
    } else if (event.key.startsWith("Arrow")) {
      move(event.key);
    } else if (event.key === "Enter" && frames[current]) {
      setZoom(current);
    } else {
      return;
    }
    event.preventDefault();
  }

  canvas.addEventListener("click", (event) => {
    const index = frameOf(event);
    if (index >= 0) setZoom(index);
  });
  canvas.addEventListener("mouseover", (event) => showDetails(frameOf(event)));
  canvas.addEventListener("mouseleave", () => showDetails(current));
  input.addEventListener("input", () => setSearch(input.value));
  input.addEventListener("keydown", inputKey);
  resetButton.addEventListener("click", () => setZoom(0));
  window.addEventListener("keydown", pageKey);
  window.addEventListener("hashchange", () => {
    if (location.hash !== fragment()) readFragment();
  });
  window.addEventListener("scroll", placeDetails);
  let pending = 0;
  window.addEventListener("resize", () => {
    cancelAnimationFrame(pending);
    pending = requestAnimationFrame(() => {
      draw();
      placeDetails();
    });
  });

  svg.classList.add("live");
  svg.removeAttribute("viewBox");
  svg.setAttribute("width", "100%");
  readFragment();
  placeDetails();
  if (rootBelow) window.scrollTo(0, height);
})();
