"""Report packages that are missing because an extra is not installed."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, distribution
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lungfish.core.errors import MissingExtraError


def install_command(*arguments: str) -> str:
    """Return the shell command that runs `pip install` with `arguments` for this interpreter.

    It contains a path of this machine: show it, but do not store it.

    Args:
        arguments: Arguments of pip: `timm`, `lungfish[train]`. They are quoted for a shell.
    """
    command = [sys.executable or "python", "-m", "pip", "install", *arguments]
    return subprocess.list2cmdline(command) if sys.platform == "win32" else shlex.join(command)


def install_extra(extra: str) -> str:
    """Return the shell command that installs an extra, or several separated by commas.

    It installs from where Lungfish itself was installed: a clone, a wheel, a git URL or an index.
    """
    return install_command(*_requirement(extra))


def _requirement(extra: str) -> list[str]:
    """Return pip's arguments for Lungfish with an extra. Source: PEP 610, `direct_url.json`."""
    try:
        recorded = distribution("lungfish").read_text("direct_url.json")
    except PackageNotFoundError:  # run from its source, without an install
        recorded = None
    if recorded is None:
        return [f"lungfish[{extra}]"]
    origin = json.loads(recorded)
    url = origin["url"]
    if origin.get("dir_info", {}).get("editable"):
        return ["-e", f"{url2pathname(urlsplit(url).path)}[{extra}]"]
    if "vcs_info" in origin:
        url = f"{origin['vcs_info']['vcs']}+{url}@{origin['vcs_info']['commit_id']}"
    return [f"lungfish[{extra}] @ {url}"]


EXTRAS = {"torch": "torch", "torchvision": "torch", "pyarrow": "parquet"}  # by package; `train` has the others


def missing_extra(error: ModuleNotFoundError, what: str, extra: str = "") -> MissingExtraError | ModuleNotFoundError:
    """Return the error to raise after a failed import: it names the extra to install.

    A missing module of Lungfish itself is a bug, so `error` is then returned unchanged.

    Args:
        error: The import error.
        what: What needs the package, as the subject of the message.
        extra: The extra that installs the package; looked up in `EXTRAS` if empty.
    """
    package = (error.name or "").partition(".")[0]
    if package in ("", "lungfish"):
        return error
    command = install_extra(extra or EXTRAS.get(package, "train"))
    return MissingExtraError(f"{what} needs {package}, which is not installed", f"Run: {command}")
