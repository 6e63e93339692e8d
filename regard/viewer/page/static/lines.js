// Words in two columns with weighted lines between them.

import { element, svg, clamp, fitted, onceAFrame, weightText } from "./tools.js";
import { shareOf } from "./draw.js";
import { sheet } from "./export.js";
import { heaviest } from "./heads.js";
import { visibleName } from "./words.js";

const LINE = 22;
const FEW = 48; // words that are all written out
const [NEAR, HEAVY] = [6, 12]; // of more: those around the chosen one, and the heaviest
const MOST_LINES_LONG = 40; // that are drawn then: more hide each other

export function createLines(context) {
  const { meta, state } = context;
  const drawing = svg("svg", { class: "lines", role: "img", "aria-label": "words and the weights between them" });
  const root = element("div", { class: "frame" }, drawing);
  const again = onceAFrame(draw);
  let layout = null;
  let asked = 0;

  const axisOf = (side) => meta.axes[state.stackNow()[side]];
  const width = () => clamp(root.clientWidth || 640, 300, 860);

  /** Where each position from `start` to `end` stands: written out where it is big, a tick otherwise. */
  function place(start, end, big, height) {
    const count = end - start;
    const written = count <= FEW ? count : [...big].filter((i) => i >= start && i < end).length;
    const tick = count > written ? (height - written * LINE) / (count - written) : 0;
    const tops = new Float64Array(count + 1);
    const isBig = (i) => count <= FEW || big.has(i);
    for (let i = 0; i < count; i++) tops[i + 1] = tops[i] + (isBig(start + i) ? LINE : tick);
    return { start, end, tops, isBig, middle: (i) => (tops[i - start] + tops[i - start + 1]) / 2 };
  }

  async function draw() {
    const turn = ++asked;
    const head = context.head();
    const chosen = state.now();
    const attended = await context.attended();
    if (turn !== asked || !head || !attended || !root.isConnected) return;
    const from = state.side === "from";
    const { kept } = heaviest(attended, HEAVY);
    // Stays under the pointer, whatever that points at.
    const near = new Set(Array.from({ length: 2 * NEAR + 1 }, (_, i) => state.at() - NEAR + i));
    const heavy = new Set(kept.map(([position]) => position));
    const queries = from ? spanOf(head, "query", state.at()) : spanOf(head, "query", null, attended);
    const keys = from ? spanOf(head, "key", null, attended) : spanOf(head, "key", state.at());
    const counts = [queries, keys].map(([start, end]) => end - start);
    const height = Math.max(...counts) <= FEW ? Math.max(...counts) * LINE : 660;
    const left = place(...queries, from ? near : heavy, height);
    const right = place(...keys, from ? heavy : near, height);
    layout = { left, right, height, attended, chosen, from };
    const faint = Math.max(...counts) <= FEW ? await allRows(head) : [];
    if (turn !== asked) return;
    drawing.setAttribute("viewBox", `0 0 ${width()} ${height + 40}`);
    drawing.setAttribute("width", width());
    drawing.setAttribute("height", height + 40);
    drawing.replaceChildren(...parts(layout, faint, head));
  }

  /** Which positions are shown: all, or in a window those that can see each other. */
  function spanOf(head, side, chosen, attended) {
    const count = side === "query" ? head.queries : head.keys;
    if (count <= 2000 && !(head.band && count > 600)) return [0, count];
    if (chosen !== null) {
      const reach = Math.min(300, head.band ? head.band.width : 300);
      const start = clamp(chosen - Math.floor(reach / 2), 0, Math.max(0, count - reach));
      return [start, Math.min(count, start + reach)];
    }
    return [attended.first, attended.first + attended.weights.length];
  }

  async function allRows(head) {
    return Promise.all(Array.from({ length: head.queries }, (_, query) => head.row(query)));
  }

  function parts({ left, right, attended, chosen, from }, faint, head) {
    const { theme } = context;
    const counted = Math.max(left.end - left.start, right.end - right.start);
    const edge = Math.min(230, width() * 0.36);
    const [x0, x1] = [edge, width() - edge];
    const top = 30;
    const drawn = [];
    const heading = (x, anchor, text) =>
      svg("text", { x, y: 14, "text-anchor": anchor, class: "heading", fill: theme.muted, "font-size": 12 }, text);
    drawn.push(heading(x0 - 8, "end", "attends"), heading(x1 + 8, "start", "to"));
    const ys = (column, i) => top + column.middle(i);
    const curve = (query, key, more) => {
      const [y0, y1, bend] = [ys(left, query), ys(right, key), (x1 - x0) * 0.4];
      return svg("path", {
        d: `M${x0} ${y0}C${x0 + bend} ${y0} ${x1 - bend} ${y1} ${x1} ${y1}`,
        fill: "none",
        ...more,
      });
    };
    faint.forEach(({ first, weights }, query) => {
      weights.forEach((weight, i) => {
        if (weight < 0.04 * head.largest) return;
        const opacity = 0.3 * Math.sqrt(weight / head.largest) * Math.min(1, 14 / faint.length);
        drawn.push(curve(query, first + i, { stroke: theme.muted, "stroke-width": 1, opacity: opacity.toFixed(2) }));
      });
    });
    let largest = 0;
    for (const weight of attended.weights) largest = Math.max(largest, weight);
    const order = [...attended.weights.keys()].filter(
      (i) => attended.weights[i] >= 0.003 * largest && attended.weights[i] > 0,
    );
    order.sort((a, b) => attended.weights[a] - attended.weights[b]);
    for (const i of order.slice(counted > FEW ? -MOST_LINES_LONG : 0)) {
      const weight = attended.weights[i];
      const [query, key] = from ? [chosen, attended.first + i] : [attended.first + i, chosen];
      const share = Math.sqrt(weight / largest);
      const colour = theme.css[Math.round(95 + 160 * share)];
      const line = curve(query, key, {
        stroke: colour,
        "stroke-width": (0.6 + 7 * share * share).toFixed(2),
        "stroke-linecap": "round",
        opacity: (0.25 + 0.75 * share).toFixed(2),
      });
      line.append(svg("title", {}, weightText(weight)));
      drawn.push(line);
    }
    drawn.push(...column(left, "query", x0, top, from ? null : attended, from ? chosen : null, largest));
    drawn.push(...column(right, "key", x1, top, from ? attended : null, from ? null : chosen, largest));
    return drawn;
  }

  function column(placed, side, x, top, attended, chosen, largest) {
    const { theme } = context;
    const axis = axisOf(side);
    const leftward = side === "query";
    const drawn = [];
    const room = Math.min(230, width() * 0.36) - 24;
    const pieces = [];
    for (let i = placed.start; i < placed.end; i++) {
      const y = top + placed.tops[i - placed.start];
      const tall = placed.tops[i - placed.start + 1] - placed.tops[i - placed.start];
      const weight = attended?.weights[i - attended.first] ?? 0;
      if (!placed.isBig(i) && i !== chosen) {
        if (tall >= 1.2) pieces.push(`M${leftward ? x - 2 : x + 2} ${y + tall / 2}h${leftward ? -6 : 6}`);
        continue;
      }
      const share = shareOf(weight, largest);
      const text = fitted(visibleName(axis.names?.[i] ?? String(i + 1)), room - (share > 40 ? 48 : 0));
      const group = svg("g", { "data-side": side, "data-i": i, class: "item" });
      const y0 = placed.isBig(i) ? y : y + tall / 2 - LINE / 2;
      const back = {
        x: leftward ? 2 : x + 2,
        y: y0 + 1,
        width: leftward ? x - 4 : width() - x - 4,
        height: LINE - 2,
        rx: 4,
      };
      const fill = share ? theme.css[share] : "transparent";
      const edged = i === chosen ? { stroke: theme.mark, "stroke-width": 1.5 } : {};
      group.append(svg("rect", { ...back, fill, ...edged }));
      const ink = share ? theme.ink[share] : theme.text;
      group.append(
        svg(
          "text",
          {
            x: leftward ? x - 10 : x + 10,
            y: y0 + 15.5,
            "text-anchor": leftward ? "end" : "start",
            fill: ink,
            "font-size": 13,
          },
          text,
        ),
      );
      if (share > 40) {
        const number = {
          x: leftward ? 8 : width() - 8,
          y: y0 + 15,
          "text-anchor": leftward ? "start" : "end",
          fill: ink,
          "font-size": 11,
        };
        group.append(svg("text", number, weightText(weight)));
      }
      drawn.push(group);
    }
    const pointed = drawn.findIndex((group) => group.dataset.i === String(chosen) && !placed.isBig(chosen));
    if (pointed >= 0) drawn.push(...drawn.splice(pointed, 1)); // over its neighbours
    if (pieces.length) drawn.unshift(svg("path", { d: pieces.join(""), stroke: theme.line, "stroke-width": 1 }));
    else if (placed.end - placed.start > FEW)
      drawn.unshift(
        svg("path", {
          d: `M${x} ${top}V${top + placed.tops[placed.end - placed.start]}`,
          stroke: theme.line,
          "stroke-width": 3,
        }),
      );
    return drawn;
  }

  /** The position under the pointer, ticks too. */
  function found(event) {
    if (!layout) return null;
    const box = drawing.getBoundingClientRect();
    const [x, y] = [(event.clientX - box.left) * (width() / box.width), event.clientY - box.top - 30];
    const edge = Math.min(230, width() * 0.36);
    const side = x <= edge ? "query" : x >= width() - edge ? "key" : null;
    const placed = side === "query" ? layout.left : layout.right;
    if (!side || y < 0 || y >= placed.tops[placed.end - placed.start]) return null;
    let [low, high] = [0, placed.end - placed.start];
    while (high - low > 1) {
      const middle = (low + high) >> 1;
      if (placed.tops[middle] <= y) low = middle;
      else high = middle;
    }
    return { side, position: placed.start + low };
  }
  drawing.addEventListener("pointermove", (event) => {
    const there = found(event);
    if (event.pointerType === "touch") return;
    if (there && (there.side === "query") === (state.side === "from")) state.set({ hover: there.position });
    else if (state.hover !== null) state.set({ hover: null });
  });
  drawing.addEventListener("pointerleave", () => state.hover !== null && state.set({ hover: null }));
  drawing.addEventListener("click", (event) => {
    const there = found(event);
    if (there) state.set({ side: there.side === "query" ? "from" : "to", at: there.position, until: null, cell: null });
  });

  function picture() {
    const { theme } = context;
    const copy = [...drawing.childNodes].map((node) => node.cloneNode(true));
    return sheet(width(), Number(drawing.getAttribute("height")), context.headTitle(), theme, ...copy);
  }
  return { root, update: again, picture, numbers: () => context.rowNumbers(), resize: again };
}
