"""The size of each file that pip downloads for an install, from pip's report of it (`pip install --report FILE`)."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.request import Request, urlopen

REQUESTS = 16  # at a time
TIMEOUT_S = 10


def download_sizes(report: dict[str, Any]) -> dict[str, int]:
    """Return the bytes of each package's file, by name; each is asked for by a HEAD request, nothing is downloaded.

    Args:
        report: pip's report, parsed. It lists what pip installs: in an environment that is not empty, too little.

    Raises:
        OSError: A server cannot be reached, or refuses to answer; `urllib.error.HTTPError` if it answers with an error.
    """
    addresses = {item["metadata"]["name"]: item["download_info"]["url"] for item in report["install"]}
    with ThreadPoolExecutor(REQUESTS) as pool:
        return dict(zip(addresses, pool.map(file_bytes, addresses.values()), strict=True))


def file_bytes(address: str) -> int:
    """Return the size of the file at an address, `https:` or `file:`."""
    with urlopen(Request(address, method="HEAD"), timeout=TIMEOUT_S) as answer:
        return int(answer.headers["Content-Length"])
