"""The state of a run on disk: tensors as safetensors, the rest as JSON, each checkpoint whole or not at all.

RUN/
  job.json              what the run is of; a checkpoint of another job is refused
  00000384.safetensors  the tensors after 384 steps
  00000384.json         the other state, and a SHA-256 of both; written last
"""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lungfish.core.errors import UsageError
from lungfish.core.files import write_atomic
from lungfish.core.hashing import sha256_bytes, sha256_json
from lungfish.core.names import printable

if TYPE_CHECKING:
    from torch import Tensor

JOB = "job.json"
_OWN = re.compile(r"job\.json|\d{8,}\.(json|safetensors)|\..*\.[0-9a-f]{16}\.tmp")
SHOWN = 200  # characters of what changed


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """What a run needs to go on as if it had not stopped.

    Args:
        step: how many batches are done.
        tensors: weights, optimizer, moving average, by name.
        notes: a JSON object: epoch, history, best score.
    """

    step: int
    tensors: Mapping[str, Tensor]
    notes: Mapping[str, Any]

    @classmethod
    def of_parts(cls, step: int, parts: Mapping[str, Mapping[str, Any]]) -> Checkpoint:
        """Gather the state of each part: tensors go to the CPU, the rest are JSON values."""
        import torch

        tensors: dict[str, Tensor] = {}
        notes: dict[str, Any] = {}
        for part, state in parts.items():
            for name, value in state.items():
                if isinstance(value, torch.Tensor):
                    tensors[f"{part}/{name}"] = value.cpu()
                else:
                    notes[f"{part}/{name}"] = value
        return cls(step, tensors, notes)

    def part(self, part: str) -> dict[str, Any]:
        """Return the state of one part."""
        prefix = f"{part}/"
        both = {**self.tensors, **self.notes}
        return {name.removeprefix(prefix): value for name, value in both.items() if name.startswith(prefix)}


class Checkpoints:
    """The checkpoints of one run; the last `keep` stay. One process at a time.

    Args:
        folder: of this run alone; need not exist.
        job: what the run is of, texts by name: photos, recipe, weights, versions.
        keep: how many checkpoints stay.
    """

    def __init__(self, folder: Path, job: Mapping[str, str], keep: int = 2) -> None:
        self.folder, self.job, self.keep = folder, dict(job), keep

    def begin(self) -> None:
        """Write down what the run is of; what another run has left goes. Raises `StorageError`."""
        if read_job(self.folder) != self.job:
            self._delete_but(set())
            write_atomic(self.folder / JOB, json.dumps(self.job, indent=1))

    def latest(self) -> Checkpoint | None:
        """The newest whole checkpoint; None if there is none.

        Raises:
            UsageError: the folder's run is of another job; says what changed.
        """
        begun = read_job(self.folder)
        if begun is None:
            return None
        check_same_job(begun, self.job)
        for notes in sorted(self.folder.glob("[0-9]*.json"), reverse=True):
            with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                return _read(notes)
        return None

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint, then delete what is too old, and what a kill has left.

        Raises:
            StorageError: disk full, read-only or forbidden; the older checkpoints are as they were.
        """
        from safetensors.torch import save

        self.begin()  # again: a cache may be emptied at any time
        tensors = save({name: tensor.contiguous() for name, tensor in checkpoint.tensors.items()})
        notes = dict(checkpoint.notes)
        sha256 = _sha256(checkpoint.step, notes, tensors)
        stem = f"{checkpoint.step:08}"
        write_atomic(self.folder / f"{stem}.safetensors", tensors)
        write_atomic(
            self.folder / f"{stem}.json", json.dumps({"step": checkpoint.step, "sha256": sha256, "notes": notes})
        )
        whole = sorted(path.stem for path in self.folder.glob("[0-9]*.json") if path.stem <= stem)
        kept = {JOB} | {stem + suffix for stem in whole[-self.keep :] for suffix in (".json", ".safetensors")}
        self._delete_but(kept)

    def _delete_but(self, kept: set[str]) -> None:
        """Delete what has a name of ours; notes first, for tensors alone are no checkpoint."""
        for path in sorted(self.folder.glob("*"), key=lambda path: path.suffix):
            if _OWN.fullmatch(path.name) and path.name not in kept:
                path.unlink(missing_ok=True)


def read_job(folder: Path) -> dict[str, str] | None:
    """What the run in a folder is of; None if there is none, or its file is torn."""
    try:
        job = json.loads((folder / JOB).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return job if isinstance(job, dict) else None


def check_same_job(begun: Mapping[str, str], job: Mapping[str, str]) -> None:
    """Raise `UsageError`, which says what changed, unless all that `job` names was the same when the run was begun."""
    changed = [key for key in job if begun.get(key) != job[key]]
    if not changed:
        return
    was, now = (str(of.get(changed[0], "")).splitlines() for of in (begun, job))
    before = ", ".join(line for line in was if line not in now) or "without"
    after = ", ".join(line for line in now if line not in was) or "without"
    raise UsageError(
        f"the stopped run was another one: {', '.join(changed)} changed "
        f"({changed[0]} was {printable(before)[:SHOWN]}, is {printable(after)[:SHOWN]})",
        "Leave --resume out to begin anew, or give the same photos, options and versions.",
    )


def _read(notes: Path) -> Checkpoint:
    """Raises `ValueError` if the files are torn or altered."""
    from safetensors.torch import load

    row = json.loads(notes.read_text("utf-8"))
    data = notes.with_suffix(".safetensors").read_bytes()
    if _sha256(row["step"], row["notes"], data) != row["sha256"]:
        raise ValueError(f"{notes.name} is not of these tensors")
    return Checkpoint(row["step"], load(data), row["notes"])


def _sha256(step: int, notes: Mapping[str, Any], tensors: bytes) -> str:
    return sha256_json([step, notes, sha256_bytes(tensors)])
