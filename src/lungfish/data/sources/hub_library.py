"""Find and download datasets with the library `datasets`.

A dataset's own code is never run: `datasets` stopped running it in version 4, which the extra requires.
"""

from __future__ import annotations

import errno
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from lungfish.core.errors import DownloadError, LungfishError, PhotosError, StorageError
from lungfish.core.extras import missing_extra
from lungfish.core.names import printable
from lungfish.data.sources.remote import disable_hub_telemetry

SCHEME = "hf:"
MISSING = ("DatasetNotFoundError", "RepositoryNotFoundError", "GatedRepoError", "RevisionNotFoundError")
LAYOUTS = ("parquet", "arrow", "imagefolder", "webdataset")
CACHED = "cache"  # downloaded before, and used while the hub is offline
FORM = "hf:OWNER/NAME, hf:OWNER/NAME@REVISION, hf:OWNER/NAME:CONFIG or hf:OWNER/NAME@REVISION:CONFIG"
_NAME = re.compile(
    r"hf:(?P<repository>[\w.-]+(/[\w.-]+)?)(@(?P<revision>[\w./-]+))?(:(?P<config>[\w. +=,-]+))?", re.ASCII
)


@dataclass(frozen=True)
class HubData:
    """Parts of `hf:OWNER/NAME[@REVISION][:CONFIG]`; empty if absent."""

    repository: str
    revision: str = ""
    config: str = ""


def is_hub_name(text: str) -> bool:
    """Return whether `text` is a name on the hub; `hf://` is an address for fsspec."""
    return text.startswith(SCHEME) and not text.startswith("hf://")


def parse_hub_name(text: str) -> HubData:
    """Parse a name on the hub. Raises `PhotosError`."""
    match = _NAME.fullmatch(text)
    if match is None or ".." in text:
        raise PhotosError(f"{printable(text)!r} is not the name of a dataset on the Hugging Face hub", f"Write {FORM}.")
    return HubData(match["repository"], match["revision"] or "", match["config"] or "")


@dataclass(frozen=True)
class FoundData:
    """A dataset on the hub.

    Args:
        address: Address of its files, at the commit that the hub returned.
        builder: Builder from `datasets`, whose data is not downloaded yet.
    """

    address: str
    builder: Any

    @property
    def kind(self) -> str:
        """Kind of its files, one of `LAYOUTS`; or `CACHED`."""
        return str(self.builder.info.builder_name)

    @property
    def files(self) -> list[str]:
        return [str(file) for files in self.builder.config.data_files.values() for file in files]


def find_data(name: HubData) -> FoundData:
    """Look up a dataset on the hub; only its description is downloaded.

    Raises:
        PhotosError: The dataset does not contain photos.
        MissingExtraError: datasets is not installed.
        Exception: Whatever the library raises; see `hub_errors`.
    """
    try:
        import datasets
        from huggingface_hub import HfApi, constants
    except ModuleNotFoundError as error:
        raise missing_extra(error, "reading datasets from the Hugging Face hub", "datasets") from None
    disable_hub_telemetry()
    if not sys.stderr.isatty():
        datasets.disable_progress_bars()
    # a commit records what is trained on, and avoids a request to the hub's viewer, which mirrors lack
    revision = name.revision or None
    if not constants.is_offline_mode():
        revision = HfApi().dataset_info(name.repository, revision=revision).sha
    # in this form, a local folder of the same name is not used instead
    path = f"hf://datasets/{name.repository}"
    with _no_telemetry(datasets.config):
        builder = datasets.load_dataset_builder(path, name.config or None, revision=revision)
    found = FoundData(f"{path}@{revision}", builder)
    if found.kind not in (*LAYOUTS, CACHED):
        raise PhotosError(
            f"hf:{name.repository} holds {printable(found.kind)} files, not photos",
            f"Datasets of {', '.join(LAYOUTS)} files are supported.",
        )
    return found


def download(builder: Any) -> Mapping[str, Any]:
    """Return a memory-mapped `datasets.Dataset` per split, downloaded into the library's cache. May raise anything."""
    import datasets

    with _no_telemetry(datasets.config):
        builder.download_and_prepare()
        parts: Mapping[str, Any] = builder.as_dataset()
    return parts


@contextmanager
def _no_telemetry(config: Any) -> Iterator[None]:
    """Keep `datasets` from counting downloads and from reporting which frameworks are installed."""
    settings = ("HF_UPDATE_DOWNLOAD_COUNTS", "TORCH_AVAILABLE", "TF_AVAILABLE", "JAX_AVAILABLE")
    before = {name: getattr(config, name) for name in settings}
    try:
        for name in settings:
            setattr(config, name, False)
        yield
    finally:
        for name, value in before.items():
            setattr(config, name, value)


@contextmanager
def hub_errors(text: str) -> Iterator[None]:
    """Turn whatever the library raises into an error that names the dataset."""
    shown = printable(text)
    try:
        yield
    except LungfishError:
        raise
    except Exception as error:
        reason = printable(str(error).strip().partition("\n")[0])
        if isinstance(error, OSError) and (error.errno == errno.ENOSPC or "disk space" in reason):
            raise StorageError(f"no room for {shown}: {reason}", "Free some disk space, or set HF_HOME.") from error
        if type(error).__name__ in MISSING:
            hint = "Check the spelling. If you have access, accept its terms on its page and set HF_TOKEN."
            raise PhotosError(f"no dataset {shown}, or it is private or gated", hint) from error
        if isinstance(error, ValueError | RuntimeError):  # several configurations, a script, no data files
            raise PhotosError(f"{shown} cannot be used: {printable(str(error))[:1000]}", f"Write {FORM}.") from error
        raise DownloadError(
            f"cannot load {shown}: {type(error).__name__}: {reason}",
            "Check the connection; HF_ENDPOINT names a mirror.",
        ) from error
