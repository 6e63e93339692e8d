"""Two models on one page: whose answer is whose, and what can be subtracted."""

import pages
import pytest

from regard import Classifier, Labeler
from regard.tasks.pages import page_of
from regard.viewer.page.axes import text_axis
from regard.viewer.page.build import Page, Stack

SMALL = {"dim": 16, "depth": 2, "heads": 2, "dropout": 0.0}
ONCE = {"epochs": 1, "average": 0, "baselines": "none", "quiet": True}
WORDS = ["we", "saw", "a", "saw"]
TAGS = ["PRON", "VERB", "DET", "NOUN"]


def two(axes, one, other):
    """A page of two stacks, each ``(axis, layers)``."""
    stacks = [Stack(f"s{n}", "encoder", axis, axis, layers, n) for n, (axis, layers) in enumerate((one, other))]
    return Page("two", axes, stacks, models=("before", "after"))


def test_each_answer_has_the_name_of_its_model(opened):
    texts = [("a good day", "+"), ("a bad night", "-")] * 4
    models = [Classifier(front_end="characters", seed=seed, **SMALL).fit(texts, **ONCE) for seed in (0, 1)]
    page = page_of(models[0], "a good day", other=models[1], names=["runs/one", "runs/<b>two</b>"])
    told = opened(page, width=400).locator(".answer").all_inner_texts()
    labels = [answer["label"] for answer in page.meta["answers"]]
    assert [text.split()[:3] for text in told] == [
        ["runs/one", "predicted", labels[0]],
        ["runs/<b>two</b>", "predicted", labels[1]],
    ]
    (alone,) = opened(page_of(models[0], "a good day")).locator(".answer").all_inner_texts()
    assert alone.split()[:2] == ["predicted", labels[0]]


def test_labels_are_those_of_the_part_that_is_shown(opened):
    models = [Labeler(**SMALL).fit([(WORDS, tags)] * 4, **ONCE) for tags in (TAGS, [*"QZQZ"])]
    page = page_of(models[0], WORDS, other=models[1])
    tab = opened(page, "#view=input&stack=encoder-2&at=1")
    assert page.meta["axes"]["input"]["labels"][0] != page.meta["axes"]["input-2"]["labels"][0]
    for stack, axis in (("encoder-2", "input-2"), ("encoder", "input")):
        tab.evaluate(f"location.hash = '#view=input&stack={stack}&at=1'")
        tab.wait_for_timeout(60)
        labels = page.meta["axes"][axis]["labels"]
        assert tab.locator(".answers b").inner_text() == labels[0]
        assert tab.locator(".word .label").all_inner_texts() == labels
    tab.evaluate("location.hash = '#view=map&stack=encoder&show=difference'")
    tab.wait_for_timeout(60)
    assert not tab.locator(".reason").is_visible()  # the positions are the same, whatever is predicted for them
    assert tab.locator(".scale").inner_text().startswith("-")


@pytest.mark.parametrize("view", ["overview", "map"])
def test_what_stands_at_other_positions_is_not_subtracted(opened, view):
    axes = {"one": text_axis(WORDS), "two": text_axis(WORDS[::-1])}
    tab = opened(two(axes, ("one", pages.layers(4)), ("two", pages.layers(4))), f"#view={view}&show=difference")
    expected = "There is no difference to show: after has no “encoder” over the same positions."
    assert tab.locator(".reason").inner_text() == expected
    tab.select_option(".controls .choice:last-child select", "weights")
    assert not tab.locator(".reason").is_visible()


def test_a_head_that_the_other_lacks_has_no_difference(opened):
    layers = pages.layers(4, depth=2, heads=3), pages.layers(4, depth=1, heads=2)
    tab = opened(two({"a": text_axis(WORDS)}, *(("a", one) for one in layers)), "#view=map&show=difference")
    assert not tab.locator(".reason").is_visible()
    for place in ("layer=1&head=3", "layer=2&head=1"):
        tab.evaluate(f"location.hash = '#view=map&show=difference&{place}'")
        tab.wait_for_timeout(60)
        layer, head = (part.partition("=")[2] for part in place.split("&"))
        expected = f"There is no difference to show: after has no weights of layer {layer}, head {head} here."
        assert tab.locator(".reason").inner_text() == expected
    tab.click("#tab-overview")
    tab.wait_for_timeout(60)
    told = {one.get_attribute("data-place"): one.inner_text().split()[-1] for one in tab.locator(".tile").all()}
    assert [place for place, text in told.items() if text == "–"] == ["0/0/2", "0/1/0", "0/1/1", "0/1/2"]
    assert tab.locator(".tile canvas").count() == 2
    tab.click("#tab-input")
    assert not tab.locator(".controls .choice:last-child").is_visible()  # which shows weights alone
