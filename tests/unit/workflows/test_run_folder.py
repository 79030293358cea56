from pathlib import Path

import pytest

from lungfish.workflows.run_folder import begin_run, is_relaunched, run_folder


@pytest.fixture(autouse=True)
def _own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("LUNGFISH_CACHE", str(tmp_path / "cache"))
    for name in ("TORCHELASTIC_RUN_ID", "TORCHELASTIC_RESTART_COUNT"):
        monkeypatch.delenv(name, raising=False)


def test_a_job_that_no_launcher_began_is_never_relaunched(tmp_path: Path) -> None:
    begin_run(tmp_path / "bundle")
    assert not is_relaunched(tmp_path / "bundle")


def test_what_an_earlier_job_left_goes(tmp_path: Path) -> None:
    left = run_folder(tmp_path / "bundle") / "finetune" / "job.json"
    left.parent.mkdir(parents=True)
    left.write_text("{}")
    begin_run(tmp_path / "bundle")
    assert not left.exists()


def test_processes_that_their_launcher_starts_again_know_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A machine that joins has no failure to count, but the launcher's name is the same."""
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "night-7")
    assert not is_relaunched(tmp_path / "bundle")
    begin_run(tmp_path / "bundle")
    assert is_relaunched(tmp_path / "bundle")
    assert not is_relaunched(tmp_path / "another")
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "night-8")
    assert not is_relaunched(tmp_path / "bundle")
    monkeypatch.setenv("TORCHELASTIC_RESTART_COUNT", "1")
    assert is_relaunched(tmp_path / "bundle")


def test_launchers_without_a_name_share_none(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    begin_run(tmp_path / "bundle")
    assert not is_relaunched(tmp_path / "bundle")
