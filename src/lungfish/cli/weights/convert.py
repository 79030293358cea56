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
    arch: Annotated[str, typer.Option(metavar="ARCH", help="Network of the checkpoint.")],
    source: Annotated[
        str,
        typer.Option(
            help="timm, timm_tf, torchvision, keras, packaged, slim or tpu.  [default: recognized from its tensors]"
        ),
    ] = "",
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The .safetensors file to write.  [default: FILE's name, in this folder]"),
    ] = None,
    license_id: Annotated[
        str, typer.Option("--license", metavar="ID", help="SPDX identifier of its license, to record in the file.")
    ] = "",
    force: Annotated[bool, typer.Option("--force", help="Replace an existing file.")] = False,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Convert another library's checkpoint to Lungfish's names.

    The result is a safetensors file whose header states its origin.
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

    print(f"{printable(str(converted.out))}: {converted.arch} from {converted.source}, {converted.params:,} parameters")
    if converted.averages:
        print(f"moving averages of the trained weights: {converted.averages:,} tensors")
    for what in converted.dropped:
        print(f"left out: {printable(what)}")
    print(f"license: {converted.license or 'not given; it must be accepted before training'}")
    print(f"SHA-256: {converted.sha256}")
