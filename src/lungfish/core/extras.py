"""Packages that only an extra brings."""

from __future__ import annotations

from lungfish.core.errors import MissingExtraError


def missing_extra(
    error: ModuleNotFoundError, what: str, extra: str = "train"
) -> MissingExtraError | ModuleNotFoundError:
    """What to raise when an import failed: the error that names the `extra`, for `what` was being used.

    A missing module of Lungfish itself is a bug: then `error` is returned as it is.
    """
    package = (error.name or "").partition(".")[0]
    if package in ("", "lungfish"):
        return error
    return MissingExtraError(f"{what} needs {package}, which is not installed", f"Run: pip install 'lungfish[{extra}]'")
