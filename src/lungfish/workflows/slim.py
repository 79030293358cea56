"""Make the small copy of a bundle that a device needs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lungfish.core.progress import Progress
from lungfish.deploy.open_bundle import open_bundle
from lungfish.deploy.slim_bundle import write_slim_bundle
from lungfish.job.replace_bundle import staged_bundle
from lungfish.job.target import choose_slim_target
from lungfish.runtime.bundle_files import listed_files
from lungfish.runtime.manifest import MANIFEST_NAME


@dataclass(frozen=True)
class SlimBundle:
    """A slim copy.

    Args:
        bundle: Folder of the copy.
        files: Names of its files.
        bytes: Total size of its files.
    """

    bundle: str
    files: tuple[str, ...]
    bytes: int

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def slim(
    bundle: str | Path,
    out: str | Path | None = None,
    artifact: str | None = None,
    progress: Progress | None = None,
) -> SlimBundle:
    """Copy the parts of a bundle that a device needs: `bundle.json`, one model, its class names and its license.

    The copy is a bundle that predicts and can be evaluated. It contains no photo, and no photo's name.

    Args:
        bundle: Folder of the bundle, which is not changed.
        out: Folder to create; by default `NAME-slim` in the current folder, or `NAME-slim-2`, `-3`, ...
        artifact: File name of the model to copy; the default artifact if None.
        progress: Receives messages; silent if None.

    Raises:
        UsageError: The bundle or artifact does not exist, or `out` exists, is inside the bundle, or contains it.
        BundleError: The bundle differs from its manifest.
        StorageError: A file cannot be read or written.

    Example:
        >>> import lungfish as lf
        >>> lf.slim("shoes-bundle", "app/assets/shoes").files  # doctest: +SKIP
        ('bundle.json', 'model-int8.onnx', 'labels.txt', 'NOTICE')
    """
    progress = progress or Progress()
    loaded = open_bundle(bundle)
    loaded.manifest.artifact(artifact)
    target = choose_slim_target(loaded.folder, Path(out) if out is not None else None)
    if line := target.to_say():
        progress.say(line)
    with staged_bundle(target.folder, None, progress) as folder:
        manifest = write_slim_bundle(loaded, folder, artifact)
    files = (MANIFEST_NAME, *listed_files(manifest))
    return SlimBundle(str(target.folder), files, sum((target.folder / name).stat().st_size for name in files))
