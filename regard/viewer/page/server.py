"""The page from a server of one's own machine, of which a browser loads what is looked at."""

from __future__ import annotations

import contextlib
import socket
import tempfile
import threading
import webbrowser
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import SplitResult, urlsplit

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from regard.errors import ConfigError, RegardError

if TYPE_CHECKING:
    from regard.viewer.page.build import Page

KEPT = 8  # pages
MOST_TEXT = 2**20  # bytes of an input that is typed
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer"}

Ask = Callable[[str], "Page"]


class Pages:
    """The pages of a server, by number: the first, and one for each input that was typed since.

    The first stays, as it is where one begins, and comes back to; of the others the oldest are let go.

    Arguments:
        first: the page that is opened.
        ask: makes the page of another input, as it is typed; None where there is no network to ask.
        asks: what is typed: "text", or the "number" of one of many examples.
    """

    def __init__(self, first: Page, ask: Ask | None = None, *, asks: str = "text") -> None:
        self._count, self._ask, self._asks = 1, ask, asks
        self._pages = {1: self._ready(first)}
        self._busy = threading.Lock()
        self._folder = tempfile.TemporaryDirectory(prefix="regard-")

    @property
    def takes_inputs(self) -> bool:
        return self._ask is not None

    def page(self, number: int) -> Page | None:
        return self._pages.get(number)

    def ask(self, text: str) -> int:
        """The number of the page of a new input.

        Raises:
            RegardError: the network cannot take it.
        """
        if self._ask is None:
            raise RegardError("this page has no network to ask; `regard view RUN INPUT` opens one that has")
        with self._busy:
            made = self._ready(self._ask(text))
            self._count += 1
            self._pages[self._count] = made
            while len(self._pages) > KEPT:
                del self._pages[min(self._pages.keys() - {1})]
            return self._count

    def _ready(self, page: Page) -> Page:
        """With all that it tells at once, so that a browser need not wait for it."""
        page.further["asks"] = self._asks if self.takes_inputs else None
        assert page.meta
        return page

    def media(self, number: int, name: str) -> Path | None:
        """A file with sound or an image, of which browsers ask for parts."""
        page = self.page(number)
        path = Path(self._folder.name, f"{number}-{name.replace('/', '-')}")
        if page is None or path.is_file():
            return None if page is None else path
        content = page.block(name)
        path.write_bytes(content)
        return path

    def close(self) -> None:
        self._folder.cleanup()


def application(pages: Pages, host: str = "127.0.0.1") -> ASGIApp:
    """All that is served: ``/N/``, a page, and ``/N/blocks/NAME``; ``POST /inputs`` asks for a new one.

    Arguments:
        host: where it is served.
    """

    def index(request: Request) -> Response:
        page = pages.page(request.path_params["number"])
        if page is None:
            return PlainTextResponse("this page is no longer there; open / for the first\n", 404)
        return Response(page.html(served=True), media_type="text/html; charset=utf-8", headers=HEADERS)

    def block(request: Request) -> Response:
        number, name = request.path_params["number"], request.path_params["name"]
        page = pages.page(number)
        try:
            if page is None:
                raise KeyError(name)
            if name.startswith("media/"):
                path = pages.media(number, name)
                assert path is not None
                kind = "audio/wav" if path.read_bytes()[:4] == b"RIFF" else "image/png"
                return FileResponse(path, media_type=kind, headers=HEADERS)
            return Response(page.block(name), media_type="application/octet-stream", headers=HEADERS)
        except KeyError:
            return PlainTextResponse(f"no block {name!r}\n", 404)

    async def inputs(request: Request) -> Response:
        content = b""
        async for part in request.stream():
            content += part
            if len(content) > MOST_TEXT:
                return JSONResponse({"error": f"an input of at most {MOST_TEXT >> 20} MiB can be typed"}, 413)
        try:
            number = await run_in_threadpool(pages.ask, content.decode())
        except UnicodeDecodeError:
            return JSONResponse({"error": "an input is text in UTF-8"}, 400)
        except RegardError as error:
            return JSONResponse({"error": str(error)}, 422)
        return JSONResponse({"page": f"/{number}/"})

    routes = [
        Route("/", lambda request: RedirectResponse("/1/")),
        Route("/{number:int}/", index),
        Route("/{number:int}/blocks/{name:path}", block),
        Route("/inputs", inputs, methods=["POST"]),
    ]
    return Guard(Starlette(routes=routes), host)


class Guard:
    """Refuses requests that other sites make a browser send: of a foreign Host (DNS rebinding) or Origin.

    Arguments:
        app: answers the others.
        host: where the server listens, by which a request may call it; also by names of this machine, and, where others
            reach it, by any address: what rebinds is a name.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self.app, self.is_open = app, not _is_loopback(host)
        self.names = {"localhost", host.lower()}
        if self.is_open:
            own = socket.gethostname().lower()
            self.names |= {own, f"{own}.local", socket.getfqdn().lower()}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and (reason := self._refused(Request(scope))):
            await PlainTextResponse(f"{reason}\n", 403)(scope, receive, send)
            return
        await self.app(scope, receive, send)

    def _refused(self, request: Request) -> str | None:
        host, origin = request.headers.get("host", ""), request.headers.get("origin")
        if not self._is_own(_split(f"//{host}")):
            return f"this server is none of {host!r}; open it by its address, or by the name that --host was given"
        if origin is not None and ((found := _split(origin)) is None or found.netloc != host):
            return f"a page of {origin!r} may ask nothing here"
        return None

    def _is_own(self, address: SplitResult | None) -> bool:
        name = None if address is None else address.hostname
        return name is not None and (name in self.names or _is_loopback(name) or (self.is_open and _is_address(name)))


def _split(address: str) -> SplitResult | None:
    try:
        return urlsplit(address)
    except ValueError:
        return None


def _is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True


def _is_loopback(name: str) -> bool:
    return name == "localhost" or (_is_address(name) and ip_address(name).is_loopback)


def serve(
    pages: Pages, *, host: str = "127.0.0.1", port: int = 0, opens: bool = True, say: Callable[[str], None] = print
) -> None:
    """Serves until Ctrl-C.

    Arguments:
        host: where to listen; beside the machine itself nobody else can reach a loopback address.
        port: 0 for any that is free.
        opens: whether a browser is opened.
        say: is told the address.

    Raises:
        ConfigError: it cannot listen there.
    """
    import uvicorn

    with contextlib.closing(pages), _listening(host, port) as listener:
        shown = f"[{host}]" if ":" in host else host
        address = f"http://{shown}:{listener.getsockname()[1]}/"
        config = uvicorn.Config(application(pages, host), log_level="warning", lifespan="off", access_log=False)
        say(address)
        if opens:
            threading.Timer(0.3, webbrowser.open, [address]).start()
        with contextlib.suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


@contextlib.contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    listener = None
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listener = socket.socket(family, kind, protocol)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(address)
        listener.listen()
    except OSError as error:
        if listener is not None:
            listener.close()
        raise ConfigError(f"host, port: cannot listen at {host}:{port}: {error.strerror or error}") from None
    with listener:
        yield listener
