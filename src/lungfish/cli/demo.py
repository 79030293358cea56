"""Define the command `lungfish demo`."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Annotated

import typer


def demo(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Folder for the photos and the bundle.")] = Path(
        "lungfish-demo"
    ),
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Train on handwritten digits, offline.

    The digits come with scikit-learn: the demo needs no photos of your own and no internet connection.
    """
    from lungfish.cli.output import print_json
    from lungfish.cli.train import summary
    from lungfish.core.progress import for_stderr
    from lungfish.workflows.demo import PHOTOS
    from lungfish.workflows.demo import demo as run_demo

    result = run_demo(out, for_stderr())
    if json:
        print_json(result.to_json())
        return
    print(summary(result, str(out / PHOTOS)))
    bundle, photo = shlex.quote(str(out / result.folder.name)), shlex.quote(str(out / PHOTOS / "3" / "0003.png"))
    print(f"\nNow try: lungfish predict {bundle} {photo}")
