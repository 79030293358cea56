"""Write artifacts to disk: the files of one network in one format and one precision."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from lungfish.core.hashing import sha256_file
from lungfish.exporters.exporter import Exportable
from lungfish.exporters.table import DEFAULT_FORMAT, EXPORTERS
from lungfish.runtime.artifact import ArtifactRow, FileRow
from lungfish.runtime.engines.engine import Engine, ModelFiles
from lungfish.runtime.engines.table import open_engine


@dataclass(frozen=True)
class Artifact:
    """An artifact that this process has written.

    Args:
        folder: Folder of the files.
        format: A name in `exporters.table`.
        precision: `fp32`, `int8`, ...
        files: Paths of the files relative to `folder`, separated by `/`, the main file first.
    """

    folder: Path
    format: str
    precision: str
    files: tuple[str, ...]

    @property
    def file(self) -> str:
        """Name of the main file, which identifies the artifact."""
        return self.files[0]

    @property
    def path(self) -> Path:
        """Path of the main file."""
        return self.folder / self.file

    def in_precision(self, precision: str) -> Artifact:
        """Return the single-file artifact to write in another precision: `model.x` becomes `model-int8.x`."""
        name = f"{self.path.stem}-{precision}{self.path.suffix}"
        return replace(self, precision=precision, files=(name,))

    def open(self, threads: int | None = None) -> Engine:
        """Open the artifact with the engine of its format. Raises as `open_engine` does."""
        return open_engine(ModelFiles.read(self.folder, self.files), self.format, threads)

    def row(self) -> ArtifactRow:
        """Return the row for `bundle.json`, without measurements."""
        paths = {name: self.folder / name for name in self.files}
        files = {name: FileRow(sha256_file(path), path.stat().st_size) for name, path in paths.items()}
        size = sum(each.bytes for each in files.values())
        return ArtifactRow(self.file, self.format, self.precision, size, files[self.file].sha256, files=files)


def write_artifact(
    network: Exportable, folder: Path, stem: str = "model", format_name: str = DEFAULT_FORMAT
) -> Artifact:
    """Write a network in FP32.

    Args:
        network: The network to write.
        folder: Folder to write to; must exist.
        stem: Name of the main file without its suffix.
        format_name: A name in `exporters.table`.
    """
    return Artifact(folder, format_name, "fp32", EXPORTERS[format_name].write(network, folder, stem))
