"""What stands under the pointer is of what is shown now, never of what was shown before."""

import numpy as np
import pages
import pytest

from regard import Classifier
from regard.tasks.pages import page_of
from regard.viewer.page.axes import vectors_axis
from regard.viewer.page.build import Page, Stack


def weight_of(page, layer, head, query, key):
    return float(page.stacks[0].layers[layer].weights.row(query)[head, key])


def shown(text):
    return float(text.replace("−", "-"))


def test_words_tell_the_weights_of_what_is_chosen(opened):
    page = pages.text_page(window=2)
    tab = opened(page, "#view=input&at=11")
    tab.wait_for_selector(".word[title]")
    for key, chosen in (("Home", 0), ("ArrowRight", 1), ("End", 11)):
        tab.keyboard.press(key)
        tab.wait_for_timeout(60)
        told = {
            word.get_attribute("data-i"): word.get_attribute("title").rpartition(": ")[2]
            for word in tab.locator(".word[title]").all()
        }
        assert told
        assert {int(place) for place in told} <= {p for p in range(12) if abs(p - chosen) <= 2}
        for place, text in told.items():
            assert shown(text) == pytest.approx(weight_of(page, 0, 0, chosen, int(place)), abs=0.005)


def test_the_tip_over_time_tells_the_weight_of_what_is_chosen(opened):
    page = Page(
        "s",
        {"values": vectors_axis(np.zeros((120, 2), np.float32))},
        [Stack("e", "e", "values", "values", pages.layers(120, sharp=5.0))],
    )
    tab = opened(page, "#view=input&at=1")
    canvas = tab.locator(".timeline canvas")
    canvas.hover(position={"x": 300, "y": 60})
    tab.wait_for_timeout(60)
    place = int(tab.locator(".timeline .tip").inner_text().split(" · ")[0].removeprefix("position ")) - 1
    told = set()
    for chosen in (place + 40, place + 3):
        tab.evaluate(f"location.hash = '#view=input&at={chosen + 1}'")
        tab.wait_for_timeout(60)
        name, weight = tab.locator(".timeline .tip").inner_text().split(" · ")
        assert name == f"position {place + 1}"
        expected = weight_of(page, 0, 0, chosen, place)
        assert shown(weight.removeprefix("weight ")) == pytest.approx(expected, abs=0.002)
        told.add(weight)
    assert len(told) == 2


def test_the_tip_of_a_telltale_tells_what_is_chosen(opened):
    rng = np.random.default_rng(0)
    data = [(rng.normal(size=(30, 3)).astype(np.float32), "ab"[n % 2]) for n in range(4)]
    model = Classifier(front_end="vectors", dim=16, depth=2, heads=2)
    page = page_of(model.fit(data, epochs=1, average=0, baselines="none", quiet=True), data[0][0])
    tab = opened(page, "#view=telltale&stack=encoder&at=1")
    tab.locator(".telltale canvas").first.hover(position={"x": 300, "y": 20})
    tip = tab.locator(".telltale .tip").first
    place = int(tip.inner_text().split(": ")[0].removeprefix("position ")) - 1
    for key, head in (("2", 1), ("1", 0)):
        tab.keyboard.press(key)
        tab.wait_for_timeout(60)
        told = shown(tip.inner_text().split(": ")[1])
        assert told == pytest.approx(weight_of(page, 0, head, 0, place), abs=0.001)
