"""GitHub's search of repositories: where a license is told, but never that it is of the weights, too."""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import Any

from lungfish.core.errors import DownloadError
from lungfish.weights.license import NOASSERTION
from lungfish.weights.services.json_api import Service, read_json

API = "https://api.github.com"


@dataclass(frozen=True)
class Repository:
    """What GitHub says of a repository.

    Args:
        name: `OWNER/REPO`.
        url: its page.
        license: SPDX identifier of the code; NOASSERTION if GitHub finds none or does not know it.
        stars: how many people marked it.
        pushed: date of the last push, `2024-05-01`; empty if not told.
    """

    name: str
    url: str
    license: str
    stars: int
    pushed: str


def search_repositories(text: str, limit: int = 20) -> list[Repository]:
    """Repositories whose name, description or topics hold `text`, those with the most stars first.

    The API is at `GITHUB_API_URL`, if it is set; `GITHUB_TOKEN` raises the rate limit.

    Raises:
        DownloadError: GitHub cannot be asked, or its rate limit is reached.
        MissingExtraError: httpx2 is not installed.
    """
    configured = os.environ.get("GITHUB_API_URL", "").rstrip("/")
    headers = {"Accept": "application/vnd.github+json", "X-GitHub-Api-Version": "2022-11-28"}
    token = os.environ.get("GITHUB_TOKEN", "")
    service = Service("GitHub", configured or API, bool(configured), token, "GITHUB_TOKEN", headers)
    query = [("q", f"{text} in:name,description,topics"), ("sort", "stars"), ("per_page", str(limit))]
    found = read_json(service, "/search/repositories", "search", query)
    rows = found.get("items") if isinstance(found, dict) else None
    if not isinstance(rows, list):
        raise DownloadError("the answer of GitHub makes no sense: no list of items", "Is GITHUB_API_URL its API?")
    return [_repository(row) for row in rows[:limit] if isinstance(row, dict)]


def _repository(row: dict[str, Any]) -> Repository:
    license_row = row.get("license")
    spdx = _text(license_row, "spdx_id") if isinstance(license_row, dict) else ""
    stars = row.get("stargazers_count")
    return Repository(
        name=_text(row, "full_name"),
        url=_text(row, "html_url"),
        license=spdx or NOASSERTION,
        stars=stars if isinstance(stars, int) else 0,
        pushed=_text(row, "pushed_at")[:10],
    )


def _text(row: dict[str, Any], key: str) -> str:
    value = row.get(key)
    return value if isinstance(value, str) else ""
