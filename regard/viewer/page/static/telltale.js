// What weights alone do not tell of an answer: beside them rollout, gradient × attention, and answers without a head.

import { element, percent, short, svg } from "./tools.js";
import { choice } from "./overview.js";
import { placeName } from "./timeline.js";
import { sheet } from "./export.js";
import { visibleName } from "./words.js";
import { WIDE, coloursOf, createStrip } from "./strips.js";

/** title, and what it says and does not; `signed`: below 0 too; `of(context, tales, answer)`: a number by position. */
const ROWS_OF = [
  {
    title: "weights",
    says: "Where the chosen head looks from the chosen position. Not what came of it: the value there may be nothing.",
    of: rawWeights,
  },
  {
    title: "rollout",
    says: `Of which positions the answer's vector is mixed over all layers, heads taken together. Not what was in them,
      and not for which answer.`,
    of: (context, tales, answer) => tales.rollout[answer],
  },
  {
    title: "gradient × attention",
    says: `How the answer's log probability moves with the weights on a position, over all layers and heads: orange
      speaks for it, blue against it. Not what a large change would do: it is the slope where the network stands.`,
    signed: true,
    of: (context, tales, answer) => tales.gradient[answer],
  },
];
const DROPS = `By how much the answer's log probability falls when one head gives nothing. Not what a head is for: heads
  that do the same stand in for each other.`;

export function createTelltale(context) {
  const { meta, state } = context;
  const tales = meta.telltales;
  const axis = meta.axes[tales.axis];
  let answer = 0;
  const options = tales.names.map((name, i) => [String(i), answerName(i)]);
  const answers = choice("Answer", options, (value) => choose(Number(value)));
  const told = element("span", { class: "muted" });
  const rows = ROWS_OF.map(createRow);
  const drops = element("div", { class: "scroll" });
  const root = element(
    "div",
    { class: "telltale" },
    element("div", { class: "bar" }, tales.names.length > 1 ? answers.root : "", told),
    element("div", { class: `tales ${axis.kind}` }, ...rows.map(({ root: one }) => one)),
    element("section", {}, element("h3", {}, "without a head"), element("p", { class: "says" }, DROPS), drops),
  );
  let turns = 0;

  function answerName(i) {
    const place = tales.places?.[i];
    const where = tales.query === tales.axis && place != null ? `${short(placeName(axis, place), 24)} → ` : "";
    return `${where}${short(visibleName(tales.names[i]), 40)}`;
  }

  function choose(i) {
    answer = i;
    if (tales.places && state.axis() === tales.query) state.set({ at: tales.places[i], until: null });
    else update({});
  }

  /** The answer nearest to the chosen position, where answers have positions. */
  function follow() {
    if (!tales.places || state.axis() !== tales.query) return;
    const far = (i) => Math.abs(tales.places[i] - state.at());
    answer = tales.places.reduce((best, _, i) => (far(i) < far(best) ? i : best), 0);
  }

  function createRow({ title, says, signed, of }) {
    const strip = createStrip(context, tales.axis, signed);
    const heading = element("h3", {}, title);
    const section = element("section", {}, heading, element("p", { class: "says" }, says), strip.root);
    return { root: section, title, of, strip };
  }

  async function update() {
    const turn = ++turns;
    follow();
    answers.select.value = String(answer);
    const chance = Math.exp(tales.log_probs[answer]);
    const log = tales.log_probs[answer].toFixed(3).replace("-", "−");
    const whose = meta.models.length > 1 ? `${meta.models[0].name}: ` : "";
    told.textContent = `${whose}probability ${percent(chance)}, log probability ${log}`;
    for (const row of rows) {
      const numbers = await row.of(context, tales, answer);
      if (turn !== turns) return;
      row.strip.update(numbers);
    }
    drops.replaceChildren(dropTable(context, tales, answer));
  }

  async function numbers() {
    const columns = await Promise.all(rows.map((row) => row.of(context, tales, answer)));
    const title = ["position", "name", ...rows.map((row) => row.title)];
    const own = Array.from({ length: axis.count }, (_, i) => [
      i + 1,
      placeName(axis, i),
      ...columns.map((column) => column?.[i] ?? null),
    ]);
    const heads = tales.heads.map(([stack, layer, head], i) => [stack, layer + 1, head + 1, tales.drops[answer][i]]);
    return [["answer", answerName(answer)], title, ...own, ["stack", "layer", "head", "drop"], ...heads];
  }

  async function picture() {
    const drawn = [];
    let y = 0;
    for (const row of rows) {
      const numbers = await row.of(context, tales, answer);
      drawn.push(svg("text", { x: 12, y: y + 14, "font-weight": 600, fill: context.theme.text }, row.title));
      const part = numbers ? row.strip.picture(numbers, y + 22) : { drawn: [], end: y + 22 };
      drawn.push(...part.drawn);
      y = part.end + 16;
    }
    return sheet(WIDE, y, `${meta.title} · ${answerName(answer)}`, context.theme, ...drawn);
  }
  return { root, update, picture, numbers, resize: () => update({}) };
}

/** What the chosen head gives to each position, from the chosen one; null where it is of another sequence, or model. */
async function rawWeights(context, tales) {
  const { meta, state } = context;
  if (state.other() !== tales.axis || state.stackNow().model !== 0) return null;
  const attended = await context.attended();
  const found = new Array(meta.axes[tales.axis].count).fill(0);
  attended?.weights.forEach((weight, i) => (found[attended.first + i] = weight));
  return found;
}

/** Heads by layer, each with the drop of the answer. */
function dropTable(context, tales, answer) {
  const { meta, state, theme } = context;
  const drops = tales.drops[answer];
  const look = coloursOf(theme, drops, true);
  const most = Math.max(1, ...tales.heads.map(([, , head]) => head + 1));
  const rows = new Map();
  tales.heads.forEach(([id, layer, head], i) => {
    const key = `${id}/${layer}`;
    if (!rows.has(key)) rows.set(key, []);
    rows.get(key)[head] = i;
  });
  const grid = element("div", { class: "drops", role: "group", "aria-label": "drop by layer and head" });
  grid.style.gridTemplateColumns = `max-content repeat(${most}, minmax(52px, 84px))`;
  for (const [key, heads] of rows) {
    const [id, layer] = key.split("/");
    const s = meta.stacks.findIndex((stack) => stack.id === id);
    grid.append(
      element("span", { class: "layer" }, `${s < 0 ? id : meta.stacks[s].title}, layer ${Number(layer) + 1}`),
    );
    for (let head = 0; head < most; head++) {
      if (heads[head] === undefined) {
        grid.append(element("span"));
        continue;
      }
      const drop = drops[heads[head]];
      const [paper, ink] = look(drop);
      const cell = element(
        "button",
        {
          type: "button",
          class: "drop",
          title: `head ${head + 1}: log probability ${drop < 0 ? "rises" : "falls"} by ${Math.abs(drop).toFixed(4)}`,
          onclick: () => s >= 0 && state.set({ stack: s, layer: Number(layer), head }),
        },
        drop
          .toFixed(Math.abs(drop) < 0.0995 ? 3 : 2)
          .replace(/^-(?=0\.0+$)/, "")
          .replace("-", "−"),
      );
      Object.assign(cell.style, { backgroundColor: paper, color: ink });
      if (s === state.stack && Number(layer) === state.layer && head === state.head) cell.classList.add("chosen");
      grid.append(cell);
    }
  }
  return grid;
}
