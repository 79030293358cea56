"""Search GitHub repositories. GitHub reports the license of the code, never that of the weights."""

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
    """What GitHub reports about a repository.

    Args:
        name: `OWNER/REPO`.
        url: Page of the repository.
        license: SPDX identifier of the code; NOASSERTION if GitHub finds none or does not recognize it.
        stars: Number of stars.
        pushed: Date of the last push, `2024-05-01`; empty if unknown.
    """

    name: str
    url: str
    license: str
    stars: int
    pushed: str


def search_repositories(text: str, limit: int = 20) -> list[Repository]:
    """Return repositories whose name, description or topics contain `text`, most stars first.

    `GITHUB_API_URL` overrides the address of the API; `GITHUB_TOKEN` raises the rate limit.

    Raises:
        DownloadError: GitHub cannot be reached, or its rate limit is exceeded.
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
        raise DownloadError("GitHub returned an invalid response: no list of items", "Check GITHUB_API_URL.")
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
