"""One table of the catalogue, the hub and GitHub."""

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from lungfish.core.errors import UsageError
from lungfish.weights.license import is_permissive
from lungfish.workflows.weights.search import search_catalogue
from lungfish.workflows.weights.search_online import search_online

KNOWN = "timm/mobilenetv2_100.ra_in1k"


@pytest.fixture
def services(server: Any, start_server: Callable[[], Any], reply: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A hub with four models, one of which is in the catalogue, and a GitHub with two repositories."""
    github = start_server()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("GITHUB_API_URL", github.url)
    models = [
        {"id": KNOWN, "tags": ["license:apache-2.0"], "library_name": "timm", "downloads": 9, "likes": 1},
        {"id": "me/mobilenetv2-open", "tags": ["license:mit"], "library_name": "timm", "downloads": 1234, "likes": 5},
        {"id": "me/mobilenetv2-closed", "tags": ["license:cc-by-nc-4.0"], "lastModified": "2024-05-01T00:00:00.000Z"},
        {"id": "me/mobilenetv2-silent", "tags": []},
    ]
    server.answer("/api/models", reply.json(models))
    repositories = [
        {"full_name": "them/mobilenet", "html_url": "https://github.com/them/mobilenet", "license": {"spdx_id": "MIT"},
         "stargazers_count": 77, "pushed_at": "2023-01-02T03:04:05Z"},
        {"full_name": "them/evil\x1b[2J", "license": None},
    ]  # fmt: skip
    github.answer("/search/repositories", reply.json({"items": repositories}))
    server.github = github
    return server


def test_one_table(services: Any) -> None:
    found = search_online("mobilenet_v2")
    rows = {row.name: row for row in found.rows}
    assert found.warnings == ()
    assert set(rows) >= {"mobilenet_v2.ra_in1k", "hf:me/mobilenetv2-open", "github.com/them/mobilenet"}
    assert f"hf:{KNOWN}" not in rows
    permissive = [is_permissive(row.license) for row in found.rows]
    assert permissive == sorted(permissive, reverse=True)
    assert [row.license for row in found.rows][-1] == "NOASSERTION"
    ours = rows["hf:me/mobilenetv2-open"]
    assert (ours.license, ours.stars, ours.source) == ("MIT", 5, "Hugging Face hub, timm, 1,234 downloads a month")
    assert rows["hf:me/mobilenetv2-closed"].updated == "2024-05-01"
    theirs = rows["github.com/them/mobilenet"]
    assert (theirs.license, theirs.stars, theirs.updated) == ("MIT", 77, "2023-01-02")
    assert "code" in theirs.source
    assert ours.next_command == "lungfish weights fetch hf:me/mobilenetv2-open"
    assert theirs.next_command == "git ls-remote https://github.com/them/mobilenet HEAD"
    assert (
        rows["github.com/them/evil\x1b[2J"].next_command == r"git ls-remote 'https://github.com/them/evil\x1b[2J' HEAD"
    )
    assert [seen.query["search"] for seen in services.seen] == ["mobilenet_v2", "mobilenetv2"]


def test_a_service_that_fails_is_a_warning(services: Any, reply: Any) -> None:
    services.answer("/api/models", reply(429, headers={"Retry-After": "300"}))
    services.github.stop()
    found = search_online("mobilenet_v2")
    assert [replace(row, next_command="") for row in found.rows] == search_catalogue("mobilenet_v2")
    hub, github = found.warnings
    assert hub.startswith("the Hugging Face hub was skipped: ")
    assert "rate limit" in hub
    assert github.startswith("GitHub was skipped: ")
    assert "cannot be reached" in github


def test_offline_is_a_warning(services: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LUNGFISH_OFFLINE", "1")
    found = search_online("lite0")
    assert [row.next_command for row in found.rows if row.cached] == [
        "lungfish train PHOTOS --weights efficientnet_lite0.in1k"
    ]
    assert [row.name for row in found.rows if row.cached] == ["efficientnet_lite0.in1k"]
    assert len(found.warnings) == 2
    assert services.seen == services.github.seen == []


def test_nothing_to_search_for(services: Any) -> None:
    with pytest.raises(UsageError, match="nothing to search for"):
        search_online(" _ ")
    assert services.seen == []


def test_the_command(services: Any, lungfish: Callable[..., Any]) -> None:
    ended = lungfish("weights", "search", "mobilenet_v2", "--online", "--json")
    assert ended.code == 0
    assert "hf:me/mobilenetv2-open" in [row["name"] for row in ended.json]
    shown = lungfish("weights", "search", "mobilenet_v2", "--online").out
    lines = {line.split()[0]: line.split() for line in shown.splitlines() if line.strip()}
    assert lines["hf:me/mobilenetv2-open"][1:3] == ["MIT", "5"]
    assert lines["hf:me/mobilenetv2-closed"][1:4] == ["cc-by-nc-4.0", "!", "2024-05-01"]
    assert lines["hf:me/mobilenetv2-silent"][1:3] == ["unknown", "!"]
    assert lines["github.com/them/mobilenet"][1:4] == ["MIT", "77", "2023-01-02"]
    assert "\x1b" not in shown
    table, _, legend = shown.partition("\n\n")
    hits = [line for line in table.splitlines() if line.strip()][1:]
    assert all(
        re.search(r"  (lungfish (weights fetch|train PHOTOS --weights)|git ls-remote) \S", line) for line in hits
    )
    assert "git+https://github.com/OWNER/REPO@COMMIT#PATH" in legend
    services.github.stop()
    ended = lungfish("weights", "search", "mobilenet_v2", "--online")
    assert (ended.code, len(ended.err.splitlines())) == (0, 1)
    assert ended.err.startswith("GitHub was skipped: ")
