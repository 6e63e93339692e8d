// Many examples: what each head does on average, and where it is most certain.

import { element, percent, svg, thousands, weightText } from "./tools.js";
import { sheet } from "./export.js";
import { openPage } from "./ask.js";
import { SMALL_HEIGHT, SMALL_WIDTH, bigCurve, curve, inWords, isGrid } from "./curves.js";

export function createAggregate(context) {
  const { meta, state } = context;
  const all = meta.aggregate;
  const opens = !context.source.saved && meta.asks === "number";
  const told = element(
    "p",
    { class: "says" },
    `${thousands(all.examples)} examples${all.of > all.examples ? `, spread over ${thousands(all.of)}` : ""}. ` +
      (isGrid(all.layers[0].found[0].relative)
        ? "Each small map is one head: the mean weight on the patches around a patch, which is framed."
        : "Each small curve is one head: the mean weight on keys before (left) and after (right) the position itself."),
  );
  const grid = element("div", { class: "grid small" });
  const detail = element("div", { class: "details" });
  const root = element("div", { class: "aggregate" }, told, element("div", { class: "scroll" }, grid), detail);
  let drawnFor = null;

  function build() {
    const most = Math.max(1, ...all.layers.map(({ heads }) => heads));
    grid.style.gridTemplateColumns = `max-content repeat(${most}, minmax(60px, 116px))`;
    grid.replaceChildren();
    all.layers.forEach((layer, l) => {
      grid.append(element("span", { class: "layer" }, layer.title));
      for (let h = 0; h < most; h++) grid.append(h < layer.heads ? tile(l, h) : element("span"));
    });
  }

  function tile(l, h) {
    const found = all.layers[l].found[h];
    const name = `layer ${l + 1}, head ${h + 1}`;
    const button = element(
      "button",
      { type: "button", class: "tile", title: name, "aria-label": `${name}: ${inWords(found)}` },
      svg(
        "svg",
        { viewBox: `0 0 ${SMALL_WIDTH} ${SMALL_HEIGHT}`, class: "curve", "aria-hidden": "true" },
        ...curve(context.theme, found.relative, SMALL_WIDTH, SMALL_HEIGHT),
      ),
      element("span", { class: "under" }, element("span", { class: "which" }, `${l + 1}·${h + 1}`)),
    );
    button.addEventListener("click", () => state.set({ layer: l, head: h }));
    button.dataset.place = `${l}/${h}`;
    return button;
  }

  function update() {
    if (drawnFor !== context.theme) build();
    drawnFor = context.theme;
    const at = `${state.layer}/${state.head}`;
    for (const one of grid.querySelectorAll(".tile"))
      one.setAttribute("aria-pressed", String(one.dataset.place === at));
    const found = all.layers[state.layer].found[state.head];
    detail.replaceChildren(
      element("h3", {}, `${all.layers[state.layer].title}, head ${state.head + 1}, ${all.layers[state.layer].name}`),
      element("div", { class: "columns" }, relative(found), distances(found)),
      ...[labelTable(found), wholes(found), certain(found)].filter(Boolean),
    );
  }

  function relative(found) {
    const drawing = bigCurve(context.theme, found.relative);
    drawing.setAttribute("aria-label", inWords(found));
    const says = isGrid(found.relative)
      ? "The mean weight on the patch so many rows and columns away; the patch itself is framed."
      : "The mean weight on the key so many positions before or after.";
    return section("by relative position", says, drawing);
  }

  function distances(found) {
    const names = found.distances.map((_, i) => bucket(i));
    const rows = found.distances.map((share, i) => bar(context.theme, names[i], share, Math.max(...found.distances)));
    return section(
      "by distance",
      "The share of a position's weight on keys so far away.",
      table(["away", "share"], rows),
    );
  }

  function labelTable(found) {
    if (!all.labels.length) return null;
    const { theme } = context;
    const head = element("tr", {}, element("td"), ...all.labels.map((name) => element("th", { scope: "col" }, name)));
    const rows = found.labels.map((row, i) =>
      element(
        "tr",
        {},
        element("th", { scope: "row" }, all.labels[i]),
        ...row.map((share, j) => {
          const place = Math.round(255 * Math.sqrt(Math.min(1, share)));
          const cell = element("td", { title: `${all.labels[i]} to ${all.labels[j]}: ${percent(share)}` }, two(share));
          Object.assign(cell.style, { backgroundColor: theme.css[place], color: theme.ink[place] });
          return cell;
        }),
      ),
    );
    const made = element("table", { class: "matrix" }, element("thead", {}, head), element("tbody", {}, ...rows));
    return section(
      "by label",
      "Of positions with the label on the left, the share of weight on positions with the label above, in percent.",
      element("div", { class: "scroll" }, made),
    );
  }

  function wholes(found) {
    const names = Object.keys(found.wholes);
    if (!names.length) return null;
    const rows = names.map((name) => {
      const { examples, entropy, distance } = found.wholes[name];
      return element(
        "tr",
        {},
        element("td", {}, name),
        ...[thousands(examples), entropy.toFixed(3), distance.toFixed(2)].map((text) => element("td", {}, text)),
      );
    });
    const far = `mean distance, ${isGrid(found.relative) ? "patches" : "positions"}`;
    return section("by the example's label", "", table(["label", "examples", "entropy, nats", far], rows));
  }

  function certain(found) {
    if (!found.certain.length) return null;
    const rows = found.certain.map(({ entropy, number, text, link: [who, whom, weight] }) =>
      element(
        "tr",
        {},
        element("td", {}, opens ? opener(number) : thousands(number)),
        element("td", {}, percent(1 - entropy)),
        element("td", { dir: "auto", title: text }, text || "–"),
        element("td", {}, element("bdi", {}, who), " → ", element("bdi", {}, whom), ` ${weightText(weight)}`),
      ),
    );
    return section(
      "where it is most certain",
      `The examples in which the weights are least spread; 100 % is one key alone. ${
        opens ? "A number opens its page." : "--number N shows the N-th."
      }`,
      element("div", { class: "scroll" }, table(["example", "certain", "text", "the largest weight"], rows, "wide")),
    );
  }

  /** Opens the page of an example, where there is a network to ask. */
  function opener(number) {
    const button = element("button", { type: "button", class: "link" }, thousands(number));
    button.addEventListener("click", async () => {
      button.disabled = true;
      button.title = await openPage(String(number));
      button.disabled = false;
    });
    return button;
  }

  function picture() {
    const most = Math.max(1, ...all.layers.map(({ heads }) => heads));
    const drawn = [];
    const [across, down] = [SMALL_WIDTH + 14, SMALL_HEIGHT + 26];
    all.layers.forEach((layer, l) => {
      drawn.push(svg("text", { x: 12, y: l * down + 26, fill: context.theme.muted }, layer.title));
      layer.found.forEach((found, h) => {
        const place = svg("g", { transform: `translate(${76 + h * across} ${l * down})` });
        place.append(...curve(context.theme, found.relative, SMALL_WIDTH, SMALL_HEIGHT));
        place.append(
          svg("text", { x: 0, y: SMALL_HEIGHT + 13, "font-size": 11, fill: context.theme.text }, `${l + 1}·${h + 1}`),
        );
        drawn.push(place);
      });
    });
    const size = [90 + most * across, all.layers.length * down + 8];
    return sheet(...size, `${meta.title} · mean weight by relative position`, context.theme, ...drawn);
  }

  function numbers() {
    const rows = [["layer", "head", "what", "from", "to", "number"]];
    all.layers.forEach((layer, l) => {
      layer.found.forEach((found, h) => {
        const add = (...cells) => rows.push([l + 1, h + 1, ...cells]);
        const reach = (found.relative.length - 1) / 2;
        found.relative.forEach((mean, i) => {
          const row = Array.isArray(mean) ? mean : null;
          if (!row && mean !== null) add("relative position", 0, i - reach, mean);
          row?.forEach((one, j) => one !== null && add("rows, columns away", i - reach, j - (row.length - 1) / 2, one));
        });
        found.distances.forEach((share, i) => add("distance", 0, bucket(i), share));
        found.labels.forEach((row, i) => row.forEach((share, j) => add("label", all.labels[i], all.labels[j], share)));
      });
    });
    return rows;
  }
  return { root, update, picture, numbers };
}

/** Distances 0, 1, 2, 3–4, 5–8, … */
function bucket(i) {
  if (i < 3) return String(i);
  return `${thousands(2 ** (i - 2) + 1)}–${thousands(2 ** (i - 1))}`;
}

function two(share) {
  return share < 0.005 ? "" : String(Math.round(100 * share));
}

function bar(theme, name, share, largest) {
  const filled = element("span", { class: "bar-of" });
  Object.assign(filled.style, { width: `${(100 * share) / (largest || 1)}%`, backgroundColor: theme.css[190] });
  return element(
    "tr",
    {},
    element("td", {}, name),
    element("td", {}, element("span", { class: "weight" }, percent(share)), element("span", { class: "room" }, filled)),
  );
}

function table(titles, rows, kind = "") {
  const head = element("tr", {}, ...titles.map((title) => element("th", { scope: "col" }, title)));
  return element("table", { class: `plain ${kind}` }, element("thead", {}, head), element("tbody", {}, ...rows));
}

function section(title, says, ...content) {
  const told = says ? [element("p", { class: "says" }, says)] : [];
  return element("section", {}, element("h3", {}, title), ...told, ...content);
}
