"""Define the command `lungfish predict`."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Annotated, cast

import typer

if TYPE_CHECKING:
    from io import BufferedReader

    from lungfish.runtime.prediction import Prediction


def predict(
    model: Annotated[
        str, typer.Argument(metavar="MODEL", help="A bundle's folder, or the name of pretrained weights.")
    ],
    images: Annotated[
        list[str],
        typer.Argument(
            metavar="IMAGE...",
            help="Images or folders of images; - reads stdin: paths, one per line, or one image.",
        ),
    ],
    artifact: Annotated[str | None, typer.Option(help="Model file to use.  [default: the bundle's default]")] = None,
    top: Annotated[int, typer.Option(help="Classes to list for each image, with --json.", min=0)] = 5,
    follow_links: Annotated[
        bool, typer.Option("--follow-links", help="Also follow links that lead outside a folder.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> int:
    """Predict the class of images.

    Prints a line for each image: file, label and probability, separated by tabs, then "unknown" if it may show none of
    the classes. For an image that cannot be read, label and probability are "-", then comes "error: REASON", and the
    exit code is 1.
    """
    from lungfish.cli.output import print_json
    from lungfish.core.progress import for_stderr
    from lungfish.workflows.predict import predict_each

    rows = predict_each(model, _expand_stdin(images), artifact, top, for_stderr(), follow_links=follow_links)
    failed = False
    if json:
        values = [row.to_json() for row in rows]
        print_json(values)
        return int(any(value["error"] is not None for value in values))
    for row in rows:
        print(_line(row))
        failed = failed or row.error is not None
    return int(failed)


def _line(row: Prediction) -> str:
    from lungfish.core.names import printable

    file = printable(row.file or "-")
    if row.label is None or row.probability is None:
        return f"{file}\t-\t-\terror: {printable(row.error or '')}"
    unknown = "" if row.known else "\tunknown"
    return f"{file}\t{printable(row.label)}\t{row.probability:.4f}{unknown}"


def _expand_stdin(images: Iterable[str]) -> Iterator[str | bytes]:
    for image in images:
        if image == "-":
            yield from _stdin()
        else:
            yield image


def _stdin() -> Iterator[str | bytes]:
    stream = cast("BufferedReader", sys.stdin.buffer)
    # a picture has a zero byte near its start; a list of paths has none
    if b"\0" in stream.peek(64)[:64]:
        yield stream.read()
        return
    for line in stream:
        if path := line.rstrip(b"\r\n"):
            yield os.fsdecode(path)
