"""`regard view`: who attends to whom, as a page that a browser shows, or as a picture."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from regard.cli.common import check_apart
from regard.cli.seen import Seen, position
from regard.errors import ConfigError

if TYPE_CHECKING:
    from regard.viewer.page.build import Page

PAGES, PICTURES = (".html", ".htm"), (".png", ".svg", ".pdf")


def view(
    run: Annotated[str, typer.Argument(help="Run folder of a trained model; with --torch INPUT.", show_default=False)],
    given: Annotated[
        str | None,
        typer.Argument(
            metavar="INPUT",
            help="A text (a tagger's words are separated by spaces), a recording, an image; a file; or images' folder.",
            show_default=False,
        ),
    ] = None,
    number: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="INPUT is a file: show its N-th sequence.", show_default=False),
    ] = None,
    aggregate: Annotated[
        bool, typer.Option("--aggregate", help="INPUT is a file: show what each head does over all its sequences.")
    ] = False,
    compare: Annotated[
        str | None,
        typer.Option(metavar="RUN", help="Another run folder, shown beside the first.", show_default=False),
    ] = None,
    torch: Annotated[
        str | None,
        typer.Option(
            metavar="MODULE",
            help="Any network of PyTorch: a folder of transformers, or FILE.py:NAME of a function that makes a module "
            "and its input.",
            show_default=False,
        ),
    ] = None,
    show: Annotated[
        str | None,
        typer.Option(
            metavar="VIEW",
            help="Of a picture or CSV: overview, map, lines, input or telltale.",
            show_default=False,
        ),
    ] = None,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="PART",
            help="Of a picture or CSV: this part alone, as encoder, decoder, cross, pool; of --compare encoder-2, ...",
            show_default=False,
        ),
    ] = None,
    layer: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Of a picture or CSV: this layer alone.", show_default=False)
    ] = None,
    head: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Of a picture or CSV: this head alone.", show_default=False)
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            metavar="N|ROW,COLUMN",
            help="Of a picture or CSV: the position that attends, from 1; of an image the patch.",
            show_default=False,
        ),
    ] = None,
    start: Annotated[
        float | None,
        typer.Option(
            metavar="S", min=0.0, help="Of a recording: show the part from this second on.", show_default=False
        ),
    ] = None,
    end: Annotated[
        float | None,
        typer.Option(metavar="S", min=0.0, help="Of a recording: show what is heard up to here.", show_default=False),
    ] = None,
    output: Annotated[
        str | None,
        typer.Option(
            "--output",
            "-o",
            "--save",
            help="Write instead of serving: .html, a page that works offline; .png, .svg, .pdf; or .csv.",
            show_default=False,
        ),
    ] = None,
    no_open: Annotated[bool, typer.Option("--no-open", help="Print the page's address, and open no browser.")] = False,
    port: Annotated[int, typer.Option(metavar="N", min=0, max=65535, help="Of the page; 0 for any free one.")] = 0,
    host: Annotated[str, typer.Option(help="Where the page is served; others reach any but a loopback one.")] = (
        "127.0.0.1"
    ),
) -> None:
    """Show who attends to whom: in one sequence, over many, or in two models.

    Without --output the page is served to a browser of this machine until Ctrl-C.
    """
    from regard.tasks.run_folder import check_output

    kind = "" if output is None else Path(output).suffix.lower()
    if output is not None:
        check_output(output)
        check_apart(output, given)
        if kind not in (*PAGES, *PICTURES, ".csv"):
            raise ConfigError(f"output: must end in .html, .png, .svg, .pdf or .csv, got '{Path(output).name}'")
    chosen = {"show": show, "part": part, "layer": layer, "head": head, "at": at}
    if kind not in (*PICTURES, ".csv") and (given_ones := [name for name, one in chosen.items() if one is not None]):
        raise ConfigError(f"{given_ones[0]}: of a picture or a table; add --save FILE.svg, or choose it in the page")
    ask: Callable[[str], Page] | None = None
    asks = "text"
    if torch is not None:
        from regard.viewer.external import external_page

        _refuse_of_runs(INPUT=given, number=number, aggregate=aggregate or None, compare=compare, start=start, end=end)
        page = external_page(torch, run)
    elif given is None:
        raise ConfigError(f"INPUT: what {run} reads, a text or a file; add it")
    else:
        source = Seen(run, given, number, {n: t for n, t in (("start", start), ("end", end)) if t is not None}, compare)
        whole = (show, part, layer, head, compare, aggregate) == (None, None, None, None, None, False)
        if output is not None and kind in PICTURES and whole and (at is None or "," in at):
            typer.echo(f"{source.picture(output, at)}")
            return
        many = aggregate or source.is_folder
        page = source.aggregate() if many else source.page()
        asks = "number" if many else "text"
        ask = source.ask_number if many else source.ask if source.kind in ("text", "words") else None
    if output is not None and kind in PAGES:
        typer.echo(f"{page.write(output)}")
    elif output is not None:
        from regard.viewer.export import save_view

        place = None if at is None else position(page, at, part, show)
        typer.echo(f"{save_view(page, output, show=show, part=part, layer=layer, head=head, at=place)}")
    else:
        from regard.viewer.page.server import Pages, serve

        serve(Pages(page, ask, asks=asks), host=host, port=port, opens=not no_open, say=typer.echo)


def _refuse_of_runs(**options: Any) -> None:
    """Refuses what another network than that of a run folder cannot be shown with."""
    given = [name for name, value in options.items() if value is not None]
    if given == ["INPUT"]:
        raise ConfigError(
            f"INPUT: with --torch there is no RUN before it; leave out one of two, got '{options['INPUT']}'"
        )
    if given:
        raise ConfigError(f"{given[-1]}: of a run folder, and --torch shows another network; leave it out")
