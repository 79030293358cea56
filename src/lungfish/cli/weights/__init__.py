"""Define `lungfish weights` and its subcommands, one per file."""

from __future__ import annotations

from collections.abc import Callable

import typer

from lungfish.cli.weights.convert import convert
from lungfish.cli.weights.fetch import fetch
from lungfish.cli.weights.licenses import licenses
from lungfish.cli.weights.list import list_weights
from lungfish.cli.weights.prune import prune
from lungfish.cli.weights.search import search
from lungfish.cli.weights.show import show
from lungfish.cli.weights.verify import verify

COMMANDS: dict[str, Callable[..., int | None]] = {
    "list": list_weights,
    "search": search,
    "show": show,
    "fetch": fetch,
    "verify": verify,
    "convert": convert,
    "licenses": licenses,
    "prune": prune,
}

weights = typer.Typer(
    name="weights",
    help="Find, fetch, verify and convert open pretrained weights.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)
for name, command in COMMANDS.items():
    weights.command(name)(command)


@weights.callback(invoke_without_command=True)
def _help(context: typer.Context) -> None:
    if context.invoked_subcommand is None:
        print(context.get_help())
