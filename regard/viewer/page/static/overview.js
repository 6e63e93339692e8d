// Layers × heads as small maps, in their order or sorted by what is told of them.

import { element, svg, percent, weightText } from "./tools.js";
import { pictureOf } from "./draw.js";
import { sheet, embedded } from "./export.js";

export const MEASURES = {
  entropy: { title: "entropy", text: (value) => value.toFixed(2), unit: "nats" },
  distance: { title: "mean distance", text: (value) => value.toFixed(value < 10 ? 2 : 0), unit: "positions" },
  self: { title: "on itself", text: percent },
  neighbours: { title: "on neighbours", text: percent },
  first: { title: "on the first", text: percent },
  punctuation: { title: "on punctuation", text: percent },
};

export function createOverview(context) {
  const { meta, state, source } = context;
  const chosen = { measure: "entropy", order: "layers" };
  let thumbs = null;
  let tiles = [];
  let drawnFor = "";
  source.block("thumbs").then((bytes) => {
    thumbs = cut(meta, bytes);
    drawnFor = "";
    update();
  });

  const measure = choice(
    "Shown below each",
    Object.entries(MEASURES).map(([name, { title }]) => [name, title]),
    (name) => {
      chosen.measure = name;
      drawnFor = "";
      update();
    },
  );
  const orders = [
    ["layers", "as they are"],
    ["up", "smallest first"],
    ["down", "largest first"],
  ];
  const order = choice("Order", orders, (name) => {
    chosen.order = name;
    drawnFor = "";
    update();
  });
  const place = element("div", { class: "overview" });
  const root = element("div", {}, element("div", { class: "bar" }, measure.root, order.root), place);

  function all() {
    const found = [];
    meta.stacks.forEach((stack, s) => {
      stack.layers.forEach((layer, l) => {
        for (let h = 0; h < layer.heads; h++)
          found.push({ s, l, h, layer, value: layer.measures[chosen.measure]?.[h] ?? null });
      });
    });
    return found;
  }

  function tile({ s, l, h, layer, value }) {
    const told = Object.entries(MEASURES).filter(([name]) => layer.measures[name]?.[h] != null);
    const words = told.map(([name, { title, text }]) => `${title} ${text(layer.measures[name][h])}`);
    const canvas = thumbs
      ? pictureOf(thumbs.get(`${s}/${l}/${h}`), layer.thumb.rows, layer.thumb.columns, pixels(s, l, h))
      : "";
    const shown = value === null ? "–" : MEASURES[chosen.measure].text(value);
    const name = `layer ${l + 1}, head ${h + 1}`;
    const button = element(
      "button",
      {
        class: "tile",
        type: "button",
        title: `${name}\n${words.join("\n")}`,
        "aria-label": `${meta.stacks[s].title}, ${name}: ${words.join(", ")}`,
        onclick: () => state.set({ stack: s, layer: l, head: h }),
        ondblclick: () => state.set({ stack: s, layer: l, head: h, view: "map" }),
      },
      element("span", { class: "thumb" }, canvas),
      element(
        "span",
        { class: "under" },
        element("span", { class: "which" }, `${l + 1}·${h + 1}`),
        element("span", {}, shown),
      ),
    );
    button.dataset.place = `${s}/${l}/${h}`;
    return button;
  }

  function pixels() {
    return context.theme.pixels;
  }

  function rebuild() {
    const parts = [];
    if (chosen.order === "layers") {
      meta.stacks.forEach((stack, s) => parts.push(grid(stack, s)));
    } else {
      const sign = chosen.order === "up" ? 1 : -1;
      const known = all()
        .filter(({ value }) => value !== null)
        .sort((a, b) => sign * (a.value - b.value));
      meta.stacks.forEach((stack, s) => {
        const those = known.filter((one) => one.s === s);
        if (those.length) parts.push(heading(stack), element("div", { class: "sorted" }, ...those.map(tile)));
      });
    }
    place.replaceChildren(...parts);
    tiles = [...place.querySelectorAll(".tile")];
  }

  function heading(stack) {
    return element("h3", {}, context.stackTitle(stack));
  }

  function grid(stack, s) {
    const most = Math.max(1, ...stack.layers.map((layer) => layer.heads));
    const rows = element("div", { class: "grid", role: "group", "aria-label": stack.title });
    rows.style.gridTemplateColumns = `max-content repeat(${most}, minmax(46px, 150px))`;
    stack.layers.forEach((layer, l) => {
      rows.append(element("span", { class: "layer" }, layer.title));
      if (layer.reason) rows.append(Object.assign(element("span", { class: "reason" }, layer.reason)));
      for (let h = 0; h < most && !layer.reason; h++) {
        const value = layer.measures[chosen.measure]?.[h] ?? null;
        rows.append(h < layer.heads ? tile({ s, l, h, layer, value }) : element("span"));
      }
    });
    return element("section", {}, heading(stack), element("div", { class: "scroll" }, rows));
  }

  function update() {
    const now = `${context.theme.dark}${chosen.measure}${chosen.order}${thumbs !== null}`;
    if (now !== drawnFor) rebuild();
    drawnFor = now;
    const at = `${state.stack}/${state.layer}/${state.head}`;
    for (const one of tiles) one.setAttribute("aria-pressed", String(one.dataset.place === at));
  }

  function picture() {
    const [step, left, top] = [86, 70, 30];
    const drawn = [];
    let y = 0;
    meta.stacks.forEach((stack, s) => {
      drawn.push(
        svg("text", { x: 12, y: y + 18, "font-weight": 600, fill: context.theme.text }, context.stackTitle(stack)),
      );
      y += top;
      stack.layers.forEach((layer, l) => {
        drawn.push(svg("text", { x: 12, y: y + 36, fill: context.theme.muted }, layer.title));
        for (let h = 0; h < layer.heads; h++) {
          const x = left + h * step;
          const value = layer.measures[chosen.measure]?.[h];
          const canvas = pictureOf(
            thumbs.get(`${s}/${l}/${h}`),
            layer.thumb.rows,
            layer.thumb.columns,
            pixels(s, l, h),
          );
          const text = `${l + 1}·${h + 1}  ${value == null ? "" : MEASURES[chosen.measure].text(value)}`;
          drawn.push(embedded(canvas, x, y, 70, 70));
          drawn.push(svg("text", { x, y: y + 84, "font-size": 11, fill: context.theme.text }, text));
        }
        y += 98;
      });
    });
    const most = Math.max(1, ...meta.stacks.flatMap(({ layers }) => layers.map(({ heads }) => heads)));
    return sheet(
      left + most * step + 12,
      y,
      `${meta.title} · ${MEASURES[chosen.measure].title}`,
      context.theme,
      ...drawn,
    );
  }

  function numbers() {
    const names = Object.keys(MEASURES);
    const rows = all().map(({ s, l, h, layer }) => {
      const values = names.map((name) => layer.measures[name]?.[h] ?? null);
      return [context.stackTitle(meta.stacks[s]), l + 1, h + 1, ...values, layer.largest[h]];
    });
    return [["stack", "layer", "head", ...names, "largest weight"], ...rows];
  }
  return { root, update, picture, numbers };
}

/** The bytes of each small map, by stack, layer and head. */
function cut(meta, bytes) {
  const found = new Map();
  let start = 0;
  meta.stacks.forEach((stack, s) => {
    stack.layers.forEach((layer, l) => {
      const size = layer.heads ? layer.thumb.rows * layer.thumb.columns : 0;
      for (let h = 0; h < layer.heads; h++, start += size)
        found.set(`${s}/${l}/${h}`, bytes.subarray(start, start + size));
    });
  });
  return found;
}

/** A labelled choice of a few. */
export function choice(label, options, chosen) {
  const made = options.map(([value, text]) => element("option", { value }, text));
  const select = element("select", { "aria-label": label, onchange: () => chosen(select.value) }, ...made);
  return { root: element("label", { class: "choice" }, element("span", {}, label), select), select };
}
