"""Define the command `lungfish weights convert`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lungfish.weights.convert.to_file import Converted


def convert(  # noqa: PLR0913  one parameter for each option
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="A checkpoint: .pth, .safetensors, .h5, .keras, TensorFlow's .index.")
    ],
    arch: Annotated[str, typer.Option(metavar="ARCH", help="The network that it holds.")],
    source: Annotated[
        str,
        typer.Option(help="timm, timm_tf, torchvision, keras, packaged, slim or tpu.  [default: found by its names]"),
    ] = "",
    out: Annotated[
        Path | None, typer.Option(metavar="FILE", help="The .safetensors to write.  [default: its name, here]")
    ] = None,
    license_id: Annotated[
        str, typer.Option("--license", metavar="ID", help="SPDX identifier of its license, to keep with it.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace the file that is there.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print one JSON value.")] = False,
) -> None:
    """Write another library's checkpoint with our names.

    The file is safetensors, and its header says where it came from.
    """
    from lungfish.cli.output import print_json
    from lungfish.workflows.weights import convert as workflow

    converted = workflow.convert(workflow.Conversion(file, arch, source, out, license_id, force))
    if json:
        print_json(converted.to_json())
    else:
        _print(converted)


def _print(converted: Converted) -> None:
    from lungfish.core.names import printable

    print(f"{printable(str(converted.out))}: {converted.arch} of {converted.source}, {converted.params:,} parameters")
    if converted.averages:
        print(f"moving averages of the trained weights: {converted.averages:,} tensors")
    for what in converted.dropped:
        print(f"left out: {printable(what)}")
    print(f"license: {converted.license or 'not told; the gate will ask'}")
    print(f"SHA-256: {converted.sha256}")
