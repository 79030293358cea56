"""Define the command `lungfish weights fetch`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lungfish.workflows.weights.fetch import Fetched


def fetch(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Name of the weights.")],
    accept_license: Annotated[
        str | None, typer.Option(metavar="ID", help="Accept this license; needed if it is not permissive.")
    ] = None,
    arch: Annotated[str | None, typer.Option(help="The network, if the file does not state it.")] = None,
    offline: Annotated[bool, typer.Option("--offline", help="Make no network requests; use only local files.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Fetch a set of weights into the cache.

    Checks the license first, and then verifies that the file is the published one.
    """
    from lungfish.cli.output import print_json
    from lungfish.core.progress import for_stderr
    from lungfish.weights.fetch.fetch import FetchOptions
    from lungfish.workflows.weights import fetch as workflow

    fetched = workflow.fetch(name, arch, FetchOptions(offline, accept_license, for_stderr()))
    if json:
        print_json(fetched.to_json())
    else:
        _print(fetched)


def _print(fetched: Fetched) -> None:
    from lungfish.core.names import printable

    record, entry = fetched.record, fetched.record.entry
    accepted = ", accepted" if record.accepted_license else ""
    print(printable(str(fetched.file)))
    print(f"SHA-256 {entry.sha256}, {entry.bytes:,} bytes, from {printable(record.origin)}")
    if record.converted_sha256:
        print(f"converted: SHA-256 {record.converted_sha256}")
    print(f"license {printable(entry.license)}{accepted}: {printable(entry.license_source)}")
