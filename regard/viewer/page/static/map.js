// One head as a map on a canvas, from all of it to single cells with their numbers.

import { element, svg, clamp, fitCanvas, fitted, niceStep, onceAFrame, short, thousands, weightText } from "./tools.js";
import { levelFor, lookOf, lookOfDifference, paint, scaleOf, shareOf, signedShareOf } from "./draw.js";
import { embedded, sheet } from "./export.js";
import { placeName } from "./timeline.js";
import { visibleName } from "./words.js";

const GUTTER = { left: 96, top: 84 };
const MOST_ZOOM = 96; // pixels of a cell
const NUMBERS = 34; // pixels of a cell in which its number can be read

/** A weight in a cell: the zero before the point takes no room. */
function cellText(value) {
  const text = value.toFixed(2).replace("0.", ".");
  return text === "-.00" ? ".00" : text;
}

export function createMap(context) {
  const { meta, state } = context;
  const canvas = element("canvas", { class: "map", tabIndex: 0, role: "img", "aria-label": "the map of one head" });
  const tip = element("div", { class: "tip", hidden: true });
  const button = (text, label, onclick) =>
    element("button", { type: "button", class: "quiet", title: label, "aria-label": label, onclick }, text);
  const scale = element("div", { class: "scale" });
  const bar = element(
    "div",
    { class: "bar" },
    element(
      "span",
      { class: "tools" },
      button("+", "closer", () => zoom(2)),
      button("−", "farther", () => zoom(0.5)),
      button("Whole", "all of it (f)", () => whole()),
      button("Chosen", "close to the chosen position", () => follow()),
    ),
    scale,
  );
  const frame = element("div", { class: "frame" }, canvas, tip);
  const root = element("div", {}, bar, frame);
  const box = { query: 0, key: 0, across: 1, down: 1 }; // the corner, in cells, and CSS pixels for each cell
  const size = { width: 600, height: 500 };
  let head = null;
  let other = null;
  let seen = "";
  const again = onceAFrame(draw);

  const inner = () => ({ width: size.width - GUTTER.left, height: size.height - GUTTER.top });
  const smallest = () => Math.min(1, inner().width / head.keys, inner().height / head.queries);

  function measure() {
    const width = Math.max(280, frame.clientWidth || 600);
    GUTTER.left = width < 480 ? 64 : 96;
    GUTTER.top = width < 480 ? 60 : 84;
    Object.assign(size, { width, height: clamp(Math.min(window.innerHeight - 250, width), 320, 820) });
  }

  function whole() {
    if (!head) return;
    const across = clamp(Math.min(inner().width / head.keys, inner().height / head.queries), 1e-6, 44);
    Object.assign(box, { query: 0, key: 0, across, down: across });
    if (head.queries * 6 < head.keys || head.keys * 6 < head.queries) {
      box.across = clamp(inner().width / head.keys, 1e-6, 44); // a long and low map fills the width too
      box.down = clamp(inner().height / head.queries, 1e-6, 44);
    }
    again();
  }

  /** The band around the chosen position, as wide as the picture. */
  function follow() {
    if (!head) return;
    const band = head.band ? head.band.width * 1.15 : Math.min(40, head.keys);
    const across = clamp(inner().width / band, 1e-6, 44);
    Object.assign(box, { across, down: across });
    center();
    again();
  }

  function center() {
    const { query, key } = chosenCell();
    const across = key ?? (head.band ? query - head.band.left + head.band.width / 2 : query);
    box.query = query - inner().height / box.down / 2;
    box.key = across - inner().width / box.across / 2;
    bound();
  }

  function chosenCell() {
    const from = state.side === "from";
    return { query: from ? state.now() : (state.cell ?? 0), key: from ? state.cell : state.now() };
  }

  function bound() {
    const [wide, tall] = [inner().width / box.across, inner().height / box.down];
    box.key = wide >= head.keys ? 0 : clamp(box.key, 0, head.keys - wide);
    box.query = tall >= head.queries ? 0 : clamp(box.query, 0, head.queries - tall);
  }

  function zoom(factor, x = inner().width / 2, y = inner().height / 2) {
    if (!head) return;
    const [key, query] = [box.key + x / box.across, box.query + y / box.down];
    const bounded = clamp(
      factor,
      smallest() / Math.min(box.across, box.down),
      MOST_ZOOM / Math.max(box.across, box.down),
    );
    box.across *= bounded;
    box.down *= bounded;
    if (box.across > 8) box.across = box.down = Math.max(box.across, box.down);
    Object.assign(box, { key: key - x / box.across, query: query - y / box.down });
    bound();
    again();
  }

  function cellAt(event) {
    const place = canvas.getBoundingClientRect();
    const [x, y] = [event.clientX - place.left - GUTTER.left, event.clientY - place.top - GUTTER.top];
    if (!head || x < 0 || y < 0) return null;
    const [key, query] = [Math.floor(box.key + x / box.across), Math.floor(box.query + y / box.down)];
    return key < head.keys && query < head.queries && key >= 0 && query >= 0 ? { query, key, x, y } : null;
  }

  const pointers = new Map();
  let moved = 0;
  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, { x: event.clientX, y: event.clientY });
    moved = 0;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const before = pointers.get(event.pointerId);
    if (!before) return point(event);
    const now = { x: event.clientX, y: event.clientY };
    if (pointers.size === 2) pinch(event.pointerId, now);
    else {
      moved += Math.abs(now.x - before.x) + Math.abs(now.y - before.y);
      box.key -= (now.x - before.x) / box.across;
      box.query -= (now.y - before.y) / box.down;
      if (head) bound();
      again();
    }
    pointers.set(event.pointerId, now);
    return undefined;
  });
  const release = (event) => {
    const cell = pointers.size === 1 && moved < 4 && event.type === "pointerup" ? cellAt(event) : null;
    pointers.delete(event.pointerId);
    if (cell) choose(cell);
  };
  canvas.addEventListener("pointerup", release);
  canvas.addEventListener("pointercancel", release);
  canvas.addEventListener("pointerleave", () => (tip.hidden = true));
  canvas.addEventListener("dblclick", (event) => {
    const cell = cellAt(event);
    if (cell) zoom(4, cell.x, cell.y);
  });
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      const place = canvas.getBoundingClientRect();
      zoom(
        Math.exp(-event.deltaY * 0.002),
        event.clientX - place.left - GUTTER.left,
        event.clientY - place.top - GUTTER.top,
      );
    },
    { passive: false },
  );

  function pinch(id, now) {
    const [still] = [...pointers].filter(([one]) => one !== id).map(([, place]) => place);
    const before = pointers.get(id);
    const place = canvas.getBoundingClientRect();
    const far = (a, b) => Math.max(1, Math.hypot(a.x - b.x, a.y - b.y));
    moved = 99;
    zoom(far(now, still) / far(before, still), still.x - place.left - GUTTER.left, still.y - place.top - GUTTER.top);
  }

  function choose({ query, key }) {
    state.set(state.side === "from" ? { at: query, until: null, cell: key } : { at: key, until: null, cell: query });
  }

  async function point(event) {
    const cell = cellAt(event);
    tip.hidden = !cell;
    if (!cell) return;
    const { first, weights } = await head.row(cell.query);
    const weight = weights[cell.key - first];
    const names = `${nameOf("query", cell.query)} → ${nameOf("key", cell.key)}`;
    let told = weight === undefined ? "outside the window" : `weight ${weightText(weight)}`;
    if (other) {
      const there = await other.row(cell.query);
      const second = there.weights[cell.key - there.first] ?? 0;
      told = `${told}, in the other ${weightText(second)}: ${weightText(second - (weight ?? 0))}`;
    }
    tip.textContent = `${names}\n${told}`;
    const place = frame.getBoundingClientRect();
    const most = Math.max(0, place.width - tip.offsetWidth - 4);
    tip.style.left = `${clamp(event.clientX - place.left + 14, 0, most)}px`;
    tip.style.top = `${event.clientY - place.top + 18}px`;
  }

  function nameOf(side, position, most = 40) {
    const axis = meta.axes[state.stackNow()[side]];
    return short(visibleName(placeName(axis, position)), most);
  }

  const most = () => Math.max(head.largest, other?.largest ?? 0);

  function draw() {
    if (!head || !frame.isConnected) return;
    const { theme } = context;
    const { pen, ratio } = fitCanvas(canvas, size.width, size.height);
    pen.fillStyle = theme.paper;
    pen.fillRect(0, 0, size.width, size.height);
    const wide = Math.round(Math.min(inner().width, (head.keys - box.key) * box.across) * ratio);
    const tall = Math.round(Math.min(inner().height, (head.queries - box.query) * box.down) * ratio);
    if (wide < 1 || tall < 1) return;
    const image = new ImageData(wide, tall);
    const scaled = { query: box.query, key: box.key, across: box.across * ratio, down: box.down * ratio };
    const level = levelFor(Math.min(scaled.across, scaled.down), head.levels);
    const look = other ? lookOfDifference(theme, head, other, level, most(), again) : lookOf(theme);
    paint(image, scaled, head, level, again, theme, look);
    pen.putImageData(image, GUTTER.left * ratio, GUTTER.top * ratio);
    if (box.across >= NUMBERS) drawNumbers(pen);
    drawNames(pen);
    drawChosen(pen);
    canvas.dataset.level = level;
  }

  function visible() {
    return {
      q0: Math.floor(box.query),
      q1: Math.min(head.queries, Math.ceil(box.query + inner().height / box.down)),
      k0: Math.floor(box.key),
      k1: Math.min(head.keys, Math.ceil(box.key + inner().width / box.across)),
    };
  }

  function drawNumbers(pen) {
    const { theme } = context;
    const { q0, q1, k0, k1 } = visible();
    pen.save();
    pen.beginPath();
    pen.rect(GUTTER.left, GUTTER.top, inner().width, inner().height);
    pen.clip();
    pen.font = `${clamp(box.across / 3.4, 10, 15)}px system-ui`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    for (let query = q0; query < q1; query++) {
      for (let key = k0; key < k1; key++) {
        const cell = weightAt(head, query, key);
        if (cell === null) continue;
        const there = other ? (weightAt(other, query, key) ?? 0) : 0;
        const value = other ? there - cell : cell;
        const share = other ? signedShareOf(value, most()) : shareOf(cell, head.largest);
        pen.fillStyle = (other ? theme.signedInk : theme.ink)[share];
        const [x, y] = [
          GUTTER.left + (key + 0.5 - box.key) * box.across,
          GUTTER.top + (query + 0.5 - box.query) * box.down,
        ];
        pen.fillText(cellText(value), x, y);
      }
    }
    pen.restore();
    pen.textAlign = "start";
    pen.textBaseline = "alphabetic";
  }

  function weightAt(one, query, key) {
    const { width, left } = one.shape(0);
    const column = left === null ? key : key - query + left;
    if (column < 0 || column >= width) return null;
    const bytes = one.peek(0, query >> 12, again);
    return bytes ? one.decoded[bytes[(query & 4095) * width + column]] : null;
  }

  /** Names where there is room for them, otherwise numbers. */
  function drawNames(pen) {
    const { theme } = context;
    const { q0, q1, k0, k1 } = visible();
    pen.font = "12px system-ui";
    pen.fillStyle = theme.muted;
    const [left, top] = [GUTTER.left - 8, GUTTER.top - 8];
    const [perQuery, perKey] = [nameStep("query", box.down, 13), nameStep("key", box.across, 13)];
    pen.save();
    pen.beginPath();
    pen.rect(0, GUTTER.top - 6, GUTTER.left, size.height);
    pen.clip();
    for (let query = firstNamed(q0, perQuery); query < q1; query += perQuery) {
      const text =
        perQuery > 1 ? thousandsName("query", query) : fitted(nameOf("query", query), left - 4, "12px system-ui");
      pen.fillStyle = query === chosenCell().query ? theme.mark : theme.muted;
      pen.fillText(
        text,
        Math.max(2, left - pen.measureText(text).width),
        GUTTER.top + (query + 0.5 - box.query) * box.down + 4,
      );
    }
    pen.restore();
    pen.save();
    pen.beginPath();
    pen.rect(GUTTER.left - 6, 0, size.width, GUTTER.top);
    pen.clip();
    for (let key = firstNamed(k0, perKey); key < k1; key += perKey) {
      const text = perKey > 1 ? thousandsName("key", key) : fitted(nameOf("key", key), top * 1.05, "12px system-ui");
      pen.save();
      pen.translate(GUTTER.left + (key + 0.5 - box.key) * box.across + 4, top);
      pen.rotate(perKey > 1 && pen.measureText(text).width < perKey * box.across - 8 ? 0 : -Math.PI / 3);
      pen.fillStyle = key === chosenCell().key ? theme.mark : theme.muted;
      pen.fillText(text, 0, 0);
      pen.restore();
    }
    pen.restore();
  }

  /** How many positions there are from one that is named to the next. */
  function nameStep(side, pixels, room) {
    if (pixels >= room) return 1;
    return Math.max(1, Math.round(niceStep((room * (side === "key" ? 5 : 2.2)) / pixels, 1)));
  }

  /** The first that is named, so that numbers are round. */
  function firstNamed(start, step) {
    const whole = meta.axes[state.stackNow().query].kind === "audio" || step === 1 ? 0 : 1; // times are round from 0 on
    return Math.ceil((start + whole) / step) * step - whole;
  }

  function thousandsName(side, position) {
    const axis = meta.axes[state.stackNow()[side]];
    return axis.kind === "audio" ? placeName(axis, position).split(" – ")[0] : thousands(position + 1);
  }

  function drawChosen(pen) {
    const { query, key } = chosenCell();
    pen.save();
    pen.beginPath();
    pen.rect(GUTTER.left - 1, GUTTER.top - 1, inner().width + 1, inner().height + 1);
    pen.clip();
    pen.strokeStyle = context.theme.mark;
    pen.lineWidth = 1.5;
    const [right, bottom] = [
      Math.min(inner().width, (head.keys - box.key) * box.across),
      Math.min(inner().height, (head.queries - box.query) * box.down),
    ];
    const [x, y] = [GUTTER.left + ((key ?? 0) - box.key) * box.across, GUTTER.top + (query - box.query) * box.down];
    const [wide, tall] = [Math.max(2, box.across), Math.max(2, box.down)];
    if (state.side === "from") pen.strokeRect(GUTTER.left, y, right, tall);
    if (key !== null && state.side === "to") pen.strokeRect(x, GUTTER.top, wide, bottom);
    if (state.cell !== null) {
      pen.lineWidth = 2.5;
      pen.strokeRect(x, y, wide, tall);
    }
    pen.restore();
  }

  function drawScale() {
    const [low, high] = other ? [weightText(-most()), `+${weightText(most())}`] : ["0", weightText(head.largest)];
    scale.replaceChildren(...scaleOf(context.theme, [low, other ? "0" : weightText(head.largest / 4), high], other));
  }

  function update(changes) {
    head = context.head();
    other = head && state.show === "difference" ? context.headOf(context.partner()) : null;
    tip.hidden = true;
    frame.hidden = !head;
    if (!head) return;
    measure();
    const now = `${state.stack}/${state.layerNow().name}/${head.queries}/${head.keys}`;
    if (now.split("/")[0] !== seen.split("/")[0]) {
      if (head.band && Math.max(head.keys, head.queries) > 1200) follow();
      else whole();
    } else if ("at" in changes || "cell" in changes) reveal();
    seen = now;
    bound();
    drawScale();
    again();
  }

  /** Moves no more than is needed to see the chosen cell. */
  function reveal() {
    const { query, key } = chosenCell();
    const { q0, q1, k0, k1 } = visible();
    const rowSeen = query >= q0 && query < q1 - (q1 < head.queries ? 1 : 0);
    const along = key ?? query;
    const columnSeen =
      head.keys !== head.queries && key === null ? true : along >= k0 && along < k1 - (k1 < head.keys ? 1 : 0);
    if (!rowSeen || !columnSeen) center();
  }

  function picture() {
    draw();
    const ratio = canvas.width / size.width;
    const cells = document.createElement("canvas");
    const wide = Math.min(inner().width, (head.keys - box.key) * box.across);
    const tall = Math.min(inner().height, (head.queries - box.query) * box.down);
    Object.assign(cells, { width: Math.round(wide * ratio), height: Math.round(tall * ratio) });
    const [x, y] = [GUTTER.left * ratio, GUTTER.top * ratio];
    cells.getContext("2d").drawImage(canvas, x, y, cells.width, cells.height, 0, 0, cells.width, cells.height);
    const drawn = [embedded(cells, GUTTER.left, GUTTER.top, wide, tall)];
    const { q0, q1, k0, k1 } = visible();
    const [perQuery, perKey] = [nameStep("query", box.down, 13), nameStep("key", box.across, 13)];
    for (let query = firstNamed(q0, perQuery); query < q1; query += perQuery) {
      const y = GUTTER.top + (query + 0.5 - box.query) * box.down + 4;
      const text = perQuery > 1 ? thousandsName("query", query) : fitted(nameOf("query", query), GUTTER.left - 12);
      if (y > GUTTER.top)
        drawn.push(svg("text", { x: GUTTER.left - 8, y, "text-anchor": "end", fill: context.theme.text }, text));
    }
    for (let key = firstNamed(k0, perKey); key < k1; key += perKey) {
      const x = GUTTER.left + (key + 0.5 - box.key) * box.across + 4;
      const text = perKey > 1 ? thousandsName("key", key) : fitted(nameOf("key", key), GUTTER.top * 1.05);
      const turned = `translate(${x} ${GUTTER.top - 8}) rotate(${perKey > 1 ? 0 : -60})`;
      if (x > GUTTER.left) drawn.push(svg("text", { transform: turned, fill: context.theme.text }, text));
    }
    return sheet(GUTTER.left + wide + 24, GUTTER.top + tall + 16, context.viewTitle(), context.theme, ...drawn);
  }

  async function numbers() {
    const { q0, q1, k0, k1 } = visible();
    const all = head.queries * (head.band?.width ?? head.keys) <= 1e6;
    const rows = [["query", "query name", "key", "key name", "weight", ...(other ? ["weight in the other"] : [])]];
    for (let query = all ? 0 : q0; query < (all ? head.queries : q1); query++) {
      const { first, weights } = await head.row(query);
      const there = other ? await other.row(query) : null;
      for (let i = 0; i < weights.length; i++) {
        const key = first + i;
        if (!all && (key < k0 || key >= k1)) continue;
        const second = there ? [there.weights[key - there.first] ?? 0] : [];
        rows.push([query + 1, nameOf("query", query), key + 1, nameOf("key", key), weights[i], ...second]);
      }
    }
    return rows;
  }
  return {
    root,
    update,
    picture,
    numbers,
    resize: () => head && update({}),
    zoom: (closer) => zoom(closer ? 1.5 : 1 / 1.5),
    whole,
    follow,
    box,
  };
}
