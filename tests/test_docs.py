"""What the documentation shows is what the code does: its code runs, its tables and links are up to date."""

import ast
import base64
import doctest
import io
import json
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from forked import Forked
from PIL import Image as pillow

from regard.cli import run
from regard.tasks import TASKS
from regard.tasks.label.options import LabelConfig
from regard.training.config_file import read_config

ROOT = Path(__file__).parents[1]
PAGES = [ROOT / "README.md", ROOT / "CONTRIBUTING.md", *sorted((ROOT / "docs").glob("*.md"))]
FIGURES = ROOT / "docs" / "figures"


def fences(page, language):
    """The code blocks of a page."""
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("name", ["mechanism", "network", "convolution", "performance-gpu"])
def test_examples_of_the_page_give_what_it_shows(name):
    text = "".join(fences(ROOT / "docs" / f"{name}.md", "python"))
    examples = doctest.DocTestParser().get_doctest(text, {}, name, f"{name}.md", 0)
    assert len(examples.examples) > 2
    told = []
    outcome = doctest.DocTestRunner(optionflags=doctest.NORMALIZE_WHITESPACE).run(examples, out=told.append)
    assert outcome.failed == 0, "".join(told)


def test_the_readme_shows_the_first_example():
    body = (ROOT / "examples" / "label.py").read_text().split('"""\n\n', 1)[1]
    assert fences(ROOT / "README.md", "python") == [body]


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("label", "[['PRON', 'VERB', 'DET', 'NOUN', 'PUNCT']]\ntorch.Size([1, 4, 10000, 32]) "),
        ("attend", "held as a band [744, 4, 65]\n"),
    ],
    ids=["label", "attend"],
)
def test_example_runs(name, shown, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    runpy.run_path(str(ROOT / "examples" / f"{name}.py"))
    assert shown in capsys.readouterr().out
    assert [path.name for path in tmp_path.iterdir()] == (["attention.html"] if name == "label" else [])


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_python_without_prompts_at_least_parses(page):
    for code in fences(page, "python"):
        if ">>>" not in code:
            ast.parse(code)


def test_the_walk_is_that_of_this_tree():
    done = subprocess.run([sys.executable, str(ROOT / "docs" / "walk.py")], capture_output=True, text=True, check=True)
    walk = json.loads((ROOT / "docs" / "walk.json").read_text())
    shown = [f"{step} ({len(files)}): {', '.join(files)}" for step, files in walk.items()]
    assert done.stdout.splitlines()[:-1] == shown, "the walk has changed: python docs/walk.py --write"


def test_the_table_of_options_is_up_to_date(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from options import PAGE, with_tables

    page = PAGE.read_text(encoding="utf-8")
    assert with_tables(page) == page, "the options have changed: python docs/options.py"


def test_the_table_of_tiles_is_up_to_date(monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from performance_gpu import PAGE, tiles, with_table

    page = PAGE.read_text(encoding="utf-8")
    assert with_table(page, "tiles", tiles()) == page, "the sizes have changed: python docs/performance_gpu.py"


def test_the_times_of_a_gpu_become_a_table(monkeypatch):
    """As `benchmarks/gpu.py` tells them; those of a rehearsal do not."""
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    from performance_gpu import times

    told = {
        "device": "NVIDIA H200",
        "±128, 16,384, 8 × 64, forward: ours, ms": 0.05,
        "±128, 16,384, 8 × 64, forward: FlexAttention, compiled, ms": 0.067,
        "±128, 16,384, 8 × 64, forward: best of the others / ours": 1.34,
        "±128, 16,384, 8 × 64, forward + backward: ours, ms": 0.36,
        "±128, 16,384, 8 × 64, forward + backward: ours in a CUDA graph, ms": 0.176,
        "relu / softmax, ±128, forward": 0.86,
        "float32, error of ours / of PyTorch's": 1.15,
    }
    table = times(told).splitlines()
    assert table[0] == "NVIDIA H200, milliseconds:"
    assert "| ±128, 16,384, 8 × 64 | 0.05 |  | 1.34 | 0.36 | 0.176 |  |" in table
    assert table[-2:] == [
        "| relu / softmax, ±128, forward | 0.86 |",
        "| float32, error of ours / of PyTorch's | 1.15 |",
    ]
    with pytest.raises(SystemExit, match="got a rehearsal on a CPU; run make gpu-check"):
        times(told | {"device": "none: a rehearsal"})


def test_toml_examples_are_configs(tmp_path):
    (example,) = fences(ROOT / "docs" / "training.md", "toml")
    (tmp_path / "run.toml").write_text(example)
    assert read_config(tmp_path / "run.toml", LabelConfig).window == 64


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_shown_exist(page, capsys):
    """Every `regard COMMAND --flag` in a page is in the command's help."""
    for line in "".join(fences(page, "sh")).splitlines():
        shown = re.search(r"\bregard ((?:train )?[a-z]+)(.*)", line.split("#")[0])
        if shown is None or "git clone" in line:
            continue
        assert run([*shown[1].split(), "--help"]) == 0, line
        told = capsys.readouterr().out
        options = TASKS[shown[1].split()[1]].config.model_fields if "train" in shown[1] else ()
        known = {"--" + name.replace("_", "-") for name in options}
        missing = [flag for flag in re.findall(r"--[a-z-]+", shown[2]) if flag not in known and flag not in told]
        assert not missing, line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page):
    for target in re.findall(r"\]\(([^)\s]+)\)", page.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        path, _, anchor = target.partition("#")
        place = page.parent / path if path else page
        assert place.exists(), f"{page.name}: {target}"
        if anchor:
            assert anchor in anchors(place), f"{page.name}: {target}"


def anchors(page):
    """Of the headings of a page, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_figure_is_shown_small_and_drawn_by_our_script():
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    source = ast.parse((ROOT / "docs" / "figures.py").read_text(encoding="utf-8"))
    drawn = {node.name for node in source.body if isinstance(node, ast.FunctionDef)}
    drawn |= {"performance-window", "performance-full", "performance-heads"}
    drawn |= {"speech-length", "speech-windows"}  # by docs/speech.py
    drawn |= {"convolution-maps", "convolution-centers"}  # by docs/convolution.py
    drawn |= {"images-accuracy"}  # by docs/images.py
    drawn |= {"translation"}  # by `regard view`, from a model of an hour's training
    for figure in FIGURES.iterdir():
        assert f"figures/{figure.name})" in text
        assert figure.stem in drawn
        assert figure.stat().st_size < 100_000


def test_a_figure_is_drawn_again_byte_for_byte(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(ROOT / "docs"))
    import figures

    monkeypatch.setattr(figures, "FOLDER", tmp_path)
    pictures = []
    for _ in range(2):
        figures.main(["normalizers"])
        pictures.append((tmp_path / "normalizers.svg").read_bytes())
    assert pictures[0] == pictures[1]


def drawn(picture):
    """The texts of a picture, and the numbers of what is within its axes: points of shapes, pixels of images."""
    svg = picture.read_text(encoding="utf-8")
    shapes = re.findall(r"<(?:path|use)\b[^>]*clip-path=[^>]*>", svg)
    places = [part for shape in shapes for part in re.findall(r'\b(?:d|x|y)="([^"]*)"', shape)]
    numbers = [float(number) for part in places for number in re.findall(r"-?\d[\d.]*", part)]
    for png in re.findall(r'xlink:href="data:image/png;base64,([^"]*)"', svg):
        numbers += np.asarray(pillow.open(io.BytesIO(base64.b64decode(png)))).ravel().tolist()
    assert numbers
    return re.findall("<!-- (.*?) -->", svg), numbers


@pytest.mark.parametrize("name", ["performance", "speech", "convolution", "images"])
def test_the_numbers_that_are_kept_draw_the_pictures_that_are_shown(name, tmp_path):
    script, kept = ROOT / "docs" / f"{name}.py", ROOT / "docs" / f"{name}.json"
    process = Forked(script, kept, tmp_path)
    assert process.end() == 0, process.err
    for picture in tmp_path.iterdir():
        (texts, found), (shown, wanted) = drawn(picture), drawn(FIGURES / picture.name)
        assert texts == shown
        assert found == pytest.approx(wanted, abs=1)
    assert {picture.stem for picture in tmp_path.iterdir()} == {f.stem for f in FIGURES.glob(f"{name}-*")}


def test_a_link_that_leads_nowhere_is_an_error_of_make_docs(tmp_path):
    """Pages, their headings and names in docstrings: the whole site is built by .ci/run."""
    (tmp_path / "README.md").write_text("# A\n\n[page](docs/gone.md) [heading](#gone) [A](#a) $x^2$\n")
    (tmp_path / "docs" / "api").mkdir(parents=True)
    api = "B\n=\n\n:func:`regard.gone`, :func:`load`\n\n.. autofunction:: regard.load\n"
    (tmp_path / "docs" / "api" / "a.rst").write_text(api)
    options = ["--quiet", "--fail-on-warning", "--keep-going", "-c", ROOT / "docs" / "api"]
    command = [sys.executable, "-m", "sphinx", *options, tmp_path, tmp_path / "out"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    for gone in ("docs/gone.md", "'gone'", "regard.gone"):
        assert gone in done.stderr
    assert "load" not in done.stderr
    page = (tmp_path / "out" / "README.html").read_text()
    assert "<math" in page
    assert 'src="http' not in page
