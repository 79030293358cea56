"""The state of a run on disk: tensors as safetensors, the rest as JSON, each checkpoint whole or not at all.

RUN/
  job.json              what the run is of; a checkpoint of another job is refused
  00000384.safetensors  the tensors after 384 steps
  00000384.json         the other state, and the SHA-256 of the tensors; written last
"""

from __future__ import annotations

import contextlib
import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungfish.core.errors import UsageError
from lungfish.core.files import write_atomic
from lungfish.core.hashing import sha256_bytes
from lungfish.core.names import printable

if TYPE_CHECKING:
    from torch import Tensor

JOB = "job.json"


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a run needs to go on as if it had not stopped.

    Args:
        step: how many batches are done.
        tensors: weights, optimizer, moving average, random numbers, by name.
        notes: a JSON object: epoch, history, best score.
    """

    step: int
    tensors: Mapping[str, Tensor]
    notes: Mapping[str, Any]


class Checkpoints:
    """The checkpoints of one run; the last `keep` stay.

    Args:
        folder: made with the first checkpoint.
        job: what the run is of, texts by name: photos, recipe, weights, versions.
        keep: how many checkpoints stay.
    """

    def __init__(self, folder: Path, job: Mapping[str, str], keep: int = 2) -> None:
        self.folder, self.job, self.keep = folder, dict(job), keep

    def latest(self) -> Checkpoint | None:
        """The newest whole checkpoint; None if there is none.

        Raises:
            UsageError: the folder's run is of another job; says what changed.
        """
        if not (self.folder / JOB).is_file():
            return None
        self._check_job()
        for notes in sorted(self.folder.glob("[0-9]*.json"), reverse=True):
            with contextlib.suppress(OSError, ValueError, KeyError):
                return _read(notes)
        return None

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, then delete those that are too old.

        Raises:
            StorageError: disk full, read-only or forbidden; the older checkpoints are as they were.
        """
        from safetensors.torch import save

        write_atomic(self.folder / JOB, json.dumps(self.job, indent=1))
        tensors = save({name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()})
        notes = {"step": checkpoint.step, "sha256": sha256_bytes(tensors), "notes": dict(checkpoint.notes)}
        stem = f"{checkpoint.step:08}"
        write_atomic(self.folder / f"{stem}.safetensors", tensors)
        write_atomic(self.folder / f"{stem}.json", json.dumps(notes))
        for old in sorted(self.folder.glob("[0-9]*.json"))[: -self.keep]:
            old.unlink()  # first: tensors without notes are no checkpoint
            old.with_suffix(".safetensors").unlink(missing_ok=True)

    def clear(self) -> None:
        """Forget the run."""
        shutil.rmtree(self.folder, ignore_errors=True)

    def _check_job(self) -> None:
        saved = json.loads((self.folder / JOB).read_text("utf-8"))
        changed = [key for key in self.job if saved.get(key) != self.job[key]]
        if changed:
            first = changed[0]
            raise UsageError(
                f"the stopped run was another one: {', '.join(changed)} changed "
                f"({first} was {printable(str(saved.get(first)))}, is {printable(self.job[first])})",
                "Leave --resume out to begin anew, or give the same photos, options and versions.",
            )


def _read(notes: Path) -> Checkpoint:
    """Raises `ValueError` if the tensors are torn or altered."""
    from safetensors.torch import load

    row = json.loads(notes.read_text("utf-8"))
    data = notes.with_suffix(".safetensors").read_bytes()
    if sha256_bytes(data) != row["sha256"]:
        raise ValueError(f"{notes.name} is not of these tensors")
    return Checkpoint(row["step"], load(data), row["notes"])
