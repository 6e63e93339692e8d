"""The page in headless Chromium: how large it is, how soon it shows something, how it moves, what memory it takes.

    python -m benchmarks page

Weights are those of encoders of ours that have learned nothing, softmax over dot products, of random vectors with
relative positions: wide and without order, which is the worst for a file. It needs Chromium and `playwright`.
"""

from __future__ import annotations

import shutil
import socket
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch

from regard.nn import build_encoder
from regard.ragged import Ragged
from regard.viewer.page.axes import audio_axis, text_axis
from regard.viewer.page.build import Page, Stack
from regard.viewer.page.server import Pages, application
from regard.viewer.recording import Recording, record

DRAG = """async steps => {
  const canvas = document.querySelector("canvas.map");
  const box = canvas.getBoundingClientRect();
  const at = (kind, x, y) => canvas.dispatchEvent(new PointerEvent(kind, {
    pointerId: 1, clientX: box.left + x, clientY: box.top + y, bubbles: true }));
  canvas.setPointerCapture = () => {};
  const frames = [];
  const next = () => new Promise(requestAnimationFrame);
  let before = await next();
  for (let step = 0; step < steps; step++) {
    if (step % 60 < 30) {
      if (step % 30 === 0) at("pointerdown", 500, 400);
      at("pointermove", 500 - 9 * (step % 30), 400 - 11 * (step % 30));
      if (step % 30 === 29) at("pointerup", 10, 10);
    } else {
      const deltaY = step % 120 < 60 ? 60 : -60;
      canvas.dispatchEvent(new WheelEvent("wheel", {
        deltaY, clientX: box.left + 500, clientY: box.top + 400, bubbles: true, cancelable: true }));
    }
    const now = await next();
    frames.push(now - before);
    before = now;
  }
  return frames;
}"""


def page_of(count: int, *, depth: int, heads: int, window: int | None) -> Page:
    """Who attends to whom in a text of so many words that stand for nothing."""
    layers = recorded(count, depth=depth, heads=heads, window=window)
    words = [f"word{i}" for i in range(count)]
    return Page("a text", {"words": text_axis(words)}, [Stack("encoder", "encoder", "words", "words", list(layers))])


def recorded(count: int, *, depth: int, heads: int, window: int | None) -> Recording:
    """What an encoder that has learned nothing does with random vectors."""
    torch.manual_seed(0)
    dim = 32 * heads
    encoder = build_encoder("attention", dim=dim, depth=depth, heads=heads, window=window).eval()
    with record(encoder) as layers, torch.inference_mode():
        encoder(Ragged(torch.randn(count, dim), torch.tensor([0, count])))
    return layers


def resident(browser: Any) -> float:
    """MiB of the process that shows the page: the largest of those of this browser that draw pages."""
    told = browser.new_browser_cdp_session().send("SystemInfo.getProcessInfo")["processInfo"]
    sizes = []
    for process in told:
        if process["type"] == "renderer":
            status = Path(f"/proc/{process['id']}/status").read_text()
            sizes.append(int(status.split("VmRSS:")[1].split()[0]) / 1024)
    return max(sizes)


def opened(browser: Any, path: Path, place: str = "") -> tuple[Any, float]:
    """A tab with the page, and the seconds until its overview is there."""
    tab = browser.new_context(viewport={"width": 1280, "height": 860}).new_page()
    start = time.perf_counter()
    tab.goto(path.as_uri() + place, wait_until="commit")
    tab.wait_for_selector("html[data-ready]" if place else ".tile canvas", timeout=60_000)
    return tab, time.perf_counter() - start


def hour_served(browser: Any) -> dict[str, float]:
    """An hour of noise, a vector every 10 ms: until its overview is seen, and what is loaded for it and for a map."""
    recording = recorded(360_000, depth=4, heads=4, window=64)
    noise = np.random.default_rng(0).normal(size=3600 * 8000).astype(np.float32)
    axis = audio_axis(noise, 8000, count=360_000, seconds=0.01)
    stack = Stack("encoder", "encoder", "sound", "sound", list(recording))
    with serving(Pages(Page("an hour", {"sound": axis}, [stack]))) as address:
        tab = browser.new_context(viewport={"width": 1280, "height": 860}).new_page()
        loaded: list[int] = []
        tab.on("response", lambda answer: loaded.append(int(answer.headers.get("content-length", 0))))
        start = time.perf_counter()
        tab.goto(address, wait_until="commit")
        tab.wait_for_selector(".tile canvas", timeout=60_000)
        seconds = time.perf_counter() - start
        for layer in range(1, 5):
            tab.evaluate(f"location.hash = '#view=map&at=180000&layer={layer}'")
            tab.wait_for_timeout(500)
        tab.context.close()
    return {
        "an hour, window ±64, 4 × 4 heads, served: until the overview is seen, s": seconds,
        "the same: loaded, with a map of each layer, MB": sum(loaded) / 1e6,
    }


@contextmanager
def serving(pages: Pages) -> Iterator[str]:
    """The address of a server of them."""
    import uvicorn

    with closing(pages), socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(uvicorn.Config(application(pages), log_level="warning", lifespan="off"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
        server.should_exit = True
        thread.join()


def run() -> dict[str, Any]:
    from playwright.sync_api import sync_playwright

    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, sync_playwright() as playwright:
        start = time.perf_counter()
        short = page_of(512, depth=12, heads=12, window=None).write(Path(folder, "short.html"))
        results["512 words, 12 × 12 heads: recorded and written, s"] = time.perf_counter() - start
        results["512 words, 12 × 12 heads: size, MB"] = short.stat().st_size / 1e6
        start = time.perf_counter()
        long = page_of(20_000, depth=4, heads=4, window=128).write(Path(folder, "long.html"))
        results["20,000 words, window ±128, 4 × 4 heads: recorded and written, s"] = time.perf_counter() - start
        results["20,000 words, window ±128, 4 × 4 heads: size, MB"] = long.stat().st_size / 1e6

        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        times = []
        for _ in range(5):
            tab, seconds = opened(browser, short)
            times.append(seconds)
            tab.context.close()
        results["512 words: until the overview is seen, s"] = statistics.median(times)
        tab, seconds = opened(browser, long)
        results["20,000 words: until the overview is seen, s"] = seconds
        tab.evaluate("location.hash = '#view=map&at=10000'")
        tab.wait_for_timeout(1500)
        frames = tab.evaluate(DRAG, 360)
        results["20,000 words: from one frame to the next while it moves, median ms"] = statistics.median(frames)
        results["20,000 words: the same, the slowest of 20, ms"] = statistics.quantiles(frames, n=20)[-1]
        for layer in range(1, 5):
            for head in range(1, 5):
                tab.evaluate(f"location.hash = '#view=map&at=10000&layer={layer}&head={head}'")
                tab.wait_for_timeout(60)
                tab.keyboard.press("f")
                tab.wait_for_timeout(250)
        for view in ("lines", "input"):
            tab.click(f"#tab-{view}")
            tab.wait_for_timeout(500)
        results["20,000 words: memory when every head was looked at, MiB"] = resident(browser)
        results |= hour_served(browser)
        browser.close()
    return results
