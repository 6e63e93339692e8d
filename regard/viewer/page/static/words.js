// A text: its words with backgrounds, and under each what was predicted for it.

import { element, svg, short, weightText } from "./tools.js";
import { shareOf } from "./draw.js";

const CHUNK = 200; // words that the browser lays out, or leaves alone, together

export function createWords(context, axisName, choose, hover) {
  const axis = context.meta.axes[axisName];
  const words = [];
  const chunks = [];
  for (let start = 0; start < axis.count; start += CHUNK) {
    const part = [];
    for (let i = start; i < Math.min(axis.count, start + CHUNK); i++) part.push(word(i));
    words.push(...part);
    chunks.push(element("span", { class: axis.count > CHUNK ? "chunk" : "" }, ...part));
  }
  const root = element(
    "div",
    { class: "words", dir: directionOf(axis.names), role: "group", "aria-label": "the text" },
    ...chunks,
  );
  const numberOf = (event) => event.target.closest?.("[data-i]")?.dataset.i;
  root.addEventListener(
    "pointerover",
    (event) => event.pointerType !== "touch" && numberOf(event) !== undefined && hover(+numberOf(event)),
  );
  root.addEventListener("pointerleave", () => hover(null));
  root.addEventListener("click", (event) => numberOf(event) !== undefined && choose(+numberOf(event)));

  function word(i) {
    const text = element("bdi", { class: "text" }, visibleName(axis.names?.[i] ?? String(i + 1)));
    const made = element("span", { class: "word" }, text);
    if (axis.labels) {
      const wrong = axis.gold && axis.gold[i] !== axis.labels[i];
      made.append(element("span", { class: wrong ? "label wrong" : "label" }, visibleName(axis.labels[i])));
      if (wrong) made.append(element("span", { class: "label gold" }, visibleName(axis.gold[i])));
    }
    made.dataset.i = i;
    return made;
  }

  let coloured = [];
  let marked = null;
  function update({ weights, first, chosen, kept }) {
    const { theme } = context;
    for (const i of coloured) {
      words[i].firstChild.removeAttribute("style");
      words[i].removeAttribute("title");
    }
    coloured = [];
    let largest = 0;
    if (weights) for (const weight of weights) largest = Math.max(largest, weight);
    for (let j = 0; weights && j < weights.length; j++) {
      const share = shareOf(weights[j], largest);
      if (!share || !words[first + j]) continue;
      coloured.push(first + j);
      const text = words[first + j].firstChild;
      text.style.backgroundColor = theme.css[share];
      text.style.color = theme.ink[share];
      words[first + j].title = `${short(axis.names?.[first + j] ?? "", 60)}: ${weightText(weights[j])}`;
    }
    if (marked !== null) words[marked]?.classList.remove("chosen");
    marked = chosen;
    if (chosen !== null) words[chosen]?.classList.add("chosen");
    if (kept && chosen !== null && words[chosen]) reveal(words[chosen]);
  }

  /** Brings a word into the middle where it is not seen; the page itself stays. */
  function reveal(one) {
    const [box, place] = [root.getBoundingClientRect(), one.getBoundingClientRect()];
    if (place.top >= box.top && place.bottom <= box.bottom) return;
    one.scrollIntoView({ block: "nearest" }); // lays out what was left alone
    root.scrollTop += one.getBoundingClientRect().top - box.top - box.height / 2;
  }

  /** Words in lines, as wide as the page would have them. */
  function picture({ weights, first, chosen }) {
    const { theme } = context;
    const pen = document.createElement("canvas").getContext("2d");
    pen.font = "15px system-ui";
    const [width, line] = [760, axis.labels ? 46 : 32];
    const drawn = [];
    let [x, y] = [12, 8];
    const largest = weights ? weights.reduce((a, b) => Math.max(a, b), 0) : 0;
    for (let i = 0; i < Math.min(axis.count, 3000); i++) {
      const text = short(visibleName(axis.names?.[i] ?? String(i + 1)), 40);
      const label = axis.labels?.[i] ?? "";
      const wide = Math.max(pen.measureText(text).width, label.length * 6) + 10;
      if (x + wide > width) [x, y] = [12, y + line];
      const share = weights && i >= first && i < first + weights.length ? shareOf(weights[i - first], largest) : 0;
      const stroke = i === chosen ? { stroke: theme.mark, "stroke-width": 2 } : {};
      drawn.push(svg("rect", { x, y, width: wide, height: 24, rx: 4, fill: theme.css[share], ...stroke }));
      drawn.push(svg("text", { x: x + 5, y: y + 17, "font-size": 15, fill: theme.ink[share] }, text));
      if (label) drawn.push(svg("text", { x: x + 5, y: y + 36, "font-size": 10, fill: theme.muted }, label));
      x += wide + 4;
    }
    return { width, height: y + line + 8, drawn };
  }
  return { root, update, picture };
}

/** Where most people begin to read: told by the first letters, as `dir="auto"` looks into no element. */
function directionOf(names) {
  const letter = /\p{L}/u.exec((names ?? []).slice(0, 200).join(" ").slice(0, 4000));
  return letter && /[\u0590-\u08FF\uFB1D-\uFDFF\uFE70-\uFEFF]/.test(letter[0]) ? "rtl" : "ltr";
}

/** What cannot be seen is named: a space, a line end. */
export function visibleName(name) {
  if (name === "") return "∅";
  return /^\s+$/.test(name) ? "␣" : name;
}
