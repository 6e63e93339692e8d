"""The walk from the command line to a saved model: `python docs/walk.py` traces it, and prints each file on the way.

A small tagger is trained, and every file of regard in which a function runs between the command and the weights on
disk is noted, at the step in which it is at home or runs first. `--write` keeps the walk in `walk.json`.
"""

from __future__ import annotations

import contextlib
import io
import json
import pkgutil
import sys
import tempfile
from importlib import import_module
from pathlib import Path
from types import FrameType

PAGE = Path(__file__).with_name("walk.json")
SENTENCES = "".join(f"{number}\t{word}\t_\t{label}\t_\t_\t0\troot\t_\t_\n{end}" for number, word, label, end in (
    (1, "I", "PRON", ""), (2, "saw", "VERB", ""), (3, "it", "PRON", "\n"),
)) * 8  # fmt: skip
STEPS = ("command line", "file to example", "vocabulary", "batch, loss, step", "saved", "network")
BEGINS = {  # the functions with which a step begins
    ("data/reading.py", "read"): "file to example",
    ("tasks/fitting.py", "_new_network"): "vocabulary",
    ("training/loop.py", "train"): "batch, loss, step",
    ("tasks/run_folder.py", "save_run"): "saved",
}
NETWORK = ("nn/", "attention/", "ragged.py")
BELONGS = {  # where a file is at home that is asked something before
    "files.py": "saved",
    "training/checkpoint.py": "saved",
    "training/learner.py": "batch, loss, step",
    "front_ends/__init__.py": "vocabulary",
}


def trace() -> dict[str, list[str]]:
    """The files on the way, by step, each where it runs first."""
    import regard
    from regard.cli import run

    for module in pkgutil.walk_packages(regard.__path__, "regard."):  # what modules do when they load is not on the way
        if not module.name.endswith(("__main__", "_kernels")):
            import_module(module.name)
    root = str(Path(regard.__file__).parent) + "/"
    walk: dict[str, list[str]] = {step: [] for step in STEPS}
    step, seen = STEPS[0], set[str]()

    def listen(frame: FrameType, event: str, argument: object) -> None:
        nonlocal step
        path, name = frame.f_code.co_filename, frame.f_code.co_name
        if event != "call" or step == "" or not path.startswith(root) or name in ("<module>", "__getattr__"):
            return
        file = path.removeprefix(root)
        if file == "training/loop.py" and name == "checkpoint":
            step = ""  # the weights are on disk
            return
        step = BEGINS.get((file, name), step)
        if file not in seen:
            seen.add(file)
            walk["network" if file.startswith(NETWORK) else BELONGS.get(file, step)].append(file)

    with tempfile.TemporaryDirectory() as folder, contextlib.redirect_stdout(io.StringIO()):
        train = Path(folder, "train.conllu")
        train.write_text(SENTENCES)
        sizes = ["--dim", "16", "--depth", "1", "--heads", "2", "--epochs", "1", "--baselines", "none"]
        sys.setprofile(listen)
        try:
            run(["train", "label", "--train", str(train), "--output", f"{folder}/run", *sizes])
        finally:
            sys.setprofile(None)
    return walk


def main(arguments: list[str]) -> None:
    walk = trace()
    if "--write" in arguments:
        PAGE.write_text(json.dumps(walk, indent=1) + "\n")
    for step, files in walk.items():
        print(f"{step} ({len(files)}): {', '.join(files)}")
    print(sum(map(len, walk.values())), "files")


if __name__ == "__main__":
    main(sys.argv[1:])
