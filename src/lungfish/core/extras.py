"""Packages that only an extra brings."""

from __future__ import annotations

import shlex
import subprocess
import sys

from lungfish.core.errors import MissingExtraError


def install_command(packages: str) -> str:
    """Return the command that installs `packages` where this interpreter finds them, ready for a shell.

    It holds a path of this machine: show it, and store it nowhere.

    Args:
        packages: What pip takes, quoted for a shell: `timm`, `'lungfish[train]'`.
    """
    python = sys.executable or "python"
    quoted = subprocess.list2cmdline([python]) if sys.platform == "win32" else shlex.quote(python)
    return f"{quoted} -m pip install {packages}"


def install_extra(extra: str) -> str:
    """Return the command that installs an extra, or several with commas between them."""
    return install_command(f"'lungfish[{extra}]'")


def missing_extra(
    error: ModuleNotFoundError, what: str, extra: str = "train"
) -> MissingExtraError | ModuleNotFoundError:
    """What to raise when an import failed: the error that names the `extra`, for `what` was being used.

    A missing module of Lungfish itself is a bug: then `error` is returned as it is.
    """
    package = (error.name or "").partition(".")[0]
    if package in ("", "lungfish"):
        return error
    return MissingExtraError(f"{what} needs {package}, which is not installed", f"Run: {install_extra(extra)}")
