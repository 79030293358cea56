"""Every error that Lungfish raises on purpose.

    LungfishError
    ├── UsageError            exit 2   the command or the call is wrong
    │   ├── UnknownNameError           a name that is not known; carries the close matches
    │   ├── ArchitectureError          a row, multiplier or resolution that makes no network
    │   ├── OutputError                a place that must not be written to
    │   └── LicenseError               weights whose license must be accepted first
    ├── PhotosError           exit 2   the photos, taken together, cannot be used
    ├── UnreadablePhotoError  exit 1   one photo cannot be decoded; runs skip and count it
    ├── CheckFailedError      exit 1   something was measured and is not good enough
    │   ├── BundleError                a bundle is not what its manifest says
    │   ├── ParityError                an exported file computes something else
    │   └── DivergedError              training left the finite numbers
    ├── MachineError          exit 3   the environment or the disk is in the way
    │   ├── MissingExtraError          an optional package is not installed
    │   ├── StorageError               disk full, read-only, no permission
    │   ├── DownloadError              a file cannot be fetched, or must not be
    │   ├── WorkerError                a process that helps this one died
    │   └── WeightsError               pretrained weights are absent, altered or of another network
    └── StoppedError          exit 75  a job ended because its caller asked for it; the same call resumes it

Each says what failed with the value it got, and hints at what to do next.
"""

from __future__ import annotations

from typing import ClassVar


class LungfishError(Exception):
    """Base of all deliberate errors.

    Args:
        message: what failed, with the value that was got and what is allowed.
        hint: the next thing to do, a command where there is one.
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
        """The object that a command prints under `--json`."""
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
