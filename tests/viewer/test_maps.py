"""Pictures of sequences: what is written in them, in which fonts, and how they show themselves."""

import base64
import html
import json
import re
from itertools import pairwise
from pathlib import Path
from urllib.parse import unquote, urlparse

import pytest
import torch

import regard
from regard import ConfigError, RegardError
from regard.viewer import fonts
from regard.viewer.distances import Distances
from regard.viewer.images import ImageMaps
from regard.viewer.maps import Maps, PairMaps
from regard.viewer.recording import Recorded, Recording

WORDS = ["a", "fine", "film"]


def maps_of(words, *, heads=2, pooling=0):
    layers = Recording.of([torch.rand(heads, len(words), len(words)).softmax(-1)])
    pool = Recording.of([torch.rand(pooling, 1, len(words)).softmax(-1)], "pooling") if pooling else ()
    return Maps(Recording([*layers, *pool]), words)


def texts_of(svg):
    return [text.strip() for text in re.findall(r"<text[^>]*>(.*?)</text>", svg.read_text(encoding="utf-8"), re.S)]


def ticks(axis):
    return [label.get_text() for label in axis.get_ticklabels()]


def test_the_text_of_an_svg_can_be_searched(tmp_path):
    texts = texts_of(maps_of(["a", "fine", "<b>", "ağaç", "你好", "नमस्ते", "مرحبا"]).save(tmp_path / "x.svg"))
    assert {"fine", "ağaç", "你好", "नमस्ते", "مرحبا", "layer 1, head 2"} <= set(texts)
    assert "&lt;b&gt;" in texts


def test_hostile_words_are_shown_and_the_file_stays_whole(tmp_path):
    from xml.etree import ElementTree

    words = ["<script>x</script>", "a\x00\x07", "\n", " ", "$x^2$", "\u202eabc", "e\u0301" * 30, "w" * 10_000, ""]
    maps = maps_of(words)
    tree = ElementTree.parse(maps.save(tmp_path / "x.svg"))
    texts = ["".join(text.itertext()) for text in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert {"<script>x</sc…", "a⟨00⟩⟨07⟩", "⟨0a⟩", "␣", "$x^2$"} <= set(texts)
    page = maps.save(tmp_path / "x.html").read_text(encoding="utf-8")
    assert "<script>x" not in page
    assert json.loads(re.search(r'id="meta">(.*?)</script>', page)[1])["axes"]["input"]["names"] == words


@pytest.mark.parametrize("count", [5, 61, 100, 160])
def test_every_word_is_written(count):
    words = [f"word{number}" for number in range(count)]
    figure = maps_of(words).figure()
    left, right = figure.axes[:2]
    assert ticks(left.xaxis) == ticks(left.yaxis) == ticks(right.xaxis) == words
    figure.draw_without_rendering()
    boxes = [label.get_window_extent() for label in left.yaxis.get_ticklabels()]
    assert all(below.y1 <= above.y0 + 1 for above, below in pairwise(boxes))


def test_where_there_is_no_room_for_all_every_second_is_written():
    words = [f"word{number}" for number in range(300)]
    assert ticks(maps_of(words).figure().axes[0].xaxis) == words[::2]


def test_names_of_a_row_of_maps_do_not_reach_the_titles_of_the_next():
    words = ["a", "w" * 13, *(f"word{number}" for number in range(60))]
    layers = Recording.of([torch.rand(2, len(words), len(words))] * 2)
    figure = Maps(layers, words).figure()
    figure.draw_without_rendering()
    upper, lower = figure.axes[0], figure.axes[2]
    lowest = min(label.get_window_extent().y0 for label in upper.xaxis.get_ticklabels())
    assert lower.title.get_window_extent().y1 <= lowest


def test_the_query_of_a_pooling_is_drawn_below():
    maps = maps_of(WORDS, heads=2, pooling=3)
    titles = [axis.get_title() for axis in maps.figure().axes[:6]]
    assert titles[3:] == ["pooling, head 1", "pooling, head 2", "pooling, head 3"]
    assert (len(maps), maps.pooling.shape, maps.layers[0].shape) == (1, (3, 3), (2, 3, 3))
    assert maps_of(WORDS).pooling is None


def test_a_classifier_shows_what_made_its_label():
    torch.manual_seed(0)
    options = {"front_end": "characters", "dim": 8, "depth": 1, "heads": 2, "epochs": 1, "average": 0.0}
    model = regard.Classifier(**options, pooling="query", baselines="none", ngrams=0, quiet=True)
    model.fit([("abc", "X"), ("ba", "Y")] * 4, dev=[("ab", "X")])
    maps = model.attention("abc")
    assert [layer.name for layer in maps.recording] == ["encoder.layers.0.attention", "pool"]
    torch.testing.assert_close(maps.pooling.sum(1), torch.ones(len(maps.pooling)))
    assert maps.pooling.shape[1] == len(maps.items)


def test_layers_without_weights_are_refused_with_the_reason():
    with pytest.raises(RegardError, match="there are no weights of a: do that"):
        Maps(Recording([Recorded("a", "attention", None, "do that")]))


@pytest.fixture
def no_fonts_but_dejavu(monkeypatch):
    monkeypatch.setattr(fonts, "_installed", lambda: (fonts.USUAL,))
    fonts._warn.cache_clear()


def test_characters_that_no_font_has_are_told_once(no_fonts_but_dejavu, caplog, tmp_path):
    maps = maps_of(["你好", "a\u200d\ufe0f"])
    for _ in range(2):
        maps.save(tmp_path / "x.png")
    assert [record.message[:27] for record in caplog.records] == ["no installed font has 你 好: "]
    assert fonts.families(["Привет ağaç مرحبا\n"]) == ["DejaVu Sans"]
    assert len(caplog.records) == 1


def test_a_font_that_was_just_installed_is_chosen_for_the_characters_it_has(monkeypatch, caplog, tmp_path):
    """Made here, with one character that no other has; matplotlib's list of fonts is older than it."""
    from fontTools.fontBuilder import FontBuilder
    from fontTools.pens.ttGlyphPen import TTGlyphPen
    from matplotlib import font_manager

    private, pen = "\U00101234", TTGlyphPen(None)
    for move, place in (("moveTo", (0, 0)), ("lineTo", (0, 700)), ("lineTo", (900, 0))):
        getattr(pen, move)(place)
    pen.closePath()
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder([".notdef", "you"])
    builder.setupCharacterMap({ord(private): "you"})
    builder.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "you": pen.glyph()})
    builder.setupHorizontalMetrics({".notdef": (500, 0), "you": (1000, 0)})
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Regard Test", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    builder.save(tmp_path / "test.ttf")
    (tmp_path / "broken.ttf").write_bytes(b"no font")
    monkeypatch.setattr(font_manager.fontManager, "ttflist", [*font_manager.fontManager.ttflist])
    monkeypatch.setattr(font_manager, "X11FontDirectories", [str(tmp_path)])
    fonts._installed.cache_clear()
    try:
        assert fonts.families(["a " + private]) == ["DejaVu Sans", "Regard Test"]
        assert b"Regard Test" in maps_of([private, "a"]).save(tmp_path / "x.svg").read_bytes()
    finally:
        fonts._installed.cache_clear()
    assert not caplog.records


def shown_things():
    maps = maps_of(WORDS)
    image = ImageMaps(Recording.of([torch.rand(1, 4, 4)]), torch.zeros(4, 4, 1), grid=(2, 2), stride=2)
    return {"maps": (maps, 1), "pair": (PairMaps(maps, maps, maps), 3), "image": (image, 1)}


@pytest.mark.parametrize("name", ["maps", "pair", "image"])
def test_notebooks_show_a_page_in_a_frame_of_its_own(name):
    thing, parts = shown_things()[name]
    shown = thing._repr_html_()
    assert shown.startswith('<iframe sandbox="allow-scripts allow-downloads" ')
    content = html.unescape(re.search(r' srcdoc="([^"]*)"></iframe>$', shown)[1])
    assert content.encode() == thing.page().html()
    assert len(json.loads(re.search(r'id="meta">(.*?)</script>', content)[1])["stacks"]) == parts
    assert thing._repr_png_()[:4] == b"\x89PNG"  # where there is no browser


def test_notebooks_show_a_picture_of_what_has_no_page():
    distances = Distances(torch.ones(2, 2), 1)
    (found,) = re.findall(r'src="data:image/png;base64,([^"]*)"', distances._repr_html_())
    assert base64.b64decode(found)[:4] == distances._repr_png_()[:4] == b"\x89PNG"


def test_a_page_that_is_too_large_for_a_notebook_says_so(monkeypatch):
    monkeypatch.setattr("regard.viewer.pictures.MOST_FRAMED", 1 << 10)
    maps = maps_of(["<"] * 301, heads=1)
    assert maps._repr_html_().startswith("<p>a page of 0 MiB is too large for a notebook; write it with .save(")
    assert maps._repr_png_() is None  # nor can so many items be drawn


def test_a_recording_shows_itself():
    recording = Recording.of([torch.eye(3)[None]])
    assert "<iframe" in recording._repr_html_()
    assert recording.page(["a", "b", "c"]).meta["axes"]["positions-3"]["names"] == ["a", "b", "c"]
    assert Recording()._repr_html_() == "Recording(nothing)"
    silent = Recording([Recorded("a", "attention", None, "do that")])
    assert silent._repr_html_() == "<p>a gives no weights: do that</p>"


def test_show_opens_a_browser_where_there_is_no_notebook(monkeypatch):
    opened = []
    monkeypatch.setattr("webbrowser.open", lambda address: bool(opened.append(address)) or len(opened) == 1)
    maps = maps_of(WORDS)
    assert maps.show() is None
    page = Path(unquote(urlparse(opened[0]).path))
    assert b"<title>a fine film</title>" in page.read_bytes()
    page.unlink()
    with pytest.raises(RegardError, match=r"neither a notebook nor a browser .* write it: .save\('page.html'\)"):
        maps.show()


def test_a_kernel_of_jupyter_displays_them():
    pytest.importorskip("ipykernel")
    from jupyter_client.manager import start_new_kernel

    code = """
import torch
from regard.viewer.maps import Maps
from regard.viewer.recording import Recording
maps = Maps(Recording.of([torch.eye(2)[None]]), ["a", "b"])
maps.show()
maps
"""
    shown = []
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        reply = client.execute_interactive(code, timeout=60, output_hook=shown.append)
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert reply["content"]["status"] == "ok"
    found = {message["msg_type"]: message["content"]["data"] for message in shown if "data" in message["content"]}
    assert set(found) == {"display_data", "execute_result"}
    for data in found.values():
        assert data["text/html"].startswith("<iframe ")
        assert base64.b64decode(data["image/png"])[:4] == b"\x89PNG"
        assert "<Figure" not in data["text/plain"]


def test_a_layer_and_a_head_that_are_not_there(tmp_path):
    layers = Recording.of([torch.rand(2, 3, 3), torch.rand(4, 3, 3)])
    maps = Maps(Recording([*layers, *Recording.of([torch.rand(1, 1, 3)], "pooling")]))

    def titles(**chosen):
        return [axis.get_title() for axis in maps.figure(**chosen).axes if axis.get_title()]

    assert titles(head=2) == ["layer 2, head 3"]
    assert titles(layer=-1, head=-1) == ["layer 2, head 4"]
    assert titles(head=0) == ["layer 1, head 1", "layer 2, head 1", "pooling, head 1"]
    for chosen, message in (
        ({"layer": 9}, "layer: there are 2 layers, counted from 0; got 9"),
        ({"layer": -3}, "layer: there are 2 layers"),
        ({"head": 9}, "head: there are 4 heads, counted from 0; got 9"),
        ({"layer": 0, "head": 2}, "head: there are 2 heads"),
    ):
        with pytest.raises(ConfigError, match=message):
            maps.save(tmp_path / "a.svg", **chosen)
    assert not list(tmp_path.iterdir())
