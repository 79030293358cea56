"""Query the Hugging Face hub: describe a model, locate its files, search.

Addresses, tokens and answers are interpreted by huggingface_hub. Requests are sent by `json_api`, because the library's
own search has no timeout, sleeps through rate limits and reports the installed packages to the hub.
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
    """A file of a repository. `sha256` and `bytes` are known for files in Git LFS, which include weights."""

    name: str
    sha256: str = ""
    bytes: int | None = None


@dataclass(frozen=True)
class HubModel:
    """What the hub reports about a repository.

    Args:
        repository: `OWNER/REPO`.
        commit: 40 hex digits; empty if unknown.
        license: SPDX identifier, or whatever else the model card states; NOASSERTION if it states nothing.
        library: `timm`, `transformers` ...; empty if unknown.
        datasets: Datasets that the model card names.
        files: Files of the repository; empty in search results.
        downloads: Downloads in the last 30 days.
        likes: Number of likes.
        modified: Date of the last commit, `2024-05-01`; empty if unknown.
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
        """The model's page."""
        return f"{PAGES}/{self.repository}"


def file_url(location: str) -> str:
    """Return the address of a file on the hub or its mirror.

    Args:
        location: `hf:OWNER/REPO@REVISION/FILE`.

    Raises:
        UsageError: The location does not have this form.
    """
    name = parse_hub(location)
    path = f"{name.repository}/resolve/{quote(name.revision or MAIN, safe='')}/{quote(name.file)}"
    return f"{_mirror() or PAGES}/{path}"


def access_token() -> str:
    """Return the hub's access token, or an empty string. Raises `MissingExtraError` if huggingface_hub is missing."""
    return _hub().token


def read_model(name: HubName) -> HubModel:
    """Return what the hub reports about a repository at the name's revision, by default `main`.

    Raises:
        UnknownNameError: The repository or revision does not exist.
        DownloadError: It is private or gated, or the hub cannot be reached.
        MissingExtraError: huggingface_hub is not installed.
    """
    path = f"/api/models/{name.repository}" + (f"/revision/{name.revision}" if name.revision else "")
    what = f"model {name.repository}" + (f" at {name.revision}" if name.revision else "")
    model = _model(read_json(_hub(), path, what, [("blobs", "true")]))
    if not model.commit:
        raise _invalid(f"no commit for {printable(name.repository)}")
    return model


def read_config(model: HubModel) -> Any:
    """Return the contents of `config.json` at the model's commit. Raises the same errors as `read_model`."""
    path = f"/{model.repository}/resolve/{model.commit}/config.json"
    return read_json(_hub(), path, f"file config.json in {model.repository}")


def search_models(text: str, limit: int = 20) -> list[HubModel]:
    """Return image classifiers whose names contain `text`, most downloads first.

    Raises:
        DownloadError: The hub cannot be reached.
        MissingExtraError: huggingface_hub is not installed.
    """
    wanted_fields = ("downloads", "lastModified", "library_name", "likes", "tags")
    query = [("search", text), ("filter", "image-classification"), ("sort", "downloads"), ("limit", str(limit))]
    rows = read_json(_hub(), "/api/models", "search", query + [("expand", each) for each in wanted_fields])
    if not isinstance(rows, list):
        raise _invalid("the search result is not a list")
    return [_model(row) for row in rows[:limit]]


def pin(entry: WeightsEntry) -> WeightsEntry:
    """Return the entry pinned to the commit its revision currently points to, with the hub's hash and size of the file.

    Raises:
        UnknownNameError: The repository, revision or file does not exist.
        DownloadError: The hub cannot be reached, or reports a hash or size that differs from the entry's.
    """
    name = parse_hub(entry.location)
    model = read_model(name)
    file = find_file(model, name.file)
    reported = {"sha256": file.sha256, "bytes": file.bytes}
    for field, value in reported.items():
        known = getattr(entry, field)
        if known and value and known != value:
            raise DownloadError(
                f"{name.file} on the hub is not the file of {printable(entry.name)}: {field} {value}, expected {known}",
                "It was replaced on the hub. Nothing was fetched.",
            )
    location = str(replace(name, revision=model.commit))
    return replace(entry, location=location, sha256=file.sha256 or entry.sha256, bytes=file.bytes or entry.bytes)


def find_file(model: HubModel, name: str) -> HubFile:
    """Return the file of that name. Raises `UnknownNameError` with close matches."""
    files = {file.name: file for file in model.files}
    return files[choose(name, files, f"file of {model.repository}")]


def _hub() -> Service:
    try:
        from huggingface_hub import constants, get_token
    except ModuleNotFoundError as error:
        raise missing_extra(error, "access to the Hugging Face hub") from None
    token = None if constants.HF_HUB_DISABLE_IMPLICIT_TOKEN else get_token()
    return Service("the Hugging Face hub", _mirror() or PAGES, bool(_mirror()), token or "", "HF_TOKEN")


def _mirror() -> str:
    """Return the hub address that the user configured, or an empty string."""
    return os.environ.get("HF_ENDPOINT", "").rstrip("/")


def _model(row: Any) -> HubModel:
    """Return the hub's answer, parsed by huggingface_hub and validated. Raises `DownloadError`."""
    from huggingface_hub import ModelInfo

    try:
        info: Any = ModelInfo(**row)  # type: ignore[no-untyped-call]
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise _invalid(f"{type(error).__name__} {error}") from None
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
    """Return the license in the tags, which the hub takes from the model card; a mirror may have only card data."""
    licenses: Sequence[object] = _tagged(info, "license") or [getattr(info.card_data, "license", None)]
    tag = licenses[0] if len(licenses) == 1 and isinstance(licenses[0], str) else ""
    if tag in NO_LICENSE or not _LICENSE.fullmatch(tag):
        return NOASSERTION
    return _CANONICAL.get(tag.casefold(), tag)


def _tagged(info: ModelInfo, kind: str) -> Sequence[str]:
    """Return `imagenet-1k` for `dataset:imagenet-1k`; the hub derives such tags from the model card's metadata."""
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


def _invalid(reason: str) -> DownloadError:
    return DownloadError(
        f"the Hugging Face hub returned an invalid response: {printable(reason)}", "If HF_ENDPOINT is set, check it."
    )
