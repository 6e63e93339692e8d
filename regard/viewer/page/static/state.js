// What is chosen, which all views share and the address tells: #layer=2&head=3&at=17&view=map, all counted from 1.

import { clamp } from "./tools.js";

/**
 * view, stack, layer, head: which is shown. side: "from" (what `at` attends to) or "to" (who attends to it). at, until:
 * the chosen position, or the first and the last of several; cell: the position chosen on the other side of a map.
 * hover: a position that the pointer is on, for now. show: "weights", or of two models "difference".
 */
export function createState(meta, views) {
  const state = {
    view: views[0],
    stack: 0,
    layer: 0,
    head: 0,
    side: "from",
    cell: null,
    hover: null,
    show: "weights",
  };
  const places = new Map(); // of each axis: what is chosen stays so while one looks at another
  const listeners = [];

  /** Of many examples the heads are those of all together, and there is no axis. */
  state.stackNow = () => meta.stacks[state.stack] ?? meta.aggregate;
  state.layerNow = () => state.stackNow()?.layers[state.layer];
  /** The axis of the chosen position, and that of what is weighed. */
  state.axis = () => state.stackNow()?.[state.side === "from" ? "query" : "key"];
  state.other = () => state.stackNow()?.[state.side === "from" ? "key" : "query"];
  state.at = () => places.get(state.axis())?.at ?? 0;
  state.until = () => places.get(state.axis())?.until ?? null;
  /** The position that is shown now: under the pointer, or chosen. */
  state.now = () => state.hover ?? state.at();

  /** Changes what is given, within what there is, and tells everyone. */
  state.set = (changes) => {
    const { at, until, ...plain } = changes;
    Object.assign(state, plain);
    state.stack = clamp(state.stack, 0, Math.max(0, meta.stacks.length - 1));
    const stack = state.stackNow();
    state.layer = clamp(state.layer, 0, Math.max(0, (stack?.layers.length ?? 0) - 1));
    state.head = clamp(state.head, 0, Math.max(0, (state.layerNow()?.heads ?? 0) - 1));
    if (state.axis() !== undefined) {
      const last = meta.axes[state.axis()].count - 1;
      if (at !== undefined || until !== undefined) {
        const place = clamp(at ?? state.at(), 0, Math.max(0, last));
        places.set(state.axis(), { at: place, until: until == null ? null : clamp(until, place, last) });
      }
      if (state.hover !== null && state.hover > last) state.hover = null;
      if (state.cell !== null) state.cell = clamp(state.cell, 0, Math.max(0, meta.axes[state.other()].count - 1));
    }
    if (!("hover" in changes) || Object.keys(changes).length > 1) {
      if (!("hover" in changes)) state.hover = null;
      writeAddress();
    }
    for (const listener of listeners) listener(changes);
  };
  state.listen = (listener) => listeners.push(listener);

  state.toHash = () => {
    const told = { view: state.view };
    if (meta.stacks.length > 1) told.stack = state.stackNow().id;
    Object.assign(told, { layer: state.layer + 1, head: state.head + 1 });
    if (state.axis() !== undefined) told.at = state.at() + 1;
    if (state.until() !== null) told.until = state.until() + 1;
    if (state.side === "to") told.side = "to";
    if (state.cell !== null) told.cell = state.cell + 1;
    if (state.show !== "weights") told.show = state.show;
    return `#${new URLSearchParams(told)}`;
  };

  function writeAddress() {
    try {
      history.replaceState(null, "", state.toHash());
    } catch {
      // A page inside a notebook has no address of its own.
    }
  }

  state.readAddress = () => {
    const told = new URLSearchParams(location.hash.slice(1));
    const number = (name) => (/^\d+$/.test(told.get(name) ?? "") ? Number(told.get(name)) - 1 : undefined);
    const changes = { hover: null };
    const stack = meta.stacks.findIndex(({ id }) => id === told.get("stack"));
    if (stack >= 0) changes.stack = stack;
    if (views.includes(told.get("view"))) changes.view = told.get("view");
    changes.side = told.get("side") === "to" ? "to" : "from";
    changes.show = told.get("show") === "difference" && meta.models.length > 1 ? "difference" : "weights";
    for (const name of ["layer", "head"]) if (number(name) !== undefined) changes[name] = number(name);
    changes.cell = number("cell") ?? null;
    if (number("at") !== undefined) Object.assign(changes, { at: number("at"), until: number("until") ?? null });
    state.set(changes);
  };
  return state;
}
