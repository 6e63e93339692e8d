"""The page: what it says of a network and an example, its blocks of bytes, and one file with all of it."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from importlib import resources
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from regard.attention import AttentionWeights
from regard.files import atomic_write
from regard.viewer.measures import is_punctuation, measures
from regard.viewer.page.axes import Axis
from regard.viewer.page.pack import ROWS, Packed

# In the order in which they stand in the page: each uses those before it.
MODULES = (
    *("tools", "colours", "source", "heads", "state", "compare", "help", "measures", "draw", "export"),
    *("words", "rows", "timeline", "patches", "picture", "strips"),
    *("overview", "place", "cells", "map", "lines", "input", "telltale", "ask", "curves", "aggregate"),
    *("views", "panel", "menus", "keys", "main"),
)
IMPORT, EXPORT = re.compile(r"^import [^;]*;\n", re.MULTILINE), re.compile(r"^export ", re.MULTILINE)


class Attended(Protocol):
    """What one attention layer did: a ``regard.viewer.recording.Recorded``."""

    @property
    def name(self) -> str: ...
    @property
    def role(self) -> str: ...
    @property
    def weights(self) -> AttentionWeights | None: ...


@dataclass(frozen=True, eq=False)
class Stack:
    """Layers that attend from one sequence to one: those of an encoder, say.

    Arguments:
        id: a name without "/" that no other stack has.
        title: as people read it; two models are compared in stacks of one title over the same positions.
        query, key: the axes, by name.
        layers: from the first to the last, each of one example.
        model: the first, 0, or the second, 1.
    """

    id: str
    title: str
    query: str
    key: str
    layers: Sequence[Attended]
    model: int = 0


class Page:
    """Who attends to whom in one example.

    Arguments:
        title: of the page.
        axes: by name, without "/".
        stacks: which name them.
        answers: what each model said: ``{"kind": "label", "label", "score", "candidates"}`` or ``{"kind": "text",
            "text", "score"}``, or None.
        models: names; two are compared.
        further: what further views are told, by the name of the view.

    >>> from regard.viewer.page.axes import text_axis
    >>> page = Page("nothing", {"words": text_axis(["a", "b"])}, [])
    >>> page.names(), len(page.block("thumbs"))
    (['thumbs'], 0)
    """

    def __init__(
        self,
        title: str,
        axes: Mapping[str, Axis],
        stacks: Sequence[Stack],
        *,
        answers: Sequence[Mapping[str, Any] | None] = (),
        models: Sequence[str] = ("model",),
        further: Mapping[str, Any] | None = None,
    ) -> None:
        self.title, self.axes, self.stacks = title, dict(axes), list(stacks)
        self.answers, self.models, self.further = list(answers), list(models), dict(further or {})
        self.packed = {
            (stack.id, number): Packed.of(layer.weights)
            for stack in self.stacks
            for number, layer in enumerate(stack.layers)
            if layer.weights is not None
        }

    @cached_property
    def meta(self) -> dict[str, Any]:
        """All that the page is told at once; weights, sound and images are blocks."""
        return {
            "version": 1,
            "title": self.title,
            "models": [{"name": name} for name in self.models],
            "axes": {name: axis.meta(name) for name, axis in self.axes.items()},
            "stacks": [self._stack(stack) for stack in self.stacks],
            "answers": self.answers,
            "telltales": None,
            "aggregate": None,
            **self.further,
        }

    def names(self) -> list[str]:
        """The blocks that a file holds: small maps, level 0 of the weights, media. Higher levels are made of them."""
        names = ["thumbs"]
        for name, axis in self.axes.items():
            names += [f"media/{name}"] * (axis.media is not None)
            if axis.rows is not None:
                names += [f"values/{name}/0/{number}" for number in range(max(1, -(-axis.row_count // ROWS)))]
        for (stack, layer), packed in self.packed.items():
            for head in range(packed.heads):
                names += [f"weights/{stack}/{layer}/{head}/0/{number}" for number in packed.numbers()]
        return names

    def block(self, name: str) -> bytes:
        """The bytes of a block, of higher levels too.

        Raises:
            KeyError: there is no such block.
        """
        match name.split("/"):
            case ["thumbs"]:
                return b"".join(thumb.tobytes() for packed in self.packed.values() for thumb in packed.thumbs)
            case ["media", axis] if axis in self.axes and self.axes[axis].media is not None:
                return self.axes[axis].media or b""
            case ["values", axis, level, number] if axis in self.axes and self.axes[axis].rows is not None:
                found = self.axes[axis]
                self._check(name, level, number, found.row_count)
                return np.ascontiguousarray(found.block(int(level), int(number))).tobytes()
            case ["weights", stack, layer, head, level, number] if _digits(layer, head):
                packed = self.packed.get((stack, int(layer)))
                if packed is not None and int(head) < packed.heads:
                    self._check(name, level, number, packed.queries)
                    return packed.block(int(head), int(level), int(number)).tobytes()
        raise KeyError(name)

    def html(self, *, served: bool = False) -> bytes:
        """The page, with all its blocks; or served, when it asks for ``blocks/NAME``."""
        return b"".join(self._pieces(served))

    def write(self, path: str | Path) -> Path:
        """One file that needs nothing else, whole or not at all."""
        path = Path(path)
        with atomic_write(path, binary=True) as file:
            file.writelines(self._pieces(served=False))
        return path

    def _pieces(self, served: bool) -> Iterator[bytes]:
        """The page in the order in which a browser reads it: what is seen first, then the weights."""
        style, script = static("style.css"), bundle()
        source = "connect-src 'self'; media-src 'self' blob:" if served else "media-src blob:"
        policy = (
            f"default-src 'none'; script-src {_hash(script)}; style-src {_hash(style)}; img-src blob: data:; {source}; "
            "base-uri 'none'; form-action 'none'"
        )
        filled = {
            "TITLE": html.escape(self.title).encode("utf-8", "replace").decode(),  # half a character is none
            "POLICY": policy,
            "STYLE": style,
            "META": as_json(self.meta),
            "THUMBS": "" if served else self._tag("thumbs"),
            "SCRIPT": script,
        }
        before, _, after = static("page.html").partition("{{BLOCKS}}")
        yield _fill(before, filled).encode()
        for name in [] if served else self.names()[1:]:
            yield self._tag(name).encode()
        yield after.encode()

    def _tag(self, name: str) -> str:
        packer = zlib.compressobj(6, wbits=-15, strategy=zlib.Z_FILTERED)  # weights are noise more than they repeat
        content = base64.b64encode(packer.compress(self.block(name)) + packer.flush()).decode()
        return f'<script type="text/plain" data-block="{html.escape(name)}">{content}</script>\n'

    def _check(self, name: str, level: str, number: str, count: int) -> None:
        """That a level of so many rows has the block."""
        if not _digits(level, number) or int(level) > 40 or int(number) >= max(1, -(-count // (ROWS << int(level)))):
            raise KeyError(name)

    def _stack(self, stack: Stack) -> dict[str, Any]:
        role = stack.layers[0].role if stack.layers else "attention"
        layers = [self._layer(stack, number, layer) for number, layer in enumerate(stack.layers)]
        told = {"id": stack.id, "title": stack.title, "role": role, "model": stack.model}
        return {**told, "query": stack.query, "key": stack.key, "layers": layers}

    def _layer(self, stack: Stack, number: int, layer: Attended) -> dict[str, Any]:
        told: dict[str, Any] = {"name": layer.name, "title": f"layer {number + 1}"}
        packed = self.packed.get((stack.id, number))
        if packed is None or layer.weights is None:
            reason = getattr(layer, "why", "") or "nothing was recorded of this layer"
            return {**told, "heads": 0, "reason": reason, "measures": {}, "largest": []}
        key, punctuation = self.axes[stack.key], None
        if key.kind == "text" and key.names is not None:
            punctuation = is_punctuation(key.names)
        found = measures(
            layer.weights,
            positions=stack.query == stack.key,
            punctuation=punctuation,
            grid=key.grid,
            before=key.before or 0,
        )
        rows, columns = packed.thumbs[0].shape
        return {
            **told,
            "heads": packed.heads,
            "queries": packed.queries,
            "keys": packed.keys,
            "reason": None,
            "band": None if packed.left is None else {"left": packed.left, "width": packed.values.shape[2]},
            "measures": {name: _rounded(values) for name, values in found.items()},
            "largest": packed.largest,
            "thumb": {"rows": rows, "columns": columns, "straight": packed.straight},
        }


def grouped(layers: Sequence[Attended]) -> dict[str, list[Attended]]:
    """Layers of one kind together, by their name without its numbers, in the order in which they come."""
    found: dict[str, list[Attended]] = {}
    for layer in layers:
        found.setdefault(re.sub(r"\.\d+(?=\.|$)", "", layer.name), []).append(layer)
    return found


def as_json(value: Any) -> str:
    """JSON that may stand in a page: no text in it can end a script or begin a tag."""
    text = json.dumps(value, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def static(name: str) -> str:
    """A file of the page."""
    return (resources.files(__package__) / "static" / name).read_text(encoding="utf-8")


def bundle() -> str:
    """All modules as one."""
    return "".join(EXPORT.sub("", IMPORT.sub("", static(f"{name}.js"))) for name in MODULES)


def _fill(page: str, filled: Mapping[str, str]) -> str:
    return re.sub(r"\{\{([A-Z]+)\}\}", lambda found: filled[found[1]], page)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _digits(*texts: str) -> bool:
    return all(text.isascii() and text.isdigit() and len(text) < 12 for text in texts)


def _rounded(values: list[float] | None) -> list[float] | None:
    return None if values is None else [float(f"{value:.6g}") for value in values]
