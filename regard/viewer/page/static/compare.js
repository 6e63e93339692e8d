// Two models beside each other: which of their heads can be subtracted, and why others cannot.

/** What makes positions of two axes the same, whatever each model predicts for them. */
const SAME = ["kind", "count", "names", "grid", "before", "seconds", "start"];

export function createCompare(meta) {
  const positions = (name) => JSON.stringify(SAME.map((told) => meta.axes[name][told] ?? null));
  const places = Object.fromEntries(Object.keys(meta.axes).map((name) => [name, positions(name)]));
  const isAlike = (one, other) => ["query", "key"].every((side) => places[one[side]] === places[other[side]]);
  const partners = meta.stacks.map((one) =>
    meta.stacks.findIndex((other) => other.model !== one.model && other.title === one.title && isAlike(one, other)),
  );

  /** The stack of the other model that does the same over the same positions; −1 where there is none. */
  const partnerOf = (s) => partners[s] ?? -1;

  /** Whether the other model has a head, with weights, in the place of this one. */
  const hasPartner = (s, l, h) => h < (meta.stacks[partnerOf(s)]?.layers[l]?.heads ?? 0);

  /** Why there is no difference of a head; null where there is one. */
  function reason(s, l, h) {
    if (hasPartner(s, l, h)) return null;
    const { title, model } = meta.stacks[s];
    const name = meta.models.find((_, m) => m !== model)?.name;
    if (partnerOf(s) < 0) return `There is no difference to show: ${name} has no “${title}” over the same positions.`;
    return `There is no difference to show: ${name} has no weights of layer ${l + 1}, head ${h + 1} here.`;
  }

  const title = (s) => {
    const [one, other] = [meta.stacks[s], meta.stacks[partnerOf(s)]];
    return `${one.title}, ${meta.models[other.model].name} − ${meta.models[one.model].name}`;
  };
  return { partnerOf, reason, title };
}
