// The weights of heads: blocks of 4,096 rows at each level, whose cells join 2^level × 2^level and show the largest.

const ROWS_BITS = 12;
export const ROWS = 1 << ROWS_BITS;
const MOST_BYTES = 256 << 20; // that are kept; what was not looked at for the longest time goes first

export function createHeads(meta, source) {
  const blocks = new Map();
  let held = 0;

  /** A block, once: from the source, or made of the two below it. */
  function load(head, level, number) {
    const name = `weights/${head.name}/${level}/${number}`;
    const found = blocks.get(name);
    if (found) {
      blocks.delete(name);
      blocks.set(name, found);
      return found;
    }
    const entry = { bytes: null };
    const make = level && source.saved ? joined(head, level, number) : source.block(name);
    entry.promise = make.then((bytes) => {
      entry.bytes = bytes;
      held += bytes.length;
      forget();
      return bytes;
    });
    entry.promise.catch(() => blocks.delete(name));
    blocks.set(name, entry);
    return entry;
  }

  async function joined(head, level, number) {
    const below = [2 * number, 2 * number + 1].filter((n) => n < head.blocks(level - 1));
    const halves = await Promise.all(below.map((n) => load(head, level - 1, n).promise));
    const shape = head.shape(level - 1);
    const target = head.shape(level);
    const rows = Math.min(ROWS, target.rows - number * ROWS);
    const cells = new Uint8Array(rows * target.width);
    halves.forEach((half, i) => pool(half, shape, cells.subarray((i * ROWS * target.width) / 2), target));
    return cells;
  }

  function forget() {
    for (const [name, entry] of blocks) {
      if (held <= MOST_BYTES) return;
      if (!entry.bytes) continue;
      held -= entry.bytes.length;
      blocks.delete(name);
    }
  }

  const made = new Map();
  /** A head of a layer of a stack, all counted from 0; null where the layer has no weights. */
  function get(stack, layer, head) {
    const told = meta.stacks[stack]?.layers[layer];
    if (!told || head >= told.heads) return null;
    const name = `${meta.stacks[stack].id}/${layer}/${head}`;
    if (!made.has(name)) made.set(name, createHead(name, told, told.largest[head], load));
    return made.get(name);
  }
  return { get };
}

function createHead(name, told, largest, load) {
  const { queries, keys, band } = told;
  const decoded = Float32Array.from({ length: 256 }, (_, byte) => largest * (byte / 255) ** 2);

  /** How many rows and keys a level has, and where its band begins: left is null where every key has a column. */
  function shape(level) {
    const up = (number) => Math.ceil(number / 2 ** level);
    if (!band) return { rows: up(queries), keys: up(keys), width: up(keys), left: null };
    const left = up(band.left);
    return { rows: up(queries), keys: up(keys), width: left + up(band.width - 1 - band.left) + 1, left };
  }
  const head = { name, queries, keys, band, largest, decoded, shape };
  head.blocks = (level) => Math.max(1, Math.ceil(shape(level).rows / ROWS));
  head.levels = Math.ceil(Math.log2(Math.max(2, queries, keys)));
  /** The bytes of a block if they are there; if not, they are asked for, and `ready` is called when they are. */
  head.peek = (level, number, ready) => {
    const entry = load(head, level, number);
    if (!entry.bytes) entry.promise.then(ready, () => {});
    return entry.bytes;
  };
  /** What a query gives to each key from `first` on. */
  head.row = async (query) => {
    const { width, left } = shape(0);
    const bytes = await load(head, 0, query >> ROWS_BITS).promise;
    const start = (query & (ROWS - 1)) * width;
    const first = left === null ? 0 : query - left;
    return inside(first, bytes.subarray(start, start + width), keys, decoded);
  };
  /** What each query from `first` on gives to a key. */
  head.column = async (key) => {
    const { width, left } = shape(0);
    const first = left === null ? 0 : Math.max(0, key + left - width + 1);
    const last = left === null ? queries - 1 : Math.min(queries - 1, key + left);
    const weights = new Float32Array(Math.max(0, last - first + 1));
    for (let number = first >> ROWS_BITS; number <= last >> ROWS_BITS && weights.length; number++) {
      const bytes = await load(head, 0, number).promise;
      const end = Math.min(last + 1, (number + 1) * ROWS);
      for (let q = Math.max(first, number * ROWS); q < end; q++) {
        const column = left === null ? key : key - q + left;
        weights[q - first] = decoded[bytes[(q & (ROWS - 1)) * width + column]];
      }
    }
    return { first, weights };
  };
  return head;
}

/** Decoded, without what sticks out before the first key and after the last. */
function inside(first, bytes, keys, decoded) {
  const from = Math.max(0, -first);
  const to = Math.max(from, Math.min(bytes.length, keys - first));
  return { first: first + from, weights: Float32Array.from(bytes.subarray(from, to), (byte) => decoded[byte]) };
}

/** Cells of one level into those of the next, the same as `pooled` of pack.py. */
function pool(from, shape, to, target) {
  const rows = from.length / shape.width;
  const shift = shape.left === null ? 0 : 2 * target.left - shape.left;
  const moves = shape.left === null ? 0 : 1; // a band moves on by one with each row
  for (let q = 0; q < rows; q++) {
    const start = q * shape.width;
    const place = (q >> 1) * target.width;
    const offset = shift + (q & 1) * moves;
    for (let c = 0; c < shape.width; c++) {
      const byte = from[start + c];
      const cell = place + ((c + offset) >> 1);
      if (byte > to[cell]) to[cell] = byte;
    }
  }
}

/** The heaviest few of what `row` or `column` gave: [place, weight], heaviest first; and how much they are of all. */
export function heaviest({ first, weights }, most) {
  let total = 0;
  const kept = [];
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i];
    total += weight;
    if (weight <= 0 || (kept.length === most && weight <= kept[most - 1][1])) continue;
    let place = kept.length;
    while (place && kept[place - 1][1] < weight) place--;
    kept.splice(place, 0, [first + i, weight]);
    if (kept.length > most) kept.pop();
  }
  return { kept, total };
}
