// The views of the page: one row and one file for each.

import { HELP } from "./help.js";
import { createOverview } from "./overview.js";
import { createMap } from "./map.js";
import { createLines } from "./lines.js";
import { createInput } from "./input.js";
import { createTelltale } from "./telltale.js";
import { createAggregate } from "./aggregate.js";

/**
 * name: in the address; title: of its tab; help: paragraphs; there(meta): whether a page has it, if not all have;
 * why(context): null, or why it shows nothing of what is chosen; differs: whether it can show the difference of two
 * models; create(context): { root, update(changes),
 * picture() → SVG, numbers() → rows } and, where it has them, resize(), zoom(closer), whole().
 */
export const VIEWS = [
  {
    name: "overview",
    title: "Overview",
    help: HELP.overview,
    create: createOverview,
    why: nothingAtAll,
    differs: true,
    there: isOfOne,
  },
  { name: "map", title: "Map", help: HELP.map, create: createMap, why: nothingToMap, there: isOfOne, differs: true },
  { name: "lines", title: "Lines", help: HELP.lines, create: createLines, why: linesOf, there: hasText },
  { name: "input", title: "Input", help: HELP.input, create: createInput, why: nothingRead, there: isOfOne },
  {
    name: "telltale",
    title: "Telltales",
    help: HELP.telltale,
    create: createTelltale,
    why: untold,
    there: hasTelltales,
  },
  {
    name: "examples",
    title: "Examples",
    help: HELP.examples,
    create: createAggregate,
    why: () => null,
    there: hasMany,
  },
];

/** Whether one example is shown, and not many together. */
function isOfOne(meta) {
  return !meta.aggregate;
}

function hasMany(meta) {
  return Boolean(meta.aggregate);
}

function hasTelltales(meta) {
  return Boolean(meta.telltales);
}

const EMPTY = "The sequence is empty: nothing attends, and there is nothing to attend to.";

function nothingAtAll(context) {
  const { meta, compare } = context;
  if (meta.stacks.every(context.isEmpty)) return EMPTY;
  const none = context.differs() && meta.stacks.every((_, s) => compare.partnerOf(s) < 0);
  return none ? context.differenceReason() : null;
}

function nothingToMap(context) {
  return nothingThere(context) ?? context.differenceReason();
}

function nothingRead(context) {
  return context.isEmpty(context.state.stackNow()) ? EMPTY : null;
}

function untold(context) {
  const { axis } = context.meta.telltales;
  if (context.meta.axes[axis]?.count === 0) return EMPTY;
  return context.meta.telltales.why ? `Nothing is told here: ${context.meta.telltales.why}.` : null;
}

function nothingThere(context) {
  return nothingRead(context) ?? context.layerReason();
}

function hasText(meta) {
  return meta.stacks.some(({ query, key }) => [query, key].every((name) => meta.axes[name].kind === "text"));
}

function linesOf(context) {
  const { query, key } = context.state.stackNow();
  const texts = [query, key].every((name) => context.meta.axes[name].kind === "text");
  return texts ? nothingThere(context) : "Lines are drawn between words; this is no text.";
}
