"""Answers beside all that a record came with, in the format that it came in."""

import csv
import io
import json

import numpy as np
import pyarrow as arrow
import soundfile
from pyarrow import parquet

from regard.data import iter_read, open_writer

TABLE = [
    {"id": "a7", "text": "so, so", "when": "2024"},
    {"id": 'b"8', "text": "fine", "when": ""},
]
ANSWER = {"label": "good", "score": 0.75, "probabilities": {"good": 0.75, "bad": 0.25}}


def written(path, format, answer, goal="label", binary=False, items=None, **options):
    """What is written of a file when each of its sequences has that answer."""
    file = io.BytesIO() if binary else io.StringIO(newline="")
    with open_writer(file, format=format, goal=goal, items=items, **options) as put:
        for example in iter_read(path, goal=goal, labelled=False, items=items):
            put(example, answer)
    return file.getvalue()


def as_csv(rows, **options):
    file = io.StringIO(newline="")
    table = csv.DictWriter(file, list(rows[0]), lineterminator="\n", **options)
    table.writeheader()
    table.writerows(rows)
    return file.getvalue()


def test_csv(tmp_path):
    (tmp_path / "new.csv").write_text(as_csv(TABLE))
    found = list(csv.DictReader(io.StringIO(written(tmp_path / "new.csv", "csv", ANSWER))))
    assert found == [row | {"label": "good", "score": "0.7500"} for row in TABLE]
    assert list(found[0]) == ["id", "text", "when", "label", "score"]


def test_tsv(tmp_path):
    (tmp_path / "new.tsv").write_text("id\ttext\na7\tso, so\n")
    assert written(tmp_path / "new.tsv", "tsv", ANSWER) == "id\ttext\tlabel\tscore\na7\tso, so\tgood\t0.7500\n"
    (tmp_path / "bare.tsv").write_text("so, so\nfine\n")
    assert written(tmp_path / "bare.tsv", "tsv", ANSWER) == "good\tso, so\ngood\tfine\n"  # which had no header either


def test_jsonl(tmp_path):
    rows = [{"id": 7, "text": "so", "tags": ["x", 1], "by": {"name": "anna"}}, {"text": "fine", "other": None}]
    (tmp_path / "new.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    found = [json.loads(line) for line in written(tmp_path / "new.jsonl", "jsonl", ANSWER).splitlines()]
    assert found == [row | ANSWER for row in rows]


def test_parquet(tmp_path):
    rows = [{"id": 7, "text": "so", "by": None, "x": 0.5}, {"id": 8, "text": "fine", "by": None, "x": None}]
    parquet.write_table(arrow.Table.from_pylist(rows), tmp_path / "new.parquet")
    (tmp_path / "out.parquet").write_bytes(written(tmp_path / "new.parquet", "parquet", ANSWER, binary=True))
    found = parquet.read_table(tmp_path / "out.parquet").to_pylist()
    assert found == [row | {"label": "good", "score": 0.75} for row in rows]


def test_one_format_to_another(tmp_path):
    (tmp_path / "new.jsonl").write_text('{"id": 7, "text": "so", "tags": ["x", 1], "by": null}\n')
    assert written(tmp_path / "new.jsonl", "csv", ANSWER) == (
        'id,text,tags,by,label,score\n7,so,"[""x"", 1]",,good,0.7500\n'
    )


def test_a_column_of_that_name_stays_unless_it_is_to_be_filled(tmp_path):
    (tmp_path / "new.csv").write_text("label,text,score\nbad,so,9\n")
    kept = written(tmp_path / "new.csv", "csv", ANSWER)
    assert kept == "label,text,score,predicted_label,predicted_score\nbad,so,9,good,0.7500\n"
    filled = written(tmp_path / "new.csv", "csv", ANSWER, fills=True)
    assert filled == "text,score,label,predicted_score\nso,9,good,0.7500\n"
    (tmp_path / "new.jsonl").write_text('{"label": "bad", "text": "so"}\n')
    kept = json.loads(written(tmp_path / "new.jsonl", "jsonl", ANSWER))
    assert (kept["label"], kept["predicted_label"], kept["score"]) == ("bad", "good", 0.75)


def test_a_translation(tmp_path):
    (tmp_path / "new.csv").write_text("id,source\n7,ein Hund\n")
    found = written(tmp_path / "new.csv", "csv", {"target": "a dog", "score": -0.5}, goal="target")
    assert found == "id,source,target,score\n7,ein Hund,a dog,-0.5000\n"


def test_labels_of_words(tmp_path):
    answer = {"labels": ["P", "V"], "scores": [0.5, 0.75]}
    (tmp_path / "new.csv").write_text("id,words\n7,we saw\n")
    found = written(tmp_path / "new.csv", "csv", answer, goal="labels")
    assert found == "id,words,labels\n7,we saw,P V\n"
    (tmp_path / "new.jsonl").write_text('{"id": 7, "tokens": ["we", "saw"]}\n')
    found = json.loads(written(tmp_path / "new.jsonl", "jsonl", answer, goal="labels"))
    assert found == {"id": 7, "tokens": ["we", "saw"]} | answer


def test_parts_of_recordings(tmp_path):
    soundfile.write(tmp_path / "a.wav", np.zeros(800), 8000)
    (tmp_path / "new.csv").write_text("speaker,audio,start\nanna,a.wav,0.05\n")
    found = written(tmp_path / "new.csv", "csv", ANSWER, items="recordings")
    (row,) = csv.DictReader(io.StringIO(found))
    assert row == {
        "speaker": "anna",
        "audio": str(tmp_path / "a.wav"),
        "start": "0.05",
        "label": "good",
        "score": "0.7500",
    }
