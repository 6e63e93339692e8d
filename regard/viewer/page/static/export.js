// Files made of what is seen: SVG, PNG of the same, and numbers as CSV.

import { svg } from "./tools.js";

export function download(content, type, name) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(new Blob([content], { type }));
  link.download = name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}

/** A picture with a title on paper, in which text stays text. */
export function sheet(width, height, title, theme, ...children) {
  const top = title ? 34 : 0;
  const paper = svg("rect", { width, height: height + top, fill: theme.paper });
  const heading = svg("text", { x: 12, y: 22, "font-size": 14, "font-weight": 600, fill: theme.text }, title);
  const moved = svg("g", { transform: `translate(0 ${top})` }, ...children);
  const font = "system-ui, 'Noto Sans', 'Noto Sans CJK SC', sans-serif";
  const size = { width, height: height + top, viewBox: `0 0 ${width} ${height + top}` };
  return svg("svg", { ...size, "font-family": font, "font-size": 12 }, paper, heading, moved);
}

export function svgText(picture) {
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(picture)}`;
}

/** PNG at twice the size of the SVG. */
export async function pngOf(picture) {
  const address = URL.createObjectURL(new Blob([svgText(picture)], { type: "image/svg+xml" }));
  try {
    const image = new Image();
    image.src = address;
    await image.decode();
    const canvas = document.createElement("canvas");
    const scale = Math.min(2, 16_000 / Math.max(image.width, image.height)); // browsers draw no larger canvas
    Object.assign(canvas, { width: image.width * scale, height: image.height * scale });
    canvas.getContext("2d").drawImage(image, 0, 0, canvas.width, canvas.height);
    return await new Promise((resolve) => canvas.toBlob(resolve, "image/png"));
  } finally {
    URL.revokeObjectURL(address);
  }
}

/** Rows as CSV; RFC 4180. */
export function csvText(rows) {
  const cell = (value) => {
    const text = value === null || value === undefined ? "" : String(value);
    return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
  };
  return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

/** A canvas inside an SVG. */
export function embedded(canvas, x, y, width, height) {
  const place = { x, y, width, height, preserveAspectRatio: "none" };
  return svg("image", { ...place, href: canvas.toDataURL("image/png"), "image-rendering": "pixelated" });
}
