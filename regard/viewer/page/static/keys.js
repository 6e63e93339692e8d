// Keys, which do what is chosen by the pointer.

import { clamp } from "./tools.js";

export function onKey(event, context, frame, views) {
  const { state, meta } = context;
  const typing = /^(SELECT|INPUT|TEXTAREA|AUDIO)$/.test(event.target.tagName);
  if (event.ctrlKey || event.metaKey || event.altKey || typing || frame.help.root.open || !state.stackNow()) return;
  const inMap = state.view === "map";
  const across = inMap && state.cell !== null;
  const last = (meta.axes[state.axis()]?.count ?? 1) - 1;
  const along = (by) => state.set({ cell: clamp(state.cell + by, 0, meta.axes[state.other()].count - 1) });
  const actions = {
    ArrowLeft: () => (across ? along(-1) : context.step(-1)),
    ArrowRight: () => (across ? along(1) : context.step(1)),
    ArrowUp: () => context.step(-1),
    ArrowDown: () => context.step(1),
    Home: () => state.set({ at: 0, until: null }),
    End: () => state.set({ at: last, until: null }),
    "[": () => state.set({ layer: state.layer - 1 }),
    "]": () => state.set({ layer: state.layer + 1 }),
    "+": () => frame.view().zoom?.(true),
    "=": () => frame.view().zoom?.(true),
    "-": () => frame.view().zoom?.(false),
    f: () => frame.view().whole?.(),
    r: () => context.turn(),
    v: () => state.set({ view: views[(views.findIndex(({ name }) => name === state.view) + 1) % views.length].name }),
    d: () => frame.toggleTheme(),
    "?": () => frame.help.toggle(),
  };
  const action = /^\d$/.test(event.key)
    ? () => state.set({ head: event.key === "0" ? 9 : Number(event.key) - 1 })
    : actions[event.key];
  if (!action) return;
  event.preventDefault();
  action();
}
