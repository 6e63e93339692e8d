// Layers × heads as small maps, in their order or sorted by what is told of them.

import { element, svg, short } from "./tools.js";
import { MEASURES, measuresOf } from "./measures.js";
import { pictureOf, signedShareOf } from "./draw.js";
import { sheet, embedded } from "./export.js";

export function createOverview(context) {
  const { meta, state, source, compare, differs } = context;
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

  const keyAxis = (s) => meta.axes[meta.stacks[s].key];
  /** The stacks that are shown: of two models, whose difference is, those of the first. */
  const shownStacks = () =>
    meta.stacks.map((_, s) => s).filter((s) => !differs() || (meta.stacks[s].model === 0 && compare.partnerOf(s) >= 0));

  function valueOf(s, l, h) {
    const value = meta.stacks[s].layers[l].measures[chosen.measure]?.[h] ?? null;
    if (!differs() || value === null) return value;
    const there = meta.stacks[compare.partnerOf(s)].layers[l]?.measures[chosen.measure]?.[h];
    return there == null ? null : there - value;
  }

  function valueText(s, value) {
    if (value === null) return "–";
    const text = MEASURES[chosen.measure].text(value, keyAxis(s));
    return differs() && value > 0 ? `+${text}` : text;
  }

  function thumb(s, l, h) {
    const { thumb: size, largest } = meta.stacks[s].layers[l];
    const bytes = thumbs.get(`${s}/${l}/${h}`);
    if (!differs()) return pictureOf(bytes.length, size, (i) => context.theme.pixels[bytes[i]]);
    const other = compare.partnerOf(s);
    const there = thumbs.get(`${other}/${l}/${h}`);
    const layer = meta.stacks[other].layers[l];
    if (!there || JSON.stringify(layer.thumb) !== JSON.stringify(size)) return ""; // a band beside a whole, say
    const second = layer.largest[h];
    const most = Math.max(largest[h], second) || 1;
    return pictureOf(bytes.length, size, (i) => {
      const more = second * (there[i] / 255) ** 2 - largest[h] * (bytes[i] / 255) ** 2;
      return context.theme.signedPixels[signedShareOf(more, most)];
    });
  }

  function all() {
    return shownStacks().flatMap((s) =>
      meta.stacks[s].layers.flatMap((layer, l) =>
        Array.from({ length: layer.heads }, (_, h) => ({ s, l, h, layer, value: valueOf(s, l, h) })),
      ),
    );
  }

  function tile({ s, l, h, layer, value }) {
    const words = measuresOf(layer, h, keyAxis(s)).map((pair) => pair.join(" "));
    const canvas = thumbs ? thumb(s, l, h) : "";
    const shown = valueText(s, value);
    const name = `layer ${l + 1}, head ${h + 1}`;
    const button = element(
      "button",
      {
        class: "tile",
        type: "button",
        title: [name, ...(differs() ? [`${meta.models[0].name}:`] : []), ...words].join("\n"),
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

  function rebuild() {
    const parts = [];
    if (chosen.order === "layers") {
      parts.push(...shownStacks().map(grid));
    } else {
      const sign = chosen.order === "up" ? 1 : -1;
      const known = all()
        .filter(({ value }) => value !== null)
        .sort((a, b) => sign * (a.value - b.value));
      for (const s of shownStacks()) {
        const those = known.filter((one) => one.s === s);
        if (those.length) parts.push(heading(s), element("div", { class: "sorted" }, ...those.map(tile)));
      }
    }
    place.replaceChildren(...parts);
    tiles = [...place.querySelectorAll(".tile")];
  }

  function heading(s) {
    return element("h3", {}, differs() ? compare.title(s) : context.stackTitle(meta.stacks[s]));
  }

  function grid(s) {
    const stack = meta.stacks[s];
    const most = Math.max(1, ...stack.layers.map((layer) => layer.heads));
    const rows = element("div", { class: "grid", role: "group", "aria-label": stack.title });
    rows.style.gridTemplateColumns = `max-content repeat(${most}, minmax(58px, 150px))`;
    stack.layers.forEach((layer, l) => {
      rows.append(element("span", { class: "layer" }, layer.title));
      if (layer.reason) rows.append(element("span", { class: "reason" }, layer.reason));
      for (let h = 0; h < most && !layer.reason; h++) {
        rows.append(h < layer.heads ? tile({ s, l, h, layer, value: valueOf(s, l, h) }) : element("span"));
      }
    });
    return element("section", {}, heading(s), element("div", { class: "scroll" }, rows));
  }

  function update() {
    const now = `${state.show}${context.theme.dark}${chosen.measure}${chosen.order}${thumbs !== null}`;
    if (now !== drawnFor) rebuild();
    drawnFor = now;
    const at = `${state.stack}/${state.layer}/${state.head}`;
    for (const one of tiles) one.setAttribute("aria-pressed", String(one.dataset.place === at));
  }

  function picture() {
    const [step, left, top] = [86, 70, 30];
    const { theme } = context;
    const drawn = [];
    let y = 0;
    for (const s of shownStacks()) {
      const stack = meta.stacks[s];
      drawn.push(svg("text", { x: 12, y: y + 18, "font-weight": 600, fill: theme.text }, heading(s).textContent));
      y += top;
      stack.layers.forEach((layer, l) => {
        drawn.push(svg("text", { x: 12, y: y + 36, fill: theme.muted }, layer.title));
        for (let h = 0; h < layer.heads; h++) {
          const x = left + h * step;
          const canvas = thumb(s, l, h);
          const text = `${l + 1}·${h + 1}  ${valueText(s, valueOf(s, l, h))}`;
          if (canvas) drawn.push(embedded(canvas, x, y, 70, 70));
          drawn.push(svg("text", { x, y: y + 84, "font-size": 11, fill: theme.text }, text));
        }
        y += 98;
      });
    }
    const most = Math.max(1, ...meta.stacks.flatMap(({ layers }) => layers.map(({ heads }) => heads)));
    const title = `${short(meta.title, 60)} · ${MEASURES[chosen.measure].title}`;
    return sheet(left + most * step + 12, y, title, theme, ...drawn);
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
