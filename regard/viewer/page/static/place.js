// Which part of a map is seen: its corner, in cells, and the pixels of each cell.

import { clamp } from "./tools.js";

const MOST_ZOOM = 96; // pixels of a cell
const WHOLE_ZOOM = 44; // of one, when all of a small map is seen
const [LEANING, FEW_COLUMNS] = [24, 60]; // pixels that the last name leans beyond a map of so few columns

/** `of()` gives the numbers of queries and keys, and the band: a head. */
export function createPlace(of) {
  const place = { query: 0, key: 0, across: 1, down: 1, width: 600, height: 500, left: 96, top: 84 };
  const inner = () => ({ width: place.width - place.left, height: place.height - place.top });

  /** The room that there is, of which names take a part. */
  place.measure = (width) => {
    const narrow = width < 480;
    const most = place.top + of().queries * MOST_ZOOM + 8;
    const height = clamp(Math.min(window.innerHeight - 250, width, most), 200, 820);
    Object.assign(place, { width: Math.max(280, width), height, left: narrow ? 64 : 96, top: narrow ? 60 : 84 });
  };

  /** All of it. A long and low map fills the width too. */
  place.whole = () => {
    const { queries, keys } = of();
    const room = inner().width - (keys <= FEW_COLUMNS ? LEANING : 0);
    const fits = [room / keys, inner().height / queries].map((pixels) => clamp(pixels, 1e-6, WHOLE_ZOOM));
    const far = queries * 6 < keys || keys * 6 < queries;
    const [across, down] = far ? fits : [Math.min(...fits), Math.min(...fits)];
    Object.assign(place, { query: 0, key: 0, across, down });
  };

  /** Around a cell, as close as a band is wide. */
  place.follow = (cell) => {
    const { band, keys } = of();
    const seen = band ? band.width * 1.15 : Math.min(40, keys);
    const across = clamp(inner().width / seen, 1e-6, WHOLE_ZOOM);
    Object.assign(place, { across, down: across });
    place.center(cell);
  };

  place.center = ({ query, key }) => {
    const { band } = of();
    const along = key ?? (band ? query - band.left + band.width / 2 : query);
    place.query = query - inner().height / place.down / 2;
    place.key = along - inner().width / place.across / 2;
    place.bound();
  };

  place.bound = () => {
    const { queries, keys } = of();
    const [wide, tall] = [inner().width / place.across, inner().height / place.down];
    place.key = wide >= keys ? 0 : clamp(place.key, 0, keys - wide);
    place.query = tall >= queries ? 0 : clamp(place.query, 0, queries - tall);
  };

  place.move = (x, y) => {
    place.key -= x / place.across;
    place.query -= y / place.down;
    place.bound();
  };

  /** Closer or farther; what is at a pixel stays there. */
  place.zoom = (factor, x = inner().width / 2, y = inner().height / 2) => {
    const { queries, keys } = of();
    const least = Math.min(1, inner().width / keys, inner().height / queries) / Math.min(place.across, place.down);
    const bounded = clamp(factor, least, MOST_ZOOM / Math.max(place.across, place.down));
    const [key, query] = [place.key + x / place.across, place.query + y / place.down];
    place.across *= bounded;
    place.down *= bounded;
    if (place.across > 8) place.across = place.down = Math.max(place.across, place.down);
    Object.assign(place, { key: key - x / place.across, query: query - y / place.down });
    place.bound();
  };

  /** The pixels that cells take. */
  place.extent = () => ({
    width: Math.min(inner().width, (of().keys - place.key) * place.across),
    height: Math.min(inner().height, (of().queries - place.query) * place.down),
  });

  /** The first row and column that are seen, and those after the last. */
  place.visible = () => ({
    q0: Math.floor(place.query),
    q1: Math.min(of().queries, Math.ceil(place.query + inner().height / place.down)),
    k0: Math.floor(place.key),
    k1: Math.min(of().keys, Math.ceil(place.key + inner().width / place.across)),
  });

  /** Whether all of a cell is seen; of a row alone where there is no key. */
  place.shows = ({ query, key }) => {
    const { queries, keys } = of();
    const { q0, q1, k0, k1 } = place.visible();
    const row = query >= q0 && query < q1 - (q1 < queries ? 1 : 0);
    if (key === null && keys !== queries) return row;
    const along = key ?? query;
    return row && along >= k0 && along < k1 - (k1 < keys ? 1 : 0);
  };

  /** Where the corner of a cell is drawn. */
  place.xOf = (key) => place.left + (key - place.key) * place.across;
  place.yOf = (query) => place.top + (query - place.query) * place.down;

  /** The cell at a pixel; null beside them. */
  place.cellAt = (x, y) => {
    const { queries, keys } = of();
    const [key, query] = [place.key, place.query];
    const cell = {
      key: Math.floor(key + (x - place.left) / place.across),
      query: Math.floor(query + (y - place.top) / place.down),
    };
    return x >= place.left && y >= place.top && cell.key < keys && cell.query < queries ? cell : null;
  };
  return place;
}
