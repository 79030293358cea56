"""A disk that fails at any operation of the main job: a clear word, and no bundle and no photo is lost."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lungfish as lf
from lungfish.runtime.bundle_files import check_files

from ..disk_errors import Site, failing

EVERY = 40  # of the sites, one is tried by default: with --every-case all, in two minutes


def test_a_job_with_force(
    trained: Any,
    lungfish: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    request: pytest.FixtureRequest,
    record_property: Callable[[str, object], None],
) -> None:
    here = tmp_path / "here"
    monkeypatch.setenv("LUNGFISH_CACHE", str(here / "cache"))

    def run(fails: Site | None) -> tuple[dict[Site, int], Any]:
        shutil.rmtree(here, ignore_errors=True)
        for source, name in ((trained.photos, "photos"), (trained.bundle, "bundle"), (trained.weights, "tiny")):
            shutil.copytree(source, here / name)
        options = ("--out", here / "bundle", "--force", "--weights", here / "tiny", "--recipe", "probe")
        with failing((here,), fails) as disk:
            ended = lungfish("train", here / "photos", *options)
        return disk.sites, ended

    sites, ended = run(None)
    assert ended.code == 0
    photos = sorted(trained.photos.rglob("*"))
    tried = list(sites)[:: 1 if request.config.getoption("--every-case") else EVERY]
    refused = 0
    for site in tried:
        _, ended = run(site)
        refused += ended.code != 0
        assert ended.code in (0, 1, 2, 3), site
        assert "is a bug" not in ended.err, site
        assert "Traceback" not in ended.err, site
        check_files(here / "bundle", lf.load(here / "bundle").manifest)
        assert len(list((here / "photos").rglob("*"))) == len(photos), site
    record_property("disk errors of a job", f"{len(tried)} of {len(sites)} sites, {refused} jobs refused")
