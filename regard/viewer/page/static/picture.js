// An image, and beside it the weights of its patches over it.

import { element, fitCanvas, svg, weightText } from "./tools.js";
import { shareOf } from "./draw.js";
import { embedded } from "./export.js";
import { drawPatches, drawUnder, patchAt } from "./patches.js";

const MOST_WIDTH = 430; // pixels, of each of both
const GAP_BETWEEN = 14;

export function createPicture(context, axisName, choose, hover) {
  const axis = context.meta.axes[axisName];
  const [rows, columns] = axis.grid;
  const before = axis.before ?? 0;
  const image = new Image();
  image.onload = () => draw();
  if (axis.media) context.source.mediaUrl(axis.media, "image/png").then((address) => (image.src = address));
  const labelled = (label) => element("canvas", { role: "img", "aria-label": label });
  const plain = labelled(`an image of ${rows} × ${columns} patches`);
  const canvas = labelled("how much each patch of it weighs");
  const tip = element("div", { class: "tip", hidden: true });
  const ofClass = element(
    "button",
    { type: "button", class: "quiet", onclick: () => choose(0) },
    "the vector of the class",
  );
  const veil = element("input", { type: "range", min: 0, max: 100, value: 85, "aria-label": "how much the map hides" });
  veil.addEventListener("input", () => draw());
  const choice = element("label", { class: "choice" }, element("span", {}, "map over image"), veil);
  const bar = element("div", { class: "bar" }, ...(before ? [ofClass] : []), choice);
  const frame = element("div", { class: "frame pair" }, plain, canvas, tip);
  const root = element("div", { class: "picture" }, bar, frame);
  let last = {};

  function size() {
    const room = ((root.clientWidth || 600) - GAP_BETWEEN) / 2;
    const width = Math.max(120, Math.min(room, MOST_WIDTH, (MOST_WIDTH * columns) / rows));
    return { width, height: (width * rows) / columns, side: width / columns };
  }

  for (const one of [plain, canvas]) {
    one.addEventListener("pointermove", (event) => hover(patchAt(event, axis)));
    one.addEventListener("pointerleave", () => hover(null));
    one.addEventListener("click", (event) => patchAt(event, axis) !== null && choose(patchAt(event, axis)));
  }

  function draw() {
    const { width, height } = size();
    for (const one of [plain, canvas]) drawImage(fitCanvas(one, width, height).pen, one === canvas);
  }

  function drawImage(pen, weighed) {
    const { side } = size();
    const { weights, first = 0, chosen = null } = last;
    drawUnder(pen, image, axis, side, weighed && Boolean(weights));
    if (weighed && weights) drawWeights(pen, weights, first, side);
    if (chosen !== null && chosen >= before) outline(pen, chosen - before, side);
  }

  function drawWeights(pen, weights, first, side) {
    const { css } = context.theme;
    const largest = weights.reduce((a, b) => Math.max(a, b), 0);
    const colourOf = (place) => (place - first in weights ? css[shareOf(weights[place - first], largest)] : null);
    drawPatches(pen, axis, side, veil.value / 100, colourOf);
  }

  function outline(pen, patch, side) {
    const [x, y] = [(patch % columns) * side, Math.floor(patch / columns) * side];
    for (const [line, colour] of [
      [4, context.theme.paper],
      [2, context.theme.mark],
    ]) {
      pen.lineWidth = line;
      pen.strokeStyle = colour;
      pen.strokeRect(x + 1, y + 1, side - 2, side - 2);
    }
  }

  function update(told) {
    last = told;
    draw();
    const { weights, first, chosen } = told;
    const weight = weights && chosen !== null ? weights[chosen - first] : undefined;
    tip.hidden = context.state.hover === null || weight === undefined || chosen < before;
    if (tip.hidden) return;
    const { side, width } = size();
    const [row, column] = [Math.floor((chosen - before) / columns), (chosen - before) % columns];
    tip.textContent = `row ${row + 1}, column ${column + 1}: ${weightText(weight)} on itself`;
    tip.style.left = `${Math.min((column + 1) * side + 8, Math.max(0, 2 * width - 200))}px`;
    tip.style.top = `${(row + 1) * side + 8}px`;
  }

  function picture() {
    const { width, height } = size();
    const both = [plain, canvas].map((one, i) => embedded(one, 12 + i * (width + GAP_BETWEEN), 0, width, height));
    return { width: 2 * width + GAP_BETWEEN + 24, height: height + 12, drawn: [...both, svg("g")] };
  }
  return { root, update, picture, resize: draw };
}
