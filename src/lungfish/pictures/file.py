"""Write pictures to files: SVG directly, PNG with resvg."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from lungfish.core.errors import MissingExtraError, OutputError
from lungfish.core.extras import install_extra
from lungfish.core.files import write_atomic
from lungfish.core.names import printable

PNG_ZOOM = 2.0  # for high-resolution screens


def check_picture_file(path: Path) -> Path:
    """Return `path` if a picture can be written to it. Call this before the expensive work.

    Raises:
        OutputError: The path ends in neither .svg nor .png, or is a folder.
        MissingExtraError: The path ends in .png, and resvg-py is not installed.
    """
    shown = printable(str(path))
    if path.suffix not in (".svg", ".png"):
        raise OutputError(f"--plot {shown} ends in neither .svg nor .png", "For example --plot picture.svg.")
    if path.is_dir():
        raise OutputError(f"--plot {shown} is a folder", "For example --plot picture.svg.")
    if path.suffix == ".png" and find_spec("resvg_py") is None:
        raise MissingExtraError(
            f"{shown} needs resvg-py, which is not installed", f"Run: {install_extra('plot')}, or write an .svg."
        )
    return path


def write_picture(svg: str, path: Path) -> None:
    """Write `svg` to a path that `check_picture_file` has checked. Raises `StorageError`."""
    write_atomic(path, svg if path.suffix == ".svg" else _png(svg))


def _png(svg: str) -> bytes:
    import resvg_py

    data: bytes = resvg_py.svg_to_bytes(svg_string=svg, zoom=PNG_ZOOM)
    return data
