// An image, and over it the weights of its patches.

import { element, fitCanvas, svg, weightText } from "./tools.js";
import { shareOf } from "./draw.js";
import { embedded } from "./export.js";

export function createPicture(context, axisName, choose, hover) {
  const axis = context.meta.axes[axisName];
  const [rows, columns] = axis.grid;
  const before = axis.before ?? 0;
  const image = new Image();
  image.onload = () => draw();
  if (axis.media) context.source.mediaUrl(axis.media, "image/png").then((address) => (image.src = address));
  const canvas = element("canvas", { role: "img", "aria-label": `an image of ${rows} × ${columns} patches` });
  const tip = element("div", { class: "tip", hidden: true });
  const ofClass = before
    ? [element("button", { type: "button", class: "quiet", onclick: () => choose(0) }, "the vector of the class")]
    : [];
  const veil = element("input", {
    type: "range",
    min: 0,
    max: 100,
    value: 100,
    oninput: () => draw(),
    "aria-label": "how much the map hides",
  });
  const bar = element(
    "div",
    { class: "bar" },
    ...ofClass,
    element("label", { class: "choice" }, element("span", {}, "map over image"), veil),
  );
  const frame = element("div", { class: "frame" }, canvas, tip);
  const root = element("div", { class: "picture" }, bar, frame);
  let last = {};

  function size() {
    const width = Math.min(root.clientWidth || 480, 560, (560 * columns) / rows);
    return { width, height: (width * rows) / columns, side: width / columns };
  }

  function patchAt(event) {
    const box = canvas.getBoundingClientRect();
    const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
    const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
    return row < 0 || column < 0 || row >= rows || column >= columns ? null : before + row * columns + column;
  }
  canvas.addEventListener("pointermove", (event) => hover(patchAt(event)));
  canvas.addEventListener("pointerleave", () => hover(null));
  canvas.addEventListener("click", (event) => patchAt(event) !== null && choose(patchAt(event)));

  function draw() {
    const { theme } = context;
    const { width, height, side } = size();
    const { pen } = fitCanvas(canvas, width, height);
    pen.clearRect(0, 0, width, height);
    pen.imageSmoothingEnabled = image.width > 2 * columns && side < 24;
    if (image.complete && image.width) {
      const weighed = Boolean(last.weights);
      pen.filter = weighed ? `grayscale(${veil.value / 100})` : "none"; // so that no colour of it is taken for a weight
      pen.drawImage(image, 0, 0, axis.stride * columns, axis.stride * rows, 0, 0, width, height);
      pen.filter = "none";
    }
    const { weights, first = 0, chosen = null } = last;
    let largest = 0;
    if (weights) for (const weight of weights) largest = Math.max(largest, weight);
    if (weights) {
      weights.forEach((weight, j) => {
        const patch = first + j - before;
        if (patch < 0) return;
        const share = shareOf(weight, largest);
        pen.fillStyle = theme.css[share];
        pen.globalAlpha = (veil.value / 100) * (0.35 + (0.6 * share) / 255);
        const [x, y] = [(patch % columns) * side, Math.floor(patch / columns) * side];
        pen.fillRect(x, y, side, side);
      });
      pen.globalAlpha = 1;
    }
    if (chosen !== null && chosen >= before) outline(pen, chosen - before, side, theme);
  }

  function outline(pen, patch, side, theme) {
    const [x, y] = [(patch % columns) * side, Math.floor(patch / columns) * side];
    pen.lineWidth = 4;
    pen.strokeStyle = theme.paper;
    pen.strokeRect(x, y, side, side);
    pen.lineWidth = 2;
    pen.strokeStyle = theme.mark;
    pen.strokeRect(x, y, side, side);
  }

  function update(told) {
    last = told;
    draw();
    const { weights, first, chosen } = told;
    const weight = weights && chosen !== null ? weights[chosen - first] : undefined;
    tip.hidden = context.state.hover === null || weight === undefined || chosen < before;
    if (tip.hidden) return;
    const { side } = size();
    const [row, column] = [Math.floor((chosen - before) / columns), (chosen - before) % columns];
    tip.textContent = `row ${row + 1}, column ${column + 1}: ${weightText(weight)} on itself`;
    tip.style.left = `${Math.min((column + 1) * side + 8, Math.max(0, size().width - 120))}px`;
    tip.style.top = `${(row + 1) * side + 8}px`;
  }

  function picture() {
    const { width, height } = size();
    return { width: width + 24, height: height + 12, drawn: [embedded(canvas, 12, 0, width, height), svg("g")] };
  }
  return { root, update, picture, resize: draw };
}
