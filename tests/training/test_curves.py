import json
import math

from regard.training.curves import curves_figure, draw_curves
from regard.training.progress import Journal

LINES = [
    *({"kind": "step", "step": step, "loss": 10 / step} for step in range(1, 30)),
    {"kind": "evaluation", "step": 15, "accuracy": 0.5},
    {"kind": "evaluation", "step": 30, "accuracy": 0.75},
    {"kind": "end", "step": 30},
]


def test_the_curves_are_those_of_the_journal():
    loss, score = curves_figure(LINES, "accuracy").axes
    assert loss.lines[0].get_xydata().tolist()[9] == [10, 1.0]
    assert score.lines[0].get_xydata().tolist() == [[15, 50.0], [30, 75.0]]
    assert score.texts[0].get_text() == "75.00 %"


def test_without_evaluations_there_is_one_axis(tmp_path):
    assert len(curves_figure(LINES[:9], "accuracy").axes) == 1
    (tmp_path / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in LINES))
    draw_curves(tmp_path / "metrics.jsonl", tmp_path / "loss.png", "accuracy")
    assert (tmp_path / "loss.png").read_bytes().startswith(b"\x89PNG")


def test_numbers_without_end_are_left_out_and_read_again(tmp_path):
    with Journal(tmp_path, length=0, digest="", step=0, tensorboard=False) as journal:
        journal.write("step", 1, {"loss": 2.0, "gradient": math.inf})
        journal.write("evaluation", 1, {"accuracy": math.nan})
        journal.write("step", 2, {"loss": 1.0, "gradient": 1.0})
        journal.write("evaluation", 2, {"accuracy": 0.5})
    assert json.loads((tmp_path / "metrics.jsonl").read_text().splitlines()[0])["gradient"] is None
    draw_curves(tmp_path / "metrics.jsonl", tmp_path / "loss.png", "accuracy")
    assert (tmp_path / "loss.png").stat().st_size > 1000
