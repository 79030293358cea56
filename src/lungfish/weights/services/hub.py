"""The Hugging Face hub: what it says of a model, where its files are, and what it finds.

Addresses, tokens and answers are read as huggingface_hub reads them. The questions are asked by `service`, because the
library's own search has no timeout, sleeps through rate limits and tells the hub what is installed here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from lungfish.core.errors import DownloadError
from lungfish.core.extras import missing_extra
from lungfish.core.names import choose, printable
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.license import NOASSERTION, PERMISSIVE
from lungfish.weights.scheme import HubName, is_inside, parse_hub
from lungfish.weights.services.json_api import Service, read_json

if TYPE_CHECKING:
    from huggingface_hub import ModelInfo

PAGES = "https://huggingface.co"
MAIN = "main"
NO_LICENSE = ("", "other", "unknown")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHA256 = re.compile(r"[0-9a-f]{64}")
_LICENSE = re.compile(r"[A-Za-z0-9.+-]+")
_CANONICAL = {each.casefold(): each for each in PERMISSIVE}


@dataclass(frozen=True)
class HubFile:
    """A file of a repository. `sha256` and `bytes` are known of files in Git LFS, as weights are."""

    name: str
    sha256: str = ""
    bytes: int | None = None


@dataclass(frozen=True)
class HubModel:
    """What the hub says of a repository.

    Args:
        repository: `OWNER/REPO`.
        commit: 40 hex digits; empty if the hub did not tell.
        license: SPDX identifier, or what else its model card says; NOASSERTION if it says nothing.
        library: `timm`, `transformers` ...; empty if not told.
        datasets: that the model card names.
        files: of the repository; empty in what a search finds.
        downloads: in the last 30 days.
        likes: how many people marked it.
        modified: date of the last commit, `2024-05-01`; empty if not told.
    """

    repository: str
    commit: str
    license: str
    library: str
    datasets: tuple[str, ...]
    files: tuple[HubFile, ...]
    downloads: int | None
    likes: int | None
    modified: str

    @property
    def url(self) -> str:
        """Its page."""
        return f"{PAGES}/{self.repository}"


def file_url(location: str) -> str:
    """The address of a file on the hub or its mirror.

    Args:
        location: `hf:OWNER/REPO@REVISION/FILE`.

    Raises:
        UsageError: it is no such location.
    """
    name = parse_hub(location)
    path = f"{name.repository}/resolve/{quote(name.revision or MAIN, safe='')}/{quote(name.file)}"
    return f"{_mirror() or PAGES}/{path}"


def access_token() -> str:
    """The token to ask the hub with; empty if there is none. Raises `MissingExtraError`: huggingface_hub is missing."""
    return _hub().token


def read_model(name: HubName) -> HubModel:
    """What the hub says of a repository at a revision, `main` unless the name tells.

    Raises:
        UnknownNameError: no such repository or revision.
        DownloadError: it is private or gated, or the hub cannot be asked.
        MissingExtraError: huggingface_hub is not installed.
    """
    path = f"/api/models/{name.repository}" + (f"/revision/{name.revision}" if name.revision else "")
    what = f"model {name.repository}" + (f" at {name.revision}" if name.revision else "")
    model = _model(read_json(_hub(), path, what, [("blobs", "true")]))
    if not model.commit:
        raise _senseless(f"it tells no commit of {printable(name.repository)}")
    return model


def read_config(model: HubModel) -> Any:
    """The value of `config.json`, at the model's commit. Raises as `read_model`."""
    path = f"/{model.repository}/resolve/{model.commit}/config.json"
    return read_json(_hub(), path, f"file config.json in {model.repository}")


def search_models(text: str, limit: int = 20) -> list[HubModel]:
    """Image classifiers whose names hold `text`, the most fetched first.

    Raises:
        DownloadError: the hub cannot be asked.
        MissingExtraError: huggingface_hub is not installed.
    """
    asked = ("downloads", "lastModified", "library_name", "likes", "tags")
    query = [("search", text), ("filter", "image-classification"), ("sort", "downloads"), ("limit", str(limit))]
    rows = read_json(_hub(), "/api/models", "search", query + [("expand", each) for each in asked])
    if not isinstance(rows, list):
        raise _senseless("its search gives no list")
    return [_model(row) for row in rows[:limit]]


def pin(entry: WeightsEntry) -> WeightsEntry:
    """An entry on the hub at the commit that its revision stands for today, with the hash and size that the hub tells.

    Raises:
        UnknownNameError: no such repository, revision or file.
        DownloadError: the hub cannot be asked, or tells another hash or size than the entry.
    """
    name = parse_hub(entry.location)
    model = read_model(name)
    file = find_file(model, name.file)
    told = {"sha256": file.sha256, "bytes": file.bytes}
    for field, value in told.items():
        known = getattr(entry, field)
        if known and value and known != value:
            raise DownloadError(
                f"the hub has another {name.file} than {printable(entry.name)}: {field} {value}, expected {known}",
                "It was replaced there. Nothing is fetched.",
            )
    location = str(replace(name, revision=model.commit))
    return replace(entry, location=location, sha256=file.sha256 or entry.sha256, bytes=file.bytes or entry.bytes)


def find_file(model: HubModel, name: str) -> HubFile:
    """The file of that name. Raises `UnknownNameError` with close matches."""
    files = {file.name: file for file in model.files}
    return files[choose(name, files, f"file of {model.repository}")]


def _hub() -> Service:
    try:
        from huggingface_hub import constants, get_token
    except ModuleNotFoundError as error:
        raise missing_extra(error, "the Hugging Face hub") from None
    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    return Service("the Hugging Face hub", _mirror() or PAGES, bool(_mirror()), token or "", "HF_TOKEN")


def _mirror() -> str:
    """The address that the user set for the hub, or nothing."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/")


def _model(row: Any) -> HubModel:
    """An answer of the hub, read as huggingface_hub does, and checked. Raises `DownloadError`."""
    from huggingface_hub import ModelInfo

    try:
        info: Any = ModelInfo(**row)  # type: ignore[no-untyped-call]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _senseless(f"{type(error).__name__} {error}") from None
    commit = info.sha if isinstance(info.sha, str) and _COMMIT.fullmatch(info.sha) else ""
    return HubModel(
        repository=parse_hub(f"hf:{info.id}").repository,
        commit=commit,
        license=_license(info),
        library=info.library_name if isinstance(info.library_name, str) else "",
        datasets=tuple(_tagged(info, "dataset")),
        files=tuple(_files(info)),
        downloads=info.downloads if isinstance(info.downloads, int) else None,
        likes=info.likes if isinstance(info.likes, int) else None,
        modified=info.last_modified.date().isoformat() if isinstance(info.last_modified, datetime) else "",
    )


def _license(info: ModelInfo) -> str:
    """What the tags say, which the hub makes of the model card; a mirror may have the record only."""
    told: Sequence[object] = _tagged(info, "license") or [getattr(info.card_data, "license", None)]
    tag = told[0] if len(told) == 1 and isinstance(told[0], str) else ""
    if tag in NO_LICENSE or not _LICENSE.fullmatch(tag):
        return NOASSERTION
    return _CANONICAL.get(tag.casefold(), tag)


def _tagged(info: ModelInfo, kind: str) -> Sequence[str]:
    """`imagenet-1k` of `dataset:imagenet-1k`: the hub makes such tags of the model card's metadata."""
    tags = info.tags if isinstance(info.tags, list) else []
    return [tag.partition(":")[2] for tag in tags if isinstance(tag, str) and tag.startswith(f"{kind}:")]


def _files(info: ModelInfo) -> Sequence[HubFile]:
    files = []
    for each in info.siblings or ():
        if isinstance(each.rfilename, str) and is_inside(each.rfilename):
            known = each.lfs is not None and isinstance(each.lfs.sha256, str) and _SHA256.fullmatch(each.lfs.sha256)
            size = each.size if isinstance(each.size, int) and each.size > 0 else None
            files.append(HubFile(each.rfilename, each.lfs.sha256 if each.lfs and known else "", size))
    return files


def _senseless(reason: str) -> DownloadError:
    return DownloadError(
        f"the answer of the Hugging Face hub makes no sense: {printable(reason)}", "Is HF_ENDPOINT a mirror of the hub?"
    )
