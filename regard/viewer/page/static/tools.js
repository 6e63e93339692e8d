// Small things that all other modules use.

const SVG = "http://www.w3.org/2000/svg";

/** An element with properties, attributes (those with a dash, and role) and listeners (on…); text goes in as text. */
export function element(tag, properties = {}, ...children) {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name.startsWith("on")) made.addEventListener(name.slice(2), value);
    else if (name.includes("-") || name === "role" || name === "for" || name === "class")
      made.setAttribute(name, value);
    else made[name] = value;
  }
  made.append(...children);
  return made;
}

/** The same in SVG, where all are attributes. */
export function svg(tag, attributes = {}, ...children) {
  const made = document.createElementNS(SVG, tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  made.append(...children);
  return made;
}

export function clamp(number, low, high) {
  return Math.max(low, Math.min(high, number));
}

/** A weight as people read it: three digits that count, and no noise. */
export function weightText(weight) {
  if (weight === 0) return "0";
  if (Math.abs(weight) < 0.0005) return weight.toExponential(1);
  return weight.toFixed(Math.abs(weight) < 0.1 ? 4 : 3);
}

export function percent(share) {
  return `${(100 * share).toFixed(share < 0.0995 ? 1 : 0)} %`;
}

/** A text of at most so many characters as people count them: an emoji or a letter with its marks is never cut. */
export function short(text, most) {
  if (text.length <= most) return text;
  let kept = "";
  let count = 0;
  for (const { segment } of new Intl.Segmenter().segment(text.slice(0, 40 * most))) {
    if (++count > most - 1 || segment.length > 40) return `${kept}…`;
    kept += segment;
  }
  return text.length > 40 * most ? `${kept}…` : kept;
}

const measuring = document.createElement("canvas").getContext("2d");

/** As much of a text as goes into a width, in pixels. */
export function fitted(text, width, font = "13px system-ui") {
  measuring.font = font;
  let most = Math.max(2, Math.floor(width / 3));
  let kept = short(text, most);
  while (most > 2 && measuring.measureText(kept).width > width) {
    most = Math.floor(most * 0.88);
    kept = short(text, most);
  }
  return kept;
}

export function thousands(number) {
  return number.toLocaleString("en");
}

/** Moments of a recording: 1:02:03.45 */
export function clock(seconds, digits = 2) {
  const [minutes, rest] = [Math.floor(seconds / 60), seconds % 60];
  if (!minutes) return `${rest.toFixed(digits)} s`;
  const hours = Math.floor(minutes / 60);
  const text = rest.toFixed(digits).padStart(digits ? digits + 3 : 2, "0");
  return hours ? `${hours}:${String(minutes % 60).padStart(2, "0")}:${text}` : `${minutes}:${text}`;
}

/** Round steps for some so many marks over a length. */
export function niceStep(length, marks) {
  const rough = length / Math.max(1, marks);
  const power = 10 ** Math.floor(Math.log10(rough));
  return power * [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999);
}

/** Calls a function once before the next picture, however often it is asked to. */
export function onceAFrame(call) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      call();
    });
  };
}

/** Makes a canvas as large as its place, in the pixels of the screen; says whether there is any room. */
export function fitCanvas(canvas, width, height) {
  const ratio = window.devicePixelRatio || 1;
  const [w, h] = [Math.round(width * ratio), Math.round(height * ratio)];
  if (canvas.width !== w || canvas.height !== h) Object.assign(canvas, { width: w, height: h });
  canvas.style.width = `${width}px`;
  canvas.style.height = `${height}px`;
  const pen = canvas.getContext("2d");
  pen.setTransform(ratio, 0, 0, ratio, 0, 0);
  return { pen, ratio };
}
