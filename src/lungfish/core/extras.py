"""Report packages that are missing because an extra is not installed."""

from __future__ import annotations

from lungfish.core.errors import MissingExtraError


def missing_extra(
    error: ModuleNotFoundError, what: str, extra: str = "train"
) -> MissingExtraError | ModuleNotFoundError:
    """Return the error to raise after a failed import: it names the extra to install.

    A missing module of Lungfish itself is a bug, so `error` is then returned unchanged.

    Args:
        error: The import error.
        what: What needs the package, as the subject of the message.
        extra: The extra that installs the package.
    """
    package = (error.name or "").partition(".")[0]
    if package in ("", "lungfish"):
        return error
    return MissingExtraError(f"{what} needs {package}, which is not installed", f"Run: pip install 'lungfish[{extra}]'")
