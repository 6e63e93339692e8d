"""The server of pages, as a browser and as a foreign site ask it: a real one, on a port of the machine itself."""

import asyncio
import http.client
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
import torch
import uvicorn

from regard import ConfigError, DataError
from regard.attention import attention_weights
from regard.viewer.page.axes import audio_axis, text_axis
from regard.viewer.page.build import Page, Stack
from regard.viewer.page.server import KEPT, MOST_TEXT, Guard, Pages, _listening, application, serve
from regard.viewer.recording import Recorded

RATE = 8000


def page(text="we saw it"):
    names = text.split()
    q, k = torch.randn(2, 1, 2, len(names), 4)
    layer = Recorded("layers.0.attention", "attention", attention_weights(q, k))
    sound = audio_axis(torch.linspace(-1, 1, RATE).numpy(), RATE, count=100, seconds=0.01)
    axes = {"words": text_axis(names), "sound": sound}
    return Page(text, axes, [Stack("encoder", "words to words", "words", "words", [layer])])


def ask(text):
    if not text.strip():
        raise DataError("a text of at least one word", "nothing")
    return page(text)


@pytest.fixture(scope="module")
def server():
    pages = Pages(page(), ask)
    with _listening("127.0.0.1", 0) as listener:
        config = uvicorn.Config(application(pages), log_level="warning", lifespan="off")
        running = uvicorn.Server(config)
        thread = threading.Thread(target=running.run, kwargs={"sockets": [listener]})
        thread.start()
        yield listener.getsockname()[1], pages
        running.should_exit = True
        thread.join()
    pages.close()


def request(server, path, method="GET", body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server[0], timeout=10)
    try:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        connection.request(method, path, body, named)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())
    finally:
        connection.close()


def test_the_page_and_its_blocks(server):
    first = page_of(server, 1)
    status, body, headers = request(server, "/1/")
    assert (status, body) == (200, first.html(served=True))
    assert headers["cache-control"] == "no-store"
    for name in [*first.names(), "weights/encoder/0/1/1/0"]:
        status, body, _ = request(server, f"/1/blocks/{name}")
        assert (status, body) == (200, first.block(name))
    assert request(server, "/")[0] == 307


def page_of(server, number):
    return server[1].page(number)


@pytest.mark.parametrize(
    "path",
    [
        "/1/blocks/weights/encoder/0/2/0/0",
        "/1/blocks/weights/other/0/0/0/0",
        "/1/blocks/media/words",
        "/1/blocks/../../../../etc/passwd",
        "/1/blocks/media/../../etc/passwd",
        "/1/blocks/%2e%2e/%2e%2e/etc/passwd",
        "/1/blocks//etc/passwd",
        "/1/blocks/",
        "/99/",
        "/99/blocks/thumbs",
        "/static/page.html",
        "/inputs/x",
    ],
)
def test_nothing_else_is_there(server, path):
    status, body, _ = request(server, path)
    assert status == 404
    assert b"root:" not in body


def test_parts_of_a_recording(server):
    whole = page_of(server, 1).block("media/sound")
    status, body, headers = request(server, "/1/blocks/media/sound", Range="bytes=100-199")
    assert (status, body) == (206, whole[100:200])
    assert headers["content-type"] == "audio/wav"


def test_another_input_has_a_page_of_its_own(server):
    port = server[0]
    status, body, _ = request(server, "/inputs", "POST", "now <b>this</b>", Origin=f"http://127.0.0.1:{port}")
    assert status == 200
    path = json.loads(body)["page"]
    assert b"now \\u003cb\\u003ethis" in request(server, path)[1]


def test_an_input_that_cannot_be_taken_is_told(server):
    status, body, _ = request(server, "/inputs", "POST", " ")
    assert status == 422
    assert json.loads(body)["error"] == "expected a text of at least one word, found nothing"
    assert request(server, "/inputs", "POST", b"\xff")[0] == 400
    assert request(server, "/inputs", "POST", b"a" * (MOST_TEXT + 1))[0] == 413
    assert request(server, "/1/")[0] == 200  # the first page is still there


@pytest.mark.parametrize("path", ["/1/", "/1/blocks/thumbs"])
@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Host": "127.0.0.1.evil.example"},
        {"Host": ""},
        {"Host": "[::1"},
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://["},
    ],
)
def test_foreign_hosts_and_origins_are_refused(server, path, headers):
    status, body, _ = request(server, path, **headers)
    assert status in (400, 403)
    assert b"words" not in body
    assert request(server, "/inputs", "POST", "x", **headers)[0] in (400, 403)


@pytest.mark.parametrize(
    ("host", "own", "foreign"),
    [
        ("127.0.0.2", ("127.0.0.2:80", "127.0.0.1", "localhost:80", "[::1]:80"), ("evil.com", "192.168.0.1", "[::2]")),
        ("localhost", ("localhost", "LOCALHOST:80", "127.9.9.9"), ("evil.com", "localhost.evil.com", "8.8.8.8")),
        ("::1", ("[::1]:80",), ("evil.com", "[::1", "evil.com@127.0.0.1.x", "")),
        ("0.0.0.0", ("192.168.0.1:80", "[fe80::1]", "localhost", "here", "here.local:80"), ("evil.com", "")),
        ("desk.lan", ("desk.lan:80", "DESK.lan", "10.0.0.1"), ("evil.com", "lan", "10.0.0.1.evil.com")),
    ],
)
def test_names_that_a_server_goes_by(monkeypatch, host, own, foreign):
    """However it listens, a name that another site chose is none of them."""
    monkeypatch.setattr("socket.gethostname", lambda: "Here")
    monkeypatch.setattr("socket.getfqdn", lambda: "here")

    def status(named):
        told = []

        async def app(scope, receive, send):
            told.append(200)

        async def send(message):
            told.append(message.get("status"))

        asyncio.run(Guard(app, host)({"type": "http", "headers": [(b"host", named.encode())]}, None, send))
        return told[0]

    assert [status(name) for name in own] == [200] * len(own)
    assert [status(name) for name in foreign] == [403] * len(foreign)


@pytest.mark.parametrize("host", ["localhost", "127.0.0.1", "[::1]"])
def test_names_of_the_machine_itself(server, host):
    assert request(server, "/1/", Host=f"{host}:{server[0]}")[0] == 200


def test_the_oldest_pages_are_let_go_and_never_the_first():
    """From which one opens an example, and comes back to it."""
    pages = Pages(page(), ask)
    for number in range(KEPT + 3):
        pages.ask(f"text {number}")
    assert [number for number in range(KEPT + 6) if pages.page(number)] == [1, *range(6, KEPT + 5)]
    pages.close()


def test_without_a_network_nothing_is_asked():
    pages = Pages(page())
    assert not pages.takes_inputs
    with pytest.raises(Exception, match="this page has no network to ask"):
        pages.ask("x")
    pages.close()


def test_a_port_that_is_taken_is_told():
    with _listening("127.0.0.1", 0) as listener, pytest.raises(ConfigError, match="host, port: cannot listen at 127"):
        serve(Pages(page()), port=listener.getsockname()[1], opens=False)
    with pytest.raises(ConfigError, match=r"cannot listen at no\.such\.host\.invalid:0"):
        serve(Pages(page()), host="no.such.host.invalid", opens=False)


def test_it_serves_until_it_is_interrupted():
    code = (
        "import sys; sys.path.insert(0, 'tests/viewer'); import test_page_server as own\n"
        "from regard.viewer.page.server import Pages, serve\n"
        "serve(Pages(own.page()), opens=False, say=lambda address: print(address, flush=True))"
    )
    process = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    address = process.stdout.readline().strip()
    port = int(address.rstrip("/").rpartition(":")[2])
    for _ in range(100):
        try:
            assert request((port,), "/1/")[0] == 200
            break
        except ConnectionRefusedError:
            time.sleep(0.05)
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=20)
    assert (process.returncode, err) == (0, "")
