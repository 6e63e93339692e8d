"""Segments of recordings: the goal's own rules, and every format that holds them, on real files."""

import io
import json
from types import SimpleNamespace

import datasets
import numpy as np
import pandas
import pytest
import soundfile
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from regard import DataError, Recording, data
from regard.data import writable_formats
from regard.data.records import Place
from regard.data.segments import Segment, cut, has_outside, segments

TWO = Recording.from_samples(np.zeros(16000, np.int16), 8000)  # seconds
PLACE = Place("a.rttm", 1, item_lines=[3, 4, 5])


@pytest.fixture
def save(tmp_path):
    """Writes a recording of some seconds, or a text."""

    def save(name, content):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        if isinstance(content, str):
            path.write_text(content, encoding="utf-8")
        else:
            soundfile.write(path, np.random.default_rng(1).normal(0, 0.1, round(content * 8000)), 8000)
        return path

    return save


def read(source, goal="segments", **options):
    return data.read(source, goal=goal, items="recordings", **options)


def told(examples):
    """Name of the file, and goal, of each."""
    return [(example.items.path.rpartition("/")[2], example.goal) for example in examples]


@pytest.mark.parametrize(
    ("value", "wanted"),
    [
        ([[0, 0.5, "a"], [1, 1.5, "b"]], [(0, 0.5, "a"), (1, 1.5, "b")]),
        ([[1, 1.5], [0, 0.5]], [(0, 0.5, "speech"), (1, 1.5, "speech")]),
        ([{"end": 1, "start": 0.5, "label": "a"}, {"start": 1.5, "end": 2}], [(0.5, 1, "a"), (1.5, 2, "speech")]),
        ('[[0, 1, "a"]]', [(0, 1, "a")]),
        ([], []),
        ("[]", []),
        ([[0, 1, "a"], [1, 2, "a"]], [(0, 2, "a")]),
        ([[0, 1.5, "a"], [0.5, 1, "a"]], [(0, 1.5, "a")]),
        ([[0, 0.1 + 0.2, "a"], [0.3, 1, "b"]], [(0, 0.1 + 0.2, "a"), (0.1 + 0.2, 1, "b")]),
        ([[0, 2.05, "a"]], [(0, 2, "a")]),
        ([[0.0005, 1.9995, "a"]], [(0, 2, "a")]),
        ([[0, np.float32(1), "a"]], [(0, 1, "a")]),
        (np.array([[0.0, 1.0]]), [(0, 1, "speech")]),
        (([0, 1, "a"],), [(0, 1, "a")]),
    ],
)
def test_what_a_record_may_say(value, wanted):
    assert segments(value, TWO, PLACE) == wanted


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([[0, 1, "a"], [0.5, 2, "b"]], r"rttm:4: .*at a time .* as 'a\+b'\), found 0.5 to 2 s of 'b', which"),
        ([[0, 2.2, "a"]], r"rttm:3: .* that ends within the recording's 2.00 s, found \[0, 2.2, 'a'\]"),
        ([[0, 1, "a"], [2.5, 2.6, "a"]], r"a.rttm:4: expected a start before its end, within the recording's 2.00 s"),
        ([[1, 1, "a"]], "a start before its end"),
        ([[1, 0.5, "a"]], "a start before its end"),
        ([[-1, 1, "a"]], "a start before its end"),
        ([[float("nan"), 1, "a"]], "a segment whose start and end are seconds"),
        ([[10**400, 1, "a"]], "a segment whose start and end are seconds"),
        ([["0", 1, "a"]], "a segment whose start and end are seconds"),
        ([[True, 1, "a"]], "a segment whose start and end are seconds"),
        ([[0, 1, " "]], "a label that is a string and not blank"),
        ([[0, 1, 3]], "a label that is a string and not blank"),
        ([[0, 1, "O"]], "a label other than O"),
        ([[0]], r"a segment \[start, end, label\], found \[0\]"),
        ([3], "a segment"),
        ("speech", r"rttm:1: expected a list of segments .* in seconds, or JSON of one, found 'speech'"),
        ("[" * 3000, "JSON of one"),
        ("3", r"found 3 \(int\)"),
        ({"start": 0}, r"found .* \(dict\)"),
    ],
)  # fmt: skip
def test_what_it_may_not(value, message):
    with pytest.raises(DataError, match=message):
        segments(value, TWO, PLACE)


TIMES = st.lists(st.floats(0, 2), min_size=2, max_size=8, unique=True).map(sorted)


@settings(deadline=None)
@given(times=TIMES, bound=st.floats(0, 2))
def test_two_parts_hold_what_the_whole_holds(times, bound):
    whole = [Segment(*pair, "a") for pair in zip(times[::2], times[1::2], strict=False)]
    first, second = cut(whole, 0, bound), cut(whole, bound, 2)
    assert all(0 <= part.start < part.end <= bound for part in first)
    assert all(0 <= part.start < part.end <= 2 - bound for part in second)
    length = sum(part.end - part.start for part in (*first, *second))
    assert length == pytest.approx(sum(part.end - part.start for part in whole), abs=1e-9)
    assert has_outside(whole, 2) or length == pytest.approx(2, abs=1e-8)


def test_what_is_outside():
    assert has_outside([], 1)
    assert not has_outside([Segment(0, 1, "a"), Segment(1, 2, "b")], 2)
    assert has_outside([Segment(0, 1, "a"), Segment(1.5, 2, "b")], 2)
    assert has_outside([Segment(0.5, 2, "a")], 2)


WANTED = [Segment(0.1, 0.5, "anna"), Segment(0.5, 1.25, "ben")]
NIST = """;; of two recordings
SPKR-INFO a 1 <NA> <NA> <NA> unknown anna <NA> <NA>
SPEAKER a 1 0.100 0.400 <NA> <NA> anna <NA> <NA>

SPEAKER b 1 0.2 0.8 <NA> <NA> carla <NA> <NA>
SPEAKER a 1 0.500 0.750 <NA> <NA> ben <NA>
"""
STM = """;; CATEGORY "0" "" ""
a A anna 0.1 0.5 <o,f0,female> good morning
a A ben 0.5 1.25 Hallo
a A inter_segment_gap 1.25 2 <o,,> ignore_time_segment_in_scoring
b A carla 0.2 1.0 ça va <b>
"""
CTM = """a A 0.5 0.75 ben 0.9
a A 0.1 0.4 anna
b A 0.2 0.8 carla
"""
MANIFEST = [
    {"audio": "a.wav", "segments": [[0.1, 0.5, "anna"], [0.5, 1.25, "ben"]]},
    {"audio": "b.flac", "segments": [{"start": 0.2, "end": 1.0, "label": "carla"}]},
]
LISTS = {
    "x.rttm": NIST,
    "x.stm": STM,
    "x.ctm": CTM,
    "x.jsonl": "".join(json.dumps(row) + "\n" for row in MANIFEST),
    "x.csv": 'audio,segments\na.wav,"[[0.1, 0.5, ""anna""], [0.5, 1.25, ""ben""]]"\nb.flac,"[[0.2,1.0,""carla""]]"\n',
    "x.tsv": 'a.wav\t[[0.1, 0.5, "anna"], [0.5, 1.25, "ben"]]\nb.flac\t[[0.2, 1.0, "carla"]]\n',
}


@pytest.mark.parametrize("name", LISTS)
def test_lists_of_recordings(save, name):
    path = save(f"in/{name}", LISTS[name])
    save("in/a.wav", 1.5)
    save("in/b.flac", 1.0)
    pairs = told(read(path))
    assert [name for name, _ in pairs] == ["a.wav", "b.flac"]
    for (start, end, label), wanted in zip(
        pairs[0][1] + pairs[1][1], [*WANTED, Segment(0.2, 1.0, "carla")], strict=True
    ):
        assert (start, end, label) == (pytest.approx(wanted.start), pytest.approx(wanted.end), wanted.label)
    assert told(read(path, labelled=False)) == [("a.wav", None), ("b.flac", None)]


def test_a_folder_of_label_tracks(save, tmp_path):
    save("in/a.wav", 1.5)
    save("in/b.flac", 1.0)
    save("in/a.txt", "0,100000\t0,500000\tanna\n\\\t100.0\t3000.0\n0.5\t1.25\tben\n")
    save("in/notes.aup3", "")
    with pytest.raises(DataError, match=r"b.flac: expected a label track 'b.txt' beside the recording, .* found none"):
        read(tmp_path / "in")
    assert told(read(tmp_path / "in", labelled=False)) == [("a.wav", None), ("b.flac", None)]
    save("in/b.txt", "0.2\t1.0\t\n0\t0.1")
    assert told(read(tmp_path / "in")) == [
        ("a.wav", WANTED),
        ("b.flac", [Segment(0.0, 0.1, "speech"), Segment(0.2, 1.0, "speech")]),
    ]
    assert told(read(tmp_path / "in" / "a.txt")) == [("a.wav", WANTED)]
    assert told(read(save("in/list", "a.wav\nb.flac\n"), labelled=False, format="text")) == [
        ("a.wav", None),
        ("b.flac", None),
    ]
    save("in/a.txt", "0.1\t0.5\tanna\n0.4\t0.6\tben\n")
    with pytest.raises(DataError, match=r"a.txt:2: expected one label at a time"):
        read(tmp_path / "in")
    save("in/a.txt", "anna\n")
    with pytest.raises(DataError, match=r"a.txt:1: expected a line start<TAB>end<TAB>label, found 'anna'"):
        read(tmp_path / "in")
    save("in/a.txt", "")
    save("in/c.txt", "")
    with pytest.raises(DataError, match=r"c.txt: expected a sound file, found nothing at '.*c.wav'"):
        read(tmp_path / "in")


@pytest.mark.parametrize(
    ("name", "line", "message"),
    [
        ("x.rttm", "SPEAKER a 1 0.1 ten <NA> <NA> anna <NA> <NA>", "start and duration in seconds, found 'ten'"),
        ("x.rttm", "SPEAKER a 1 0.1", "a line of RTTM: SPEAKER file 1 start duration .*, found 'SPEAKER a 1 0.1'"),
        ("x.rttm", "DET NOUN", "a line of RTTM"),
        ("x.rttm", "SPEAKER a 1 1.4 0.3 <NA> <NA> anna", "a segment that ends within the recording's 1.50 s"),
        ("x.rttm", "SPEAKER a 1 0.3 0.3 <NA> <NA> ben", "one label at a time"),
        ("x.stm", "a A anna 0.1", "a line of STM: file channel .*, found 4 fields: 'a A anna 0.1'"),
        ("x.ctm", "a A 0.1 0.4", "a line of CTM"),
        ("x.jsonl", '{"audio": "a.wav", "segments": [[0, 9]]}', "a segment that ends .* at item 1"),
        ("x.jsonl", '{"audio": "a.wav"}', "segments under the key 'segments', found the keys audio"),
    ],
)  # fmt: skip
def test_a_wrong_line_is_named(save, name, line, message):
    save("in/a.wav", 1.5)
    save("in/b.flac", 1.0)
    path = save(f"in/{name}", LISTS[name] + line + "\n")
    number = LISTS[name].count("\n") + 1
    with pytest.raises(DataError, match=rf"{name}:{number}: expected .*{message}"):
        read(path)


@pytest.mark.parametrize("name", LISTS)
def test_all_missing_files_are_told_at_once(save, name):
    with pytest.raises(
        DataError, match=r"sound files, of which 2 are missing, found nothing at '.*a.wav' \(line \d\); no"
    ):
        read(save(name, LISTS[name]))


def test_a_recording_of_nothing(save):
    save("in/a.wav", 0.0)
    with pytest.raises(DataError, match=r"x.jsonl:1: expected a recording of at least one sample, found an empty one"):
        read(save("in/x.jsonl", '{"audio": "a.wav", "segments": []}'))


@pytest.mark.parametrize(("name", "found"), [("folder", "a folder"), ("text.wav", "one that cannot be read")])
def test_a_file_that_is_no_recording_is_told_with_the_line_that_names_it(tmp_path, name, found):
    (tmp_path / "folder").mkdir()
    (tmp_path / "text.wav").write_text("no sound")
    (tmp_path / "x.tsv").write_text(f"audio\tlabel\n{name}\tanna\n")
    with pytest.raises(DataError, match=rf"x.tsv:2: expected a sound file .*, found {found}.*, in '.*{name}'"):
        read(tmp_path / "x.tsv", "label")


def test_bytes_that_are_no_recording_are_told_with_their_row(tmp_path):
    rows = {"audio": [{"bytes": b"no sound", "path": None}], "label": ["anna"]}
    datasets.Dataset.from_dict(rows).to_parquet(tmp_path / "x.parquet")
    with pytest.raises(
        DataError, match=r"x.parquet: expected a sound file .*, in 'a recording in memory' in sequence 1"
    ):
        read(tmp_path / "x.parquet", "label")
    with pytest.raises(DataError, match=r"^example 2: expected a sound file .*, in 'a recording in memory'$"):
        read([{"audio": (np.zeros(4000), 8000), "label": "ben"}, {"audio": rows["audio"][0], "label": "anna"}], "label")


@pytest.mark.parametrize(
    ("name", "goal", "wanted"),
    [
        ("x.stm", "target", [("a.wav", "good morning"), ("a.wav", "Hallo"), ("b.flac", "ça va <b>")]),
        ("x.stm", "label", [("a.wav", "anna"), ("a.wav", "ben"), ("b.flac", "carla")]),
        ("x.ctm", "target", [("a.wav", "anna ben"), ("b.flac", "carla")]),
    ],
)
def test_other_goals_of_nists_texts(save, name, goal, wanted):
    save("in/a.wav", 1.5)
    save("in/b.flac", 1.0)
    examples = read(save(f"in/{name}", LISTS[name]), goal)
    assert told(examples) == wanted
    if name == "x.stm":  # parts
        assert [round(example.items.seconds, 3) for example in examples] == [0.4, 0.75, 0.8]
    with pytest.raises(DataError, match=r"expected a text, .* found a recording; front_end=audio takes it"):
        data.read(save(f"in/{name}", LISTS[name]), goal=goal, items="text")


@pytest.mark.parametrize("format", sorted(writable_formats("segments")))
def test_what_is_written_is_read_again(save, tmp_path, format):
    paths = [save("in/a.wav", 1.5), save("in/b.flac", 1.0)]
    examples = read(list(map(str, paths)), labelled=False)
    answers = [{"segments": [list(part) for part in WANTED], "scores": [0.9, 0.8]}, {"segments": [], "scores": []}]
    row = writable_formats("segments")[format]
    out = (
        tmp_path / "in"
        if row.medium == "folder"
        else io.BytesIO()
        if row.medium == "bytes"
        else io.StringIO(newline="")
    )
    data.write(examples, answers, out, format=format, goal="segments", items="recordings")
    written = tmp_path / "in"
    if row.medium != "folder":
        written = tmp_path / "in" / f"x{row.endings[0]}"
        content = out.getvalue()
        written.write_bytes(content if isinstance(content, bytes) else content.encode())
    pairs = told(read(written))
    assert pairs[0] == ("a.wav", WANTED)
    assert pairs[1:] == ([] if format == "rttm" else [("b.flac", [])])  # where a recording without segments is no line


@pytest.mark.parametrize("format", ["rttm", "audacity"])
def test_names_that_a_format_cannot_hold(save, tmp_path, format):
    paths = [save("one/a.wav", 1.0), save("two/a.wav", 1.0), save("one/b c.wav", 1.0)]
    out = io.StringIO() if format == "rttm" else tmp_path
    for some in ([paths[0], paths[1]], [TWO]):
        examples = read([item if isinstance(item, Recording) else str(item) for item in some], labelled=False)
        with pytest.raises(DataError, match="format=jsonl takes it"):
            data.write(
                examples, [{"segments": []}] * len(some), out, format=format, goal="segments", items="recordings"
            )
    examples = read([str(paths[2])], labelled=False)
    for label in ("a b", "a\tb"):
        if format == "audacity" and label == "a b":
            continue
        with pytest.raises(DataError, match=f"in what {format} holds"):
            data.write(
                examples, [{"segments": [[0, 1, label]]}], out, format=format, goal="segments", items="recordings"
            )


@pytest.mark.parametrize("format", ["csv", "tsv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    ("goal", "answer"), [("segments", [[0.25, 0.5, "anna"]]), ("label", "anna"), ("target", "a b")]
)
def test_parts_are_written_with_their_times(save, tmp_path, format, goal, answer):
    save("in/a.wav", 1.5)
    path = save("in/x.csv", "audio,start,duration\na.wav,0.5,1.0\na.wav,,\n")
    examples = read(path, goal, labelled=False)
    row = writable_formats(goal)[format]
    out = tmp_path / f"in/y{row.endings[0]}"
    with out.open("wb") if row.medium == "bytes" else out.open("w", newline="") as file:
        data.write(examples, [{goal: answer}] * 2, file, format=format, goal=goal, items="recordings")
    again = read(out, goal)
    assert [(example.items.first, example.items.seconds) for example in again] == [(4000, 1.0), (0, 1.5)]
    assert all(example.goal == again[0].goal for example in again)


@pytest.mark.parametrize("format", ["csv", "tsv"])
def test_a_table_has_the_columns_of_its_first_row(save, format):
    save("in/a.wav", 1.5)
    examples = read(save("in/x.jsonl", '{"audio": "a.wav"}\n{"audio": "a.wav", "end": 1}\n'), labelled=False)
    names = {"format": format, "goal": "segments", "items": "recordings"}
    with pytest.raises(DataError, match=rf"x.jsonl:2: expected no 'end' .* columns of {format}, found 1; format=jsonl"):
        data.write(examples, [{"segments": []}] * 2, io.StringIO(), **names)


@pytest.mark.parametrize("format", ["rttm", "audacity", "jsonl"])
def test_a_part_is_told_by_its_times(save, tmp_path, format):
    save("in/a.wav", 1.5)
    path = save("in/x.jsonl", '{"audio": "a.wav", "start": 0.5, "end": 1.5}\n')
    (example,) = read(path, labelled=False)
    assert example.items.seconds == 1.0
    out = tmp_path / "in" if format == "audacity" else io.StringIO()
    answers = [{"segments": [[0.25, 0.5, "anna"]]}]
    data.write([example], answers, out, format=format, goal="segments", items="recordings")
    if format == "audacity":
        assert (tmp_path / "in" / "a.txt").read_text() == "0.750000\t1.000000\tanna\n"
    elif format == "rttm":
        assert out.getvalue() == "SPEAKER a 1 0.750 0.250 <NA> <NA> anna <NA> <NA>\n"
    else:
        told = json.loads(out.getvalue())
        assert (told["start"], told["end"], told["segments"]) == (0.5, 1.5, answers[0]["segments"])


def test_segments_of_a_part_that_touch_do_not_overlap_in_rttm(save, tmp_path):
    path = save("in/a.wav", 14)
    recording = Recording.from_file(path).part(9.2515, 14)  # whose times are no whole milliseconds of the file
    answers = [{"segments": [[3.66, 4.26, "anna"], [4.26, 4.5, "ben"]]}]
    with (tmp_path / "in/x.rttm").open("w") as file:
        data.write(read([recording], labelled=False), answers, file, format="rttm", goal="segments", items="recordings")
    ((_, ((_, end, _), (start, _, _))),) = told(read(tmp_path / "in/x.rttm"))
    assert end == start == pytest.approx(9.2515 + 4.26, abs=1e-3)


def test_an_empty_part_is_refused(save):
    save("in/a.wav", 1)
    path = save("in/x.jsonl", '{"audio": "a.wav", "start": 0.5, "end": 0.50001, "segments": []}\n')
    for labelled in (True, False):
        with pytest.raises(DataError, match=r"x.jsonl:1: expected a recording of at least one sample, found an empty"):
            read(path, labelled=labelled)
    with pytest.raises(DataError, match="at least one sample"):
        read([TWO.part(1, 1)], labelled=False)


def test_a_sound_file_may_have_its_ending_in_capitals(save):
    save("in/a.WAV", 1.5)
    assert told(read(save("in/x.rttm", "SPEAKER a 1 0.1 0.2 <NA> <NA> anna <NA> <NA>")))[0][0] == "a.WAV"


@pytest.mark.parametrize("kind", ["dataset", "frame", "parquet", "dicts", "pairs"])
def test_python_values(save, tmp_path, kind):
    path = str(save("a.wav", 1.5))
    rows = {"audio": [path] * 2, "start": [0.0, 0.5], "end": [1.0, 1.5]}
    parts = [[{"start": 0.25, "end": 0.5, "label": "anna"}], []]
    rows["segments"] = parts
    source = {
        "dataset": lambda: datasets.Dataset.from_dict(rows).cast_column("audio", datasets.Audio()),
        "frame": lambda: pandas.DataFrame(rows),
        "parquet": lambda: written(datasets.Dataset.from_dict(rows), tmp_path / "x.parquet"),
        "dicts": lambda: pandas.DataFrame(rows).to_dict("records"),
        "pairs": lambda: [(Recording.from_file(path).part(0, 1), parts[0]), ((np.zeros(8000), 8000), [])],
    }
    examples = read(source[kind]())
    assert [example.goal for example in examples] == [[Segment(0.25, 0.5, "anna")], []]
    assert [example.items.seconds for example in examples] == [1.0, 1.0]
    if kind == "dataset":
        assert [example.items.seconds for example in read(source[kind](), labelled=False)] == [1.0, 1.0]


def written(dataset, path):
    dataset.to_parquet(path)
    return path


@pytest.mark.parametrize("goal", ["segments", "label", "target"])
def test_samples_beside_their_rate_are_no_pair(save, goal):
    both = (np.zeros(4000), 8000)
    for source in (both, (both, 5), (save("a.wav", 0.5), 5), (str(save("a.wav", 0.5)), None)):
        (example,) = read([source], goal, labelled=False)
        assert example.items.seconds == 0.5


def test_a_dataset_that_holds_the_bytes_of_its_files(save):
    content = save("a.wav", 1.5).read_bytes()
    rows = {"audio": [{"bytes": content, "path": None}], "label": ["anna"]}
    dataset = datasets.Dataset.from_dict(rows).cast_column("audio", datasets.Audio())
    (example,) = read(dataset, "label")
    assert (example.goal, example.items.seconds) == ("anna", 1.5)
    stream = dataset.to_iterable_dataset()
    assert [example.items.seconds for example in read(stream, "label")] == [1.5]


def test_a_folder_without_recordings(tmp_path):
    (tmp_path / "notes.doc").write_text("nothing heard")
    for labelled in (True, False):
        with pytest.raises(DataError, match=r"expected recordings \(.wav, .flac, .*\), found none"):
            read(tmp_path, labelled=labelled, format="audacity")


def test_names_of_recordings_may_have_their_endings(save):
    save("in/a.wav", 1.5)
    assert told(read(save("in/x.rttm", "SPEAKER a.wav 1 0.5 0.5 <NA> <NA> anna <NA> <NA>\n"))) == [
        ("a.wav", [Segment(0.5, 1.0, "anna")])
    ]


@pytest.mark.parametrize("format", ["rttm", "audacity"])
def test_texts_are_no_recordings(tmp_path, format):
    out = io.StringIO() if format == "rttm" else tmp_path
    with pytest.raises(DataError, match=f"expected recordings, which {format} is about, found something else"):
        data.write([data.Example("a text")], [{"segments": []}], out, format=format, goal="segments", items="text")


def test_segments_are_parts_of_a_recording():
    with pytest.raises(DataError, match="a recording, of which segments are parts, found a list; front_end=audio"):
        segments([], ["a", "word"], PLACE)
    assert segments([np.array([0.5, 1.0])], TWO, PLACE) == [Segment(0.5, 1.0, "speech")]


def test_samples_as_torchcodec_decodes_them():
    decoded = SimpleNamespace(data=torch.zeros(1, 4000), sample_rate=8000)
    (example,) = read([SimpleNamespace(get_all_samples=lambda: decoded)], "label", labelled=False)
    assert (example.items.seconds, example.items.rate) == (0.5, 8000)


def test_a_dict_that_names_no_recording():
    message = "a recording with the key path, bytes, or array and sampling_rate, found the keys bytes, path"
    with pytest.raises(DataError, match=message):
        read([{"audio": {"bytes": None, "path": None}, "label": "anna"}], "label")
