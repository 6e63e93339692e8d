// Colours of weights: one way through OKLCH, on which lightness only falls (or, in the dark, only rises), so that it is
// read by people who tell no colours apart, and in print.

/** sRGB, 0 to 255, of a lightness, a chroma and a hue in degrees; Ottosson 2020, "A perceptual color space". */
export function oklch(lightness, chroma, hue) {
  const a = chroma * Math.cos((hue * Math.PI) / 180);
  const b = chroma * Math.sin((hue * Math.PI) / 180);
  const l = (lightness + 0.3963377774 * a + 0.2158037573 * b) ** 3;
  const m = (lightness - 0.1055613458 * a - 0.0638541728 * b) ** 3;
  const s = (lightness - 0.0894841775 * a - 1.291485548 * b) ** 3;
  const linear = [
    4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s,
    -1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s,
    -0.0041960863 * l - 0.7034186147 * m + 1.707614701 * s,
  ];
  return linear.map((x) => {
    const bounded = Math.max(0, Math.min(1, x));
    return Math.round(255 * (bounded <= 0.0031308 ? 12.92 * bounded : 1.055 * bounded ** (1 / 2.4) - 0.055));
  });
}

/** The colour of a share of the largest, 0 to 1, after the root is taken. */
function sequential(share, dark) {
  const hue = dark ? 275 - 185 * share : 95 + 180 * share;
  const chroma = 0.01 + 0.045 * share + 0.095 * Math.sin(Math.PI * share ** 0.85);
  return oklch(dark ? 0.215 + 0.715 * share : 0.975 - 0.7 * share, share === 0 ? 0.008 : chroma, hue);
}

/** The colour of a difference from −1 to 1: blue less, orange more, alike in lightness. */
function diverging(share, dark) {
  const far = Math.abs(share);
  return oklch(dark ? 0.24 + 0.56 * far : 0.97 - 0.45 * far, 0.005 + 0.15 * Math.sqrt(far), share < 0 ? 250 : 50);
}

/** All that is painted: packed pixels, the same as CSS, and the ink that can be read on each. */
export function makeTheme(dark) {
  const style = getComputedStyle(document.documentElement);
  const named = (name) => style.getPropertyValue(name).trim();
  const table = Array.from({ length: 256 }, (_, i) => sequential(i / 255, dark));
  const signed = Array.from({ length: 511 }, (_, i) => diverging((i - 255) / 255, dark));
  return {
    dark,
    pixels: Uint32Array.from(table, packed),
    signedPixels: Uint32Array.from(signed, packed),
    css: table.map(cssOf),
    signedCss: signed.map(cssOf),
    ink: table.map(inkOn),
    signedInk: signed.map(inkOn),
    unseen: packed(rgbOf(named("--unseen"))),
    outside: packed(rgbOf(named("--paper"))),
    text: named("--ink"),
    muted: named("--muted"),
    line: named("--line"),
    paper: named("--paper"),
    mark: named("--mark"),
    lines: Array.from({ length: 12 }, (_, i) => cssOf(oklch(dark ? 0.76 : 0.52, 0.13, 255 + i * 137.5))),
    labels: Array.from({ length: 8 }, (_, i) => cssOf(oklch(dark ? 0.42 : 0.86, 0.07, 25 + i * 137.5))),
  };
}

export function cssOf([red, green, blue]) {
  return `rgb(${red},${green},${blue})`;
}

function packed([red, green, blue]) {
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0; // canvases hold RGBA, lowest byte first
}

function inkOn([red, green, blue]) {
  return 0.2126 * (red / 255) ** 2.2 + 0.7152 * (green / 255) ** 2.2 + 0.0722 * (blue / 255) ** 2.2 > 0.2
    ? "#14161a"
    : "#fff";
}

function rgbOf(hex) {
  return [1, 3, 5].map((place) => parseInt(hex.slice(place, place + 2), 16));
}
