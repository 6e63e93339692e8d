// The input itself, in the form in which people know it, coloured by what the chosen position attends to.

import { element, weightText } from "./tools.js";
import { scaleOf } from "./draw.js";
import { sheet } from "./export.js";
import { createWords } from "./words.js";
import { createTimeline } from "./timeline.js";
import { createPicture } from "./picture.js";

/** How each kind of input is shown: `create(context, axis, choose, hover)`. One row for each. */
const KINDS = { text: createWords, audio: createTimeline, vectors: createTimeline, image: createPicture };

export function createInput(context) {
  const { meta, state } = context;
  const scale = element("div", { class: "scale" });
  const note = element("span", {});
  const parts = element("div", {});
  const root = element("div", { class: "input" }, element("div", { class: "bar note" }, note, scale), parts);
  const shown = new Map();
  let now = "";

  function show(name) {
    if (shown.has(name)) return shown.get(name);
    const choose = (at, until = null) => state.set({ side: sideOf(name), at, until, cell: null });
    const hover = (position) => {
      if (name === state.axis() && position !== state.hover) state.set({ hover: position });
    };
    const axis = meta.axes[name];
    const made = (axis.kind === "vectors" && !axis.values ? createWords : KINDS[axis.kind])(
      context,
      name,
      choose,
      hover,
    );
    shown.set(name, made);
    return made;
  }

  /** Where both are one sequence, the choice of side stays. */
  function sideOf(name) {
    if (state.axis() === name) return state.side;
    return state.side === "from" ? "to" : "from";
  }

  function axes() {
    return [...new Set([state.axis(), state.other()])];
  }

  function rebuild() {
    const both = axes();
    const stack = state.stackNow();
    const ordered = [...new Set([stack.key, stack.query])]; // what was read before what was written
    parts.replaceChildren(
      ...ordered.map((name) => {
        const title = both.length === 1 ? [] : [element("h3", {}, name === stack.query ? "who attends" : "to whom")];
        return element("section", {}, ...title, show(name).root);
      }),
    );
  }

  async function told(name, changes) {
    const attended = await context.attended();
    const weighed = attended && name === state.other();
    const chosen = name === state.axis();
    const kept = chosen && ("at" in changes || "view" in changes) && state.hover === null;
    return {
      ...(weighed ? attended : { weights: null, first: 0 }),
      chosen: chosen ? state.now() : null,
      until: chosen && state.hover === null ? state.until() : null,
      kept,
    };
  }

  async function update(changes) {
    const key = axes().join("/") + state.stack;
    if (key !== now) rebuild();
    now = key;
    for (const name of axes()) shown.get(name).update(await told(name, changes));
    await explain();
  }

  async function explain() {
    const attended = await context.attended();
    const largest = attended ? attended.weights.reduce((a, b) => Math.max(a, b), 0) : 0;
    const name = context.chosenName(40);
    note.replaceChildren(
      state.side === "from" ? "what " : "who attends to ",
      element("b", {}, element("bdi", {}, name)),
      state.side === "from" ? " attends to" : "",
    );
    scale.replaceChildren(...scaleOf(context.theme, ["0", weightText(largest / 4), weightText(largest)]));
  }

  async function picture() {
    const drawn = [];
    let [y, width] = [0, 300];
    for (const name of axes().reverse()) {
      const part = show(name).picture(await told(name, {}));
      part.drawn.forEach((node) => drawn.push(moved(node, y)));
      y += part.height + 8;
      width = Math.max(width, part.width);
    }
    return sheet(width, y, context.headTitle(), context.theme, ...drawn);
  }

  function moved(node, y) {
    for (const name of ["y"]) if (node.hasAttribute(name)) node.setAttribute(name, Number(node.getAttribute(name)) + y);
    return node;
  }

  const each = (name, ...given) => axes().forEach((axis) => shown.get(axis)?.[name]?.(...given));
  return {
    root,
    update,
    picture,
    numbers: () => context.rowNumbers(),
    resize: () => each("resize"),
    zoom: (closer) => each("zoom", closer),
    whole: () => each("whole"),
  };
}
