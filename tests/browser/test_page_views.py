"""Each view of the page in a real browser, for every kind of input."""

import csv
import io
import re

import numpy as np
import pages
import pytest
import torch

KINDS = {
    "text": pages.tagged_page,
    "pooled": pages.classified_page,
    "pairs": pages.pair_page,
    "audio": pages.audio_page,
    "image": pages.image_page,
    "vectors": pages.vectors_page,
    "many channels": lambda: pages.vectors_page(channels=20),
    "hostile": pages.hostile_page,
    "two models": pages.two_models_page,
    "reasons": pages.reasons_page,
}


def views(tab):
    return tab.eval_on_selector_all("[role=tab]", "tabs => tabs.map(tab => tab.id.slice(4))")


def settle(tab):
    """Two pictures later, and blocks are there."""
    tab.evaluate(
        "() => new Promise(done => setTimeout(() => requestAnimationFrame(() => requestAnimationFrame(done)), 40))"
    )


def pixels(tab, selector):
    """How many colours a canvas shows."""
    return tab.evaluate(
        """selector => {
          const canvas = document.querySelector(selector);
          const copy = Object.assign(document.createElement("canvas"), { width: canvas.width, height: canvas.height });
          const pen = copy.getContext("2d", { willReadFrequently: true });
          pen.drawImage(canvas, 0, 0);
          const data = pen.getImageData(0, 0, canvas.width, canvas.height).data;
          return new Set(new Uint32Array(data.buffer)).size;
        }""",
        selector,
    )


def table(tab):
    """The largest weights beside the view: {position: weight}."""
    rows = tab.eval_on_selector_all(
        "aside tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.innerText))"
    )
    return [(name.replace("\xa0", " ").strip(), float(weight)) for name, weight in rows]


@pytest.mark.parametrize("kind", KINDS)
def test_every_view_shows_something(opened, kind):
    page = KINDS[kind]()
    tab = opened(page, dark=kind in ("pairs", "audio", "image"))
    text = all(page.axes[name].kind == "text" for stack in page.stacks for name in (stack.query, stack.key))
    assert views(tab) == ["overview", "map", *(["lines"] if text else []), "input"]
    for view in views(tab):
        tab.click(f"#tab-{view}")
        settle(tab)
        assert tab.get_attribute(f"#tab-{view}", "aria-selected") == "true"
        assert tab.evaluate("location.hash").startswith(f"#view={view}")
        if view == "overview":
            heads = sum(packed.heads for packed in page.packed.values())
            assert tab.locator(".tile canvas").count() == heads
        if view == "map":
            assert pixels(tab, "canvas.map") > 20
        if view == "lines":
            assert tab.locator("svg.lines path").count() > 2
        if view == "input" and page.axes[page.stacks[0].key].kind == "text":
            assert tab.locator(".word").count() >= page.axes[page.stacks[0].key].count
        elif view == "input":
            assert pixels(tab, ".input canvas") > 20


@pytest.mark.parametrize("kind", ["pairs", "audio", "image", "hostile"])
def test_no_width_is_too_narrow(opened, kind):
    tab = opened(KINDS[kind]())
    for view in views(tab):
        tab.click(f"#tab-{view}")
        for width in (360, 700, 1600):
            tab.set_viewport_size({"width": width, "height": 700})
            settle(tab)
            assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth"), (view, width)


@pytest.mark.parametrize(
    ("kind", "stack"),
    [("text", "encoder"), ("pooled", "pooling"), ("pairs", "cross"), ("pairs", "decoder"), ("audio", "encoder")],
)
def test_numbers_are_those_of_the_weights(opened, saved, kind, stack):
    page = KINDS[kind]()
    tab = opened(page, f"#view=map&stack={stack}&layer=1&head=2")
    settle(tab)
    found = list(csv.DictReader(io.StringIO(saved(tab, "CSV").decode())))
    weights = next(one for one in page.stacks if one.id == stack).layers[0].weights
    dense = weights.dense()[0, 1]
    seen = np.zeros(dense.shape)
    for row in found:
        seen[int(row["query"]) - 1, int(row["key"]) - 1] = float(row["weight"])
    assert np.abs(seen - dense.numpy()).max() <= 0.004 * float(dense.max())
    assert len(found) >= int((dense > 0).sum())


def test_the_table_beside_a_view_tells_the_largest(opened):
    page = pages.tagged_page()
    tab = opened(page, "#layer=2&head=3&at=4")
    settle(tab)
    row = page.stacks[0].layers[1].weights.row(3)[2]
    weights, places = row.topk(10)
    names = [f"{pages.WORDS[place]} {place + 1}" for place in places.tolist()]
    assert [name for name, _ in table(tab)][:3] == names[:3]  # of lesser ones two may be alike as bytes
    np.testing.assert_allclose(
        [weight for _, weight in table(tab)], weights, atol=0.005 * float(page.packed["encoder", 1].largest[2])
    )
    assert "predicted VERB" in tab.inner_text("aside .answers")
    live = tab.locator("[aria-live=polite]")
    assert f"barks attends most to {pages.WORDS[int(places[0])]}" in live.inner_text()


def test_who_attends_to_a_word(opened):
    page = pages.pair_page()
    tab = opened(page, "#view=input&stack=cross&head=1&at=2")
    tab.click("section:first-of-type .word >> nth=2")  # Hund, which is attended to
    settle(tab)
    assert "side=to" in tab.evaluate("location.hash")
    assert tab.inner_text("aside h2").startswith("Hund")
    weights = page.stacks[2].layers[0].weights.dense()[0, 0, :, 2]
    assert table(tab)[0][1] == pytest.approx(float(weights.max()), abs=0.005)
    tab.keyboard.press("r")
    settle(tab)
    assert tab.inner_text("aside h2").startswith("small")  # what was chosen of the other side


def test_one_choice_for_all_views(opened):
    tab = opened(pages.tagged_page(), "#view=lines")
    settle(tab)
    tab.locator("svg.lines [data-side=query]").nth(6).click()
    settle(tab)
    assert tab.inner_text("aside h2").startswith("tall")
    tab.click("#tab-input")
    settle(tab)
    assert tab.inner_text(".word.chosen .text") == "tall"
    tab.click(".word >> nth=2")
    tab.click("#tab-map")
    settle(tab)
    assert "at=3" in tab.evaluate("location.hash")
    box = tab.locator("canvas.map").bounding_box()
    side = (box["height"] - 84) / 12  # of a cell; names take the rest
    tab.mouse.click(box["x"] + 96 + side * 5.5, box["y"] + 84 + side * 9.5)
    settle(tab)
    hash_ = tab.evaluate("location.hash")
    assert "at=10" in hash_
    assert "cell=6" in hash_
    assert tab.inner_text("aside h2").startswith("who")


def test_pointing_at_a_word_shows_its_lines(opened):
    page = pages.tagged_page()
    tab = opened(page, "#view=lines&at=1")
    settle(tab)
    before = tab.locator("svg.lines path[stroke-linecap]").count()
    tab.locator("svg.lines [data-side=query]").nth(8).hover()
    settle(tab)
    assert tab.inner_text("aside h2").startswith(",")
    titles = tab.eval_on_selector_all("svg.lines path title", "all => all.map(one => Number(one.textContent))")
    assert max(titles) == pytest.approx(float(page.stacks[0].layers[0].weights.row(8)[0].max()), abs=0.005)
    assert "at=1" in tab.evaluate("location.hash")  # nothing is chosen by pointing
    tab.mouse.move(5, 5)
    settle(tab)
    assert tab.inner_text("aside h2").startswith("The")
    assert tab.locator("svg.lines path[stroke-linecap]").count() == before


def test_a_map_tells_cells_and_zooms(opened):
    page = pages.text_page([f"w{i}" for i in range(300)])
    tab = opened(page, "#view=map")
    settle(tab)
    box = tab.locator("canvas.map").bounding_box()
    x, y = round(box["x"] + 96 + 100), round(box["y"] + 84 + 100)
    tab.mouse.move(x, y)
    tab.wait_for_selector(".tip:not([hidden])")
    names, weight = tab.inner_text(".tip").split("\n")
    query, key = (int(name.removeprefix("w")) for name in names.split(" → "))
    dense = page.stacks[0].layers[0].weights.dense()[0, 0]
    assert float(weight.removeprefix("weight ")) == pytest.approx(float(dense[query, key]), abs=0.004)
    few = pixels(tab, "canvas.map")
    for _ in range(12):
        tab.mouse.wheel(0, -400)
    settle(tab)
    tab.mouse.move(x + 1, y)
    settle(tab)
    assert tab.inner_text(".tip").split("\n")[0] == names  # the cell under the pointer stays
    assert pixels(tab, "canvas.map") != few
    tab.keyboard.press("f")
    settle(tab)
    assert pixels(tab, "canvas.map") == few


def fingers(tab):
    """`touch(kind, *places)`: fingers on the glass, as the browser's own protocol tells them."""
    session = tab.context.new_cdp_session(tab)

    def touch(kind, *places):
        points = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": f"touch{kind}", "touchPoints": points})

    return touch


def test_a_map_follows_fingers(opened):
    """One drags, a short touch chooses, two that part show cells larger around the one that stays."""
    tab = opened(pages.text_page([f"w{i}" for i in range(300)]), "#view=map", touch=True)
    settle(tab)
    touch, few = fingers(tab), pixels(tab, "canvas.map")
    box = tab.locator("canvas.map").bounding_box()
    x, y = round(box["x"] + 196), round(box["y"] + 184)
    touch("Start", (x, y))
    touch("End")
    settle(tab)
    chosen = int(re.search(r"at=(\d+)", tab.evaluate("location.hash"))[1])
    assert chosen > 20
    touch("Start", (x, y), (x + 20, y))
    for apart in range(40, 320, 40):
        touch("Move", (x, y), (x + apart, y))
    touch("End")
    settle(tab)
    assert f"at={chosen}" in tab.evaluate("location.hash")  # pinching chooses nothing
    assert pixels(tab, "canvas.map") != few
    touch("Start", (x, y))
    touch("End")
    settle(tab)
    assert f"at={chosen}" in tab.evaluate("location.hash")  # that cell stayed under the finger
    touch("Start", (x, y))
    for down in range(0, 200, 40):
        touch("Move", (x, y - down))
    touch("End")
    touch("Start", (x, y))
    touch("End")
    settle(tab)
    assert int(re.search(r"at=(\d+)", tab.evaluate("location.hash"))[1]) > chosen  # dragged up: what was below


def test_a_long_band_is_seen_from_afar_and_at_its_end(opened):
    page = pages.long_page(6000, 40, heads=1)
    tab = opened(page, "#view=map&at=5990")
    settle(tab)
    assert tab.get_attribute("canvas.map", "data-level") == "0"
    assert pixels(tab, "canvas.map") > 50
    tab.keyboard.press("f")
    settle(tab)
    settle(tab)
    assert int(tab.get_attribute("canvas.map", "data-level")) >= 3
    assert pixels(tab, "canvas.map") > 20
    tab.click("#tab-input")
    settle(tab)
    assert tab.locator(".word.chosen").is_visible()
    tab.click("#tab-lines")
    settle(tab)
    assert tab.locator("svg.lines [data-side=query]").count() >= 10


def test_a_brushed_stretch_of_sound_is_its_mean(opened):
    page = pages.audio_page()
    tab = opened(page, "#view=input&head=2")
    settle(tab)
    box = tab.locator(".input canvas").last.bounding_box()
    at = lambda share: (box["x"] + share * box["width"], box["y"] + 100)  # noqa: E731
    tab.mouse.move(*at(0.301))
    tab.mouse.down()
    tab.mouse.move(*at(0.35))
    tab.mouse.move(*at(0.402))
    tab.mouse.up()
    tab.mouse.move(5, 5)
    settle(tab)
    assert "at=61&until=81" in tab.evaluate("location.hash")
    assert tab.inner_text("aside h2").startswith("0.60 s – 0.81 s")
    mean = page.stacks[0].layers[0].weights.dense()[0, 1, 60:81].mean(0)
    weights, places = mean.topk(3)
    assert table(tab)[0][1] == pytest.approx(float(weights[0]), abs=0.003)
    assert table(tab)[0][0].startswith(f"{int(places[0]) / 100:.2f} s")
    assert tab.evaluate("document.querySelector('audio').src.startsWith('blob:')")
    length = tab.evaluate(
        """() => new Promise(done => {
          const audio = document.querySelector("audio");
          audio.addEventListener("loadedmetadata", () => done(audio.duration));
          audio.load();
        })"""
    )
    assert length == pytest.approx(2.0)


def test_what_is_heard_is_what_is_shown(opened):
    tab = opened(pages.audio_page(), "#view=input")
    settle(tab)
    box = tab.locator(".input canvas").bounding_box()
    tab.mouse.click(box["x"] + 0.332 * box["width"], box["y"] + 100)
    tab.mouse.move(5, 5)
    assert "at=67" in tab.evaluate("location.hash")
    tab.evaluate("() => document.querySelector('audio').play()")
    tab.wait_for_timeout(250)
    shown = float(tab.inner_text("aside h2").split()[0])
    assert 0.67 < shown < 2.0  # from the chosen moment on
    tab.evaluate("() => document.querySelector('audio').pause()")
    settle(tab)
    assert tab.inner_text("aside h2").startswith("0.66 s")  # what was chosen is so still


def test_a_patch_under_the_pointer(opened):
    page = pages.image_page()
    tab = opened(page, "#view=input&layer=2")
    settle(tab)
    box = tab.locator(".input canvas").last.bounding_box()
    tab.mouse.click(box["x"] + box["width"] * 3.5 / 9, box["y"] + box["height"] * 1.5 / 7)
    settle(tab)
    assert tab.inner_text("aside h2").startswith("row 2, column 4")
    row = page.stacks[0].layers[1].weights.row(1 + 9 + 3)[0]
    assert table(tab)[0][1] == pytest.approx(float(row.max()), abs=0.004 * float(row.max()) + 0.0006)
    tab.click("text=the vector of the class")
    tab.mouse.move(5, 5)
    settle(tab)
    assert tab.inner_text("aside h2").startswith("the class")
    assert tab.inner_text("header .answer").split() == ["predicted", "a", "disc", "71", "%"]


def test_two_models_differ_by_what_they_differ(opened, saved):
    page = pages.two_models_page()
    tab = opened(page, "#view=overview&show=difference")
    settle(tab)
    assert "after − before" in tab.inner_text(".overview h3")
    one, other = (page.meta["stacks"][i]["layers"][0]["measures"]["entropy"][0] for i in (0, 1))
    assert float(tab.inner_text(".tile .under span >> nth=1").replace("+", "")) == pytest.approx(other - one, abs=0.006)
    tab.click("#tab-map")
    settle(tab)
    rows = list(csv.DictReader(io.StringIO(saved(tab, "CSV").decode())))
    dense = [stack.layers[0].weights.dense()[0, 0] for stack in page.stacks]
    for row in rows:
        place = int(row["query"]) - 1, int(row["key"]) - 1
        told = float(row["weight in the other"]) - float(row["weight"])
        assert told == pytest.approx(float((dense[1] - dense[0])[place]), abs=0.01)


def test_a_layer_without_weights_says_why(opened):
    tab = opened(pages.reasons_page(), "#layer=2&view=map")
    settle(tab)
    assert tab.inner_text(".stage > .reason") == "this kernel gives no weights"
    tab.click("#tab-overview")
    settle(tab)
    assert "this kernel gives no weights" in tab.inner_text(".overview")


def test_words_of_any_kind_are_shown_and_never_run(opened, saved):
    page = pages.hostile_page()
    tab = opened(page, "#view=input")
    for view in views(tab):
        tab.click(f"#tab-{view}")
        settle(tab)
        saved(tab, "SVG").decode()
    assert tab.evaluate("window.hurt") is None
    assert tab.title() == "</title><script>window.hurt = 3</script>"
    tab.click("#tab-input")
    shown = tab.eval_on_selector_all(".word .text", "words => words.map(word => word.textContent)")
    assert shown == [{" ": "␣", "": "∅"}.get(word, word) for word in pages.HOSTILE]
    assert tab.locator("#page img, #page script").count() == 0
    for word in range(len(pages.HOSTILE)):
        tab.evaluate("at => location.hash = `#view=lines&at=${at}`", word + 1)
        settle(tab)
    assert tab.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_no_script_of_others_would_run(chromium, tmp_path):
    """Even where a text got into the page as it is, the page forbids it, and all requests."""
    path = pages.text_page().write(tmp_path / "page.html")
    context = chromium.new_context()
    tab = context.new_page()
    refused = []
    tab.on("console", lambda message: refused.append(message.text))
    tab.goto(path.as_uri())
    tab.evaluate(
        """() => {
          const script = document.createElement("script");
          script.textContent = "window.hurt = 1";
          document.body.append(script, Object.assign(new Image(), { src: "http://127.0.0.1:9/x.png" }));
          fetch("http://127.0.0.1:9/").catch(() => {});
        }"""
    )
    tab.wait_for_timeout(50)
    assert tab.evaluate("window.hurt") is None
    assert len(refused) >= 3
    assert all("Content Security Policy" in text for text in refused)
    context.close()


def test_served_it_asks_for_what_is_looked_at(served):
    page = pages.long_page(9000, 8, heads=2)
    tab, asked = served(page)
    tab.wait_for_selector(".tile canvas")
    settle(tab)
    assert asked == ["thumbs", "weights/encoder/0/0/0/0"] or asked == ["weights/encoder/0/0/0/0", "thumbs"]
    tab.evaluate("location.hash = '#view=map&at=8999&head=2'")
    settle(tab)
    settle(tab)
    assert set(asked[2:]) == {"weights/encoder/0/1/0/2"}
    tab.keyboard.press("f")
    settle(tab)
    level = tab.get_attribute("canvas.map", "data-level")
    assert f"weights/encoder/0/1/{level}/0" in asked  # made by the server, not here
    row = page.stacks[0].layers[0].weights.row(8998)[1]
    assert table(tab)[0][1] == pytest.approx(float(row.max()), abs=0.004)


@pytest.mark.parametrize(
    ("queries", "keys", "window"), [(70, 70, None), (33, 50, None), (300, 300, (7, 2)), (9000, 9000, 5)]
)
def test_levels_made_here_are_those_of_the_server(modules, queries, keys, window):
    from regard.viewer.page.axes import Axis
    from regard.viewer.page.build import Page, Stack

    axes = {"q": Axis(kind="vectors", count=queries), "k": Axis(kind="vectors", count=keys)}
    key = "q" if queries == keys else "k"
    page = Page("", axes, [Stack("s", "s", "q", key, pages.layers(queries, keys, window=window, depth=1, heads=1))])
    packed = page.packed["s", 0]
    blocks = {name: list(page.block(name)) for name in page.names() if name.startswith("weights")}
    told = modules.evaluate(
        """async ([meta, blocks, levels]) => {
          const { createHeads } = await import("/heads.js");
          const source = { saved: true, block: async name => Uint8Array.from(blocks[name]) };
          const head = createHeads(meta, source).get(0, 0, 0);
          const found = [];
          for (let level = 1; level <= levels; level++) {
            for (let number = 0; number < head.blocks(level); number++) {
              let bytes = null;
              while (!(bytes = head.peek(level, number, () => {}))) await new Promise(done => setTimeout(done, 1));
              found.push([level, number, [...bytes]]);
            }
          }
          return found;
        }""",
        [page.meta, blocks, 4],
    )
    assert [place[:2] for place in told] == [[level, n] for level in range(1, 5) for n in packed.numbers(level)]
    for level, number, found in told:
        assert found == packed.block(0, level, number).flatten().tolist()


def test_rows_over_time_are_those_of_the_server(modules):
    from regard.viewer.page.axes import vectors_axis

    axis = vectors_axis(np.random.default_rng(0).normal(size=(9001, 2)).astype(np.float32))
    blocks = {f"values/x/0/{number}": axis.block(0, number).flatten().tolist() for number in range(3)}
    found = modules.evaluate(
        """async ([axis, blocks]) => {
          const { createRows } = await import("/rows.js");
          const source = { saved: true, block: async name => Uint8Array.from(blocks[name]) };
          const rows = createRows(source, axis, () => {});
          const seen = new Map();
          while (seen.size < 2250) {
            const put = (x, bytes, place) => seen.set(x, [...bytes.slice(place, place + 2)]);
            rows.eachPixel({ start: 0, end: 9000 }, 2250, put);
            await new Promise(done => setTimeout(done, 5));
          }
          return [...seen].sort(([a], [b]) => a - b).map(([, row]) => row);
        }""",
        [axis.meta("x"), blocks],
    )
    np.testing.assert_array_equal(found, axis.block(2, 0)[:2250])  # four rows a pixel: level 2


def test_colours_are_read_without_telling_hues_apart(modules):
    """Lightness alone tells weights: it only falls in the light, only rises in the dark, in nearly even steps."""
    for dark in (False, True):
        colours = modules.evaluate(
            """async dark => {
              const root = document.documentElement.style;
              const names = ["unseen", "paper", "ink", "muted", "line", "mark"];
              for (const name of names) root.setProperty(`--${name}`, "#000000");
              return (await import("/colours.js")).makeTheme(dark).css;
            }""",
            dark,
        )
        rgb = np.array([[int(part) for part in colour[4:-1].split(",")] for colour in colours]) / 255
        linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
        luminance = linear @ [0.2126, 0.7152, 0.0722]
        lightness = np.where(luminance > 0.008856, 116 * np.cbrt(luminance) - 16, 903.3 * luminance)
        steps = np.diff(lightness[::5])
        assert (steps > 0).all() if dark else (steps < 0).all()
        assert abs(lightness[-1] - lightness[0]) > 65
        assert np.abs(steps).max() < 3 * np.abs(steps).mean()
        assert torch.tensor(steps).isfinite().all()
