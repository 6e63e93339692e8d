"""Keys, the address, themes, help, files that are saved, and what a screen reader is told."""

import csv
import io
import xml.etree.ElementTree as ElementTree

import pages
import pytest
from test_page_views import settle, views


def at(tab):
    """What the address says is chosen."""
    return dict(part.split("=") for part in tab.evaluate("location.hash")[1:].split("&"))


@pytest.mark.parametrize("view", ["overview", "map", "lines", "input"])
def test_keys_move_in_every_view(opened, view):
    tab = opened(pages.tagged_page(), f"#view={view}")
    for keys, expected in [
        ("ArrowRight ArrowRight ArrowDown", {"at": "4"}),
        ("ArrowLeft ArrowUp", {"at": "2"}),
        ("End", {"at": "12"}),
        ("ArrowRight", {"at": "12"}),
        ("Home", {"at": "1"}),
        ("ArrowLeft", {"at": "1"}),
        ("3", {"head": "3"}),
        ("9", {"head": "3"}),
        ("]", {"layer": "2"}),
        ("]", {"layer": "2"}),
        ("[", {"layer": "1"}),
        ("r", {"side": "to"}),
    ]:
        for key in keys.split():
            tab.keyboard.press(key)
        assert {name: at(tab)[name] for name in expected} == expected, keys
    order = views(tab)
    tab.keyboard.press("v")
    assert at(tab)["view"] == order[(order.index(view) + 1) % len(order)]


def test_arrows_move_a_cell_of_a_map(opened):
    tab = opened(pages.pair_page(), "#view=map&stack=cross&at=2&cell=2")
    for key in ("ArrowRight", "ArrowDown", "ArrowDown"):
        tab.keyboard.press(key)
    assert (at(tab)["at"], at(tab)["cell"]) == ("4", "3")
    for _ in range(9):
        tab.keyboard.press("ArrowRight")
    assert at(tab)["cell"] == "5"


def test_keys_zoom(opened):
    tab = opened(pages.text_page([f"w{i}" for i in range(2000)], window=5), "#view=map&at=900")
    tab.keyboard.press("f")
    settle(tab)
    far = int(tab.get_attribute("canvas.map", "data-level"))
    for _ in range(12):
        tab.keyboard.press("+")
    settle(tab)
    assert int(tab.get_attribute("canvas.map", "data-level")) < far
    for _ in range(30):
        tab.keyboard.press("-")
    settle(tab)
    assert int(tab.get_attribute("canvas.map", "data-level")) == far


def test_the_address_opens_what_it_names(opened):
    page = pages.pair_page()
    tab = opened(page, "#layer=2&head=3&at=4&view=lines&stack=decoder")
    settle(tab)
    assert tab.get_attribute("#tab-lines", "aria-selected") == "true"
    assert tab.inner_text("aside h2").startswith("is")
    assert "target to itself, layer 2, head 3" in tab.inner_text("aside dl")
    told = at(tab)
    assert {"view", "stack", "layer", "head", "at"} <= told.keys()
    tab.keyboard.press("ArrowLeft")
    again = opened(page, tab.evaluate("location.hash"))
    assert at(again) == at(tab)
    tab.evaluate("location.hash = '#view=map&layer=1&head=1&at=2'")
    settle(tab)
    assert tab.get_attribute("#tab-map", "aria-selected") == "true"


@pytest.mark.parametrize(
    "place", ["#layer=99&head=-4&at=1e9&view=nothing", "#%", "#at=999999999999999999999", "#stack=<b>&cell=77"]
)
def test_an_address_of_nothing_is_no_harm(opened, place):
    tab = opened(pages.tagged_page(), place)
    tab.keyboard.press("ArrowRight")
    settle(tab)
    assert 1 <= int(at(tab)["at"]) <= 12
    assert 1 <= int(at(tab)["head"]) <= 3


def test_light_and_dark(opened):
    page = pages.tagged_page()
    ground = "getComputedStyle(document.documentElement).backgroundColor"
    light, dark = opened(page), opened(page, dark=True)
    assert light.evaluate(ground) == "rgb(246, 246, 243)"
    assert dark.evaluate(ground) == "rgb(13, 15, 19)"
    light.keyboard.press("d")
    assert light.evaluate(ground) == "rgb(13, 15, 19)"
    light.reload()
    light.wait_for_selector("html[data-theme=dark]")  # what was chosen stays


def test_help_is_one_click_away(opened):
    tab = opened(pages.tagged_page())
    for view in views(tab):
        tab.click(f"#tab-{view}")
        tab.click("[aria-label=help]")
        assert tab.locator("dialog[open] h2").inner_text().lower() == view
        assert len(tab.inner_text("dialog[open]")) > 500
        tab.keyboard.press("ArrowRight")  # not while one reads
        tab.keyboard.press("Escape")
        assert at(tab)["at"] == "1"
    tab.keyboard.press("?")
    assert tab.locator("dialog[open]").count() == 1


@pytest.mark.parametrize("make", [pages.tagged_page, pages.audio_page, pages.image_page, pages.two_models_page])
def test_every_view_is_saved_as_svg_png_and_csv(opened, saved, make):
    from PIL import Image

    page = make()
    tab = opened(page)
    for view in views(tab):
        tab.click(f"#tab-{view}")
        settle(tab)
        drawn = ElementTree.fromstring(saved(tab, "SVG"))
        size = float(drawn.get("width")), float(drawn.get("height"))
        words = [text.text for text in drawn.iter("{http://www.w3.org/2000/svg}text")]
        assert len(words) >= 1
        if make is pages.tagged_page and view != "overview":
            assert {"dog", "barks"} <= set(words)  # as text, which is found by searching
        picture = Image.open(io.BytesIO(saved(tab, "PNG")))
        assert picture.size == pytest.approx((2 * size[0], 2 * size[1]), abs=2)
        assert len(picture.convert("RGB").getcolors(1 << 24)) > 8
        rows = list(csv.reader(io.StringIO(saved(tab, "CSV").decode())))
        assert len(rows) > 5


def test_words_are_whole_in_csv(opened, saved):
    tab = opened(pages.hostile_page(), "#view=input")
    settle(tab)
    rows = csv.reader(io.StringIO(saved(tab, "CSV").decode(), newline=""))
    assert [row[1] for row in rows][2:] == pages.HOSTILE


def test_a_file_is_saved_under_a_name_that_tells_what_it_is(opened):
    tab = opened(pages.tagged_page(), "#view=map&layer=2&head=3")
    settle(tab)
    tab.click("summary")
    with tab.expect_download() as download:
        tab.click(".items button:has-text('SVG')")
    assert download.value.suggested_filename == "attention-map-layer2-head3.svg"


def test_what_a_screen_reader_is_told(opened):
    tab = opened(pages.pair_page(), "#view=overview")
    for view in views(tab):
        tab.click(f"#tab-{view}")
        settle(tab)
        nameless = tab.eval_on_selector_all(
            "button, select, [role=img], dialog, canvas.map, input",
            "all => all.filter(one => !(one.textContent.trim() || one.getAttribute('aria-label') || one.title)).length",
        )
        assert nameless == 0
    assert tab.locator("[role=tablist] [role=tab][aria-selected=true]").count() == 1
    assert tab.locator("aside table caption").count() == 1
    assert tab.locator("aside th[scope=col]").count() == 2
    before = tab.inner_text("[aria-live]")
    tab.keyboard.press("ArrowRight")
    settle(tab)
    assert tab.inner_text("[aria-live]") != before
    tab.click("#tab-overview")
    assert "layer 1, head 2: entropy" in tab.get_attribute(".tile >> nth=1", "aria-label")
