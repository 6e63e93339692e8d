// Patches of an image: which is under the pointer, and colours over them.

/** The position of the patch under the pointer over a canvas that shows all of them, or null. */
export function patchAt(event, axis) {
  const [rows, columns] = axis.grid;
  const box = event.currentTarget.getBoundingClientRect();
  const column = Math.floor(((event.clientX - box.left) / box.width) * columns);
  const row = Math.floor(((event.clientY - box.top) / box.height) * rows);
  return row < 0 || column < 0 || row >= rows || column >= columns ? null : (axis.before ?? 0) + row * columns + column;
}

/** The image, `side` pixels for each patch; grey, so that no colour of it is taken for a number, or as it is. */
export function drawUnder(pen, image, axis, side, grey) {
  const [rows, columns] = axis.grid;
  pen.clearRect(0, 0, columns * side, rows * side);
  if (!image.complete || !image.width) return;
  pen.imageSmoothingEnabled = image.width > 2 * columns && side < 24;
  pen.filter = grey ? "grayscale(1)" : "none";
  pen.drawImage(image, 0, 0, axis.stride * columns, axis.stride * rows, 0, 0, columns * side, rows * side);
  pen.filter = "none";
}

/** Colours over patches: `colourOf(position)`, which is null where there is none. */
export function drawPatches(pen, axis, side, veil, colourOf) {
  const [rows, columns] = axis.grid;
  pen.globalAlpha = veil;
  for (let patch = 0; patch < rows * columns; patch++) {
    const colour = colourOf((axis.before ?? 0) + patch);
    if (colour === null) continue;
    pen.fillStyle = colour;
    const [left, top] = [(patch % columns) * side, Math.floor(patch / columns) * side];
    const [right, bottom] = [Math.round(left + side), Math.round(top + side)]; // so that no seams are seen
    pen.fillRect(Math.round(left), Math.round(top), right - Math.round(left), bottom - Math.round(top));
  }
  pen.globalAlpha = 1;
}
