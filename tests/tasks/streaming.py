"""Untrained labelers of sound and of vectors, to be given pieces."""

import numpy as np
import torch

from regard import Labeler, Recording
from regard.front_ends import learn_front_end

LABELS = ["music", "noise", "speech"]
SMALL = {"dim": 16, "heads": 2, "depth": 2, "dropout": 0.0}


def recording(samples, seed=1, rate=8000):
    return Recording.from_samples(np.random.default_rng(seed).normal(0, 0.1, samples).astype(np.float32), rate)


def labeler(kind="audio", known=None, **options):
    """With weights far from where they start, so that all that is seen counts."""
    torch.manual_seed(1)
    model = Labeler(front_end=kind, **(SMALL | options))
    model.labels = LABELS
    if known is None:
        known = [recording(8000)] if kind == "audio" else [np.random.default_rng(1).normal(3, 2, (50, 4))]
    model.network = model.build({"front_end": learn_front_end(kind, known, model.config)})
    for parameter in model.network.parameters():
        if parameter.dim() > 1:
            torch.nn.init.normal_(parameter, std=0.3)
    model.network.eval()
    return model


@torch.inference_mode()
def whole(model, items):
    """``[N, labels]``, of the sequence at once."""
    return model.network(model.network.front_end.encode([items])).values
