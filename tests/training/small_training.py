"""A small network and its training; `python small_training.py '[{"output": ..., ...}, ...]'` runs some."""

import json
import signal
import sys
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn import functional as F

from regard.ragged import Ragged
from regard.tasks.label.options import LabelConfig
from regard.training.config import make_config
from regard.training.learner import is_main_process
from regard.training.loop import train

torch.set_num_threads(1)  # such small matrices only wait for other threads

LABELS = 5


class SmallNetwork(nn.Module):
    """Numbers → labels, with all that a checkpoint must carry: a table, matrices, a gain, a buffer, dropout."""

    def __init__(self, dropout):
        super().__init__()
        self.table = nn.Embedding(20, 16)
        self.hidden = nn.Linear(16, 16)
        self.norm = nn.LayerNorm(16)
        self.dropout = nn.Dropout(dropout)
        self.head = nn.Linear(16, LABELS)
        self.register_buffer("steps_seen", torch.zeros(()))

    def forward(self, inputs):
        if self.training:
            self.steps_seen += 1
        hidden = self.norm(self.table(inputs.values) + self.hidden(self.table(inputs.values)).tanh())
        return inputs.with_values(self.head(self.dropout(hidden)))


class SmallBatch:
    def __init__(self, inputs, labels):
        self.inputs, self.labels = inputs, labels

    def to(self, device):
        return SmallBatch(self.inputs.to(device), self.labels.to(device))


def sequences():
    """Seventy short ones, some of them empty, and one that fills a batch alone."""
    generator = torch.Generator().manual_seed(0)
    lengths = [*torch.randint(0, 12, (70,), generator=generator).tolist(), 50]
    return [torch.randint(0, 20, (length,), generator=generator) for length in lengths]


def sum_loss(network, batch):
    logits = network(batch.inputs).values
    return F.cross_entropy(logits.float(), batch.labels, reduction="sum"), len(batch.labels)


def run(
    output,
    *,
    resume=False,
    dropout=0.2,
    pause=0.0,
    stop_at=None,
    signals=(signal.SIGINT,),
    evaluated=True,
    select="accuracy",
    scores=None,
    data=None,
    **options,
):
    """Trains; the result and the network. Signals come in the batch with number ``stop_at``; ``scores`` are given."""
    config = make_config(
        LabelConfig, {"device": "cpu", "batch_tokens": 40, "epochs": 4, "output": str(output), **options}
    )
    data = sequences() if data is None else data
    torch.manual_seed(config.seed)
    network = SmallNetwork(dropout)
    batches, evaluations = iter(range(1, 10**9)), iter(scores or ())

    def batch_of(indices):
        inputs = Ragged.from_list([data[index] for index in indices])
        return SmallBatch(inputs, inputs.values % LABELS)

    def collate(indices):
        if pause:
            time.sleep(pause)
        if next(batches) == stop_at:
            for number in signals:
                signal.raise_signal(number)
                time.sleep(1.1 if len(signals) > 1 else 0)  # one that comes sooner is the same, passed on by a launcher
        return batch_of(indices)

    def evaluate(network):
        if scores is not None:
            return {"accuracy": next(evaluations)}
        batch = batch_of(range(len(data)))
        with torch.inference_mode():
            right = network.eval()(batch.inputs).values.argmax(1) == batch.labels
        return {"accuracy": float(right.float().mean())}

    def save(network, folder):
        save_file(network.state_dict(), folder / "model.safetensors")

    result = train(
        network,
        lengths=[len(sequence) for sequence in data],
        collate=collate,
        loss=sum_loss,
        evaluate=evaluate if evaluated else None,
        select=select,
        config=config,
        output=Path(output),
        save=save,
        resume=resume,
    )
    return result, network


if __name__ == "__main__":
    for options in json.loads(sys.argv[1]):
        stop_at = options.pop("stop_last_process_at", None)
        if stop_at is not None and not is_main_process():
            options["stop_at"] = stop_at
        result, _ = run(**options)
        if is_main_process():
            print(result.stopped, result.steps, flush=True)
