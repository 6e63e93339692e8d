"""Image files for tests: shapes that are easily told apart, and colours of every kind of file."""

import csv
import json

import numpy as np
from PIL import Image as pillow

SHAPES = ("bar", "cross", "dot")


def shape(name, rows=8, columns=8, seed=0):
    """Gray pixels ``[rows, columns]`` uint8 of that shape with a little noise."""
    draw = np.random.default_rng(seed)
    pixels = draw.integers(0, 40, (rows, columns))
    middle, centre = rows // 2, columns // 2
    if name in ("bar", "cross"):
        pixels[middle] = 255
    if name == "cross":
        pixels[:, centre] = 255
    if name == "dot":
        pixels[middle - 1 : middle + 1, centre - 1 : centre + 1] = 255
    return pixels.astype(np.uint8)


def colours(rows=6, columns=9, channels=3, seed=0):
    """Random pixels, uint8."""
    size = (rows, columns) if channels == 1 else (rows, columns, channels)
    return np.random.default_rng(seed).integers(0, 256, size).astype(np.uint8)


def save(path, pixels, mode=None, **options):
    """A file of pixels, in the mode of Pillow that is asked for."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = pillow.fromarray(pixels)
    (picture if mode is None else picture.convert(mode)).save(path, **options)
    return path


def save_classes(folder, count=6, seed=0):
    """``folder/bar/0.png`` and so on."""
    for name in SHAPES:
        for number in range(count):
            save(folder / name / f"{number}.png", shape(name, 8, 8 + number % 3, seed + number))
    return folder


def save_list(path, rows):
    if path.suffix == ".jsonl":
        path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    elif path.suffix == ".parquet":
        import pyarrow as arrow
        from pyarrow.parquet import write_table

        write_table(arrow.Table.from_pylist(rows), path)
    else:
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, list(rows[0]), delimiter="\t" if path.suffix == ".tsv" else ",")
            writer.writeheader()
            writer.writerows(rows)
    return path
