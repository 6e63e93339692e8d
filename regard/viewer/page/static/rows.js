// What is drawn of each position over time: rows of bytes, in blocks of 4,096 at each level, which join two below.

import { clamp } from "./tools.js";
import { ROWS } from "./heads.js";

/** `ready` is called when rows come that were asked for. */
export function createRows(source, axis, ready) {
  const per = axis.per ?? 1; // rows for each position
  const blocks = new Map();

  /** Bytes of rows at a level, or null while they come. */
  function block(level, number) {
    const name = `${axis.values}/${level}/${number}`;
    if (!blocks.has(name)) {
      blocks.set(name, null);
      const make = level && source.saved ? joined(level, number) : source.block(name);
      make.then((bytes) => {
        blocks.set(name, bytes);
        ready();
      });
    }
    return blocks.get(name);
  }

  /** A level of a saved page: of each two rows the largest. */
  async function joined(level, number) {
    const C = axis.channels;
    const count = Math.ceil((axis.count * per) / 2 ** (level - 1));
    const [from, to] = [2 * number * ROWS, Math.min(count, 2 * (number + 1) * ROWS)];
    const found = new Uint8Array(Math.ceil((to - from) / 2) * C);
    for (const half of [0, 1]) {
      if (from + half * ROWS >= to) continue;
      const below = await rowsOf(level - 1, 2 * number + half);
      for (let i = 0; i < below.length; i++) {
        const cell = (((i / C) | 0) >> 1) * C + (i % C) + (half * ROWS * C) / 2;
        if (below[i] > found[cell]) found[cell] = below[i];
      }
    }
    return found;
  }

  function rowsOf(level, number) {
    return level ? joined(level, number) : source.block(`${axis.values}/0/${number}`);
  }

  /** Calls with the row of bytes of each pixel of what is seen: `put(x, bytes, place)`. */
  function eachPixel(box, pixels, put) {
    const step = ((box.end - box.start) * per) / pixels;
    const level = Math.max(0, Math.floor(Math.log2(Math.max(1, step))));
    const most = Math.ceil((axis.count * per) / 2 ** level) - 1;
    for (let x = 0; x < pixels; x++) {
      const row = clamp(Math.floor((box.start * per + (x + 0.5) * step) / 2 ** level), 0, Math.max(0, most));
      const bytes = block(level, Math.floor(row / ROWS));
      if (bytes) put(x, bytes, (row % ROWS) * axis.channels);
    }
  }

  return { eachPixel };
}
