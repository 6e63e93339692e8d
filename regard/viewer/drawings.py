"""The views of a page as pictures by matplotlib: lines between words, the input itself, telltales, many examples."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regard.errors import RegardError
from regard.viewer.fonts import families
from regard.viewer.maps import Maps, check_drawable
from regard.viewer.recording import Recording

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from regard.viewer.page.axes import Axis
    from regard.viewer.page.build import Page, Stack

COLORS, SIGNED = "Blues", "PuOr_r"
MARK = "#e8590c"
LINE = 0.28  # inches of a line of words
WIDTH = 8.0  # inches
LONGEST = 24  # characters of a word
OPAQUE = 0.85  # how much of an image the largest weight hides
Row = NDArray[np.float64]


@dataclass(frozen=True)
class Chosen:
    """What of a page is drawn, all from 0; ``layer`` and ``head`` None: all of them, where a view has room for all."""

    layer: int | None = None
    head: int | None = None
    at: int = 0


def row_of(stack: Stack, chosen: Chosen) -> Row:
    """``[keys]``: what the chosen position gives to each key in the chosen head."""
    weights = stack.layers[chosen.layer or 0].weights
    assert weights is not None
    return weights.row(chosen.at)[chosen.head or 0].double().numpy()


def draw_heads(page: Page, chosen: Chosen) -> Figure:
    """Maps of all heads, or of those that are chosen."""
    stack = page.stacks[0]
    names = page.axes[stack.query].names, page.axes[stack.key].names
    own, seen = (None if found is None else list(found) for found in names)
    layers: Any = stack.layers
    return Maps(Recording(layers), own, seen).figure(chosen.layer, chosen.head)


def draw_lines(page: Page, chosen: Chosen) -> Figure:
    """Words in two columns, and lines as thick as the weights of one head; those of the chosen word are dark."""
    stack = page.stacks[0]
    names = [_names(page.axes[axis]) for axis in (stack.query, stack.key)]
    check_drawable(*map(len, names))
    weights = stack.layers[chosen.layer or 0].weights
    assert weights is not None
    dense = weights.dense()[0][chosen.head or 0].numpy()
    height = max(map(len, names))
    figure, axis = _figure(WIDTH * 0.7, LINE * (height + 1))
    largest = float(dense.max()) or 1.0
    bend = np.linspace(0, 1, 24)
    smooth = bend**2 * (3 - 2 * bend)
    for query, key in zip(*np.nonzero(dense > 0.03 * largest), strict=True):
        share = float(dense[query, key]) / largest
        own = query == chosen.at
        curve = query + (key - query) * smooth
        axis.plot(bend, curve, color=MARK if own else "0.6", alpha=0.25 + 0.7 * share if own else 0.35 * share,
                  linewidth=0.4 + 4 * share, solid_capstyle="round")  # fmt: skip
    fonts = families([*names[0], *names[1]])
    for side, (words, place) in enumerate(zip(names, ((-0.03, "right"), (1.03, "left")), strict=True)):
        for number, word in enumerate(words):
            heavy = side == 0 and number == chosen.at
            axis.text(place[0], number, _short(word), ha=place[1], va="center", fontsize=9, fontfamily=fonts,
                      color=MARK if heavy else "black", parse_math=False)  # fmt: skip
    axis.set_xlim(-0.6, 1.6)
    axis.set_ylim(height - 0.5, -0.8)
    return figure


def draw_input(page: Page, chosen: Chosen) -> Figure:
    """The input itself, coloured by what the chosen position attends to."""
    stack = page.stacks[0]
    axis = page.axes[stack.key]
    return KINDS[axis.kind](axis, [row_of(stack, chosen)], [_title(stack, chosen, page)], chosen.at)


def draw_telltales(page: Page, chosen: Chosen) -> Figure:
    """Weights, rollout and gradient × attention of one answer, and what it loses without each head."""
    tales = page.meta["telltales"]
    answer = answer_at(tales, chosen.at)
    axis = page.axes[tales["axis"]]
    rows = [np.array(tales[name][answer]) for name in ("rollout", "gradient")]
    titles = ["rollout", "gradient × attention"]
    if page.stacks[0].key == tales["axis"]:
        rows.insert(0, row_of(page.stacks[0], chosen))
        titles.insert(0, f"weights: {_title(page.stacks[0], chosen, page)}")
    figure = KINDS[axis.kind](axis, rows, titles, None, extra=1)
    shown = figure.axes[-1]
    drops = tales["drops"][answer]
    names = [f"{stack}\n{layer + 1}·{head + 1}" for stack, layer, head in tales["heads"]]
    shown.bar(range(len(drops)), drops, color=[MARK if drop > 0 else "#2b6cb0" for drop in drops])
    shown.axhline(0, color="0.6", linewidth=0.8)
    shown.set_axis_on()
    if len(names) <= 64:
        shown.set_xticks(range(len(names)), names, fontsize=6)
    shown.set_title("log probability that is lost without a head (stack, layer · head)", fontsize=9, loc="left")
    figure.suptitle(f"answer: {_short(tales['names'][answer])}", fontsize=10, x=0.01, ha="left", parse_math=False)
    return figure


def draw_examples(page: Page, chosen: Chosen) -> Figure:
    """The mean weight by relative position, of every head."""
    told = page.meta["aggregate"]
    layers = told["layers"] if chosen.layer is None else [told["layers"][chosen.layer]]
    heads = max(layer["heads"] for layer in layers)
    shown = range(heads) if chosen.head is None else [chosen.head]
    figure, axes = _figures(2.2 * len(shown), 1.7 * len(layers), len(layers), len(shown))
    for layer, places in zip(layers, axes, strict=True):
        for head, axis in zip(shown, places, strict=True):
            relative = np.array(layer["found"][head]["relative"], dtype=float)
            if relative.ndim == 2:
                axis.imshow(relative, cmap=COLORS, extent=_around(relative.shape))
            else:
                reach = len(relative) // 2
                axis.bar(np.arange(-reach, reach + 1), relative, width=1.0, color="#2b6cb0")
                axis.axvline(0, color=MARK, linewidth=0.6)
            axis.tick_params(labelsize=6)
            axis.set_title(f"{layer['title']}, head {head + 1}", fontsize=8)
    figure.supxlabel("how much later the key is: its mean weight", fontsize=9)
    return figure


def answer_at(tales: dict[str, Any], at: int) -> int:
    """The answer nearest to a position."""
    places = tales["places"]
    return 0 if places is None else min(range(len(places)), key=lambda number: abs(places[number] - at))


def _draw_words(axis: Axis, rows: Sequence[Row], titles: Sequence[str], at: int | None, *, extra: int = 0) -> Figure:
    names = _names(axis)
    check_drawable(len(names))
    lines = _laid_out(names)
    count = lines[-1][0] + 1
    figure, axes = _figures(WIDTH, (len(rows) + extra) * (LINE * (count + 1) + 0.3), len(rows) + extra, 1)
    fonts = families(names)
    for place, row, title in zip(axes[:, 0], rows, titles, strict=False):
        colour, largest = _colour(row), float(np.abs(row).max()) or 1.0
        for number, (line, left) in enumerate(lines):
            paper = colour(row[number])
            dark = abs(row[number]) > 0.45 * largest
            box = {"boxstyle": "round,pad=0.25", "facecolor": paper, "edgecolor": MARK if number == at else "none"}
            place.text(left, line, _short(names[number]), fontsize=9, fontfamily=fonts, va="center", bbox=box,
                       color="white" if dark else "black", parse_math=False)  # fmt: skip
        place.set_xlim(0, 100)
        place.set_ylim(count - 0.4, -0.8)
        place.set_title(title, fontsize=9, loc="left", parse_math=False)
        place.set_axis_off()
    return figure


def _draw_rows(axis: Axis, rows: Sequence[Row], titles: Sequence[str], at: int | None, *, extra: int = 0) -> Figure:
    """Of a recording its spectrogram, of vectors their lines, over the same positions."""
    own = 1 if axis.rows is not None else 0
    figure, axes = _figures(WIDTH, 1.3 * (len(rows) + own + extra), len(rows) + own + extra, 1)
    start, step = (axis.start or 0.0, axis.seconds) if axis.seconds is not None else (0.5, 1.0)
    places = start + step * np.arange(axis.count + 1)
    for place, row, title in zip(axes[own:, 0], rows, titles, strict=False):
        place.stairs(row, places, fill=True, color="#2b6cb0")
        if at is not None:
            place.axvspan(places[at], places[at + 1], color=MARK, alpha=0.3)
        place.set_xlim(places[0], places[-1])
        place.set_title(title, fontsize=9, loc="left", parse_math=False)
        place.tick_params(labelsize=7)
    if own:
        shown = axes[0, 0]
        numbers = np.asarray(axis.rows[0 : axis.row_count])
        if axis.kind == "audio":
            top = (axis.frequency or 0) / 1000
            extent = (places[0], places[-1], 0, top)
            shown.imshow(numbers[:, 2:].T, origin="lower", aspect="auto", cmap=COLORS, extent=extent)
            shown.set_title("spectrogram, kHz by bands as wide as the ear's", fontsize=9, loc="left")
        else:
            shown.plot((places[:-1] + places[1:]) / 2, numbers, linewidth=0.8)
            shown.set_yticks([])
            shown.set_xlim(places[0], places[-1])
    return figure


def _draw_image(axis: Axis, rows: Sequence[Row], titles: Sequence[str], at: int | None, *, extra: int = 0) -> Figure:
    from matplotlib.patches import Rectangle
    from PIL import Image

    assert axis.grid is not None
    before, (down, across) = axis.before or 0, axis.grid
    picture = np.asarray(Image.open(io.BytesIO(axis.media or b"")).convert("RGB"))
    figure, axes = _figures(WIDTH * 0.5, 2.6 * (len(rows) + extra), len(rows) + extra, 1)
    side = axis.stride or 1
    for place, row, title in zip(axes[:, 0], rows, titles, strict=False):
        table = row[before:].reshape(down, across)
        largest = float(np.abs(table).max()) or 1.0
        place.imshow(255 - (255 - picture) // 3, extent=(0, picture.shape[1], picture.shape[0], 0))
        low = -largest if (row < 0).any() else 0.0
        alpha = OPAQUE * (np.abs(table) / largest) ** 0.5
        place.imshow(table, cmap=SIGNED if low else COLORS, vmin=low, vmax=largest, alpha=alpha,
                     extent=(0, across * side, down * side, 0), interpolation="nearest")  # fmt: skip
        place.set_xlim(0, picture.shape[1])
        place.set_ylim(picture.shape[0], 0)
        if at is not None and at >= before:
            y, x = divmod(at - before, across)
            place.add_patch(Rectangle((x * side, y * side), side, side, fill=False, edgecolor=MARK, linewidth=1.5))
        place.set_title(title, fontsize=9, loc="left", parse_math=False)
        place.set_axis_off()
    return figure


KINDS: dict[str, Callable[..., Figure]] = {
    "text": _draw_words,
    "audio": _draw_rows,
    "vectors": _draw_rows,
    "image": _draw_image,
}


def _title(stack: Stack, chosen: Chosen, page: Page) -> str:
    name = _short(_names(page.axes[stack.query])[chosen.at])
    return f"layer {(chosen.layer or 0) + 1}, head {(chosen.head or 0) + 1}: what “{name}” attends to"


def _names(axis: Axis) -> list[str]:
    if axis.names is not None:
        return [str(name) for name in axis.names]
    if axis.grid is not None:
        (rows, columns), before = axis.grid, axis.before or 0
        places = [f"row {row}, column {column}" for row in range(1, rows + 1) for column in range(1, columns + 1)]
        return ["class"] * before + places
    if axis.seconds is not None:
        return [f"{(axis.start or 0) + number * axis.seconds:.2f} s" for number in range(axis.count)]
    return [str(number + 1) for number in range(axis.count)]


def _short(name: str) -> str:
    shown = name.strip() or "␣"
    return shown if len(shown) <= LONGEST else f"{shown[: LONGEST - 1]}…"


def _laid_out(names: Sequence[str]) -> list[tuple[int, float]]:
    """The line of each word, and where it begins, in percent of the width."""
    places, line, left = [], 0, 0.0
    for name in names:
        wide = 1.25 * len(_short(name)) + 1.8
        if left + wide > 100 and left:
            line, left = line + 1, 0.0
        places.append((line, left + 0.6))
        left += wide
    return places


def _colour(row: Row) -> Callable[[float], Any]:
    from matplotlib import colormaps

    largest = float(np.abs(row).max()) or 1.0
    if (row < 0).any():
        return lambda number: colormaps[SIGNED](0.5 + 0.5 * number / largest)
    return lambda number: colormaps[COLORS](number / largest)


def _around(shape: tuple[int, ...]) -> tuple[float, float, float, float]:
    rows, columns = shape
    return (-columns / 2, columns / 2, rows / 2, -rows / 2)


def _figure(width: float, height: float) -> tuple[Figure, Axes]:
    figure, axes = _figures(width, height, 1, 1)
    axes[0, 0].set_axis_off()
    return figure, axes[0, 0]


def _figures(width: float, height: float, rows: int, columns: int) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    if rows * columns > 400:
        raise RegardError(f"{rows} × {columns} pictures are too many for one; choose a layer")
    figure = Figure(figsize=(width, max(1.2, height)), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)
