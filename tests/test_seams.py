"""What grows is one file and one row: a new format, a new front end, a new task, used by everything else at once."""

import textwrap

from forked import Forked


def run_python(code, *arguments):
    process = Forked("-c", textwrap.dedent(code), *arguments)
    assert process.end() == 0, process.err
    return process.out


FORMAT = """
    import sys, types
    from contextlib import contextmanager

    module = types.ModuleType("regard.data.formats.bars")  # the file

    def read(file, columns):
        from regard.data import Place, Record
        for number, line in file.lines():
            items, goal = line.rstrip("\\n").split("|")
            yield Record({columns.items.name: items, columns.goal.name: goal}, Place(file.name, number), is_row=True)

    @contextmanager
    def write(file, columns):
        yield lambda example, answer: file.write(f"{example.found}|{answer[columns.key]}\\n")

    module.read, module.write = read, write
    sys.modules[module.__name__] = module

    from regard.data import formats

    row = formats.Format("bars", (".bars",), "bars:read", "bars:write", ("labels", "label", "target"), by_lines=True)
    formats.FORMATS = (row, *formats.FORMATS)
"""


def test_a_format_serves_every_task(tmp_path):
    (tmp_path / "words.bars").write_text("we fish|PRON VERB\nI saw|PRON VERB\n" * 8)
    (tmp_path / "texts.bars").write_text("a fine film|good\nwhat a bore|bad\n" * 8)
    done = run_python(
        FORMAT
        + """
    from regard.cli import run

    folder = sys.argv[1]
    small = ["--dim", "16", "--depth", "1", "--heads", "2", "--epochs", "2", "--average", "0"]
    for task, name in (("label", "words"), ("classify", "texts"), ("transduce", "texts"), ("pretrain", "texts")):
        train = ["train", task, "--train", f"{folder}/{name}.bars", "--output", f"{folder}/{task}", *small]
        kinds = ["--front-end", "characters"] + ["--target-units", "characters"] * (task == "transduce")
        assert run([*train, *kinds]) == 0
        assert run(["evaluate", f"{folder}/{task}", f"{folder}/{name}.bars"]) == 0
    assert run(["predict", f"{folder}/classify", f"{folder}/texts.bars", "--output", f"{folder}/out.bars"]) == 0
    assert run(["train", "classify", "--format", "bar", *train[2:]]) == 2
    """,
        tmp_path,
    )
    assert "scores on train" in done
    lines = (tmp_path / "out.bars").read_text().splitlines()
    assert [line.split("|")[0] for line in lines[:2]] == ["a fine film", "what a bore"]
    assert {line.split("|")[1] for line in lines} <= {"good", "bad"}


def test_a_front_end_serves_every_task(tmp_path):
    done = run_python(
        """
    import sys, types

    module = types.ModuleType("bytes_front_end")  # the file
    sys.modules[module.__name__] = module
    from regard import front_ends

    front_ends.FRONT_ENDS["bytes"] = front_ends.Row("bytes", ("text", "words"), "bytes_front_end", target=True)

    import regard
    from regard.front_ends.symbols import Symbols, restore

    def learn(texts, options):
        return Symbols([chr(code) for code in range(32, 127)], unit="character", dim=options.dim)

    module.learn, module.restore = learn, restore
    small = {"front_end": "bytes", "dim": 16, "depth": 1, "heads": 2}
    quick = {"epochs": 1, "average": 0}
    for task, example in (
        (regard.Labeler, (["we", "fish"], ["PRON", "VERB"])),
        (regard.Classifier, ("a fine film", "good")),
        (regard.Seq2Seq, ("ab", "AB")),
        (regard.MaskedModel, "a fine film"),
    ):
        more = {"target_units": "bytes"} if task is regard.Seq2Seq else {}
        other = [("what a bore", "bad")] if task is regard.Classifier else []
        model = task(**small, **more).fit([example] * 8 + other, output=f"{sys.argv[1]}/{task.__name__}", **quick)
        again = regard.load(f"{sys.argv[1]}/{task.__name__}")
        items = example if isinstance(example, str) else example[0]
        assert again.predict([items]) == model.predict([items])
        print(task.__name__)
    from regard.cli import run
    run(["train", "label", "--help"])
    """,
        tmp_path,
    )
    assert done.splitlines()[:4] == ["Labeler", "Classifier", "Seq2Seq", "MaskedModel"]
    assert "bytes" in done


def test_a_task_gets_its_command_and_is_opened_again(tmp_path):
    (tmp_path / "texts.csv").write_text("text,label\na fine film,good\nwhat a bore,bad\n" * 1 + "so fine,good\n" * 7)
    done = run_python(
        """
    import sys, types

    import regard.tasks as tasks
    from regard.tasks.classify.options import ClassifyConfig

    class SortConfig(ClassifyConfig):
        task = "sort"

    row = tasks.Task(SortConfig, "sorting:Sorter", "one label per sequence", "Learn to sort.")
    tasks.TASKS["sort"] = row
    module = types.ModuleType("sorting")  # the file
    sys.modules["sorting"] = module
    from regard.cli import run
    from regard.tasks.classify.classifier import Classifier

    class Sorter(Classifier):
        def __init__(self):
            super().__init__()
            self.config = SortConfig()

        def describe(self):
            return super().describe() | {"task": "sort"}

    module.Sorter = Sorter
    folder = sys.argv[1]
    small = ["--dim", "16", "--depth", "1", "--heads", "2", "--epochs", "2", "--front-end", "characters"]
    assert run(["train", "sort", "--train", f"{folder}/texts.csv", "--output", f"{folder}/run", *small]) == 0
    assert run(["evaluate", f"{folder}/run", f"{folder}/texts.csv"]) == 0
    assert run(["predict", f"{folder}/run", f"{folder}/texts.csv"]) == 0
    assert run(["info", f"{folder}/run"]) == 0
    assert run(["train", "--help"]) == 0
    """,
        tmp_path,
    )
    assert "Learn to sort." in done
    assert (tmp_path / "run" / "README.md").read_text().startswith("# run: one label per sequence")


def test_a_kind_of_attention_that_is_recorded():
    done = run_python("""
    import torch, regard
    from regard.viewer import recorders
    from regard.viewer.maps import Maps
    from regard.viewer.heard import Heard, whole_weights

    class Gaussian(torch.nn.Module):
        def forward(self, x):
            return torch.cdist(x, x).neg().exp() @ x

    def row(place, x, y, **options):
        return Heard(whole_weights(torch.cdist(x, y).neg().exp()[None]))

    recorders.FUNCTIONS[torch.cdist] = row
    with regard.record(torch.nn.Sequential(Gaussian())) as recording:
        Gaussian()(x := torch.randn(1, 3, 2))
    assert not recording  # it is no part of what is recorded
    network = torch.nn.Sequential(Gaussian())
    with regard.record(network) as recording:
        network(x)
    print(recording, recording[0].name, Maps(recording))
    """)
    assert done == "Recording(1 attention) 0 Maps(1 layer of 1 head, 3 × 3 items)\n"
