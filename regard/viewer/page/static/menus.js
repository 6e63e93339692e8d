// What stands above the views: which stack, layer and head, what is saved, help.

import { element } from "./tools.js";
import { HELP, KEYS } from "./help.js";
import { csvText, download, pngOf, svgText } from "./export.js";
import { choice } from "./overview.js";

/** Which stack, layer and head; of two models, whether their difference. */
export function createControls(context, views) {
  const { meta, state } = context;
  const stacks = choice(
    "Part",
    meta.stacks.map((stack, i) => [String(i), context.stackTitle(stack)]),
    (value) => state.set({ stack: Number(value), cell: null }),
  );
  const layers = choice("Layer", [], (value) => state.set({ layer: Number(value) }));
  const heads = element("div", { class: "heads", role: "group", "aria-label": "head" });
  const shows = choice(
    "Show",
    [
      ["weights", "weights"],
      ["difference", "difference"],
    ],
    (value) => state.set({ show: value }),
  );
  const root = element("div", { class: "controls" });
  if (meta.stacks.length > 1) root.append(stacks.root);
  root.append(layers.root, element("div", { class: "choice" }, element("span", {}, "Head"), heads));
  if (meta.models.length > 1) root.append(shows.root);
  let built = "";

  function update() {
    const stack = state.stackNow();
    if (!stack) return;
    const key = `${state.stack}/${state.layer}`;
    if (key !== built) {
      layers.select.replaceChildren(
        ...stack.layers.map((layer, i) => element("option", { value: String(i) }, String(i + 1))),
      );
      const count = state.layerNow()?.heads ?? 0;
      const button = (_, i) =>
        element(
          "button",
          { type: "button", title: `head ${i + 1}`, onclick: () => state.set({ head: i }) },
          String(i + 1),
        );
      heads.replaceChildren(...Array.from({ length: count }, button));
      built = key;
    }
    stacks.select.value = String(state.stack);
    layers.select.value = String(state.layer);
    shows.select.value = state.show;
    shows.root.hidden = !views.find(({ name }) => name === state.view).differs;
    [...heads.children].forEach((one, i) => one.setAttribute("aria-pressed", String(i === state.head)));
  }
  return { root, update };
}

export function createExport(context, view) {
  const fileName = () =>
    `attention-${context.state.view}-layer${context.state.layer + 1}-head${context.state.head + 1}`;
  const kinds = {
    SVG: async () => download(svgText(await view().picture()), "image/svg+xml", `${fileName()}.svg`),
    PNG: async () => download(await pngOf(await view().picture()), "image/png", `${fileName()}.png`),
    CSV: async () => download(csvText(await view().numbers()), "text/csv", `${fileName()}.csv`),
  };
  const menu = element("details", { class: "menu" }, element("summary", { title: "save this view" }, "Save"));
  const items = Object.entries(kinds).map(([name, save]) =>
    element(
      "button",
      { type: "button", onclick: () => save().finally(() => (menu.open = false)) },
      name === "CSV" ? "CSV, the numbers" : `${name}, the picture`,
    ),
  );
  menu.append(element("div", { class: "items" }, ...items));
  return menu;
}

export function createHelp(context, views) {
  const root = element("dialog", { class: "help", "aria-label": "help" });
  root.addEventListener("click", (event) => event.target === root && root.close());
  function toggle() {
    if (root.open) return root.close();
    const current = views.find(({ name }) => name === context.state.view);
    const keys = KEYS.flatMap(([key, text]) => [
      element("dt", {}, ...key.split(" ").map((one) => element("kbd", {}, one))),
      element("dd", {}, text),
    ]);
    root.replaceChildren(
      element("form", { method: "dialog" }, element("button", { class: "quiet", "aria-label": "close" }, "✕")),
      element("h2", {}, current.title),
      ...current.help.map((text) => element("p", {}, text)),
      element("p", { class: "caution" }, HELP.caution),
      element("h3", {}, "Keys"),
      element("dl", { class: "keys" }, ...keys),
    );
    return root.showModal();
  }
  return { root, toggle };
}
