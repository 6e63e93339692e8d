"""Every public function, class and method says what it does, and of which shape the tensors are that go in or out."""

import inspect
import re

import regard
import regard.data
import regard.decoding.ctc
import regard.decoding.search
import regard.front_ends
import regard.nn
import regard.parallel
import regard.tasks
from regard.tasks.model import Model

TENSORS = re.compile(r"\b(Tensor|Ragged|NDArray|ArrayLike|Floats)\b")
SHAPE = re.compile(r"``[^`]*\[[^\]`]*\][^`]*``")  # ``[B, H, Q, D]``
KEPT = {"__call__", "__getitem__"}  # of Python's own names, those that users write
FRONT_ENDS = ["FrontEnd", "Stream", "learn_front_end", "restore_front_end"]


def modules():
    yield from ((module, module.__all__) for module in (regard, regard.nn, regard.parallel, regard.data))
    yield regard.front_ends, FRONT_ENDS
    for module in (regard.decoding.ctc, regard.decoding.search):
        yield module, [name for name in vars(module) if not name.startswith("_")]


def public():
    """Functions, classes and what our classes define, by the name that a user writes, each with its docstring."""
    for module, names in modules():
        for name in names:
            value, path = getattr(module, name), f"{module.__name__}.{name}"
            if not (inspect.isclass(value) or inspect.isfunction(value)) or not value.__module__.startswith("regard"):
                continue
            yield path, value, value.__doc__ or ""
            for kind in value.__mro__ if inspect.isclass(value) else ():
                for key, member in vars(kind).items() if kind.__module__.startswith("regard") else ():
                    function = function_of(member)
                    if (not key.startswith("_") or key in KEPT) and function is not None:
                        yield f"{path}.{key}", function, documentation(value, key)


def function_of(member):
    if isinstance(member, classmethod | staticmethod):
        return member.__func__
    if isinstance(member, property):
        return member.fget
    return member if inspect.isfunction(member) else None


def documentation(kind, key):
    """Its own, that of PyTorch whose method it is, or for a task that of the protocol of all tasks."""
    of_tasks = getattr(Model, key, None) if kind.__name__ in TASKS else None
    return inspect.getdoc(getattr(kind, key)) or (of_tasks and inspect.getdoc(of_tasks)) or ""


TASKS = [row.model.partition(":")[2] for row in regard.tasks.TASKS.values()]
PUBLIC = {path: (value, text) for path, value, text in public()}


def test_there_are_many():
    assert len(PUBLIC) > 250
    assert {"regard.attend", "regard.Ragged.from_list", "regard.Labeler.fit", "regard.nn.Residual"} <= PUBLIC.keys()


def test_each_says_what_it_does():
    assert not [path for path, (_, text) in PUBLIC.items() if len(text.split()) < 3]


def test_tensors_have_shapes():
    without = []
    for path, (value, text) in PUBLIC.items():
        annotations = {} if inspect.isclass(value) else value.__annotations__
        if TENSORS.search(" ".join(map(str, annotations.values()))) and not SHAPE.search(text):
            without.append(path)
    assert not without
