// Weights onto pixels.

import { ROWS } from "./heads.js";
import { element } from "./tools.js";

/** The level at which no cell is smaller than a pixel. */
export function levelFor(scale, most) {
  return Math.max(0, Math.min(most, Math.ceil(-Math.log2(scale) - 0.01)));
}

/**
 * Fills an image with cells. `box`: the query and the key at its corner, and pixels for each. Blocks that are not there
 * yet stay blank; `ready` is called when they come. `look(block, index)` gives the colour of a cell.
 */
export function paint(image, box, head, level, ready, theme, look) {
  const { width, height } = image;
  const pixels = new Uint32Array(image.data.buffer);
  const shape = head.shape(level);
  const size = 2 ** level;
  const keys = new Int32Array(width);
  for (let x = 0; x < width; x++) keys[x] = Math.floor((box.key + (x + 0.5) / box.across) / size);
  let before = -1;
  for (let y = 0; y < height; y++) {
    const query = Math.floor((box.query + (y + 0.5) / box.down) / size);
    const start = y * width;
    if (query === before && y) {
      pixels.copyWithin(start, start - width, start);
      continue;
    }
    before = query;
    const inside = query >= 0 && query < shape.rows;
    const block = inside ? head.peek(level, Math.floor(query / ROWS), ready) : null;
    const row = (query % ROWS) * shape.width;
    const first = shape.left === null ? 0 : query - shape.left;
    for (let x = 0; x < width; x++) {
      const key = keys[x];
      const column = key - first;
      if (!inside || key < 0 || key >= shape.keys) pixels[start + x] = theme.outside;
      else if (column < 0 || column >= shape.width) pixels[start + x] = theme.unseen;
      else pixels[start + x] = block ? look(block, row + column, query, key) : theme.outside;
    }
  }
}

/** The colours of weights. */
export function lookOf(theme) {
  const { pixels } = theme;
  return (block, index) => pixels[block[index]];
}

/** The colours of what a second head gives more than this one, both at one level; `most`: the largest told. */
export function lookOfDifference(theme, head, other, level, most, ready) {
  const shape = other.shape(level);
  return (block, index, query, key) => {
    const bytes = other.peek(level, Math.floor(query / ROWS), ready);
    if (!bytes || query >= shape.rows || key >= shape.keys) return theme.outside;
    const column = shape.left === null ? key : key - query + shape.left;
    const there = column < 0 || column >= shape.width ? 0 : other.decoded[bytes[(query % ROWS) * shape.width + column]];
    return theme.signedPixels[signedShareOf(there - head.decoded[block[index]], most)];
  };
}

/** A picture of so many cells, one pixel for each: `colour(i)` packed as canvases hold it. */
export function pictureOf(count, { rows, columns }, colour) {
  const canvas = document.createElement("canvas");
  Object.assign(canvas, { width: Math.max(1, columns), height: Math.max(1, rows) });
  const image = new ImageData(canvas.width, canvas.height);
  const painted = new Uint32Array(image.data.buffer);
  for (let i = 0; i < count; i++) painted[i] = colour(i);
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** The place of a weight in the tables of colours. */
export function shareOf(weight, largest) {
  return largest > 0 ? Math.round(255 * Math.sqrt(Math.max(0, Math.min(1, weight / largest)))) : 0;
}

/** The same of a difference, in the tables of two colours. */
export function signedShareOf(difference, most) {
  const share = shareOf(Math.abs(difference), most);
  return 255 + (difference < 0 ? -share : share);
}

/** What colours say: numbers at both ends and in the middle. The root of a share is shown: a quarter is half way. */
export function scaleOf(theme, [low, middle, high], signed = false) {
  const css = signed ? theme.signedCss : theme.css;
  const stops = Array.from({ length: 17 }, (_, i) => css[Math.round(((css.length - 1) * i) / 16)]);
  const ramp = element("span", { class: "ramp" });
  ramp.style.backgroundImage = `linear-gradient(to right, ${stops.join(", ")})`;
  const half = element("span", { class: "middle" }, middle);
  return [low, element("span", { class: "ramps" }, ramp, half), high];
}
