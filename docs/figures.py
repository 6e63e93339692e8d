"""Draws the figures of the documentation, from what the code itself computes: `python docs/figures.py [NAME ...]`.

The same machine draws the same bytes. `attention` and `page` train a small tagger first, which takes some seconds; the
latter needs Chromium and `playwright`.
"""

from __future__ import annotations

import json
import random
import shutil
import sys
import tempfile
from itertools import pairwise
from pathlib import Path

import matplotlib
import numpy as np
import torch
from drawing import BLUE, COLOURS, DARK, GREY, ORANGE, PALE, STYLE, arrow, box, canvas, cells, heat, middles
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor

from regard import Labeler, Ragged, RelativeBias, attention_weights
from regard.attention.blocked.cut import CutRules, cut
from regard.attention.blocked.pieces import Gathered
from regard.nn import Alibi, Rotary, Sinusoidal, build_encoder
from regard.nn.positions import rotate

FOLDER = Path(__file__).with_name("figures")


SENTENCE = ["I", "saw", "the", "old", "saw", "."]


def visible(queries: int, keys: int, *, offsets: Tensor | None = None, **options: object) -> Tensor:
    """``[Q, K]`` who may see whom, as `attention_weights` has it where all scores are 0."""
    if offsets is not None:
        dense = attention_weights(torch.zeros(queries, 1, 1), torch.zeros(keys, 1, 1), offsets=offsets).dense()
        return torch.block_diag(*(block[0] for block in dense)) > 0
    dense = attention_weights(torch.zeros(1, 1, queries, 1), torch.zeros(1, 1, keys, 1), **options).dense()
    return dense[0, 0] > 0


def window() -> Figure:
    figure = Figure(figsize=(8.6, 2.75), layout="constrained")
    cases = [
        ("window=None", 9, {}),
        ("window=2", 9, {"window": 2}),
        ("window=(3, 0)\nor window=3, causal=True", 9, {"window": (3, 0)}),
        ("window=2, query_start=5\nfour queries, nine keys", 4, {"window": 2, "query_start": 5}),
    ]
    for axis, (title, queries, options) in zip(figure.subplots(1, 4), cases, strict=True):
        seen = visible(queries, 9, **options).int()
        first = options.get("query_start", 0)
        seen[torch.arange(queries), torch.arange(queries) + first] = 2
        cells(axis, seen, ["#f0f0f0", PALE, BLUE])
        middles(axis, list(range(first, first + queries)), list(range(9)))
        axis.set_title(title)
        axis.set(xlabel="position of the key", ylabel="position of the query")
    return figure


def weights() -> Figure:
    torch.manual_seed(3)
    x = 1.5 * torch.randn(1, 1, 9, 4)
    band = attention_weights(x, x, window=2)
    figure = Figure(figsize=(7.6, 3), layout="constrained")
    left, right = figure.subplots(1, 2, width_ratios=[9, 6.5])
    for axis, values in ((left, band.dense()[0, 0]), (right, band.values[0, 0])):
        picture = heat(axis, values, cmap="Blues", least=0, most=1)
        axis.set_ylabel("query")
    middles(left, list(range(9)), list(range(9)))
    left.set(title="weights.dense(): [Q, K]", xlabel="key")
    middles(right, list(range(9)), ["−2", "−1", "0", "+1", "+2"])
    right.set(title="weights.values: [Q, left+right+1]", xlabel="key position − query position")
    for row, first in enumerate(band.first.tolist()):
        right.text(5.3, row + 0.5, f"first = {first}".replace("-", "−"), va="center", fontsize=7)
    figure.colorbar(picture, ax=[left, right], shrink=0.8, label="weight", pad=0.02)
    return figure


def ragged() -> Figure:
    batch = Ragged.from_lengths(torch.zeros(11, 1), [5, 2, 4])
    owner, offsets = batch.sequence_ids, batch.offsets.tolist()
    names = [f"{'abc'[b]}{p}" for b, p in zip(owner.tolist(), batch.positions.tolist(), strict=True)]
    figure = Figure(figsize=(8.4, 4.4), layout="constrained")
    top, bottom = figure.subfigures(2, 1, height_ratios=[1, 2.6])
    axis = top.subplots()
    cells(axis, owner[None] + 1, [GREY, *COLOURS[:3]])
    for place, name in enumerate(names):
        axis.text(place + 0.5, 0.5, name, ha="center", va="center", color="white")
    for offset in offsets:
        axis.plot([offset, offset], [-0.15, 1.15], color=DARK, linewidth=1.5, clip_on=False)
    axis.set_xticks(offsets, [str(offset) for offset in offsets])
    axis.set(yticks=[], title="ragged: rows end to end, T = 11", xlabel="offsets")
    axis.spines[:].set_visible(False)

    left, right = bottom.subplots(1, 2)
    padded, mask = Ragged(owner[:, None] + 1, batch.offsets).to_padded()
    cells(left, padded[..., 0] * mask, [GREY, *COLOURS[:3]])
    for row, column in torch.cartesian_prod(torch.arange(3), torch.arange(5)).tolist():
        text, colour = (f"{'abc'[row]}{column}", "white") if mask[row, column] else ("padding", "#666666")
        left.text(column + 0.5, row + 0.5, text, ha="center", va="center", color=colour)
    middles(left, list("abc"), list(range(5)))
    left.set(title="the same batch padded: 15 cells", xlabel="position", ylabel="sequence")
    seen = visible(11, 11, offsets=batch.offsets).int() * (owner[:, None] + 1)
    cells(right, seen, ["#f0f0f0", *COLOURS[:3]])
    middles(right, names, names)
    right.set(title="who may see whom", xlabel="key", ylabel="query")
    return figure


def relative() -> Figure:
    bias = RelativeBias(torch.tensor([[0.3, 0.8, 1.4, -0.6, 1.0, 0.5, -0.2]]))
    left, right = bias.reach
    distance = torch.arange(-8, 9)
    reached = distance.clamp(-left, right)
    values = bias.table[0, reached + left]
    figure = Figure(figsize=(8.2, 3), layout="constrained")
    curve, matrix = figure.subplots(1, 2, width_ratios=[1.35, 1])
    beyond = distance != reached
    curve.axhline(0, color="#999999", linewidth=0.8)
    for mask, colour, label in ((~beyond, BLUE, "the table"), (beyond, PALE, "beyond it: its first or last entry")):
        curve.bar(distance[mask].numpy(), values[mask].numpy(), color=colour, width=0.75, label=label)
    curve.set(xlabel="key position − query position", ylabel="added to the score", ylim=(-0.8, 2.3))
    curve.set_xticks(range(-8, 9, 2), [str(d).replace("-", "−") for d in range(-8, 9, 2)])
    curve.legend(frameon=False, loc="upper right")
    curve.set_title("one head, left = right = 3")
    away = torch.arange(10) - torch.arange(10)[:, None]
    full = bias.table[0, away.clamp(-left, right) + left]
    picture = heat(matrix, full, cmap="RdBu_r", least=-1.4, most=1.4)
    matrix.set(xlabel="key", ylabel="query", title="as a matrix [Q, K]")
    middles(matrix, list(range(10)), list(range(10)))
    figure.colorbar(picture, ax=matrix, shrink=0.8)
    return figure


def normalizers() -> Figure:
    scores = torch.tensor([2.0, 1.0, 0.5, 0.0, -1.0, -2.0])
    query, key = torch.ones(1, 1, 1, 1), scores.view(1, 1, -1, 1)
    figure = Figure(figsize=(6.6, 2.6), layout="constrained")
    axis = figure.subplots()
    for place, (name, formula) in enumerate(
        [("softmax", "softmax"), ("relu", "relu(s) / n"), ("sigmoid", "sigmoid(s − log n)")]
    ):
        values = attention_weights(query, key, normalizer=name, scale=1.0).dense().flatten()
        where = np.arange(6) + 0.27 * (place - 1)
        axis.bar(where, values.numpy(), width=0.25, color=COLOURS[place], label=f"{formula}: sum {values.sum():.2f}")
    axis.set_xticks(range(6), [f"{s:g}".replace("-", "−") for s in scores.tolist()])
    axis.set(xlabel="score of each of n = 6 keys", ylabel="weight")
    axis.legend(frameon=False)
    axis.spines[["top", "right"]].set_visible(False)
    return figure


def blocks() -> Figure:
    figure = Figure(figsize=(8.6, 4.5), layout="constrained")
    long, short = figure.subplots(1, 2)

    def draw(axis: Axes, lengths: list[int], side: int | None) -> None:
        batch = Ragged.from_lengths(torch.zeros(sum(lengths), 1), lengths)
        ids, places = batch.sequence_ids, batch.positions
        seen = ids[:, None] == ids
        if side is not None:
            seen &= (places[:, None] - places).abs() <= side
        cells(axis, seen, ["#f4f4f4", PALE], grid=False)
        sequences = tuple((start, stop, start, stop) for start, stop in pairwise(batch.offsets.tolist()))
        rules = CutRules(1, side, side, 0, False, 1 << 13, torch.device("cpu"))
        for number, piece in enumerate(cut(sequences, rules)):
            rows, keys = piece.row_numbers(torch.device("cpu")), piece.key_numbers(torch.device("cpu"))
            for row, key in zip(rows, keys, strict=True):
                height, width = len(row.unique()), len(key.unique())
                corner = (int(key.max()) + 1 - width, int(row.max()) + 1 - height)
                if isinstance(piece, Gathered):  # padding points at some other row
                    start, stop = int(row[0]), int(row[0]) + _run(row)
                    left, right = int(key[0]), int(key[0]) + _run(key)
                    corner, height, width = (left, start), stop - start, right - left
                colour = COLOURS[number % len(COLOURS)]
                axis.add_patch(Rectangle(corner, width, height, fill=False, edgecolor=colour, linewidth=1.6))
        axis.set(xlabel="key", ylabel="query")

    draw(long, [192], 24)
    long.set_title("one sequence of 192, window=24:\nblocks of 16 queries, each with its run of keys")
    draw(short, [9, 5, 13, 6, 18, 11, 3, 27, 4, 8, 7, 12, 30, 5, 9, 16, 6], None)
    short.set_title("17 short sequences, no window:\npacks of up to 32 rows, gathered by size")
    return figure


def _run(numbers: Tensor) -> int:
    """How many of the numbers follow each other from the first on."""
    steps = numbers - numbers[0] == torch.arange(len(numbers))
    return len(numbers) if bool(steps.all()) else int(steps.int().argmin())


def positions() -> Figure:
    figure = Figure(figsize=(9, 2.9), layout="constrained")
    waves, slopes, turned = figure.subplots(1, 3)
    pattern = Sinusoidal()(Ragged.from_lengths(torch.zeros(64, 32), [64])).values
    picture = waves.pcolormesh(pattern.T.numpy(), cmap="RdBu_r", vmin=-1, vmax=1, rasterized=True)
    waves.set(title="sinusoidal: added to the vectors", xlabel="position", ylabel="element, of 32")
    figure.colorbar(picture, ax=waves)

    order = next(iter(Alibi(4)(Ragged.from_lengths(torch.zeros(25, 1), [25]))))
    for head, row in enumerate(order.bias.table):
        slopes.plot(range(-24, 25), row.numpy(), color=COLOURS[head], label=f"head {head + 1}")
    slopes.set(title="alibi: added to the scores", xlabel="key position − query position", ylabel="bias")
    slopes.legend(frameon=False, fontsize=7, loc="lower center", ncols=2)

    torch.manual_seed(1)
    query, key = torch.randn(2, 1, 1, 16)
    batch = Ragged.from_lengths(torch.zeros(100, 1), [100])
    rotation = next(iter(Rotary(16)(batch))).rotation
    queries, keys = (rotate(x.expand(100, 1, 16), rotation)[:, 0] for x in (query, key))
    for place, style, colour in ((30, "-", BLUE), (60, (0, (3, 3)), ORANGE)):
        span = torch.arange(-24, 25)
        label = f"query at {place}"
        turned.plot(span, keys[place + span] @ queries[place], linestyle=style, color=colour, label=label)
    turned.set(title="rotary: q·k of turned vectors", xlabel="key position − query position", ylabel="q·k")
    turned.legend(frameon=False, fontsize=7)
    return figure


def reached(kind: str, length: int, depth: int, **options: object) -> list[Tensor]:
    """``[N, N]`` for each layer: which of its inputs (columns) change which outputs (rows), by their gradients."""
    torch.manual_seed(0)
    encoder = build_encoder(kind, dim=8, depth=depth, heads=2, positions="none", **options).eval()
    links = []
    for layer in encoder.layers:
        x = torch.randn(length, 8, requires_grad=True)
        output = layer(Ragged.from_lengths(x, [length])).values
        rows = [torch.autograd.grad(row.pow(2).sum(), x, retain_graph=True)[0].abs().sum(1) > 0 for row in output]
        links.append(torch.stack(rows))
    return links


def encoders() -> Figure:
    length, depth, middle = 11, 3, 5
    cases = [
        ("pointwise", "pointwise", {}),
        ("sliding", "sliding", {}),
        ("convolution", "convolution", {}),
        ("attention, window=2", "attention", {"window": 2}),
        ("attention", "attention", {}),
    ]
    figure = Figure(figsize=(9.4, 2.3), layout="constrained")
    for axis, (title, kind, options) in zip(figure.subplots(1, 5, sharey=True), cases, strict=True):
        used = torch.zeros(depth + 1, length, dtype=torch.bool)
        used[depth, middle] = True
        links = reached(kind, length, depth, **options)
        for layer in reversed(range(depth)):
            for row in used[layer + 1].nonzero().flatten().tolist():
                seen = links[layer][row].nonzero().flatten().tolist()
                used[layer, seen] = True
                ends = [end for column in seen for end in (column, row, np.nan)]  # one path, broken at each nan
                levels = [layer, layer + 1, np.nan] * len(seen)
                axis.plot(ends, levels, color=BLUE, linewidth=0.5, alpha=0.7, zorder=1)
        for layer in range(depth + 1):
            for mask, colour in ((~used[layer], GREY), (used[layer], BLUE)):
                axis.plot(mask.nonzero(), [layer] * int(mask.sum()), "o", color=colour, markersize=4, zorder=2)
        axis.set(title=title, xticks=[], xlabel=f"sees {int(used[0].sum())} of {length}")
        axis.set_yticks(range(depth + 1), ["vectors in", "layer 1", "layer 2", "layer 3"])
        axis.tick_params(length=0)
        axis.spines[:].set_visible(False)
    return figure


def network() -> Figure:
    figure, axis = canvas(17.4, 5)
    parts = [
        ("front end", ["words", "vectors"]),
        ("encoder", ["attention", "pointwise", "sliding", "convolution"]),
        ("head", ["one label per vector"]),
    ]
    between = ["raw\nitems", "[T, dim]", "[T, dim]", "[T, labels]"]
    for number, (name, choices) in enumerate(parts):
        x = 2 + 5 * number
        box(axis, x, 0.4, 3.2, 4.2, "", PALE)
        axis.text(x + 1.6, 4.15, name, ha="center", va="center", fontweight="bold")
        for place, choice in enumerate(choices):
            box(axis, x + 0.25, 3.1 - 0.82 * place, 2.7, 0.62, choice)
    for number, text in enumerate(between):
        start = 0.2 if number == 0 else 0.2 + 5 * number
        arrow(axis, (start + 0.1, 2.5), (start + 1.7, 2.5))
        axis.text(start + 0.9, 2.72, text, ha="center", va="bottom", fontsize=8)
    return figure


def words() -> Figure:
    figure, axis = canvas(17.4, 8.4)
    box(axis, 0.3, 0.2, 6, 4.6, "", "#f4f4f4")
    axis.text(0.6, 4.48, "features of each distinct word", va="center", fontsize=8)
    for place, part in enumerate(["w:Walked", "l:walked", "p1:w … p3:wal", "s1:d … s4:lked", "x:Xx"]):
        box(axis, 0.6, 3.5 - 0.72 * place, 3, 0.56, part)
        arrow(axis, (3.6, 3.78 - 0.72 * place), (4.9, 2.5))
    box(axis, 4.9, 2.1, 1.1, 0.8, "sum", PALE)

    box(axis, 7, 0.2, 10.1, 4.6, "", "#f4f4f4")
    axis.text(7.3, 4.48, "its characters, with their places from both ends", va="center", fontsize=8)
    for place, letter in enumerate("Walked"):
        x = 7.5 + 1.15 * place
        box(axis, x, 0.5, 0.9, 0.6, letter)
        for other in range(6):
            axis.plot([x + 0.45, 7.95 + 1.15 * other], [1.1, 2.2], color=BLUE, linewidth=0.4, alpha=0.6)
        box(axis, x, 2.2, 0.9, 0.6, "")
        axis.plot([x + 0.45, 15], [2.8, 3.62], color=ORANGE, linewidth=0.6)
    axis.text(14.45, 1.6, "self-attention", color=BLUE, va="center", fontsize=8)
    box(axis, 15, 3.3, 1.4, 0.64, "pool", PALE)
    axis.text(14.45, 2.5, "one learned query\nper head", color=ORANGE, va="center", fontsize=8)

    box(axis, 4.9, 5.4, 11.5, 0.75, "concatenate, project, layer norm", PALE)
    arrow(axis, (5.45, 2.9), (5.45, 5.4))
    arrow(axis, (15.7, 3.94), (15.7, 5.4))
    for place, word in enumerate(["She", "Walked", "home", "."]):
        x = 3.2 + 2.9 * place
        box(axis, x, 7.3, 2.2, 0.7, word, PALE if word == "Walked" else "white")
    arrow(axis, (7.2, 6.15), (7.2, 7.3))
    axis.text(14.6, 7.65, "one vector per word:\nthe encoder attends\nbetween these", va="center", fontsize=8)
    return figure


def attention() -> Figure:
    """What a small tagger attends to."""
    return small_tagger().attention(SENTENCE).figure()


def page() -> None:
    """The page of the same tagger and sentence, as Chromium shows it."""
    from playwright.sync_api import sync_playwright

    with tempfile.TemporaryDirectory() as folder, sync_playwright() as driver:
        file = small_tagger().attention(SENTENCE).save(Path(folder) / "page.html")
        browser = driver.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1120, "height": 520}, device_scale_factor=1.5)
        tab.goto(f"{file.as_uri()}#view=lines&layer=1&head=2&at=5")
        tab.wait_for_selector("svg.lines path", state="attached")
        tab.screenshot(path=FOLDER / "page.png")
        browser.close()


def small_tagger() -> Labeler:
    """A causal tagger of one layer, trained on sentences in which every verb could be a noun."""
    torch.set_num_threads(1)
    draw = random.Random(0)
    both = ["saw", "fish", "can", "watch", "plant", "hammer", "drink", "light"]

    def sentence() -> tuple[list[str], list[str]]:
        adjectives = draw.choices(["old", "good", "red"], k=draw.choice([0, 0, 1, 2]))
        start = [(draw.choice(["I", "You", "We", "They"]), "PRON"), (draw.choice(both), "VERB")]
        article = [(draw.choice(["a", "the", "this"]), "DET")]
        pairs = [*start, *article, *((word, "ADJ") for word in adjectives), (draw.choice(both), "NOUN"), (".", "PUNCT")]
        return [word for word, _ in pairs], [label for _, label in pairs]

    tagger = Labeler(dim=32, depth=1, heads=2, dropout=0.2, position_reach=4, causal=True)
    tagger.fit(
        [sentence() for _ in range(300)],
        epochs=12,
        batch_tokens=120,
        learning_rate=1e-2,
        label_smoothing=0.0,
        average=0.0,
        device="cpu",
    )
    maps = tagger.attention(SENTENCE)
    told_apart = tagger.predict([SENTENCE]) == [["PRON", "VERB", "DET", "ADJ", "NOUN", "PUNCT"]]
    if not told_apart or maps[0][:, [1, 4]].argmax(-1).tolist() != [[0, 2], [0, 2]]:
        raise SystemExit("the small tagger learned otherwise than README.md says: change its text, or the seed")
    return tagger


def pronunciation() -> Figure:
    """From ``docs/pronunciation.jsonl``: the evaluations that the run of docs/results.md left in ``metrics.jsonl``."""
    lines = Path(__file__).with_name("pronunciation.jsonl").read_text(encoding="utf-8").splitlines()
    found = [json.loads(line) for line in lines]
    minutes = [line["seconds"] / 60 for line in found]
    errors = {
        "words": [100 * (1 - line["exact"]) for line in found],
        "phonemes": [100 * line["symbol_error"] for line in found],
    }
    figure = Figure(figsize=(6.6, 2.6), layout="constrained")
    axis = figure.subplots()
    for (name, values), colour in zip(errors.items(), COLOURS, strict=False):
        axis.plot(minutes, values, ".-", color=colour, label=name)
        axis.annotate(f"{values[-1]:.1f} %", (minutes[-1], values[-1]), (0, 6), textcoords="offset points", ha="center")
    axis.set(xlabel="minutes of training", ylabel="error on dev, %", xlim=(0, None), ylim=(0, None))
    axis.grid(color=GREY, linewidth=0.5)
    axis.spines[["top", "right"]].set_visible(False)
    axis.legend(frameon=False)
    return figure


def walk() -> Figure:
    steps = json.loads(Path(__file__).with_name("walk.json").read_text())
    rows = [-(-len(files) // 5) for files in steps.values()]  # five files a line
    left, wide, height = 2.6, 13.1, sum(rows) * 0.42 + len(steps) * 0.67 + 0.7
    figure, axis = canvas(left + wide + 0.1, height)
    total, inside, y = sum(map(len, steps.values())), len(steps["network"]), height - 0.5
    axis.text(left, y, f"{total - inside} files, and {inside} of the network", weight="bold", fontsize=9)
    for (step, files), lines in zip(steps.items(), rows, strict=True):
        y -= 0.55
        tall = lines * 0.42 + 0.12
        axis.add_patch(Rectangle((left, y - tall), wide, tall, facecolor=PALE, edgecolor=GREY))
        for number, file in enumerate(files):
            place = left + 0.12 + 2.6 * (number % 5), y - 0.3 - 0.42 * (number // 5)
            axis.text(*place, file.replace("__init__.py", ""), fontsize=6.2)
        axis.text(left - 0.2, y - tall / 2, step, ha="right", va="center", fontsize=8)
        axis.text(left + wide - 0.1, y + 0.08, f"{len(files)}", ha="right", fontsize=7, color=DARK)
        y -= tall
    return figure


FIGURES = (
    walk,
    window,
    weights,
    ragged,
    relative,
    normalizers,
    blocks,
    positions,
    encoders,
    network,
    words,
    attention,
    page,
    pronunciation,
)


def main(names: list[str]) -> None:
    FOLDER.mkdir(exist_ok=True)
    known = {figure.__name__: figure for figure in FIGURES}
    for name in names or known:
        if name not in known:
            raise SystemExit(f"no figure {name!r}; there are {', '.join(known)}")
        written = {"svg.fonttype": "none"} if name == "walk" else {}  # which is all text, and large as paths
        with matplotlib.rc_context(STYLE | written):
            if (figure := known[name]()) is not None:
                figure.savefig(FOLDER / f"{name}.svg", dpi=150, metadata={"Date": None})


if __name__ == "__main__":
    main(sys.argv[1:])
