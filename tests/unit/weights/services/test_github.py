"""GitHub's search of repositories, as its API answers."""

from typing import Any

import pytest

from lungfish.core.errors import DownloadError
from lungfish.weights.services.github import Repository, search_repositories


def row(name: str, **changes: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "full_name": name,
        "html_url": f"https://github.com/{name}",
        "description": "Networks",
        "fork": False,
        "pushed_at": "2024-05-01T10:00:00Z",
        "stargazers_count": 321,
        "license": {
            "key": "mit",
            "name": "MIT License",
            "spdx_id": "MIT",
            "url": "https://api.github.com/licenses/mit",
        },
    } | changes


@pytest.fixture
def github(server: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.setenv("GITHUB_API_URL", server.url)
    return server


def found(*rows: Any) -> dict[str, Any]:
    return {"total_count": len(rows), "incomplete_results": False, "items": list(rows)}


def test_a_search(github: Any, reply: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "gh_secret")
    github.answer("/search/repositories", reply.json(found(row("a/b"), row("c/d", license=None))))
    first, second = search_repositories("mobilenet", limit=7)
    assert first == Repository("a/b", "https://github.com/a/b", "MIT", 321, "2024-05-01")
    assert second.license == "NOASSERTION"
    seen = github.seen[0]
    assert (seen.query["q"], seen.query["per_page"]) == ("mobilenet in:name,description,topics", "7")
    assert seen.headers["accept"] == "application/vnd.github+json"
    assert seen.headers["authorization"] == "Bearer gh_secret"


def test_what_is_missing_or_odd(github: Any, reply: Any) -> None:
    odd = row("a/b", license={"spdx_id": None}, stargazers_count="many", pushed_at=None)
    github.answer("/search/repositories", reply.json(found(odd, "text")))
    assert search_repositories("x") == [Repository("a/b", "https://github.com/a/b", "NOASSERTION", 0, "")]


@pytest.mark.parametrize("answer", [[], {"items": None}, {"message": "Validation Failed"}])
def test_nonsense(github: Any, reply: Any, answer: Any) -> None:
    github.answer("/search/repositories", reply.json(answer))
    with pytest.raises(DownloadError, match="invalid response"):
        search_repositories("x")


def test_the_rate_limit(github: Any, reply: Any) -> None:
    headers = {"X-RateLimit-Limit": "10", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "99999999999"}
    github.answer("/search/repositories", reply.json({"message": "API rate limit exceeded"}, 403, headers))
    with pytest.raises(DownloadError, match=r"GitHub accepts no requests for .* rate limit") as caught:
        search_repositories("x")
    assert "set GITHUB_TOKEN" in caught.value.hint
