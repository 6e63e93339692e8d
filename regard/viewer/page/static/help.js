// What each view is, in few words; one click away from it. (Line ends are spaces on the page.)

const EXACT = `Numbers come from one byte for each weight, the root of its share of the head's largest weight: they are
    right within 0.4 % of that largest one, and small weights far more exactly.`;

export const HELP = {
  overview: [
    `Every head of every layer as a small map: rows attend, columns are attended to. Dark is much; in the dark
      theme, bright is. A narrow window is drawn with a column for each distance instead, so that it can be seen.`,
    `Below each map stands what you choose above: entropy (in nats: 0 is one key alone), the mean distance, or
      the share of the weight on the position itself, its neighbours, the first position, or punctuation. Sort by
      it, or click a map; click twice to open it.`,
  ],
  map: [
    `One head. A row is who attends, a column to whom; click a cell to choose both. Drag to move, scroll or pinch
      to zoom; close enough, each cell tells its number. From afar a point joins many cells and shows the largest
      of them.`,
    "What a window does not let a position see is grey, which is not weight 0.",
    "Of two models the difference is shown; from afar that of the largest weights that each point joins.",
    EXACT,
  ],
  lines: [
    `Words twice: on the left who attends, on the right to whom. Point at a word to see its weights as lines,
      click to keep it. A word on the right shows who attends to it.`,
    "In a long text the words near the chosen one and those with most weight are written out; the rest are ticks.",
  ],
  input: [
    "The input itself, coloured by how much the chosen position attends to each part, from none to the most it gives.",
    `Click a word, a moment or a patch to choose it. In a recording, drag to take a stretch of time: its mean is
      shown. Turn round “attends to” to see who attends to the chosen position.`,
    `Labels that the network predicted stand with what they were predicted for; where the true label is known and
      differs, it stands below.`,
  ],
  telltale: [
    `Four answers to “what did this come from?”, each of another kind, for one answer of the network: choose it above,
      or by its position. Where they disagree, none of them alone is the reason.`,
    `Weights are where one head looked. Rollout follows weights through all layers (Abnar and Zuidema 2020). Gradient ×
      attention weighs each weight by how the answer moves with it. Without a head the network is run again, once for
      each head, with nothing coming from it.`,
  ],
  examples: [
    `What each head does over many examples. Click a small curve to see its head below: the mean weight by relative
      position and by distance, from label to label where positions have labels, and the examples in which it is most
      certain.`,
    `Certainty is one less the entropy of the weights, as a share of what it would be if all that can be seen weighed
      the same.`,
  ],
  caution: `A weight tells what a head mixed, not why the network answered as it did: what is mixed may not matter, and
      what matters may come around the attention.`,
};

export const KEYS = [
  ["← →", "the position before, after; in a map the cell to the left, to the right"],
  ["↑ ↓", "the same; in a map the row above, below"],
  ["Home End", "the first, the last position"],
  ["1 … 9 0", "the head"],
  ["[ ]", "the layer before, after"],
  ["+ −", "closer, farther"],
  ["f", "all of it"],
  ["r", "attends to, or is attended by"],
  ["v", "the next view"],
  ["d", "light or dark"],
  ["?", "this help"],
];
