"""Report packages that are missing because an extra is not installed."""

from __future__ import annotations

import shlex
import subprocess
import sys

from lungfish.core.errors import MissingExtraError


def install_command(packages: str) -> str:
    """Return the shell command that installs `packages` for this interpreter.

    It contains a path of this machine: show it, but do not store it.

    Args:
        packages: Arguments for pip, quoted for a shell: `timm`, `'lungfish[train]'`.
    """
    python = sys.executable or "python"
    quoted = subprocess.list2cmdline([python]) if sys.platform == "win32" else shlex.quote(python)
    return f"{quoted} -m pip install {packages}"


def install_extra(extra: str) -> str:
    """Return the shell command that installs an extra, or several separated by commas."""
    return install_command(f"'lungfish[{extra}]'")


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
    return MissingExtraError(f"{what} needs {package}, which is not installed", f"Run: {install_extra(extra)}")
