"""Draws where the heads of converted convolutions look, before and after training, from what that training left.

    python docs/convolution.py --train docs/convolution.json
    python docs/convolution.py docs/convolution.json [FOLDER]

The first trains small networks on scikit-learn's digits, for a minute, and prints their scores; the same file draws
the same bytes.
"""

from __future__ import annotations

import copy
import json
import math
import sys
from pathlib import Path
from typing import Any

import matplotlib
import torch
from drawing import BLUE, GREY, ORANGE, STYLE, heat
from matplotlib.figure import Figure
from matplotlib.patches import Circle
from sklearn.datasets import load_digits
from torch import Tensor, nn
from torch.nn import functional as F

from regard.nn import OffsetAttention, as_convolution, attention_from_convolution, with_attention

FOLDER = Path(__file__).with_name("figures")
SEEDS, TEST, SHARPNESS = 3, 500, 2.0
EPOCHS, BATCH, RATE = 20, 64, 2e-3
FASTER = 20  # the step of centers and sharpness over that of all else, which would hardly move them
SIZE, QUERY = 8, (3, 4)


def network() -> nn.Sequential:
    return nn.Sequential(
        *(nn.Conv2d(1, 16, 3, padding=1), nn.ReLU()),
        *(nn.Conv2d(16, 32, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)),
        *(nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Dropout(0.5), nn.Linear(32 * 16, 10)),
    )


def fit(model: nn.Module, images: Tensor, labels: Tensor, *, rate: float, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    names = dict(model.named_parameters())
    places = [names.pop(name) for name in list(names) if name.endswith(("centers", "log_sharpness"))]
    groups = [{"params": list(names.values())}, {"params": places, "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups[: 1 + bool(places)])
    steps = EPOCHS * math.ceil(len(images) / BATCH)
    rates = [rate, FASTER * rate][: len(optimizer.param_groups)]
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rates, total_steps=steps)
    model.train()
    for _ in range(EPOCHS):
        for rows in torch.randperm(len(images)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(model(images[rows]), labels[rows]).backward()
            optimizer.step()
            schedule.step()
    return model.eval()


def train() -> dict[str, Any]:
    """Scores of each seed on images that were not trained on, and the heads of the first, before and after."""
    torch.set_num_threads(1)
    digits = load_digits()
    images, labels = torch.tensor(digits.images, dtype=torch.float32)[:, None] / 16, torch.tensor(digits.target)
    results: dict[str, Any] = {"scores": []}
    for seed in range(SEEDS):
        order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
        (known, answers), (unseen, truth) = ((images[r], labels[r]) for r in (order[TEST:], order[:TEST]))

        def right(model: nn.Module, unseen: Tensor = unseen, truth: Tensor = truth) -> float:
            with torch.no_grad():
                return 100 * float((model(unseen).argmax(1) == truth).float().mean())

        torch.manual_seed(seed)
        cnn = fit(network(), known, answers, rate=RATE, seed=seed)
        exact, around = with_attention(cnn), with_attention(cnn, sharpness=SHARPNESS)
        with torch.no_grad():
            ours, theirs = exact(unseen), cnn(unseen)
        scores = {
            "CNN": right(cnn),
            "other predictions": int((ours.argmax(1) != theirs.argmax(1)).sum()),
            "largest difference of logits": float((ours - theirs).abs().max()),
            "attention": right(exact),
            f"attention, sharpness {SHARPNESS:g}": right(around),
        }
        fit(around, known, answers, rate=RATE / 2, seed=seed)
        scores["the same, trained on"] = right(around)
        back = nn.Sequential(*(as_convolution(x)[0] if isinstance(x, OffsetAttention) else x for x in around)).eval()
        scores["and made a CNN again"] = right(back)
        scores["CNN, trained on"] = right(fit(copy.deepcopy(cnn), known, answers, rate=RATE / 2, seed=seed))
        print(*(f"{name}: {value:.4g}" for name, value in scores.items()), sep="\n", end="\n\n", flush=True)
        results["scores"].append(scores)
        if seed == 0:
            results["heads"] = [
                {"centers": x.centers.tolist(), "sharpness": x.sharpness.tolist()}
                for x in around
                if isinstance(x, OffsetAttention)
            ]
    return results


def layer_of(heads: dict[str, list[Any]] | None = None) -> OffsetAttention:
    """A layer with such heads; None for those of a 3×3 convolution, as it was converted."""
    attention = attention_from_convolution(nn.Conv2d(1, 1, 3, padding=1), sharpness=SHARPNESS)
    if heads is not None:
        with torch.no_grad():
            attention.centers.copy_(torch.tensor(heads["centers"]))
            attention.log_sharpness.copy_(torch.tensor(heads["sharpness"]).log())
    return attention


def maps(results: dict[str, Any]) -> Figure:
    """Whom one pixel attends to by the nine heads of the first layer."""
    figure = Figure(figsize=(9.4, 2.5), layout="constrained")
    axes = figure.subplots(2, 9)
    for row, title, heads in zip(axes, ("converted", "trained on"), (None, results["heads"][0]), strict=True):
        for head, (axis, weights) in enumerate(
            zip(row, layer_of(heads).attention_weights(SIZE, SIZE, query=QUERY), strict=True)
        ):
            picture = heat(axis, weights, cmap="Blues", least=0, most=1, grid=False)
            axis.plot(QUERY[1] + 0.5, QUERY[0] + 0.5, ".", color=ORANGE, markersize=4)
            axis.set(xticks=[], yticks=[])
            if heads is None:
                axis.set_title(f"head {head + 1}")
        row[0].set_ylabel(title)
    figure.colorbar(picture, ax=axes, label="weight", shrink=0.8, pad=0.01)
    return figure


def centers(results: dict[str, Any]) -> Figure:
    """Centers of all heads, each in a circle of the deviation that its sharpness makes, 1/√(2α)."""
    figure = Figure(figsize=(8.6, 3.1), layout="constrained")
    panels = figure.subplots(1, len(results["heads"]), sharey=True)
    for layer, (axis, heads) in enumerate(zip(panels, results["heads"], strict=True)):
        for attention, colour, label in ((layer_of(), GREY, "converted"), (layer_of(heads), BLUE, "trained on")):
            for (row, column), alpha in zip(attention.centers.tolist(), attention.sharpness.tolist(), strict=True):
                axis.add_patch(Circle((column, row), 1 / math.sqrt(2 * alpha), fill=False, edgecolor=colour))
            axis.plot(*attention.centers.detach().flip(1).T.numpy(), ".", color=colour, label=label)
        axis.set(title=f"layer {layer + 1}", xlabel="columns from the query", aspect="equal")
        axis.set(xlim=(-1.7, 1.7), ylim=(1.7, -1.7), xticks=(-1, 0, 1), yticks=(-1, 0, 1))
        axis.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("rows from the query")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside right upper", frameon=False)
    return figure


def main(path: str, folder: str | Path = FOLDER) -> None:
    results = json.loads(Path(path).read_text(encoding="utf-8"))
    Path(folder).mkdir(exist_ok=True)
    for name, draw in (("maps", maps), ("centers", centers)):
        with matplotlib.rc_context(STYLE):
            draw(results).savefig(Path(folder) / f"convolution-{name}.svg", dpi=150, metadata={"Date": None})


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        raise SystemExit(__doc__)
    if sys.argv[1] == "--train":
        Path(sys.argv[2]).write_text(json.dumps(train(), indent=1) + "\n", encoding="utf-8")
    else:
        main(*sys.argv[1:])
