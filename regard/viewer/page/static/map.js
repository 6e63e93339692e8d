// One head as a map on a canvas, from all of it to single cells with their numbers.

import { element, svg, clamp, fitCanvas, onceAFrame, short, weightText } from "./tools.js";
import { levelFor, lookOf, lookOfDifference, paint, scaleOf } from "./draw.js";
import { embedded, sheet } from "./export.js";
import { placeName } from "./timeline.js";
import { visibleName } from "./words.js";
import { createPlace } from "./place.js";
import { namesBeside, numberedCells } from "./cells.js";

const MANY = 1200; // positions from which on a band is looked at from near first
const TURN = -60; // degrees, of names above columns

export function createMap(context) {
  const { meta, state } = context;
  let head = null;
  let other = null; // of the second model, whose difference is shown
  let seen = null;
  let points = 0;
  const canvas = element("canvas", { class: "map", tabIndex: 0, role: "img", "aria-label": "the map of one head" });
  const tip = element("div", { class: "tip", hidden: true });
  const scale = element("div", { class: "scale" });
  const frame = element("div", { class: "frame" }, canvas, tip);
  const place = createPlace(() => head);
  const again = onceAFrame(draw);
  const tools = {
    zoom: (factor, x, y) => moved(() => place.zoom(factor, x, y)),
    whole: () => moved(() => place.whole()),
    follow: () => moved(() => place.follow(chosenCell())),
  };
  const root = element("div", {}, element("div", { class: "bar" }, buttons(tools), scale), frame);

  function moved(move) {
    if (!head) return;
    move();
    again();
  }

  function chosenCell() {
    const from = state.side === "from";
    return { query: from ? state.now() : (state.cell ?? 0), key: from ? state.cell : state.now() };
  }

  const axes = () => ({ query: meta.axes[state.stackNow().query], key: meta.axes[state.stackNow().key] });
  const nameOf = (side, position) => short(visibleName(placeName(axes()[side], position)), 40);
  const most = () => Math.max(head.largest, other?.largest ?? 0);

  followPointers(canvas, {
    drag: (x, y) => moved(() => place.move(x, y)),
    zoom: (factor, x, y) => tools.zoom(factor, x - place.left, y - place.top),
    click: (x, y) => {
      const cell = head && place.cellAt(x, y);
      if (cell && state.side === "from") state.set({ at: cell.query, until: null, cell: cell.key });
      else if (cell) state.set({ at: cell.key, until: null, cell: cell.query });
    },
    point,
    leave: () => (tip.hidden = true),
  });

  async function point(x, y) {
    const cell = head && place.cellAt(x, y);
    const turn = ++points;
    tip.hidden = !cell;
    if (!cell) return;
    const [one, second] = [await weightOf(head, cell), other && (await weightOf(other, cell))];
    if (turn !== points) return; // another cell is pointed at, whose weight came sooner
    const names = `${nameOf("query", cell.query)} → ${nameOf("key", cell.key)}`;
    const told = one === null ? "outside the window" : `weight ${weightText(one)}`;
    const more = `, in the other ${weightText(second ?? 0)}: ${weightText((second ?? 0) - (one ?? 0))}`;
    tip.textContent = `${names}\n${told}${other ? more : ""}`;
    tip.style.left = `${clamp(x + 14, 0, Math.max(0, frame.clientWidth - tip.offsetWidth - 4))}px`;
    tip.style.top = `${y + 18}px`;
  }

  function draw() {
    if (!head || !frame.isConnected) return;
    const { theme } = context;
    const { pen, ratio } = fitCanvas(canvas, place.width, place.height);
    pen.fillStyle = theme.paper;
    pen.fillRect(0, 0, place.width, place.height);
    const image = paintCells(ratio);
    if (!image) return;
    pen.putImageData(image, place.left * ratio, place.top * ratio);
    within(pen, place.left - 1, place.top - 1, place.width, place.height, () => {
      drawNumbers(pen);
      drawChosen(pen);
    });
    drawNames(pen);
  }

  /** The cells alone; null where there is no room for any. */
  function paintCells(ratio) {
    const { theme } = context;
    const { width, height } = place.extent();
    const [wide, tall] = [Math.round(width * ratio), Math.round(height * ratio)];
    if (wide < 1 || tall < 1) return null;
    const image = new ImageData(wide, tall);
    const box = { query: place.query, key: place.key, across: place.across * ratio, down: place.down * ratio };
    const level = levelFor(Math.min(box.across, box.down), head.levels);
    canvas.dataset.level = level;
    paint(image, box, head, level, again, theme, other ? differences(level) : lookOf(theme));
    return image;
  }

  const differences = (level) => lookOfDifference(context.theme, head, other, level, most(), again);

  function drawNumbers(pen) {
    pen.font = `${numberSize()}px system-ui`;
    pen.textAlign = "center";
    pen.textBaseline = "middle";
    for (const { query, key, text, ink } of numberedCells(context.theme, place, head, other, again)) {
      pen.fillStyle = ink;
      pen.fillText(text, place.xOf(key + 0.5), place.yOf(query + 0.5));
    }
    pen.textAlign = "start";
    pen.textBaseline = "alphabetic";
  }

  const numberSize = () => clamp(place.across / 3.4, 10, 15);

  function drawNames(pen) {
    const { theme } = context;
    const { queries, keys } = namesBeside(place, axes());
    const chosen = chosenCell();
    pen.font = "12px system-ui";
    within(pen, 0, place.top - 6, place.left, place.height, () => {
      for (const { position, text } of queries) {
        pen.fillStyle = position === chosen.query ? theme.mark : theme.muted;
        pen.fillText(
          text,
          Math.max(2, place.left - 8 - pen.measureText(text).width),
          Math.min(place.height - 3, place.yOf(position + 0.5) + 4),
        );
      }
    });
    within(pen, place.left - 6, 0, place.width, place.top, () => {
      for (const { position, text, turned } of keys) {
        pen.save();
        pen.translate(place.xOf(position + 0.5) + (turned ? 4 : 0), place.top - 8);
        pen.textAlign = turned ? "start" : "center";
        if (turned) pen.rotate((TURN * Math.PI) / 180);
        pen.fillStyle = position === chosen.key ? theme.mark : theme.muted;
        pen.fillText(text, 0, 0);
        pen.restore();
      }
    });
  }

  /** The frames around what is chosen: of the row or column, and of the cell. */
  function framesOf() {
    const { query, key } = chosenCell();
    const { width, height } = place.extent();
    const [wide, tall] = [Math.max(2, place.across), Math.max(2, place.down)];
    const [x, y] = [place.xOf(key ?? 0), place.yOf(query)];
    const frames = [state.side === "from" ? [place.left, y, width, tall, 1.5] : [x, place.top, wide, height, 1.5]];
    if (state.cell !== null) frames.push([x, y, wide, tall, 2.5]);
    return frames;
  }

  function drawChosen(pen) {
    pen.strokeStyle = context.theme.mark;
    for (const [x, y, width, height, line] of framesOf()) {
      pen.lineWidth = line;
      pen.strokeRect(x, y, width, height);
    }
  }

  function drawScale() {
    const [low, high] = other ? [weightText(-most()), `+${weightText(most())}`] : ["0", weightText(head.largest)];
    scale.replaceChildren(...scaleOf(context.theme, [low, other ? "0" : weightText(head.largest / 4), high], other));
  }

  function update(changes) {
    head = context.head();
    other = head && context.otherHead();
    tip.hidden = true;
    frame.hidden = !head;
    if (!head) return;
    place.measure(frame.clientWidth || 600);
    if (seen !== state.stack && head.band && Math.max(head.keys, head.queries) > MANY) place.follow(chosenCell());
    else if (seen !== state.stack) place.whole();
    else if (("at" in changes || "cell" in changes) && !place.shows(chosenCell())) place.center(chosenCell());
    seen = state.stack;
    place.bound();
    drawScale();
    again();
  }

  function picture() {
    const { theme } = context;
    const { width, height } = place.extent();
    const cells = numberedCells(theme, place, head, other, again);
    const drawn = cells.length
      ? cells.flatMap(cellOf)
      : [embedded(canvasOf(paintCells(2)), place.left, place.top, width, height)];
    for (const [x, y, wide, tall, line] of framesOf()) {
      drawn.push(
        svg("rect", { x, y, width: wide, height: tall, fill: "none", stroke: theme.mark, "stroke-width": line }),
      );
    }
    const { queries, keys } = namesBeside(place, axes());
    for (const { position, text } of queries) {
      const y = place.yOf(position + 0.5) + 4;
      if (y > place.top)
        drawn.push(svg("text", { x: place.left - 8, y, "text-anchor": "end", fill: theme.text }, text));
    }
    for (const { position, text, turned } of keys) {
      const x = place.xOf(position + 0.5) + (turned ? 4 : 0);
      const transform = `translate(${x} ${place.top - 8}) rotate(${turned ? TURN : 0})`;
      if (x > place.left)
        drawn.push(svg("text", { transform, "text-anchor": turned ? "start" : "middle", fill: theme.text }, text));
    }
    return sheet(place.left + width + 24, place.top + height + 16, context.viewTitle(), theme, ...drawn);
  }

  function cellOf({ query, key, text, fill, ink }) {
    const [x, y, width, height] = [place.xOf(key), place.yOf(query), place.across, place.down];
    const middle = { x: x + width / 2, y: y + height / 2, "text-anchor": "middle", "dominant-baseline": "central" };
    const number = svg("text", { ...middle, "font-size": numberSize(), fill: ink }, text);
    return [svg("rect", { x, y, width, height, fill }), number];
  }

  /** Of the whole map, or of what is seen of a large one. */
  async function numbers() {
    const { q0, q1, k0, k1 } = place.visible();
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
  const zoom = (closer) => tools.zoom(closer ? 1.5 : 1 / 1.5);
  return { root, update, picture, numbers, resize: () => head && update({}), zoom, whole: tools.whole };
}

function buttons({ zoom, whole, follow }) {
  const button = (text, label, onclick) =>
    element("button", { type: "button", class: "quiet", title: label, "aria-label": label, onclick }, text);
  return element(
    "span",
    { class: "tools" },
    button("+", "closer", () => zoom(2)),
    button("−", "farther", () => zoom(0.5)),
    button("Whole", "all of it (f)", whole),
    button("Chosen", "close to the chosen position", follow),
  );
}

/** Draws within a rectangle alone. */
function within(pen, x, y, width, height, draw) {
  pen.save();
  pen.beginPath();
  pen.rect(x, y, width, height);
  pen.clip();
  draw();
  pen.restore();
}

async function weightOf(head, { query, key }) {
  const { first, weights } = await head.row(query);
  return weights[key - first] ?? null;
}

function canvasOf(image) {
  const canvas = element("canvas", { width: image.width, height: image.height });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** Dragging, pinching, scrolling, clicking and pointing, each told where on the canvas, in pixels. */
function followPointers(canvas, { drag, zoom, click, point, leave }) {
  const pointers = new Map();
  let far = 0; // how far it was dragged since it was pressed
  const at = (event) => {
    const box = canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  };
  const apart = (a, b) => Math.hypot(a.x - b.x, a.y - b.y);

  canvas.addEventListener("pointerdown", (event) => {
    pointers.set(event.pointerId, at(event));
    far = 0;
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const [before, now] = [pointers.get(event.pointerId), at(event)];
    if (!before) return point(now.x, now.y);
    far += apart(before, now);
    const [still] = [...pointers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
    if (still) zoom(Math.max(1, apart(now, still)) / Math.max(1, apart(before, still)), still.x, still.y);
    else drag(now.x - before.x, now.y - before.y);
    pointers.set(event.pointerId, now);
    return undefined;
  });
  for (const kind of ["pointerup", "pointercancel"]) {
    canvas.addEventListener(kind, (event) => {
      const { x, y } = at(event);
      if (kind === "pointerup" && pointers.size === 1 && far < 5) click(x, y);
      pointers.delete(event.pointerId);
    });
  }
  canvas.addEventListener("pointerleave", leave);
  canvas.addEventListener("dblclick", (event) => zoom(4, at(event).x, at(event).y));
  const wheel = (event) => {
    event.preventDefault();
    zoom(Math.exp(-event.deltaY * 0.002), at(event).x, at(event).y);
  };
  canvas.addEventListener("wheel", wheel, { passive: false });
}
