import os
from pathlib import Path

import pytest

from lungfish.core.errors import OutputError, UsageError
from lungfish.job.run_dir import begin_run, check_resumable, end_run, only_run, run_folder

JOB = {"photos": "abc", "recipe": "epochs = 5\n"}


@pytest.fixture
def target(tmp_path: Path) -> Path:
    return tmp_path / "bundle"


def test_a_job_finds_its_own_run_and_no_other(target: Path) -> None:
    folder = run_folder(target, JOB)
    begin_run(folder, JOB)
    assert run_folder(target, dict(JOB)) == folder
    for others in (run_folder(target, JOB | {"seed": "1"}), run_folder(target.with_name("b"), JOB)):
        assert not others.exists()


@pytest.mark.skipif(os.name == "nt", reason="names are Unicode there")
def test_a_name_that_is_no_text(target: Path) -> None:
    named = target.with_name(os.fsdecode(b"caf\xe9"))
    begin_run(run_folder(named, JOB), JOB)
    assert run_folder(named, JOB).exists()


def test_to_resume_another_job_is_refused(target: Path) -> None:
    check_resumable(target, JOB)  # nothing was stopped
    begin_run(run_folder(target, JOB), JOB)
    with pytest.raises(UsageError, match=r"recipe changed \(recipe was epochs = 5, is epochs = 6\)"):
        check_resumable(target, JOB | {"recipe": "epochs = 6\n"})


def test_what_ends_leaves_other_jobs(target: Path) -> None:
    ended, stopped = (JOB | {"seed": seed} for seed in "01")
    for job in (ended, stopped):
        begin_run(run_folder(target, job), job)
    with only_run(target):
        end_run(run_folder(target, ended))
    assert not run_folder(target, ended).exists()
    assert run_folder(target, stopped).exists()
    with only_run(target):
        end_run(run_folder(target, stopped))
    assert not run_folder(target, stopped).parent.exists()


def test_two_at_once_are_refused(target: Path) -> None:
    with only_run(target), pytest.raises(OutputError, match="another process is writing"), only_run(target):
        pass
