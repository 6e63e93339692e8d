// The page: what is above and beside the views, keys, and what all views ask for.

import { clamp, element, percent, short, weightText } from "./tools.js";
import { makeTheme } from "./colours.js";
import { createSource, readMeta } from "./source.js";
import { createHeads } from "./heads.js";
import { createState } from "./state.js";
import { createCompare } from "./compare.js";
import { VIEWS } from "./views.js";
import { createControls, createExport, createHelp } from "./menus.js";
import { onKey } from "./keys.js";
import { createAsk } from "./ask.js";
import { createPanel } from "./panel.js";
import { placeName } from "./timeline.js";
import { visibleName } from "./words.js";

const MOST_ROWS = 4000; // of a stretch of time whose mean is shown

function start() {
  const meta = readMeta();
  const source = createSource();
  const heads = createHeads(meta, source);
  const views = VIEWS.filter(({ there }) => !there || there(meta));
  const state = createState(
    meta,
    views.map(({ name }) => name),
  );
  const context = createContext(meta, source, heads, state);
  state.readAddress();
  const frame = createFrame(context, views);
  document.getElementById("page").replaceWith(frame.root);
  state.listen(frame.update);
  window.addEventListener("hashchange", state.readAddress);
  window.addEventListener("resize", frame.resize);
  window.addEventListener("keydown", (event) => onKey(event, context, frame, views));
  setTheme(context, frame, readDark());
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => setTheme(context, frame, readDark()));
  document.documentElement.dataset.ready = "yes";
  performance.mark("first-view");
}

/** What all views share. */
function createContext(meta, source, heads, state) {
  const context = { meta, source, state, theme: null, compare: createCompare(meta) };
  context.headOf = (stack) => heads.get(stack, state.layer, state.head);
  context.head = () => context.headOf(state.stack);
  context.stackTitle = (stack) =>
    meta.models.length > 1 ? `${stack.title}, ${meta.models[stack.model].name}` : stack.title;
  const ofHead = (title) => `${title}, layer ${state.layer + 1}, head ${state.head + 1}`;
  context.headTitle = () => ofHead(context.stackTitle(state.stackNow()));
  /** The same of a view that can show a difference. */
  context.viewTitle = () => {
    return context.otherHead() ? ofHead(context.compare.title(state.stack)) : context.headTitle();
  };
  /** What is chosen, or pointed at, as people call it. */
  context.chosenName = (most) => {
    const axis = meta.axes[state.axis()];
    const name = short(visibleName(placeName(axis, state.now())), most);
    const until = state.hover === null ? state.until() : null;
    return until === null ? name : `${name.split(" – ")[0]} – ${placeName(axis, until).split(" – ").pop()}`;
  };
  /** Whether nothing attends in a stack, or there is nothing to attend to. */
  context.isEmpty = (stack) => [stack.query, stack.key].some((name) => meta.axes[name]?.count === 0);
  context.layerReason = () => state.layerNow()?.reason ?? null;
  context.differs = () => state.show === "difference";
  /** The head of the other model whose difference to the chosen one is shown; null where none is. */
  context.otherHead = () => (context.differs() ? context.headOf(context.compare.partnerOf(state.stack)) : null);
  context.differenceReason = () =>
    context.differs() ? context.compare.reason(state.stack, state.layer, state.head) : null;
  context.turn = () => {
    const at = state.axis() === state.other() ? state.at() : undefined;
    state.set({ side: state.side === "from" ? "to" : "from", cell: null, ...(at === undefined ? {} : { at }) });
  };
  context.step = (by) => {
    const axis = meta.axes[state.axis()];
    if (axis) state.set({ at: clamp(state.at() + by, 0, axis.count - 1), until: null });
  };

  let asked = { key: "", promise: null };
  /** The weights of what is chosen, once for all who ask: { first, weights }; null where there are none. */
  context.attended = () => {
    const until = state.hover === null ? state.until() : null;
    const key = [state.stack, state.layer, state.head, state.side, state.now(), until].join("/");
    if (key !== asked.key) asked = { key, promise: attendedBy(context.head(), state.side, state.now(), until) };
    return asked.promise;
  };
  context.rowNumbers = async () => {
    const [axis, other] = [meta.axes[state.axis()], meta.axes[state.other()]];
    const { first, weights } = (await context.attended()) ?? { first: 0, weights: [] };
    const way = state.side === "from" ? "attended to" : "attended by";
    const title = [`${way}: position`, "name", "weight", ...(other.labels ? ["label"] : [])];
    const chosen = [`position ${state.at() + 1}`, placeName(axis, state.at()), ""];
    const rows = [...weights].map((weight, i) => [
      first + i + 1,
      placeName(other, first + i),
      weight,
      ...(other.labels ? [other.labels[first + i]] : []),
    ]);
    return [["chosen", ...chosen.slice(0, 2)], title, ...rows];
  };
  return context;
}

/** Of one position, or the mean of several. */
async function attendedBy(head, side, at, until) {
  if (!head) return null;
  const one = (position) => (side === "from" ? head.row(position) : head.column(position));
  if (until === null || until <= at) return one(at);
  const rows = [];
  const step = Math.max(1, Math.ceil((until - at + 1) / MOST_ROWS));
  for (let position = at; position <= until; position += step) rows.push(await one(position));
  const first = Math.min(...rows.map((row) => row.first));
  const end = rows.reduce((last, row) => Math.max(last, row.first + row.weights.length), first);
  const weights = new Float32Array(end - first);
  for (const row of rows) row.weights.forEach((weight, i) => (weights[row.first - first + i] += weight / rows.length));
  return { first, weights };
}

/** What stands around the views. */
function createFrame(context, views) {
  const { meta, state } = context;
  const made = new Map();
  const panel = createPanel(context);
  const place = element("div", { class: "view", role: "tabpanel", id: "view", "aria-label": "the view" });
  const reason = element("p", { class: "reason", hidden: true });
  const help = createHelp(context, views);
  const controls = createControls(context, views);
  const tabs = views.map(({ name, title }) =>
    element(
      "button",
      {
        type: "button",
        role: "tab",
        "aria-controls": "view",
        id: `tab-${name}`,
        onclick: () => state.set({ view: name }),
      },
      title,
    ),
  );
  const theme = element(
    "button",
    {
      type: "button",
      class: "quiet",
      title: "light or dark (d)",
      "aria-label": "light or dark",
      onclick: () => frame.toggleTheme(),
    },
    "◐",
  );
  const ask = element(
    "button",
    { type: "button", class: "quiet", title: "what is this? (?)", "aria-label": "help", onclick: help.toggle },
    "?",
  );
  const save = createExport(context, () => view());
  const header = element(
    "header",
    {},
    element("h1", { dir: "auto", title: short(meta.title, 400) }, short(meta.title, 160)),
    ...meta.answers.map((told, model) => answer(meta, told, model)),
    element("div", { class: "right" }, save, theme, ask),
  );
  const nav = element(
    "nav",
    {},
    element("div", { role: "tablist", class: "tabs", "aria-label": "views" }, ...tabs),
    controls.root,
  );
  const beside = meta.stacks.length ? [panel.root] : [];
  const body = element(
    "main",
    { class: beside.length ? "" : "alone" },
    element("div", { class: "stage" }, reason, place),
    ...beside,
  );
  const frame = { root: element("div", { id: "page" }, header, createAsk(context), nav, body, help.root), help };
  let shown = null;

  function view() {
    const { name, create } = views.find((one) => one.name === state.view) ?? views[0];
    if (!made.has(name)) made.set(name, create(context));
    return made.get(name);
  }

  frame.update = (changes = {}) => {
    const current = views.find(({ name }) => name === state.view);
    const why = state.stackNow() ? current.why(context) : "Nothing was recorded: no layer of this network attends.";
    reason.hidden = !why;
    reason.textContent = why ?? "";
    place.hidden = save.hidden = Boolean(why);
    tabs.forEach((tab, i) => tab.setAttribute("aria-selected", String(views[i].name === state.view)));
    place.setAttribute("aria-labelledby", `tab-${state.view}`);
    controls.update();
    if (meta.stacks.length) panel.root.hidden = context.isEmpty(state.stackNow());
    if (meta.stacks.length && !panel.root.hidden) panel.update(changes);
    if (why) return;
    const fresh = shown !== view();
    shown = view();
    if (fresh) place.replaceChildren(shown.root);
    shown.update(fresh ? { ...changes, view: state.view } : changes);
  };
  frame.resize = () => shown?.resize?.();
  frame.view = view;
  frame.toggleTheme = () => setTheme(context, frame, !context.theme.dark, true);
  return frame;
}

/** What a model said, which is named where there are two. */
function answer(meta, told, model) {
  if (!told) return "";
  const score =
    told.score === undefined || told.score === null
      ? ""
      : element("small", {}, told.kind === "label" ? percent(told.score) : weightText(told.score));
  const others = (told.candidates ?? []).map(([label, share]) => `${label} ${percent(share)}`).join("\n");
  const text = told.kind === "label" ? told.label : told.text;
  const way = told.kind === "label" ? "predicted" : "written";
  const { name } = meta.models[model];
  const named = meta.models.length > 1 ? [element("bdi", {}, short(name, 40)), " "] : [];
  return element(
    "p",
    { class: "answer", title: meta.models.length > 1 ? `${name}\n${others}` : others },
    element("span", {}, ...named, way),
    element("b", { dir: "auto" }, short(text, 200)),
    score,
  );
}

function readDark() {
  let kept = null;
  try {
    kept = localStorage.getItem("regard-theme");
  } catch {
    // A page inside a notebook may keep nothing.
  }
  return kept ? kept === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
}

function setTheme(context, frame, dark, keep = false) {
  document.documentElement.dataset.theme = dark ? "dark" : "light";
  context.theme = makeTheme(dark);
  try {
    if (keep) localStorage.setItem("regard-theme", dark ? "dark" : "light");
  } catch {
    // The same.
  }
  frame.update({});
}

start();
