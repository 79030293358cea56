"""The exceptions that Lungfish raises on purpose.

    LungfishError
    ├── UsageError            exit 2   invalid command, call or option
    │   ├── UnknownNameError           unknown name; the hint lists close matches
    │   ├── ArchitectureError          a row, multiplier or resolution is invalid
    │   ├── OutputError                an output path that must not be overwritten
    │   └── LicenseError               weights whose license must be accepted first
    ├── PhotosError           exit 2   the photos as a whole cannot be used
    ├── UnreadablePhotoError  exit 1   one photo cannot be decoded; jobs skip and count it
    ├── CheckFailedError      exit 1   a check or measurement failed
    │   ├── BundleError                a bundle does not match its manifest
    │   ├── ParityError                an exported model and the trained network give different results
    │   └── DivergedError              training produced NaN or infinity
    ├── MachineError          exit 3   a problem of the environment or the disk
    │   ├── MissingExtraError          an optional package is not installed
    │   ├── StorageError               disk full or read-only, or permission denied
    │   ├── DownloadError              a download failed or is not allowed
    │   ├── WorkerError                a worker process died
    │   └── WeightsError               pretrained weights are missing, altered or for another network
    └── StoppedError          exit 75  the job was stopped on request; the same call resumes it

Each message states what failed and the value received; the hint says what to do next.
"""

from __future__ import annotations

from typing import ClassVar


class LungfishError(Exception):
    """Base class of all errors of Lungfish.

    Args:
        message: What failed, with the value received and the values allowed.
        hint: What to do next; a command where there is one.
    """

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint

    def __str__(self) -> str:
        return f"{self.message}\n{self.hint}" if self.hint else self.message

    def to_json(self) -> dict[str, dict[str, str]]:
        """Return the object that commands print with `--json`."""
        return {"error": {"code": self.code, "message": self.message, "hint": self.hint}}


class UsageError(LungfishError):
    code = "usage"
    exit_code = 2


class UnknownNameError(UsageError):
    code = "unknown_name"


class ArchitectureError(UsageError):
    code = "architecture"


class OutputError(UsageError):
    code = "output"


class LicenseError(UsageError):
    code = "license"


class PhotosError(LungfishError):
    code = "photos"
    exit_code = 2


class UnreadablePhotoError(LungfishError):
    code = "unreadable_photo"
    exit_code = 1


class CheckFailedError(LungfishError):
    code = "check_failed"
    exit_code = 1


class BundleError(CheckFailedError):
    code = "bundle"


class ParityError(CheckFailedError):
    code = "parity"


class DivergedError(CheckFailedError):
    code = "diverged"


class MachineError(LungfishError):
    code = "machine"
    exit_code = 3


class MissingExtraError(MachineError):
    code = "missing_extra"


class StorageError(MachineError):
    code = "storage"


class DownloadError(MachineError):
    code = "download"


class WorkerError(MachineError):
    code = "worker"


class WeightsError(MachineError):
    code = "weights"


class StoppedError(LungfishError):
    code = "stopped"
    exit_code = 75
