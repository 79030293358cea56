"""Convert a local checkpoint to safetensors with our names."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from lungfish.architecture import parse_arch
from lungfish.core.errors import OutputError, UsageError
from lungfish.core.names import printable
from lungfish.weights.convert.to_file import Converted, Provenance, convert_file

ENDING = ".safetensors"
SPDX = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+-]{0,99}")


@dataclass(frozen=True)
class Conversion:
    """What to convert.

    Args:
        file: The checkpoint.
        arch: Name of its network, or an architecture's JSON file.
        source: Library that wrote it; detected if empty.
        out: File to write; the checkpoint's name in the current folder if None.
        license: SPDX identifier; empty if unknown.
        force: Whether to replace `out`.
    """

    file: Path
    arch: str
    source: str = ""
    out: Path | None = None
    license: str = ""
    force: bool = False


def convert(conversion: Conversion) -> Converted:
    """Convert a checkpoint.

    Raises:
        UsageError: The file, network or library does not exist, or the license is not an SPDX identifier.
        OutputError: `out` cannot be used.
        WeightsError: The file cannot be read, or belongs to another network.
        MissingExtraError: The package that reads it is not installed.
        StorageError: `out` cannot be written.
    """
    if conversion.license and not SPDX.fullmatch(conversion.license):
        raise UsageError(
            f"--license {printable(conversion.license)!r} is not an SPDX identifier", "For example Apache-2.0 or MIT."
        )
    arch = parse_arch(conversion.arch)
    out = _check_out(conversion)
    return convert_file(conversion.file, arch, conversion.source, out, Provenance(license=conversion.license))


def _check_out(conversion: Conversion) -> Path:
    name = re.sub(r"\.(index|pth|pt|bin|safetensors|keras|(weights\.)?h5|hdf5)$", "", conversion.file.name)
    out = conversion.out or Path(name + ENDING)
    shown = printable(str(out))
    if out.suffix != ENDING:
        raise OutputError(f"--out {shown} does not end in {ENDING}", "Commands recognize such a file by that ending.")
    if out.is_dir() or out.resolve() == conversion.file.resolve():
        raise OutputError(f"{shown} is the file to convert, or a folder", "Choose another --out.")
    if (out.exists() or out.is_symlink()) and not conversion.force:
        raise OutputError(f"{shown} exists", "Give --force to replace it, or choose another --out.")
    return out
