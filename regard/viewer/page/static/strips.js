// Numbers by position, each with its colour: words with backgrounds, patches over an image, or bars.

import { element, fitCanvas, short, svg, weightText } from "./tools.js";
import { placeName } from "./timeline.js";
import { embedded } from "./export.js";
import { drawPatches, drawUnder, patchAt } from "./patches.js";
import { visibleName } from "./words.js";

export const WIDE = 760; // of a saved picture
const [HEIGHT, CHIP_LINE, MAP] = [64, 30, 168]; // of bars, of a line of words, of the longer side of an image
const MOST_WORDS = 1000;
const VEIL = 0.7; // how much of an image the colours hide

/** Colours for numbers, of which the largest (or farthest from 0) is 1. */
export function coloursOf(theme, numbers, signed) {
  const largest = farthest(numbers);
  return (number) => {
    const share = Math.max(-1, Math.min(1, number / largest));
    const place = signed
      ? 255 + Math.round(255 * Math.sign(share) * Math.sqrt(Math.abs(share)))
      : Math.round(255 * Math.sqrt(Math.max(0, share)));
    return signed ? [theme.signedCss[place], theme.signedInk[place]] : [theme.css[place], theme.ink[place]];
  };
}

function farthest(numbers) {
  return numbers.reduce((most, number) => Math.max(most, Math.abs(number)), 0) || 1;
}

/**
 * What can be shown for an axis. `update(numbers)`: null where the chosen part attends to another sequence;
 * `picture(numbers, top)`: what is drawn, and where it ends.
 */
export function createStrip(context, name, signed) {
  const { state, meta } = context;
  const axis = meta.axes[name];
  const choose = (at) => state.set(state.axis() === name ? { at, until: null } : { side: "to", at, until: null });
  const asWords = axis.kind === "text" && axis.count <= MOST_WORDS;
  const create = asWords ? createWordStrip : axis.kind === "image" ? createPatchStrip : createBarStrip;
  const strip = create(context, axis, signed, choose);
  const more = meta.models.length > 1 ? ", or is of the other model" : "";
  const nothing = element("p", { class: "says", hidden: true }, `the chosen part attends to another sequence${more}`);
  function update(numbers) {
    strip.root.hidden = !numbers;
    nothing.hidden = Boolean(numbers);
    if (numbers) strip.update(numbers);
  }
  return { root: element("div", {}, strip.root, nothing), update, picture: strip.picture };
}

function createWordStrip(context, axis, signed, choose) {
  const words = axis.names.map((name, i) =>
    element(
      "button",
      { type: "button", class: "chip", onclick: () => choose(i) },
      element("bdi", {}, short(visibleName(name), 60)),
    ),
  );

  function update(numbers) {
    const look = coloursOf(context.theme, numbers, signed);
    words.forEach((word, i) => {
      const [paper, ink] = look(numbers[i]);
      Object.assign(word.style, { backgroundColor: paper, color: ink });
      word.title = `${short(axis.names[i], 60)}: ${weightText(numbers[i])}`;
    });
  }

  function picture(numbers, top) {
    const look = coloursOf(context.theme, numbers, signed);
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = "14px system-ui";
    const drawn = [];
    let [x, y] = [12, top];
    axis.names.forEach((name, i) => {
      const text = short(visibleName(name), 40);
      const wide = pen.measureText(text).width + 12;
      if (x + wide > WIDE - 12) [x, y] = [12, y + CHIP_LINE];
      const [paper, ink] = look(numbers[i]);
      drawn.push(svg("rect", { x, y, width: wide, height: 24, rx: 4, fill: paper }));
      drawn.push(svg("text", { x: x + 6, y: y + 16.5, "font-size": 14, fill: ink }, text));
      x += wide + 3;
    });
    return { drawn, end: y + CHIP_LINE };
  }
  return { root: element("div", { class: "chips", dir: "auto" }, ...words), update, picture };
}

/** A canvas that tells the number of the position under the pointer, and chooses it when clicked. */
function createTold(axis, label, placeAt, choose) {
  const canvas = element("canvas", { role: "img", "aria-label": label });
  const tip = element("div", { class: "tip", hidden: true });
  const root = element("div", { class: "frame" }, canvas, tip);
  const told = { root, canvas, numbers: null };
  canvas.addEventListener("click", (event) => placeAt(event) !== null && choose(placeAt(event)));
  let pointed = null;
  function tell() {
    tip.hidden = pointed === null || !told.numbers;
    if (!tip.hidden) tip.textContent = `${placeName(axis, pointed)}: ${weightText(told.numbers[pointed])}`;
  }
  told.update = (numbers) => {
    told.numbers = numbers;
    tell();
  };
  canvas.addEventListener("pointerleave", () => {
    pointed = null;
    tell();
  });
  canvas.addEventListener("pointermove", (event) => {
    pointed = placeAt(event);
    tell();
    tip.style.left = `${Math.min(event.offsetX + 12, root.clientWidth - 160)}px`;
    tip.style.top = "4px";
  });
  return told;
}

function createPatchStrip(context, axis, signed, choose) {
  const [rows, columns] = axis.grid;
  const side = MAP / Math.max(rows, columns);
  const before = axis.before ?? 0;
  const told = createTold(axis, "a number for each patch", (event) => patchAt(event, axis), choose);
  const ofClass = element("button", { type: "button", class: "quiet", onclick: () => choose(0) });
  const image = new Image();
  image.onload = () => draw();
  if (axis.media) context.source.mediaUrl(axis.media, "image/png").then((address) => (image.src = address));

  function draw() {
    if (!told.numbers) return;
    const { pen } = fitCanvas(told.canvas, columns * side, rows * side);
    const look = coloursOf(context.theme, told.numbers, signed);
    drawUnder(pen, image, axis, side, true);
    drawPatches(pen, axis, side, VEIL, (place) => look(told.numbers[place])[0]);
  }

  function update(numbers) {
    told.update(numbers);
    if (before) ofClass.textContent = `the vector of the class: ${weightText(numbers[0])}`;
    draw();
  }

  const picture = (numbers, top) => ({
    drawn: [embedded(told.canvas, 12, top, columns * side, rows * side)],
    end: top + rows * side,
  });
  return { root: element("div", {}, told.root, ...(before ? [ofClass] : [])), update, picture };
}

function createBarStrip(context, axis, signed, choose) {
  const told = createTold(axis, "a number for each position", placeAt, choose);

  function placeAt(event) {
    const box = told.canvas.getBoundingClientRect();
    return Math.max(0, Math.min(axis.count - 1, Math.floor(((event.clientX - box.left) / box.width) * axis.count)));
  }

  function update(numbers) {
    told.update(numbers);
    const wide = told.root.clientWidth || 640;
    const { pen } = fitCanvas(told.canvas, wide, HEIGHT);
    pen.clearRect(0, 0, wide, HEIGHT);
    const look = coloursOf(context.theme, numbers, signed);
    for (const { x, width, value, top, height } of bars(numbers, signed, wide, HEIGHT)) {
      pen.fillStyle = look(value)[0];
      pen.fillRect(x, top, width, height);
    }
    pen.fillStyle = context.theme.line;
    pen.fillRect(0, signed ? HEIGHT / 2 : HEIGHT - 1, wide, 1);
  }

  function picture(numbers, top) {
    const look = coloursOf(context.theme, numbers, signed);
    const drawn = bars(numbers, signed, WIDE - 24, HEIGHT).map(({ x, width, value, top: y, height }) =>
      svg("rect", { x: 12 + x, y: top + y, width, height, fill: look(value)[0] }),
    );
    return { drawn, end: top + HEIGHT };
  }
  return { root: told.root, update, picture };
}

/** Bars no narrower than a pixel: each is the number that is farthest from 0 of those that it stands for. */
function bars(numbers, signed, wide, high) {
  const count = Math.min(numbers.length, Math.floor(wide));
  const largest = farthest(numbers);
  return Array.from({ length: count }, (_, i) => {
    const part = numbers.slice(
      Math.floor((i * numbers.length) / count),
      Math.floor(((i + 1) * numbers.length) / count),
    );
    const value = part.reduce((far, number) => (Math.abs(number) > Math.abs(far) ? number : far), 0);
    const room = signed ? high / 2 : high;
    const height = Math.max(1, (Math.abs(value) / largest) * room);
    const top = signed ? (value >= 0 ? high / 2 - height : high / 2) : high - height;
    return { x: (i * wide) / count, width: Math.max(1, wide / count - (wide / count > 4 ? 1 : 0)), value, top, height };
  });
}
