"""No file of the mechanism waits for another that waits for it, for types either."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import regard.attention

ROOT = Path(regard.attention.__file__).parent


def _modules() -> dict[str, Path]:
    paths = (path for path in ROOT.rglob("*.py"))
    names = {path: ".".join(("regard.attention", *path.relative_to(ROOT).with_suffix("").parts)) for path in paths}
    return {name.removesuffix(".__init__"): path for path, name in names.items()}


def _imports(path: Path, modules: dict[str, Path]) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module is not None:
            inner = [f"{node.module}.{alias.name}" for alias in node.names]
            yield from (name if name in modules else node.module for name in inner)


def test_files_do_not_go_in_circles() -> None:
    modules = _modules()
    assert "regard.attention.blocked.cut" in modules
    graph = {name: {x for x in _imports(path, modules) if x in modules} for name, path in modules.items()}
    list(TopologicalSorter(graph).static_order())  # raises CycleError
