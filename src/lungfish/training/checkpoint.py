"""Save the state of a run: tensors as safetensors, the rest as JSON; each checkpoint is written whole or not at all.

RUN/
  job.json              fingerprint of the job; checkpoints of another job are refused
  00000384.safetensors  tensors after 384 steps
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
SHOWN = 200  # characters of a changed value in a message


@dataclass(frozen=True, eq=False)
class Checkpoint:
    """Everything that a run needs to continue as if it had never stopped.

    Args:
        step: Number of completed optimizer steps.
        tensors: Weights, optimizer state and moving average, by name.
        notes: JSON object with the other state: epoch, history, best score.
    """

    step: int
    tensors: Mapping[str, Tensor]
    notes: Mapping[str, Any]

    @classmethod
    def of_parts(cls, step: int, parts: Mapping[str, Mapping[str, Any]]) -> Checkpoint:
        """Return a checkpoint of the states of all parts; tensors are moved to the CPU, other values must be JSON."""
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
    """The newest `keep` checkpoints of one run. For use by one process at a time.

    Args:
        folder: Folder of this run only; created if missing.
        job: Fingerprint of the run, as text by name: photos, recipe, weights, versions.
        keep: Number of checkpoints to keep.
    """

    def __init__(self, folder: Path, job: Mapping[str, str], keep: int = 2) -> None:
        self.folder, self.job, self.keep = folder, dict(job), keep

    def begin(self) -> None:
        """Write the fingerprint of the run, and delete the checkpoints of any other run.

        Raises:
            StorageError: The folder cannot be written.
        """
        if read_job(self.folder) != self.job:
            self._delete_but(set())
            write_atomic(self.folder / JOB, json.dumps(self.job, indent=1))

    def latest(self) -> Checkpoint | None:
        """Return the newest intact checkpoint, or None.

        Raises:
            UsageError: The folder belongs to another job; the message says what changed.
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
        """Write a checkpoint, then delete old ones and the leftovers of killed processes.

        Raises:
            StorageError: The disk is full, read-only or forbidden. Older checkpoints stay intact.
        """
        from safetensors.torch import save

        self.begin()  # again, as the cache may have been emptied
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
        """Delete the run's files except `kept`; JSON first, since tensors without their JSON are ignored."""
        for path in sorted(self.folder.glob("*"), key=lambda path: path.suffix):
            if _OWN.fullmatch(path.name) and path.name not in kept:
                path.unlink(missing_ok=True)


def read_job(folder: Path) -> dict[str, str] | None:
    """Return the fingerprint of the run in a folder, or None if there is none or its file is damaged."""
    try:
        job = json.loads((folder / JOB).read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return job if isinstance(job, dict) else None


def check_same_job(begun: Mapping[str, str], job: Mapping[str, str]) -> None:
    """Raise `UsageError`, naming what changed, if an entry of `job` differs from that of the stopped run."""
    changed = [key for key in job if begun.get(key) != job[key]]
    if not changed:
        return
    was, now = (str(of.get(changed[0], "")).splitlines() for of in (begun, job))
    before = ", ".join(line for line in was if line not in now) or "absent"
    after = ", ".join(line for line in now if line not in was) or "absent"
    raise UsageError(
        f"the stopped job was a different one: {', '.join(changed)} changed "
        f"({changed[0]} was {printable(before)[:SHOWN]}, is {printable(after)[:SHOWN]})",
        "Leave --resume out to start over, or use the same photos, options and package versions.",
    )


def _read(notes: Path) -> Checkpoint:
    """Read a checkpoint. Raises `ValueError` if its files are damaged."""
    from safetensors.torch import load

    row = json.loads(notes.read_text("utf-8"))
    data = notes.with_suffix(".safetensors").read_bytes()
    if _sha256(row["step"], row["notes"], data) != row["sha256"]:
        raise ValueError(f"{notes.name} does not match its tensors")
    return Checkpoint(row["step"], load(data), row["notes"])


def _sha256(step: int, notes: Mapping[str, Any], tensors: bytes) -> str:
    return sha256_json([step, notes, sha256_bytes(tensors)])
