// Beside every view: what is chosen, what was predicted for it, and its largest weights as a table.

import { element, percent, short, thousands, weightText } from "./tools.js";
import { heaviest } from "./heads.js";
import { measuresOf } from "./measures.js";
import { placeName } from "./timeline.js";
import { shareOf } from "./draw.js";
import { visibleName } from "./words.js";

const TABLE_ROWS = 10;

export function createPanel(context) {
  const { meta, state } = context;
  const title = element("h2", {});
  const answers = element("p", { class: "answers" });
  const cell = element("p", { class: "cell", hidden: true });
  const turn = element("button", { type: "button", class: "quiet", onclick: () => context.turn() });
  const step = (by, label, text) =>
    element(
      "button",
      { type: "button", class: "quiet", "aria-label": label, title: label, onclick: () => context.step(by) },
      text,
    );
  const rows = element("tbody", {});
  const caption = element("caption", {});
  const head = element(
    "tr",
    {},
    element("th", { scope: "col" }, "position"),
    element("th", { scope: "col" }, "weight"),
  );
  const table = element("table", {}, caption, element("thead", {}, head), rows);
  const facts = element("dl", {});
  const spoken = element("p", { class: "spoken", role: "status", "aria-live": "polite" });
  const buttons = element(
    "div",
    { class: "bar" },
    step(-1, "the position before", "←"),
    step(1, "the position after", "→"),
    turn,
  );
  const root = element(
    "aside",
    { "aria-label": "what is chosen" },
    title,
    answers,
    cell,
    buttons,
    table,
    facts,
    spoken,
  );
  let turns = 0;

  async function update(changes) {
    const now = ++turns;
    const stack = state.stackNow();
    if (!stack) return;
    const [axis, other] = [meta.axes[state.axis()], meta.axes[state.other()]];
    const position = state.now();
    title.replaceChildren(element("bdi", {}, context.chosenName(80)));
    title.append(element("small", {}, ` ${thousands(position + 1)} of ${thousands(axis.count)}`));
    showAnswers(axis, position);
    turn.textContent = state.side === "from" ? "⇄ attends to" : "⇄ is attended by";
    turn.title = "turn round (r)";
    showFacts();
    const attended = await context.attended();
    if (now !== turns) return;
    const told = showCell(other, attended);
    const { kept, total } = attended ? heaviest(attended, TABLE_ROWS) : { kept: [], total: 0 };
    rows.replaceChildren(...kept.map(([place, weight]) => row(other, place, weight, kept[0][1])));
    if (!kept.length)
      rows.append(
        element("tr", {}, element("td", { colSpan: 2, class: "nothing" }, context.layerReason() ?? "nothing")),
      );
    const few = kept.reduce((sum, [, weight]) => sum + weight, 0);
    caption.textContent = kept.length ? `the largest weights, ${percent(few / total)} of all` : "the largest weights";
    if (state.hover === null && !("hover" in changes)) speak(axis, other, position, kept, told);
  }

  function showAnswers(axis, position) {
    answers.replaceChildren();
    if (!axis.labels) return;
    const score = axis.scores ? ` ${percent(axis.scores[position])}` : "";
    answers.append(
      "predicted ",
      element("b", {}, element("bdi", {}, short(visibleName(axis.labels[position]), 60))),
      score,
    );
    if (!axis.gold) return;
    const right = axis.gold[position] === axis.labels[position];
    answers.append(
      right
        ? ", correct"
        : element(
            "span",
            { class: "wrong" },
            ", true: ",
            element("b", {}, element("bdi", {}, short(visibleName(axis.gold[position]), 60))),
          ),
    );
  }

  /** The cell that was chosen in the map. */
  function showCell(other, attended) {
    cell.hidden = state.cell === null || !attended;
    if (cell.hidden) return "";
    const weight = attended.weights[state.cell - attended.first];
    const name = short(visibleName(placeName(other, state.cell)), 40);
    const text = weight === undefined ? "outside the window" : weightText(weight);
    cell.replaceChildren(
      state.side === "from" ? "to " : "from ",
      element("bdi", {}, name),
      ": ",
      element("b", {}, text),
    );
    return `${cell.textContent}. `;
  }

  function row(axis, place, weight, largest) {
    const bar = element("span", { class: "bar-of" });
    bar.style.width = `${(100 * weight) / largest}%`;
    bar.style.backgroundColor = context.theme.css[Math.max(60, shareOf(weight, largest))];
    const name = element("bdi", {}, short(visibleName(placeName(axis, place)), 34));
    const number = axis.names ? element("small", {}, ` ${thousands(place + 1)}`) : "";
    const cell = element(
      "td",
      {},
      element("span", { class: "weight" }, weightText(weight)),
      element("span", { class: "room" }, bar),
    );
    return element("tr", {}, element("td", {}, name, number), cell);
  }

  function showFacts() {
    const layer = state.layerNow();
    const told = layer ? measuresOf(layer, state.head, meta.axes[state.stackNow().key]) : [];
    facts.replaceChildren(
      element("dt", { class: "of" }, context.headTitle()),
      ...told.flatMap(([title, text]) => [element("dt", {}, title), element("dd", {}, text)]),
    );
  }

  function speak(axis, other, position, kept, told) {
    const way = state.side === "from" ? "attends most to" : "is attended most by";
    const most = kept
      .slice(0, 3)
      .map(([place, weight]) => `${short(placeName(other, place), 30)} ${weightText(weight)}`);
    const name = short(placeName(axis, position), 30);
    spoken.textContent = `${context.headTitle()}. ${told}${name} ${way} ${most.join(", ") || "nothing"}.`;
  }
  return { root, update };
}
