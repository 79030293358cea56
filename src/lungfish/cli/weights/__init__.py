"""`lungfish weights`: its list of subcommands, one file for each."""

from __future__ import annotations

from collections.abc import Callable

import typer

from lungfish.cli.weights.convert import convert

COMMANDS: dict[str, Callable[..., None]] = {"convert": convert}

weights = typer.Typer(
    name="weights",
    help="Open pretrained weights: find them, check their license, fetch, verify and convert them.",
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    no_args_is_help=True,
)
for name, command in COMMANDS.items():
    weights.command(name)(command)
