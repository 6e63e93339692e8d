// A recording or rows of numbers over time: waveform and spectrogram, or lines, with weights above and labels below.

import {
  element,
  svg,
  clamp,
  clock,
  fitCanvas,
  niceStep,
  onceAFrame,
  percent,
  thousands,
  weightText,
} from "./tools.js";
import { shareOf } from "./draw.js";
import { embedded } from "./export.js";
import { createRows } from "./rows.js";

const MOST_LINES = 12; // of more channels a map of colours is clearer
const TRACKS = { weights: 64, wave: 78, spectrogram: 142, lines: 164, heat: 142, label: 24, time: 24 };
const CAPTION = 16; // of a track, above it
const GAP = 8;

export function createTimeline(context, axisName, choose, hover) {
  const axis = context.meta.axes[axisName];
  const sound = axis.kind === "audio";
  const tracks = ["weights", ...body(axis), ...(axis.labels ? ["label"] : []), ...(axis.gold ? ["gold"] : []), "time"];
  const tall = (track) => TRACKS[track === "gold" ? "label" : track];
  const height = tracks.reduce((sum, track) => sum + tall(track) + GAP, 0);
  const canvas = element("canvas", {
    role: "img",
    "aria-label": sound ? "the recording over time" : "the values over time",
  });
  const tip = element("div", { class: "tip", hidden: true });
  const frame = element("div", { class: "frame timeline" }, canvas, tip);
  const player =
    sound && axis.media ? element("audio", { controls: true, preload: "none", "aria-label": "the recording" }) : null;
  const root = element("div", {}, ...(player ? [element("div", { class: "bar" }, player)] : []), frame);
  const box = { start: 0, end: Math.max(1, axis.count) }; // positions that are seen
  let last = {};
  const again = onceAFrame(draw);
  const rows = createRows(context.source, axis, again);
  if (player) play();

  function play() {
    context.source.mediaUrl(axis.media, "audio/wav").then((address) => (player.src = address));
    const follow = () => {
      if (player.paused) return;
      hover(clamp(Math.floor(player.currentTime / axis.seconds), 0, axis.count - 1));
      requestAnimationFrame(follow);
    };
    player.addEventListener("play", follow);
    player.addEventListener("pause", () => hover(null));
  }

  const width = () => Math.max(240, (root.clientWidth || 720) - 2);
  const xOf = (position) => ((position - box.start) / (box.end - box.start)) * width();
  const positionAt = (event) => {
    const place = canvas.getBoundingClientRect();
    const share = (event.clientX - place.left) / place.width;
    return clamp(Math.floor(box.start + share * (box.end - box.start)), 0, axis.count - 1);
  };

  let brushed = null;
  let pointed = null; // the position that the tip is of
  canvas.addEventListener("pointerdown", (event) => {
    brushed = { from: positionAt(event), x: event.clientX };
    canvas.setPointerCapture(event.pointerId);
  });
  canvas.addEventListener("pointermove", (event) => {
    const position = positionAt(event);
    showTip(event, position);
    if (!brushed) return hover(position);
    if (Math.abs(event.clientX - brushed.x) < 4) return undefined;
    return choose(Math.min(brushed.from, position), Math.max(brushed.from, position));
  });
  canvas.addEventListener("pointerup", (event) => {
    if (brushed && Math.abs(event.clientX - brushed.x) < 4) {
      choose(positionAt(event), null);
      if (player) player.currentTime = positionAt(event) * axis.seconds;
    }
    brushed = null;
  });
  canvas.addEventListener("pointerleave", () => {
    tip.hidden = true;
    if (!player || player.paused) hover(null);
  });
  canvas.addEventListener(
    "wheel",
    (event) => {
      event.preventDefault();
      if (Math.abs(event.deltaX) > Math.abs(event.deltaY)) return move(event.deltaX / width());
      return zoom(Math.exp(event.deltaY * 0.0015), positionAt(event));
    },
    { passive: false },
  );

  function move(share) {
    const length = box.end - box.start;
    box.start = clamp(box.start + share * length, 0, Math.max(0, axis.count - length));
    box.end = box.start + length;
    again();
  }

  function zoom(factor, middle = last.chosen ?? (box.start + box.end) / 2) {
    const length = clamp((box.end - box.start) * factor, Math.min(8, axis.count), axis.count);
    const share = clamp((middle - box.start) / (box.end - box.start), 0, 1);
    box.start = clamp(middle - share * length, 0, axis.count - length);
    box.end = box.start + length;
    again();
  }

  function tell(position) {
    const parts = [placeName(axis, position)];
    const weight = last.weights?.[position - last.first];
    if (weight !== undefined) parts.push(`weight ${weightText(weight)}`);
    if (axis.labels) parts.push(axis.labels[position] + (axis.scores ? ` ${percent(axis.scores[position])}` : ""));
    tip.textContent = parts.join(" · ");
  }

  function showTip(event, position) {
    pointed = position;
    tell(position);
    tip.hidden = false;
    const place = frame.getBoundingClientRect();
    tip.style.left = `${clamp(event.clientX - place.left + 12, 0, Math.max(0, place.width - tip.offsetWidth))}px`;
    tip.style.top = `${event.clientY - place.top + 16}px`;
  }

  function draw() {
    const { theme } = context;
    const { pen, ratio } = fitCanvas(canvas, width(), height);
    pen.clearRect(0, 0, width(), height);
    let y = 0;
    const places = [];
    const paints = {
      weights: drawWeights,
      wave: drawWave,
      spectrogram: drawHeat,
      heat: drawHeat,
      lines: drawLines,
      time: drawTime,
    };
    for (const track of tracks) {
      if (track === "label" || track === "gold") drawLabels(pen, y, axis[track === "label" ? "labels" : "gold"], track);
      else paints[track](pen, y, tall(track), ratio, track === "spectrogram" ? 2 : 0);
      const above = track in paints ? CAPTION : 0;
      if (track !== "time") places.push([y + above, tall(track) - above]);
      y += tall(track) + GAP;
    }
    drawChosen(pen, theme, places);
  }

  function drawWeights(pen, y, tallness) {
    const { theme } = context;
    pen.fillStyle = theme.line;
    pen.fillRect(0, y + tallness - 1, width(), 1);
    let largest = 0;
    for (const weight of last.weights ?? []) largest = Math.max(largest, weight);
    caption(pen, y, last.weights ? `weight, at most ${weightText(largest)}` : "chosen");
    const step = (box.end - box.start) / width();
    for (let x = 0; x < width() && largest; x++) {
      const from = Math.floor(box.start + x * step) - last.first;
      const to = Math.min(last.weights.length, Math.max(from + 1, Math.floor(box.start + (x + 1) * step) - last.first));
      let weight = 0;
      for (let i = Math.max(0, from); i < to; i++) weight = Math.max(weight, last.weights[i]);
      const share = shareOf(weight, largest);
      if (!share) continue;
      const bar = Math.max(1, (weight / largest) * (tallness - CAPTION));
      pen.fillStyle = theme.css[Math.max(70, share)];
      pen.fillRect(x, y + tallness - bar, 1, bar);
    }
  }

  function drawWave(pen, y, tallness) {
    const half = (tallness - CAPTION) / 2;
    const middle = y + CAPTION + half;
    pen.fillStyle = context.theme.muted;
    rows.eachPixel(box, Math.round(width()), (x, bytes, place) => {
      const [up, down] = [(bytes[place] / 255) * half, (bytes[place + 1] / 255) * half];
      pen.fillRect(x, middle - up, 1, Math.max(1, up + down));
    });
    caption(pen, y, "waveform");
  }

  function drawHeat(pen, y, tallness, ratio, skipped) {
    const bands = axis.channels - skipped;
    const wide = Math.round(width());
    const image = new ImageData(wide, bands);
    const pixels = new Uint32Array(image.data.buffer);
    const upward = skipped > 0; // low tones below; the first channel above
    rows.eachPixel(box, wide, (x, bytes, place) => {
      for (let band = 0; band < bands; band++) {
        pixels[(upward ? bands - 1 - band : band) * wide + x] = context.theme.pixels[bytes[place + skipped + band]];
      }
    });
    const drawn = document.createElement("canvas");
    Object.assign(drawn, { width: wide, height: bands });
    drawn.getContext("2d").putImageData(image, 0, 0);
    pen.imageSmoothingEnabled = false;
    pen.drawImage(drawn, 0, y + CAPTION, wide, tallness - CAPTION);
    caption(pen, y, upward ? `spectrogram, 0 to ${axis.frequency / 1000} kHz` : `${bands} channels`);
  }

  function drawLines(pen, y, tallness) {
    const low = y + tallness - 2;
    const tall = tallness - CAPTION - 4;
    const count = Math.min(Math.round(width()), Math.ceil(box.end - box.start)); // no steps where positions are wide
    for (let channel = 0; channel < axis.channels; channel++) {
      pen.strokeStyle = context.theme.lines[channel];
      pen.lineWidth = 1.5;
      pen.beginPath();
      rows.eachPixel(box, count, (x, bytes, place) => {
        pen.lineTo(((x + 0.5) / count) * width(), low - (bytes[place + channel] / 255) * tall);
      });
      pen.stroke();
    }
    const range = `${axis.low.toPrecision(3)} to ${axis.high.toPrecision(3)}`;
    caption(pen, y, `${axis.channels} ${axis.channels === 1 ? "channel" : "channels"}, ${range}`);
  }

  function drawLabels(pen, y, labels, track) {
    const { theme } = context;
    const known = [...new Set(axis.labels ?? labels)];
    let from = Math.max(0, Math.floor(box.start));
    const end = Math.min(axis.count, Math.ceil(box.end));
    pen.font = "11px system-ui";
    while (from < end) {
      let to = from + 1;
      while (to < end && labels[to] === labels[from]) to++;
      const [x, wide] = [xOf(from), xOf(to) - xOf(from)];
      pen.fillStyle = theme.labels[Math.max(0, known.indexOf(labels[from])) % theme.labels.length];
      pen.fillRect(x, y, Math.max(1, wide - (wide > 3 ? 1 : 0)), TRACKS.label);
      const text = track === "gold" ? `true: ${labels[from]}` : labels[from];
      if (wide > pen.measureText(text).width + 8) {
        pen.fillStyle = theme.text;
        pen.fillText(text, Math.max(0, x) + 5, y + 16);
      }
      from = to;
    }
  }

  /** Times, or numbers of positions, at round steps. */
  function drawTime(pen, y) {
    const { theme } = context;
    const unit = axis.seconds ?? 1;
    const zero = sound ? (axis.start ?? 0) : 0.5; // what stands where the first position begins; its number is 1
    const step = Math.max(sound ? 0 : 1, niceStep((box.end - box.start) * unit, width() / 90));
    pen.font = "11px system-ui";
    const [first, end] = [zero + box.start * unit, zero + box.end * unit];
    for (let mark = Math.ceil(first / step) * step; mark < end; mark += step) {
      const x = xOf((mark - zero) / unit);
      pen.fillStyle = theme.line;
      pen.fillRect(x, y, 1, 5);
      pen.fillStyle = theme.muted;
      const text = sound ? clock(mark, step < 0.1 ? 2 : step < 1 ? 1 : 0) : thousands(Math.round(mark));
      pen.fillText(text, Math.min(x + 3, width() - pen.measureText(text).width), y + 16);
    }
  }

  function drawChosen(pen, theme, places) {
    if (last.chosen === null || last.chosen === undefined) return;
    const [x, end] = [xOf(last.chosen), xOf((last.until ?? last.chosen) + 1)];
    const wide = Math.max(2, end - x);
    pen.fillStyle = theme.mark;
    for (const [y, tall] of places) {
      pen.globalAlpha = 0.18;
      pen.fillRect(x, y, wide, tall);
      pen.globalAlpha = 1;
      pen.fillRect(x, y, Math.min(2, wide), tall);
      if (wide > 4) pen.fillRect(end - 2, y, 2, tall);
    }
  }

  function caption(pen, y, text) {
    pen.font = "11px system-ui";
    pen.fillStyle = context.theme.muted;
    pen.fillText(text, 0, y + 10);
  }

  function update(told) {
    last = told;
    if (!tip.hidden) tell(pointed);
    const { chosen, kept } = told;
    if (kept && chosen !== null && (chosen < box.start || chosen >= box.end)) {
      const length = box.end - box.start;
      box.start = clamp(chosen - length / 2, 0, Math.max(0, axis.count - length));
      box.end = box.start + length;
    }
    again();
  }

  function picture() {
    draw();
    return {
      width: width() + 24,
      height: height + 12,
      drawn: [embedded(canvas, 12, 0, width(), height), svg("g")],
    };
  }
  const whole = () => zoom(axis.count, 0);
  return { root, update, picture, resize: again, zoom: (closer) => zoom(closer ? 0.5 : 2), whole };
}

function body(axis) {
  if (!axis.values) return [];
  if (axis.kind === "audio") return ["wave", "spectrogram"];
  return axis.channels <= MOST_LINES ? ["lines"] : ["heat"];
}

/** What people call a position. */
export function placeName(axis, position) {
  if (axis.kind === "audio") {
    const start = (axis.start ?? 0) + position * axis.seconds;
    const digits = axis.seconds < 0.01 ? 3 : 2;
    return `${clock(start, digits)} – ${clock(start + axis.seconds, digits)}`;
  }
  if (axis.kind === "image") {
    if (position < (axis.before ?? 0)) return "the class";
    const patch = position - (axis.before ?? 0);
    return `row ${Math.floor(patch / axis.grid[1]) + 1}, column ${(patch % axis.grid[1]) + 1}`;
  }
  return axis.names ? axis.names[position] : `position ${thousands(position + 1)}`;
}
