"""The views of a page as pictures by matplotlib: lines between words, the input itself, telltales, many examples."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from regard.errors import RegardError
from regard.viewer.chosen import Chosen, title_of
from regard.viewer.fonts import families
from regard.viewer.heatmaps import MapRow, check_drawable, draw_maps

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from regard.viewer.page.axes import Axis
    from regard.viewer.page.build import Page

COLORS, SIGNED = "Blues", "PuOr_r"
MARK = "#e8590c"
LINE = 0.28  # inches of a line of words
WIDTH = 8.0  # inches
LONGEST = 24  # characters of a word
MOST_LEVEL = 12  # names side by side; more are turned
OPAQUE = 0.85  # how much of an image the largest weight hides
Row = NDArray[np.float64]


def draw_heads(page: Page, chosen: Chosen) -> Figure:
    """Maps of all heads, or of those that are chosen; of a position its row."""
    stack = chosen.stack
    items, seen = (page.axes[axis].names for axis in (stack.query, stack.key))
    check_drawable(*(page.axes[axis].count for axis in (stack.query, stack.key)))
    is_strip, rows = chosen.at is not None or stack.layers[0].role == "pooling", []
    for number in dict.fromkeys(number for number, _, _ in chosen.heads(stack)):
        weights = stack.layers[number].weights
        assert weights is not None
        dense = weights.dense()[0] if chosen.at is None else weights.row(chosen.at)[:, None]
        rows.append(MapRow.of(f"layer {number + 1}", dense, chosen.head, is_strip=is_strip))
    position = [] if chosen.at is None else [f"what “{_short(_names(page.axes[stack.query])[chosen.at])}” attends to"]
    return draw_maps(rows, items, seen, title=", ".join(filter(None, [title_of(page, stack), *position])))


def draw_lines(page: Page, chosen: Chosen) -> Figure:
    """Words in two columns, and lines as thick as the weights of one head; those of the chosen word are dark."""
    stack, (layer, head), at = chosen.stack, chosen.one(), chosen.at or 0
    names = [_names(page.axes[axis]) for axis in (stack.query, stack.key)]
    check_drawable(*map(len, names))
    weights = stack.layers[layer].weights
    assert weights is not None
    dense = weights.dense()[0][head].numpy()
    height = max(map(len, names))
    figure, ((axis,),) = _figures(WIDTH * 0.7, LINE * (height + 1), 1, 1)
    axis.set_axis_off()
    largest = float(dense.max()) or 1.0
    bend = np.linspace(0, 1, 24)
    smooth = bend**2 * (3 - 2 * bend)
    for query, key in zip(*np.nonzero(dense > 0.03 * largest), strict=True):
        share = float(dense[query, key]) / largest
        own = query == at
        curve = query + (key - query) * smooth
        axis.plot(bend, curve, color=MARK if own else "0.6", alpha=0.25 + 0.7 * share if own else 0.35 * share,
                  linewidth=0.4 + 4 * share, solid_capstyle="round")  # fmt: skip
    fonts = families([*names[0], *names[1]])
    for side, (words, place) in enumerate(zip(names, ((-0.03, "right"), (1.03, "left")), strict=True)):
        for number, word in enumerate(words):
            heavy = side == 0 and number == at
            axis.text(place[0], number, _short(word), ha=place[1], va="center", fontsize=9, fontfamily=fonts,
                      color=MARK if heavy else "black", parse_math=False)  # fmt: skip
    axis.set_xlim(-0.6, 1.6)
    axis.set_ylim(height - 0.5, -0.8)
    return _entitled(figure, title_of(page, stack))


def draw_input(page: Page, chosen: Chosen) -> Figure:
    """The input itself, coloured by what the chosen position attends to."""
    stack = chosen.stack
    axis, own = page.axes[stack.key], chosen.at or 0 if stack.query == stack.key else None
    return KINDS[axis.kind](axis, [_row(chosen)], [_title(page, chosen)], own)


def draw_telltales(page: Page, chosen: Chosen) -> Figure:
    """Weights, rollout and gradient × attention of one answer, and what it loses without each head."""
    tales = page.meta["telltales"]
    answer, chosen = answer_at(tales, chosen)
    axis = page.axes[tales["axis"]]
    rows = [np.array(tales[name][answer]) for name in ("rollout", "gradient")]
    titles = ["rollout", "gradient × attention"]
    if chosen.stack.key == tales["axis"]:
        rows.insert(0, _row(chosen))
        titles.insert(0, f"weights: {_title(page, chosen)}")
    figure = KINDS[axis.kind](axis, rows, titles, None, extra=1)
    shown = figure.axes[-1]
    drops = tales["drops"][answer]
    turned = len(tales["heads"]) > MOST_LEVEL
    between = " " if turned else "\n"
    names = [f"{stack}{between}{layer + 1}·{head + 1}" for stack, layer, head in tales["heads"]]
    shown.bar(range(len(drops)), drops, color=[MARK if drop > 0 else "#2b6cb0" for drop in drops])
    shown.axhline(0, color="0.6", linewidth=0.8)
    shown.set_axis_on()
    if len(names) <= 64:
        shown.set_xticks(range(len(names)), names, fontsize=6, rotation=90 if turned else 0)
    shown.set_title("log probability that is lost without a head (stack, layer · head)", fontsize=9, loc="left")
    model = f"{page.models[0]}: " if len(page.models) > 1 else ""
    return _entitled(figure, f"{model}answer: {_short(tales['names'][answer])}")


def draw_examples(page: Page, chosen: Chosen) -> Figure:
    """The mean weight by relative position, of every head."""
    told = page.meta["aggregate"]
    layers = told["layers"] if chosen.layer is None else [told["layers"][chosen.layer]]
    heads = max(layer["heads"] for layer in layers)
    shown = range(heads) if chosen.head is None else [chosen.head]
    figure, axes = _figures(2.2 * len(shown), 1.7 * len(layers), len(layers), len(shown))
    for layer, places in zip(layers, axes, strict=True):
        for head, axis in zip(shown, places, strict=True):
            if head >= layer["heads"]:
                axis.set_axis_off()
                continue
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


def answer_at(tales: dict[str, Any], chosen: Chosen) -> tuple[int, Chosen]:
    """The answer nearest to the chosen position, and its own position in the place of that, where it has one."""
    places = tales["places"]
    if places is None:
        return 0, chosen
    answer = min(range(len(places)), key=lambda number: abs(places[number] - (chosen.at or 0)))
    return answer, replace(chosen, at=places[answer]) if chosen.stack.query == tales["query"] else chosen


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


def _row(chosen: Chosen) -> Row:
    row: Row = chosen.row().double().numpy()
    return row


def _title(page: Page, chosen: Chosen) -> str:
    layer, head = chosen.one()
    name = _short(_names(page.axes[chosen.stack.query])[chosen.at or 0])
    told = f"layer {layer + 1}, head {head + 1}: what “{name}” attends to"
    return ", ".join(filter(None, [title_of(page, chosen.stack), told]))


def _entitled(figure: Figure, title: str) -> Figure:
    if title:
        figure.suptitle(title, fontsize=10, x=0.01, ha="left", parse_math=False)
    return figure


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


def _figures(width: float, height: float, rows: int, columns: int) -> tuple[Figure, Any]:
    from matplotlib.figure import Figure

    if rows * columns > 400:
        raise RegardError(f"{rows} × {columns} pictures are too many for one; choose a layer")
    figure = Figure(figsize=(width, max(1.2, height)), layout="constrained")
    return figure, figure.subplots(rows, columns, squeeze=False)
