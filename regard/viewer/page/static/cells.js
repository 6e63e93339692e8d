// What is written in and beside the cells of a map, to be drawn on a canvas or put into an SVG.

import { fitted, niceStep, thousands } from "./tools.js";
import { shareOf, signedShareOf } from "./draw.js";
import { ROWS } from "./heads.js";
import { placeName } from "./timeline.js";
import { visibleName } from "./words.js";

const READABLE = 34; // pixels of a cell in which its number can be read
const NAMED = 13; // of one that can have a name beside it

/** A weight in a cell: the zero before the point takes no room. */
function cellText(value) {
  const text = value.toFixed(2).replace("0.", ".");
  return text === "-.00" ? ".00" : text;
}

/** One weight; null outside the window, or while it comes. */
function weightAt(head, query, key, ready) {
  const { width, left } = head.shape(0);
  const column = left === null ? key : key - query + left;
  if (column < 0 || column >= width) return null;
  const bytes = head.peek(0, Math.floor(query / ROWS), ready);
  return bytes ? head.decoded[bytes[(query % ROWS) * width + column]] : null;
}

/** Cells with their numbers, where they are large enough: { query, key, text, fill, ink }. `other`: a second head. */
export function numberedCells(theme, place, head, other, ready) {
  if (place.across < READABLE) return [];
  const { q0, q1, k0, k1 } = place.visible();
  const most = Math.max(head.largest, other?.largest ?? 0);
  const cells = [];
  for (let query = q0; query < q1; query++) {
    for (let key = k0; key < k1; key++) {
      const weight = weightAt(head, query, key, ready);
      if (weight === null) continue;
      const value = other ? (weightAt(other, query, key, ready) ?? 0) - weight : weight;
      const share = other ? signedShareOf(value, most) : shareOf(weight, head.largest);
      const [fill, ink] = other ? [theme.signedCss, theme.signedInk] : [theme.css, theme.ink];
      cells.push({ query, key, text: cellText(value), fill: fill[share], ink: ink[share] });
    }
  }
  return cells;
}

/** Names beside rows and above columns where there is room for them, otherwise numbers: { position, text, turned }. */
export function namesBeside(place, axes) {
  const { q0, q1, k0, k1 } = place.visible();
  return {
    queries: namesAlong(axes.query, q0, q1, place.down, 2.2, place.left - 12),
    keys: namesAlong(axes.key, k0, k1, place.across, 5, place.top * 1.05),
  };
}

function namesAlong(axis, start, end, pixels, wide, room) {
  const step = pixels >= NAMED ? 1 : Math.max(1, Math.round(niceStep((NAMED * wide) / pixels, 1)));
  const one = axis.kind === "audio" || step === 1 ? 0 : 1; // times are round from 0 on, numbers from 1
  const names = [];
  for (let position = Math.ceil((start + one) / step) * step - one; position < end; position += step) {
    const named = step === 1 && axis.kind !== "audio";
    const text = named ? fitted(visibleName(placeName(axis, position)), room) : numberOf(axis, position);
    names.push({ position, text, turned: step === 1 });
  }
  return names;
}

function numberOf(axis, position) {
  return axis.kind === "audio" ? placeName(axis, position).split(" – ")[0] : thousands(position + 1);
}
