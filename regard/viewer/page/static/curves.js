// What a head does by relative position: a curve over positions in a line, or tiles over rows and columns.

import { svg, weightText } from "./tools.js";

export const SMALL_WIDTH = 96;
export const SMALL_HEIGHT = 44;
const [CURVE_WIDTH, CURVE_HEIGHT] = [460, 150];

/** Whether a position is before, or after, or it is itself that has most weight, for those who see no curve. */
export function inWords({ relative }) {
  if (isGrid(relative)) return gridInWords(relative);
  const reach = (relative.length - 1) / 2;
  const most =
    relative.reduce((best, mean, i) => (mean !== null && mean > (relative[best] ?? -1) ? i : best), 0) - reach;
  const where = most === 0 ? "on the position itself" : `${Math.abs(most)} ${most < 0 ? "before" : "after"}`;
  return `most weight ${where}, ${weightText(relative[most + reach] ?? 0)} on average`;
}

function gridInWords(means) {
  const [down, across] = [(means.length - 1) / 2, (means[0].length - 1) / 2];
  let best = { mean: -1 };
  means.forEach((row, y) =>
    row.forEach((mean, x) => {
      if (mean > best.mean) best = { mean, y: y - down, x: x - across };
    }),
  );
  return `most weight ${best.y} rows down and ${best.x} columns across, ${weightText(best.mean)} on average`;
}

export function curve(theme, means, width, height) {
  if (isGrid(means)) return tilesOf(theme, means, width, height);
  const largest = Math.max(...means.map((mean) => mean ?? 0)) || 1;
  const step = width / means.length;
  const bars = means.map((mean, i) => {
    const high = Math.max(0.5, ((mean ?? 0) / largest) * (height - 4));
    return mean === null
      ? ""
      : `M${(i * step).toFixed(2)} ${height}v${-high.toFixed(2)}h${(step * 0.9).toFixed(2)}V${height}z`;
  });
  const middle = ((means.length - 1) / 2 + 0.45) * step;
  return [
    svg("path", { d: `M${middle} 0V${height}`, stroke: theme.mark, "stroke-width": 1, opacity: 0.5 }),
    svg("path", { d: bars.join(""), fill: theme.css[190] }),
  ];
}

/** Whether positions are those of an image: rows of columns. */
export function isGrid(means) {
  return Array.isArray(means[0]);
}

/** A square for each row and column that a key is away; that in the middle is the patch itself. */
function tilesOf(theme, means, width, height, told = () => null) {
  const [rows, columns] = [means.length, means[0].length];
  const side = Math.min(width / columns, height / rows);
  const left = (width - side * columns) / 2;
  const largest = Math.max(...means.flat().map((mean) => mean ?? 0)) || 1;
  const square = (x, y, more) => svg("rect", { x: left + x * side, y: y * side, width: side, height: side, ...more });
  const [down, across] = [(rows - 1) / 2, (columns - 1) / 2];
  const drawn = means.flatMap((row, y) =>
    row.map((mean, x) => {
      const share = Math.round(255 * Math.sqrt((mean ?? 0) / largest));
      const tile = square(x, y, { fill: mean === null ? theme.line : theme.css[share] });
      const words = told(mean, y - down, x - across);
      if (words) tile.append(svg("title", {}, words));
      return tile;
    }),
  );
  return [...drawn, square(across, down, { fill: "none", stroke: theme.mark, "stroke-width": 1 })];
}

function bigTiles(theme, means) {
  const side = 260;
  const told = (mean, down, across) => mean !== null && `${down} down, ${across} across: ${weightText(mean)}`;
  const drawing = svg("svg", { viewBox: `0 0 ${side} ${side}`, class: "curve tiles", role: "img" });
  drawing.append(...tilesOf(theme, means, side, side, told));
  return drawing;
}

export function bigCurve(theme, means) {
  if (isGrid(means)) return bigTiles(theme, means);
  const [left, bottom] = [44, 24];
  const largest = Math.max(...means.map((mean) => mean ?? 0)) || 1;
  const drawing = svg("svg", {
    viewBox: `0 0 ${CURVE_WIDTH + left + 14} ${CURVE_HEIGHT + bottom}`,
    class: "curve big",
    role: "img",
  });
  const plot = svg("g", { transform: `translate(${left} 0)` }, ...curve(theme, means, CURVE_WIDTH, CURVE_HEIGHT));
  const reach = (means.length - 1) / 2;
  const step = CURVE_WIDTH / means.length;
  means.forEach((mean, i) => {
    if (mean === null) return;
    const hit = svg("rect", { x: i * step, y: 0, width: step, height: CURVE_HEIGHT, fill: "transparent" });
    hit.append(svg("title", {}, `${i - reach > 0 ? "+" : ""}${i - reach}: ${weightText(mean)}`));
    plot.append(hit);
  });
  for (const at of [-reach, -reach / 2, 0, reach / 2, reach]) {
    const x = (at + reach + 0.45) * step;
    const text = at > 0 ? `+${at}` : String(at).replace("-", "−");
    plot.append(
      svg("text", { x, y: CURVE_HEIGHT + 16, "text-anchor": "middle", "font-size": 12, fill: theme.muted }, text),
    );
  }
  const scale = (y, text) =>
    svg("text", { x: left - 8, y, "text-anchor": "end", "font-size": 12, fill: theme.muted }, text);
  drawing.append(plot, scale(12, weightText(largest)), scale(CURVE_HEIGHT, "0"));
  return drawing;
}
