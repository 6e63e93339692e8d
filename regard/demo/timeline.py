"""One recording as a picture: its wave, who speaks and who is heard, and what attends to what, on one axis of time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from regard.data.segments import Segment
from regard.files import atomic_write
from regard.recording import Recording
from regard.viewer.recording import record

STEP = 0.01  # seconds of the grid on which two rows of segments are compared
WAVE_POINTS = 3000  # across the picture
WRONG = "#222222"


@torch.inference_mode()
def attention_band(network: Any, recording: Recording) -> tuple[NDArray[np.float32], int]:
    """``[N, left+right+1]``, what each vector gives its neighbours in the last layer, mean of its heads; and left."""
    network.eval()
    with record(network.encoder) as layers:
        network.encoder(network.front_end(network.front_end.encode([recording])))
    weights = layers[-1].weights
    assert weights is not None
    return weights.values[0].mean(0).numpy(), -int(weights.first[0])


def on_grid(segments: Sequence[Segment], seconds: float) -> NDArray[np.str_]:
    """Who is in each 10 ms, "" where nobody is."""
    grid = np.full(round(seconds / STEP), "", dtype=object)
    for start, stop, name in segments:
        grid[round(start / STEP) : round(stop / STEP)] = name
    return grid.astype(str)


def draw_timeline(
    path: Path,
    recording: Recording,
    rows: Mapping[str, Sequence[Segment]],
    band: NDArray[np.float32],
    *,
    seconds: float,
    left: int,
) -> None:
    """Writes a PNG.

    Arguments:
        rows: two lists of segments by name, the true one and the other.
        band, left: of :func:`attention_band`.
        seconds: from one vector to the next.
    """
    from matplotlib import colormaps
    from matplotlib.figure import Figure
    from matplotlib.patches import Patch

    voices = sorted({name for segments in rows.values() for _, _, name in segments})
    colors = dict(zip(voices, colormaps["tab10"].colors * len(voices), strict=False))  # type: ignore[attr-defined]
    figure = Figure(figsize=(13, 6.2), layout="constrained")
    wave, bars, attention = figure.subplots(3, 1, sharex=True, height_ratios=[1.1, 1, 2.4])
    _draw_wave(wave, recording)
    _draw_bars(bars, rows, colors, recording.seconds)
    reach = np.array([-left - 0.5, band.shape[1] - left - 0.5]) * seconds
    picture = attention.imshow(
        band.T,
        extent=(0, len(band) * seconds, *reach),
        origin="lower",
        aspect="auto",
        cmap="Blues",
        vmin=0,
        vmax=float(np.percentile(band, 99.5)),
        interpolation="nearest",
    )
    attention.axhline(0, color="#666666", linewidth=0.5, linestyle=":")
    attention.set(xlabel="seconds", ylabel="is attended to,\nseconds from here", xlim=(0, recording.seconds))
    figure.colorbar(picture, ax=attention, label="weight, mean of heads, last layer", pad=0.01, extend="max")
    figure.legend(
        handles=[Patch(color=colors[voice], label=voice) for voice in voices]
        + [Patch(color=WRONG, label="where the two differ")],
        loc="outside upper center",
        ncols=min(6, len(voices) + 1),
        frameon=False,
    )
    with atomic_write(path, binary=True) as file:
        figure.savefig(file, format="png", dpi=120)


def _draw_wave(axis: Any, recording: Recording) -> None:
    samples = recording.samples()
    size = max(1, len(samples) // WAVE_POINTS)
    pieces = samples[: len(samples) // size * size].reshape(-1, size)
    times = (np.arange(len(pieces)) + 0.5) * size / recording.rate
    axis.fill_between(times, pieces.min(1), pieces.max(1), color="#555555", linewidth=0.3)
    most = 1.05 * float(np.abs(samples).max())
    axis.set(ylabel="wave", yticks=[], ylim=(-most, most))
    axis.spines[["top", "right", "left"]].set_visible(False)


def _draw_bars(axis: Any, rows: Mapping[str, Sequence[Segment]], colors: Mapping[str, Any], seconds: float) -> None:
    """A row of coloured bars for each list of segments, and one where they differ."""
    for row, segments in enumerate(rows.values()):
        spans = [(start, stop - start) for start, stop, _ in segments]
        axis.broken_barh(spans, (-row - 0.4, 0.8), facecolors=[colors[name] for _, _, name in segments])
    true, other = (on_grid(segments, seconds) for segments in rows.values())
    edges = np.flatnonzero(np.diff(np.concatenate([[False], true != other, [False]]).astype(int))).reshape(-1, 2)
    axis.broken_barh([(start * STEP, (stop - start) * STEP) for start, stop in edges], (-2.4, 0.8), facecolors=WRONG)
    axis.set_yticks([0, -1, -2], [*rows, "differ"])
    axis.set_ylim(-2.6, 0.6)
    axis.tick_params(length=0)
    axis.spines[:].set_visible(False)
