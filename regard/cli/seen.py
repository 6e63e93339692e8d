"""What `regard view` shows of a run: its input as it is typed, or in a file, and the place in it that is asked for."""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from regard.cli.common import open_model
from regard.errors import ConfigError, DataError

if TYPE_CHECKING:
    from regard.data import Example
    from regard.viewer.page.build import Page


class Seen:
    """What is to be shown of a run.

    Arguments:
        given: INPUT; with ``number`` it is a file.
        times: "start" and "end" of a part of a recording.
        other: the run folder of a second model.
    """

    def __init__(self, run: str, given: str, number: int | None, times: dict[str, float], other: str | None) -> None:
        from regard.tasks.files import item_kind

        self.run, self.given, self.number, self.times = run, given, number, times
        self.model: Any = open_model(run)
        self.other: Any = None if other is None else open_model(other)
        self.names = [run] if other is None else [run, other]
        self.kind = item_kind(self.model.config)
        if times and self.kind != "recordings":
            raise ConfigError(f"{min(times)}: a time in a recording, and {run} reads {self.kind}; leave it out")

    @property
    def is_folder(self) -> bool:
        """Whether many images are given."""
        return self.number is None and self.kind == "images" and Path(self.given).is_dir()

    def page(self) -> Page:
        """That of one sequence."""
        from regard.tasks.pages import page_of

        return page_of(self.model, self._example(), other=self.other, names=self.names)

    def aggregate(self) -> Page:
        """That of many."""
        from regard.tasks.pages import aggregate_page

        if self.other is not None:
            raise ConfigError("compare: shows two models on one sequence; leave it out, or --aggregate")
        if self.number is not None or self.times:
            name = "number" if self.number is not None else min(self.times)
            raise ConfigError(f"{name}: of one sequence, and this shows many; leave it out, or --aggregate")
        return aggregate_page(self.model, self.given)

    def ask(self, text: str) -> Page:
        """That of a sequence that is typed into the page."""
        from regard.tasks.pages import page_of

        return page_of(self.model, self._typed(text), other=self.other, names=self.names)

    def ask_number(self, text: str) -> Page:
        """That of one of many, by its number."""
        from regard.tasks.files import read
        from regard.tasks.pages import page_of

        examples = read(self.model, self.given, labelled=False, items=self.kind)
        if not text.isdecimal() or not 1 <= int(text) <= len(examples):
            raise DataError(f"a number from 1 to {len(examples)}", text, path=self.given)
        return page_of(self.model, examples[int(text) - 1], names=self.names)

    def picture(self, output: str, at: str | None) -> Path:
        """Of one sequence, or of a folder of images how far heads look."""
        place = None if at is None else parse_place(at)
        if place is not None and self.kind != "images":
            raise ConfigError(f"at: a patch of an image, and {self.run} reads {self.kind}; leave it out")
        if self.is_folder:
            if place is not None:
                raise ConfigError(
                    f"at: a patch of one image, and {self.given} is a folder; leave it out, or name an image"
                )
            from regard.tasks.maps import attention_distances

            return Path(attention_distances(self.model, self.given).save(output))
        from regard.tasks.maps import check_drawn

        example = self._example()
        check_drawn(self.model, example)
        maps = self.model.attention(example)
        return Path(maps.save(output) if place is None else maps.save(output, at=place))

    def _example(self) -> Example:
        """The sequence that was typed, or that of a number in a file; of a recording the part between two times."""
        example = self._found()
        if not self.times:
            return example
        from regard.data.recordings import as_recording

        return replace(example, items=as_recording(example.items, example.place, self.times))

    def _found(self) -> Example:
        from regard.tasks.files import iter_read

        number = self.number
        if number is None and self.kind not in ("recordings", "images") and is_file(self.given):
            typer.echo(f"the first sequence of {self.given}; --number N draws another", err=True)
            number = 1
        if number is None:
            if self.kind == "vectors":
                raise ConfigError(f"{self.run} reads vectors, which are in a file, and there is no file '{self.given}'")
            return self._typed(self.given)
        for labelled in (True, False):  # what is true is shown too, where the file tells it
            examples = iter_read(self.model, self.given, items=self.kind, labelled=labelled)
            try:
                example = next(islice(examples, number - 1, None), None)
                break
            except DataError:
                if not labelled:
                    raise
        if example is None:
            raise DataError(f"at least {number} sequences (--number {number})", "fewer", path=self.given)
        return example

    def _typed(self, text: str) -> Example:
        from regard.data.goals import GOALS
        from regard.tasks.files import read

        typed = text.split() if self.kind == "words" and GOALS[self.model.config.goal].per_item else text
        return read(self.model, [typed], labelled=False, items=self.kind)[0]


def position(page: Page, at: str, part: str | None, show: str | None) -> int:
    """A position of a part as it is typed, or that of a patch, from 1."""
    from regard.viewer.chosen import stack_of

    axis = page.axes[stack_of(page, part, tells=show == "telltale").query] if page.stacks else None
    if at.isdecimal() and int(at):
        return int(at)
    if axis is None or axis.grid is None:
        raise typer.BadParameter(f"a position is a number from 1, got '{at}'")
    row, column = parse_place(at)
    if row >= axis.grid[0] or column >= axis.grid[1]:
        raise ConfigError(f"at: the image has {axis.grid[0]} rows and {axis.grid[1]} columns of patches, got {at}")
    return (axis.before or 0) + row * axis.grid[1] + column + 1


def is_file(given: str) -> bool:
    """Whether it is the path of a file, and not a text, which may be longer than any path."""
    try:
        return Path(given).is_file()
    except (OSError, ValueError):
        return False


def parse_place(text: str) -> tuple[int, int]:
    """A patch as it is typed, counted from 1, as it is counted from 0.

    >>> parse_place("3,1")
    (2, 0)
    """
    try:
        row, column = (int(number) - 1 for number in text.split(","))
    except ValueError:
        row = column = -1
    if row < 0 or column < 0:
        raise typer.BadParameter(f"a patch is ROW,COLUMN, from 1,1; got '{text}'")
    return row, column
