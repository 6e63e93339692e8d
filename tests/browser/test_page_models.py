"""Pages of models that were trained here: telltales, many examples, two models, another input."""

import csv
import io
import json
import threading
from contextlib import closing, contextmanager

import numpy as np
import pytest
import uvicorn

from regard import Classifier, DataError, Labeler, Recording, Seq2Seq
from regard.tasks.pages import aggregate_page, page_of
from regard.viewer.page.server import Pages, _listening, application

SMALL = {"dim": 16, "depth": 2, "heads": 2, "dropout": 0.0}
ONCE = {"epochs": 1, "average": 0, "baselines": "none", "quiet": True}
WORDS = ["we", "saw", "a", "saw"]
TAGS = ["PRON", "VERB", "DET", "NOUN"]


@pytest.fixture(scope="module")
def labeler():
    return Labeler(**SMALL).fit([(WORDS, TAGS)] * 4, **ONCE)


@pytest.fixture(scope="module")
def classifier():
    rng = np.random.default_rng(0)
    return Classifier(front_end="vectors", **SMALL).fit(
        [(rng.normal(size=(30, 3)).astype(np.float32), "ab"[n % 2]) for n in range(6)], **ONCE
    )


def rows(content):
    return list(csv.reader(io.StringIO(content.decode())))


def test_telltales_of_each_answer(opened, saved, labeler):
    page = page_of(labeler, WORDS)
    tales = page.meta["telltales"]
    tab = opened(page, "#view=telltale&layer=2&head=1&at=3")
    assert tab.locator(".telltale .chips").count() == 3
    assert tab.locator(".telltale .drop").count() == 4
    for at in (3, 1):
        tab.evaluate(f"location.hash = '#view=telltale&layer=2&head=1&at={at}'")
        tab.wait_for_function(f"document.querySelector('.telltale select').value === '{at - 1}'")
        tab.wait_for_timeout(50)
        chips = tab.locator(".telltale .chips").nth(2).locator(".chip")
        titles = [chips.nth(n).get_attribute("title") for n in range(4)]
        told = [float(title.rpartition(": ")[2]) for title in titles]
        np.testing.assert_allclose(told, tales["gradient"][at - 1], atol=1e-3)
        numbers = [float(text.replace("−", "-")) for text in tab.locator(".telltale .drop").all_inner_texts()]
        np.testing.assert_allclose(numbers, tales["drops"][at - 1], atol=6e-3)
    tab.select_option(".telltale select", "2")
    assert "at=3" in tab.evaluate("location.hash")
    tab.click(".telltale .drop >> nth=3")
    assert "layer=2&head=2" in tab.evaluate("location.hash")
    table = rows(saved(tab, "CSV"))
    assert table[0] == ["answer", f"a → {tales['names'][2]}"]
    np.testing.assert_allclose([float(row[3]) for row in table[2:6]], tales["rollout"][2], atol=1e-6)
    assert saved(tab, "SVG").count(b"<rect") > 12
    assert saved(tab, "PNG")[1:4] == b"PNG"


def test_telltales_over_what_has_no_words(opened, saved, classifier):
    page = page_of(classifier, np.ones((30, 3), np.float32))
    tab = opened(page, "#view=telltale", dark=True)
    assert tab.locator(".telltale canvas").count() == 3
    tab.hover(".telltale canvas >> nth=1", position={"x": 300, "y": 20})
    tip = tab.locator(".telltale .tip:visible").inner_text()
    place, number = tip.removeprefix("position ").split(": ")
    assert float(number) == pytest.approx(page.meta["telltales"]["rollout"][0][int(place) - 1], abs=1e-3)
    tab.click(".telltale canvas >> nth=1", position={"x": 300, "y": 20})
    assert f"at={place}" in tab.evaluate("location.hash")
    assert saved(tab, "SVG").count(b"<rect") > 60


def test_telltales_over_an_image(opened, saved):
    page = page_of_kind("patches")
    tab = opened(page, "#view=telltale")
    assert tab.locator(".telltale canvas").count() == 3
    shown = tab.locator(".telltale canvas >> nth=2")
    box = shown.bounding_box()
    assert box["width"] == pytest.approx(1.5 * box["height"], abs=1)  # 2 × 3 patches
    shown.hover(position={"x": box["width"] * 5 / 6, "y": box["height"] / 4})
    place, number = tab.locator(".telltale .tip:visible").inner_text().split(": ")
    assert place == "row 1, column 3"
    assert float(number.replace("−", "-")) == pytest.approx(page.meta["telltales"]["gradient"][0][2], abs=1e-3)
    shown.click(position={"x": box["width"] / 6, "y": box["height"] * 3 / 4})
    assert "at=4" in tab.evaluate("location.hash")
    assert saved(tab, "SVG").count(b"<image") == 3


def page_of_kind(kind):
    """A small model of recordings, images or pairs, and the page of one of them."""
    rng = np.random.default_rng(0)
    if kind == "pairs":
        model = Seq2Seq(front_end="characters", target_units="symbols", **SMALL)
        return page_of(model.fit([("ab", "A B"), ("ba", "B A")] * 4, **ONCE), "abb")
    items, options = {
        "audio": (Recording.from_samples(rng.normal(size=4000) * 0.1, 8000), {}),
        "patches": (rng.integers(0, 255, (8, 12), np.uint8), {"patch_size": 4}),
    }[kind]
    model = Classifier(front_end=kind, **SMALL, **options).fit([(items, "a"), (items, "b")] * 2, **ONCE)
    return page_of(model, items)


@pytest.mark.parametrize("kind", ["audio", "patches", "pairs"])
def test_every_view_of_a_model(opened, saved, kind):
    page = page_of_kind(kind)
    tab = opened(page, dark=kind == "pairs")
    names = [name.removeprefix("tab-") for name in tab.eval_on_selector_all("[role=tab]", "all => all.map(x => x.id)")]
    assert names == ["overview", "map", *(["lines"] if kind == "pairs" else []), "input", "telltale"]
    for name in names:
        tab.click(f"#tab-{name}")
        tab.wait_for_timeout(80)
        assert len(rows(saved(tab, "CSV"))) > 2
        assert b"<svg" in saved(tab, "SVG")
    assert tab.locator(".telltale .drop").count() == len(page.meta["telltales"]["heads"])
    tab.keyboard.press("ArrowRight")
    tab.keyboard.press("2")
    assert "head=2&at=2" in tab.evaluate("location.hash")
    if kind == "pairs":
        told = tab.locator(".telltale select").input_value()
        tab.evaluate("location.hash = '#view=telltale&stack=cross&at=1'")
        tab.wait_for_function("document.querySelector('.telltale select').value === '0'")
        assert told in ("0", "1")


def test_why_nothing_is_told(opened, labeler, monkeypatch):
    monkeypatch.setattr("regard.tasks.seen.MOST_POSITIONS", 3)
    tab = opened(page_of(labeler, WORDS), "#view=telltale")
    assert tab.locator(".reason").inner_text().startswith("Nothing is told here: of at most 3 positions")


def test_many_examples(opened, saved, labeler):
    page = aggregate_page(labeler, [(WORDS, TAGS), (WORDS[:3], TAGS[:3])])
    tab = opened(page)
    assert tab.locator("[role=tab]").all_inner_texts() == ["Examples"]
    assert tab.locator(".tile").count() == 4
    tab.click(".tile >> nth=3")
    assert "layer=2&head=2" in tab.evaluate("location.hash")
    tab.keyboard.press("1")
    tab.keyboard.press("[")
    assert "layer=1&head=1" in tab.evaluate("location.hash")
    found = page.meta["aggregate"]["layers"][0]["found"][0]
    shown = tab.locator("table.matrix td[title]").all()
    names = page.meta["aggregate"]["labels"]
    assert len(shown) == len(names) ** 2
    told = [cell.get_attribute("title").rpartition(": ")[2] for cell in shown]
    expected = np.array(found["labels"]).flatten()
    np.testing.assert_allclose([float(text[:-2]) / 100 for text in told], expected, atol=6e-3)
    table = rows(saved(tab, "CSV"))
    relative = {int(row[4]): float(row[5]) for row in table if row[:3] == ["1", "1", "relative position"]}
    assert relative[0] == pytest.approx(found["relative"][32])
    assert saved(tab, "SVG").count(b"<path") == 8


def test_many_images(opened):
    rng = np.random.default_rng(0)
    images = [(rng.integers(0, 255, (8, 12), np.uint8), "ab"[n % 2]) for n in range(4)]
    model = Classifier(front_end="patches", patch_size=4, **SMALL).fit(images, **ONCE)
    page = aggregate_page(model, images)
    relative = page.meta["aggregate"]["layers"][0]["found"][0]["relative"]
    assert np.shape(relative) == (3, 5)
    tab = opened(page)
    assert tab.locator(".curve.tiles rect").count() == 15 + 1
    assert tab.locator(".curve.tiles title").first.text_content().startswith("-1 down, -2 across: ")
    assert "a" in tab.locator("table.plain").nth(1).inner_text()


@pytest.mark.parametrize("width", [360, 700])
def test_no_width_is_too_narrow_for_them(opened, labeler, width):
    for page, view in ((page_of(labeler, WORDS), "telltale"), (aggregate_page(labeler, [(WORDS, TAGS)]), "examples")):
        tab = opened(page, f"#view={view}", width=width)
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.fixture
def site(labeler):
    """The address of a server that asks the network."""

    def ask(text):
        if len(text.split()) > 5:
            raise DataError("a sequence of at most 5 words", "more: <b>" + text)
        return page_of(labeler, text.split())

    with serving(Pages(page_of(labeler, WORDS), ask)) as address:
        yield address


@contextmanager
def serving(pages):
    with closing(pages), _listening("127.0.0.1", 0) as listener:
        server = uvicorn.Server(uvicorn.Config(application(pages), log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        finally:
            server.should_exit = True
            thread.join()


def test_another_input_is_typed(chromium, site):
    context = chromium.new_context()
    tab, said = context.new_page(), []
    tab.on("pageerror", lambda error: said.append(str(error)))
    tab.on("request", lambda asked: asked.url.startswith(site) or said.append(asked.url))
    tab.goto(site)
    tab.wait_for_selector(".tile canvas")
    tab.fill(".ask input", "we saw a saw we saw a saw")
    tab.click(".ask button")
    tab.wait_for_selector(".told.wrong")
    told = tab.locator(".told").inner_text()
    assert told == "expected a sequence of at most 5 words, found more: <b>we saw a saw we saw a saw"
    tab.fill(".ask input", "a <script>alert(1)</script>")
    tab.keyboard.press("Enter")
    tab.wait_for_url("**/2/*")
    tab.wait_for_selector(".tile canvas")
    assert tab.locator("h1").inner_text() == "a <script>alert(1)</script>"
    tab.keyboard.press("v")
    assert json.loads(tab.locator("#meta").inner_text())["axes"]["input"]["count"] == 2
    context.close()
    assert said == []


def test_one_of_many_is_opened(chromium, labeler):
    examples = [(WORDS, TAGS), (WORDS[:3], TAGS[:3])]
    pages = Pages(aggregate_page(labeler, examples), lambda n: page_of(labeler, examples[int(n) - 1][0]), asks="number")
    with serving(pages) as site:
        context = chromium.new_context()
        tab = context.new_page()
        tab.goto(site)
        tab.click("button.link >> text=2")
        tab.wait_for_url("**/2/*")
        tab.wait_for_selector(".tile canvas")
        assert tab.locator("h1").inner_text() == "we saw a"
        context.close()


def test_a_saved_page_takes_no_input(opened, labeler):
    assert opened(page_of(labeler, WORDS)).locator(".ask").count() == 0
