"""The report in a real browser: it draws, and its content security policy refuses nothing of its own."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
QUIET = "--no-first-run --disable-background-networking --disable-component-update --disable-sync --disable-quic"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no chromium on this machine")


def browse(page: Path, profile: Path) -> tuple[str, str]:
    """The page as the browser has it, and what its console said."""
    options = ["--headless", "--no-sandbox", "--disable-gpu", *QUIET.split(), f"--user-data-dir={profile}"]
    options += ["--enable-logging=stderr", "--dump-dom", page.as_uri()]
    done = subprocess.run([str(CHROMIUM), *options], capture_output=True, text=True, timeout=120, check=True)
    return done.stdout, "\n".join(line for line in done.stderr.splitlines() if "CONSOLE" in line)


def test_report_draws_within_its_policy(trained: Any, tmp_path: Path) -> None:
    page, console = browse(trained.bundle / "report.html", tmp_path / "profile")
    assert "<svg" in page
    assert "broken.jpg" in page  # the file that was skipped
    assert console == ""


def test_a_foreign_style_would_be_refused(trained: Any, tmp_path: Path) -> None:
    text = (trained.bundle / "report.html").read_text(encoding="utf-8")
    altered = tmp_path / "altered.html"
    altered.write_text(text.replace("</head>", "<style>body { display: none }</style></head>"), encoding="utf-8")
    _, console = browse(altered, tmp_path / "profile")
    assert "Content Security Policy" in console
