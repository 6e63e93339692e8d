"""The system's Chromium, and pages opened in it from a file."""

import base64
import shutil
from contextlib import contextmanager

import pytest

collect_ignore = ["conftest.py"]  # for doctests, as there is another one of that name
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


@pytest.fixture(scope="module")  # as long as it runs, nothing else in this thread may run an event loop
def chromium():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with sync_api.sync_playwright() as playwright:
        try:
            browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        except sync_api.Error:
            pytest.skip("no Chromium; `make browser` fetches one")
        yield browser
        browser.close()


@pytest.fixture
def opened(chromium, tmp_path):
    """`opened(page, hash)`: a tab with the page. What the tab says or asks for is looked at when the test ends."""
    contexts, said = [], []

    def show(page, place="", *, width=1200, height=800, dark=False, touch=False):
        path = tmp_path / f"page{len(contexts)}.html"
        page.write(path)
        context = chromium.new_context(
            viewport={"width": width, "height": height}, color_scheme="dark" if dark else "light", has_touch=touch
        )
        contexts.append(context)
        tab = context.new_page()
        tab.set_default_timeout(5000)
        tab.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        tab.on("pageerror", lambda error: said.append(f"error: {error}"))
        own = (path.as_uri(), "blob:", "data:")
        tab.on("request", lambda asked: asked.url.startswith(own) or said.append(f"request: {asked.url}"))
        tab.goto(path.as_uri() + place)
        tab.wait_for_selector("html[data-ready]")
        return tab

    yield show
    for context in contexts:
        context.close()
    assert said == []


@pytest.fixture
def saved():
    """`saved(tab, kind)`: what the page saves as "SVG", "PNG" or "CSV", without the half second of a download."""

    def save(tab, kind):
        tab.evaluate(
            """kind => {
              const make = window.make ??= URL.createObjectURL;
              let made = null;
              URL.createObjectURL = blob => { made = blob; return make(blob); };
              window.given = new Promise(done => {
                const reader = new FileReader();
                reader.onload = () => done(reader.result);
                HTMLAnchorElement.prototype.click = () => reader.readAsDataURL(made);
              });
              [...document.querySelectorAll(".items button")].find(one => one.textContent.startsWith(kind)).click();
            }""",
            kind,
        )
        return base64.b64decode(tab.evaluate("() => window.given").partition(",")[2])

    return save


@pytest.fixture
def modules(chromium):
    """A tab in which the modules of the page can be imported one by one: ``import("/heads.js")``."""
    with _site(chromium, {}) as tab:
        yield tab


@pytest.fixture
def served(chromium):
    """`served(page)`: a tab with the page as a server gives it, and the names of the blocks that it asked for."""
    sites = []

    def serve(page):
        asked = []

        def block(name):
            asked.append(name)
            return page.block(name)

        site = _site(chromium, {"": page.html(served=True)}, block)
        sites.append(site)
        return site.__enter__(), asked

    yield serve
    for site in sites:
        site.__exit__(None, None, None)


@contextmanager
def _site(chromium, pages, block=None):
    """Answers `http://page.test/` without any network."""
    from regard.viewer.page.build import static

    def answer(route):
        name = route.request.url.removeprefix("http://page.test/").partition("#")[0]
        if name in pages or not name:
            route.fulfill(body=pages.get(name, b"<!doctype html>"), content_type="text/html; charset=utf-8")
        elif name.startswith("blocks/"):
            route.fulfill(body=block(name.removeprefix("blocks/")), content_type="application/octet-stream")
        elif name.endswith(".js"):
            route.fulfill(body=static(name), content_type="text/javascript; charset=utf-8")
        else:
            route.abort()

    context = chromium.new_context()
    tab = context.new_page()
    tab.set_default_timeout(5000)
    tab.route("**/*", answer)
    tab.goto("http://page.test/")
    try:
        yield tab
    finally:
        context.close()
