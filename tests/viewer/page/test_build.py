"""The page as bytes: what it says, its blocks, its file, and that no text of it is ever more than text."""

import base64
import html.parser
import json
import re
import zlib
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from regard import AttentionWeights, RegardError
from regard.viewer.page.axes import Axis, text_axis
from regard.viewer.page.build import MODULES, Page, Stack, bundle, grouped, static


@dataclass(frozen=True)
class Attended:
    """What a page needs to know of a layer."""

    name: str
    weights: AttentionWeights | None
    role: str = "attention"
    why: str = ""


def weights_of(heads=2, queries=4, keys=4, seed=0):
    values = torch.rand(1, heads, queries, keys, generator=torch.Generator().manual_seed(seed)).softmax(-1)
    return AttentionWeights.from_dense([values], heads=heads, left=None, right=None)


def page_of(words=("a", "b", ",", "d"), title="four", **options):
    layers = [Attended(f"layers.{i}.attention", weights_of(seed=i)) for i in range(3)]
    return Page(title, {"words": text_axis(words)}, [Stack("encoder", "encoder", "words", "words", layers)], **options)


class Reader(html.parser.HTMLParser):
    """What a browser would find: scripts, whole, and all other tags."""

    CDATA_CONTENT_ELEMENTS = ("script", "style", "title")

    def __init__(self, text):
        super().__init__(convert_charrefs=False)
        self.scripts, self.tags, self.open = [], [], None
        self.feed(text)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        if tag == "script":
            self.scripts.append([dict(attrs), ""])
        self.open = tag

    def handle_endtag(self, tag):
        self.open = None

    def handle_data(self, data):
        if self.open == "script":
            self.scripts[-1][1] += data


def read(page):
    found = Reader(page.html().decode())
    meta = next(json.loads(text) for given, text in found.scripts if given.get("id") == "meta")
    blocks = {
        given["data-block"]: zlib.decompress(base64.b64decode(text), -15)
        for given, text in found.scripts
        if "data-block" in given
    }
    return meta, blocks, found


def test_a_file_holds_what_its_page_says():
    page = page_of(answers=[{"kind": "label", "label": "x", "score": 0.5, "candidates": [["x", 0.5]]}])
    meta, blocks, found = read(page)
    assert meta == json.loads(json.dumps(page.meta))
    assert meta["version"] == 1
    layer = meta["stacks"][0]["layers"][2]
    assert (layer["title"], layer["heads"], layer["queries"], layer["band"]) == ("layer 3", 2, 4, None)
    assert layer["largest"] == page.stacks[0].layers[2].weights.values[0].amax((1, 2)).tolist()
    assert layer["measures"]["punctuation"] == pytest.approx(
        page.stacks[0].layers[2].weights.values[0, :, :, 2].mean(1).tolist(), abs=1e-5
    )
    assert meta["telltales"] is meta["aggregate"] is None
    assert list(blocks) == page.names()
    for name, block in blocks.items():
        assert block == page.block(name)
    assert len(blocks["thumbs"]) == 3 * 2 * 16
    assert sum(given.get("type") == "module" for given, _ in found.scripts) == 1


def test_a_file_asks_for_nothing():
    text = page_of().html().decode()
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', text)[1]
    assert policy.startswith("default-src 'none'; ")
    assert "connect-src" not in policy
    assert "unsafe" not in policy
    assert not re.search(r"""(?:src|href)=["']|url\(|@import|https?://(?!www\.w3\.org/2000/svg)""", text)
    assert "connect-src 'self'" in page_of().html(served=True).decode()


def test_a_served_page_holds_no_weights():
    page = page_of()
    found = Reader(page.html(served=True).decode())
    assert not any("data-block" in given for given, _ in found.scripts)


@pytest.mark.parametrize(
    "text", ["</script><script>hurt()</script>", "<!--", "<script", "{{SCRIPT}}", "\u2028\u2029", "&lt;", '"', "\ud800"]
)
def test_no_text_is_more_than_text(text):
    page = page_of([text] * 4, title=text, further={"telltales": {"words": [text]}}, models=[text])
    meta, _, found = read(page)
    plain = read(page_of())[2]
    assert found.tags == plain.tags
    assert len(found.scripts) == len(plain.scripts)
    assert meta["axes"]["words"]["names"] == [text] * 4
    assert meta["telltales"] == {"words": [text]}


def test_it_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "page.html"
    page = page_of()
    assert page.write(path) == path
    assert path.read_bytes() == page.html()
    monkeypatch.setattr(page, "block", lambda name: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        page.write(path)
    monkeypatch.undo()
    assert path.read_bytes() == page.html()
    assert list(tmp_path.iterdir()) == [path]
    with pytest.raises(RegardError, match="nowhere"):
        page.write(tmp_path / "nowhere" / "page.html")


@pytest.mark.parametrize(
    "name",
    [
        *("", "thumbs/0", "weights", "weights/encoder/0/0/0", "weights/encoder/9/0/0/0", "weights/encoder/0/9/0/0"),
        *("weights/encoder/0/0/0/1", "weights/encoder/0/0/-1/0", "weights/encoder/0/0/99/0", "weights/encoder/0/0/²/0"),
        *(
            "weights/encoder/0/0/0/../../x",
            "media/words",
            "values/words/0/0",
            "media/../../etc/passwd",
            "weights//0/0/0/0",
        ),
        "weights/encoder/0/0/0/99999999999999999999",
    ],
)
def test_there_are_no_other_blocks(name):
    with pytest.raises(KeyError):
        page_of().block(name)


def test_higher_levels_are_made_when_they_are_asked_for():
    page = page_of()
    cells = np.frombuffer(page.block("weights/encoder/1/0/0/0"), np.uint8).reshape(4, 4)
    assert page.block("weights/encoder/1/0/2/0") == bytes([cells.max()])


def test_layers_without_weights_say_why():
    missing = Attended("layers.0.attention", None, why="the kernel gives none")
    page = Page("", {"words": text_axis(["a"])}, [Stack("s", "s", "words", "words", [missing])])
    assert page.meta["stacks"][0]["layers"][0]["reason"] == "the kernel gives none"
    assert page.block("thumbs") == b""
    read(page)


def test_an_image_is_measured_over_rows_and_columns():
    axis = Axis(kind="image", count=4, grid=(2, 2), stride=4)
    weights = weights_of(heads=1)
    page = Page("", {"image": axis}, [Stack("s", "s", "image", "image", [Attended("attention", weights)])])
    places = torch.cartesian_prod(torch.arange(2.0), torch.arange(2.0))
    expected = (weights.values[0, 0] * torch.cdist(places, places)).sum(1).mean()
    assert page.meta["stacks"][0]["layers"][0]["measures"]["distance"] == pytest.approx([float(expected)], abs=1e-5)


def test_layers_of_a_kind_are_one_stack():
    names = ["decoder.layers.0.attention", "decoder.layers.0.cross_attention", "decoder.layers.1.attention", "pool"]
    found = grouped([Attended(name, weights_of()) for name in names])
    assert [(kind, [layer.name for layer in layers]) for kind, layers in found.items()] == [
        ("decoder.layers.attention", [names[0], names[2]]),
        ("decoder.layers.cross_attention", [names[1]]),
        ("pool", [names[3]]),
    ]


def test_modules_are_one_script():
    """None is forgotten, each stands after those it uses, and no two have a name in common."""
    script = bundle()
    assert not re.search(r"^(import|export) ", script, re.MULTILINE)
    names = re.findall(r"^(?:async )?(?:const|let|function|class) \[?(\w+)", script, re.MULTILINE)
    assert len(names) == len(set(names))
    from regard.viewer.page import build

    files = {
        path.stem for path in (build.resources.files("regard.viewer.page") / "static").iterdir() if path.suffix == ".js"
    }
    assert files == set(MODULES)
    for place, name in enumerate(MODULES):
        for taken, used in re.findall(r'import \{([^}]*)\} from "\./(\w+)\.js";', static(f"{name}.js")):
            assert used in MODULES[:place], name
            given = re.findall(r"^export (?:async )?(?:const|function) (\w+)", static(f"{used}.js"), re.MULTILINE)
            assert set(re.findall(r"\w+", taken)) <= set(given), f"{name} takes of {used} what is not there"
