"""Search weights in the catalogue, on the Hugging Face hub and on GitHub."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass, replace

from lungfish.core.errors import LungfishError
from lungfish.core.names import printable
from lungfish.weights.resolve.hub import catalogued
from lungfish.weights.scheme import HubName
from lungfish.weights.services.github import search_repositories
from lungfish.weights.services.hub import HubModel, search_models
from lungfish.workflows.weights.rows import WeightsRow, sorted_rows
from lungfish.workflows.weights.search import search_catalogue


@dataclass(frozen=True)
class Found:
    """Search results, permissive licenses first, and a warning for each service that did not respond."""

    rows: list[WeightsRow]
    warnings: tuple[str, ...]


def search_online(text: str) -> Found:
    """Return matching catalogue entries, hub models and GitHub repositories, as one table.

    Raises:
        UsageError: The text contains no word.
    """
    rows, warnings = search_catalogue(text), []
    services: dict[str, Callable[[str], list[WeightsRow]]] = {"the Hugging Face hub": _on_hub, "GitHub": _on_github}
    for service, search in services.items():
        try:
            rows += search(text)
        except LungfishError as error:  # the other services may still respond
            warnings.append(" ".join(filter(None, (f"{service} was skipped: {error.message}.", error.hint))))
    rows = [row if row.next_command else replace(row, next_command=_next_command(row)) for row in rows]
    return Found(sorted_rows(rows), tuple(warnings))


def _next_command(row: WeightsRow) -> str:
    """Return the command that trains from local weights, or that fetches others and reports their license."""
    if row.cached:
        return shlex.join(["lungfish", "train", "PHOTOS", "--weights", printable(row.name)])
    return shlex.join(["lungfish", "weights", "fetch", printable(row.name)])


def _on_hub(text: str) -> list[WeightsRow]:
    """Return models that are not in the catalogue. The hub treats mobilenet_v2 and mobilenetv2 as different words."""
    spellings = dict.fromkeys((text, text.casefold().replace("net_v", "netv")))
    models = {model.repository: model for each in spellings for model in search_models(each)}
    return [
        WeightsRow(
            name=f"hf:{model.repository}",
            source=_hub_source(model),
            license=model.license,
            url=model.url,
            stars=model.likes,
            updated=model.modified,
        )
        for model in models.values()
        if catalogued(HubName(model.repository)) is None
    ]


def _hub_source(model: HubModel) -> str:
    library = f", {model.library}" if model.library else ""
    return f"Hugging Face hub{library}" + (
        "" if model.downloads is None else f", {model.downloads:,} downloads a month"
    )


def _on_github(text: str) -> list[WeightsRow]:
    """Return repositories. Their license is that of the code; that of the weights is unknown.

    The next command prints the commit that must be part of a file's name: see docs/repositories.md.
    """
    return [
        WeightsRow(
            name=f"github.com/{repository.name}",
            source="GitHub, license of the code",
            license=repository.license,
            url=repository.url,
            stars=repository.stars,
            updated=repository.pushed,
            next_command=shlex.join(["git", "ls-remote", f"https://github.com/{printable(repository.name)}", "HEAD"]),
        )
        for repository in search_repositories(text)
    ]
