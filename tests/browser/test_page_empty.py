"""Pages of which there is nothing to see say so, whatever is pressed."""

import numpy as np
import pages
import pytest

from regard.viewer.page.axes import audio_axis, text_axis, vectors_axis
from regard.viewer.page.build import Page, Stack

AXES = {
    "text": lambda: text_axis([]),
    "vectors": lambda: vectors_axis(np.zeros((0, 2), np.float32)),
    "audio": lambda: audio_axis(np.zeros(0, np.float32), 8000, count=0, seconds=0.01),
}


def empty_page(kind, *further):
    axes = {"input": AXES[kind](), "answer": text_axis(["answer"])}
    return Page("nothing", axes, [Stack("encoder", "input to itself", "input", "input", pages.layers(0)), *further])


@pytest.mark.parametrize("kind", AXES)
def test_a_sequence_of_no_positions(opened, kind):
    tab = opened(empty_page(kind, Stack("pool", "answer to input", "answer", "input", pages.layers(1, 0))))
    for name in tab.eval_on_selector_all("[role=tab]", "tabs => tabs.map(tab => tab.id)"):
        tab.click(f"#{name}")
        for key in ("ArrowRight", "End", "r", "f", "+", "2", "]"):
            tab.keyboard.press(key)
        tab.wait_for_timeout(40)
        assert tab.locator(".reason").inner_text().startswith("The sequence is empty: nothing attends")
        assert not any(part.is_visible() for part in tab.locator("#view, aside, .menu").all())


def test_a_part_that_is_not_empty_is_shown(opened):
    tab = opened(empty_page("text", Stack("decoder", "to itself", "answer", "answer", pages.layers(1))))
    assert tab.locator(".tile").count() == 12
    assert not tab.locator("aside").is_visible()
    tab.select_option(".controls select >> nth=0", "1")
    tab.click("#tab-map")
    assert tab.locator("aside").is_visible()
    assert not tab.locator(".reason").is_visible()
    assert tab.locator(".menu").is_visible()
