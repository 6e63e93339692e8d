// What is told of each head in one number.

import { percent } from "./tools.js";

/** title; text(value, axis): in few characters; unit(axis): what a longer text adds. */
export const MEASURES = {
  entropy: { title: "entropy", text: (value) => value.toFixed(2), unit: () => "nats" },
  distance: { title: "mean distance", text: farText, unit: farUnit },
  self: { title: "on itself", text: percent, unit: () => "" },
  neighbours: { title: "on neighbours", text: percent, unit: () => "" },
  first: { title: "on the first", text: percent, unit: () => "" },
  punctuation: { title: "on punctuation", text: percent, unit: () => "" },
};

/** Those of a head: [title, text] of each that is known. */
export function measuresOf(layer, head, axis) {
  const known = Object.entries(MEASURES).filter(([name]) => layer.measures[name]?.[head] != null);
  return known.map(([name, { title, text, unit }]) => [
    title,
    `${text(layer.measures[name][head], axis)} ${unit(axis)}`.trim(),
  ]);
}

function farText(value, axis) {
  const number = axis.kind === "audio" ? value * axis.seconds : value;
  return number.toFixed(number < 10 ? 2 : 0);
}

function farUnit(axis) {
  return { audio: "s", image: "patches", text: "words" }[axis.kind] ?? "positions";
}
