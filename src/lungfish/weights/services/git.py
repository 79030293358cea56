"""Fetch one file from a git repository without a checkout, so that nothing in the repository can run."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

from lungfish.core.address import check_address
from lungfish.core.errors import DownloadError, MachineError, UsageError
from lungfish.core.files import storage_errors
from lungfish.core.names import printable
from lungfish.core.untrusted import is_plain_name
from lungfish.weights.scheme import GitName, parse_git

MAX_BYTES = 2 * 1024**3
MAX_SECONDS = 3600.0
LOOK_EVERY_S = 0.2
LFS_POINTER = b"version https://git-lfs.github.com/spec/"
MAX_POINTER_BYTES = 1024
CERTIFICATES = ("GIT_SSL_CAINFO", "SSL_CERT_FILE", "SSL_CERT_DIR")
# Environment variables that git receives: locations of programs and certificates, and proxies.
KEPT = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", *CERTIFICATES)


@dataclass(frozen=True)
class Limits:
    """The limits of a fetch: bytes on disk, and seconds."""

    bytes: int = MAX_BYTES
    seconds: float = MAX_SECONDS


def clone_file(location: str, folder: Path, limits: Limits | None = None) -> Path:
    """Fetch one file at one commit: a shallow, bare clone without hooks, submodules, filters or a working tree.

    Args:
        location: `git+https://HOST/OWNER/REPO@COMMIT#PATH`.
        folder: Existing folder that receives the file, named after the last part of PATH.
        limits: Limits of the whole clone; 2 GiB and an hour if None.

    Raises:
        UsageError: The location does not have this form.
        MachineError: git is not installed.
        DownloadError: The host is not allowed; the repository, commit or file does not exist; the file is a link or a
            Git LFS pointer; the clone is too large; or it takes too long.
        StorageError: The folder cannot be written.
    """
    name, limits = parse_git(location), limits or Limits()
    check_address(name.url, chosen=True)
    program = shutil.which("git")
    if program is None:
        raise MachineError(
            f"{printable(location)} needs the program git, which is not installed",
            "Install git (git-scm.com), or download the file by hand and use file:PATH.",
        )
    target = folder / name.path.rpartition("/")[2]
    if not is_plain_name(target.name):
        raise UsageError(f"{printable(target.name)!r} is not a portable file name")
    with (
        storage_errors(folder),
        tempfile.TemporaryDirectory(dir=folder, prefix=".clone-", ignore_cleanup_errors=True) as place,
    ):
        clone = _Clone(program, name, Path(place).resolve(), limits.bytes, time.monotonic() + limits.seconds)
        clone.fetch()
        file = clone.write_blob(clone.find_blob())
        _check_content(file, name)
        file.replace(target)
    return target


@dataclass(frozen=True)
class _Clone:
    """A bare repository in its own folder, and the git program that fills it."""

    program: str
    name: GitName
    folder: Path
    max_bytes: int
    deadline: float

    def fetch(self) -> None:
        """Fetch the commit and its folders; file contents are fetched on demand."""
        self.run("init", "--quiet", "--bare", "--template=")
        self.run("remote", "add", "origin", self.name.url)
        options = ("--quiet", "--depth=1", "--filter=blob:none", "--no-tags", "--no-recurse-submodules")
        self.run("fetch", *options, "origin", self.name.commit)
        kind = self.run("cat-file", "-t", self.name.commit).strip()
        if kind != "commit":
            raise DownloadError(
                f"{self.name.commit} is a {printable(kind)} of {printable(self.name.url)}, not a commit"
            )

    def find_blob(self) -> str:
        """Return the object id of the file."""
        row = self.run("ls-tree", "-z", self.name.commit, "--", self.name.path)
        mode, _, rest = row.partition(" ")
        if not row:
            raise DownloadError(
                f"{printable(self.name.url)} contains no file {printable(self.name.path)} at {self.name.commit[:12]}",
                "Names are case-sensitive, and links to folders are not followed.",
            )
        if mode not in ("100644", "100755"):
            kind = {"120000": "a symbolic link", "160000": "a submodule"}.get(mode, "a folder")
            raise DownloadError(
                f"{printable(self.name.path)} is {kind} in {printable(self.name.url)}, not a file",
                "Use the path of the file itself.",
            )
        return rest.partition("\t")[0].partition(" ")[2]

    def write_blob(self, blob: str) -> Path:
        file = self.folder / "file"
        with file.open("wb") as out:
            self.run("cat-file", "blob", blob, out=out.fileno())
        return file

    def run(self, *arguments: str, out: int | None = None) -> str:
        """Return what a git command prints, or an empty string if it prints into `out`. Raises `DownloadError`."""
        printed, stderr_text = self.folder / "printed", self.folder / "said"
        with printed.open("wb") as stdout, stderr_text.open("wb") as stderr:
            process = subprocess.Popen(  # noqa: S603  arguments are checked, and no shell reads them
                [self.program, *_settings(self.name.url), *arguments],
                cwd=self.folder,
                env=_environment(self.folder),
                stdin=subprocess.DEVNULL,
                stdout=out or stdout,
                stderr=stderr,
            )
            try:
                self.wait(process)
            finally:
                _kill(process)
        if process.returncode:
            raise _failed(self.name, stderr_text.read_text("utf-8", "replace"))
        return printed.read_text("utf-8", "replace")

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        """Wait until the process ends, and enforce the limits meanwhile."""
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_EVERY_S)
            if _bytes(self.folder) > self.max_bytes:
                raise DownloadError(
                    f"{printable(self.name.url)} is larger than the {self.max_bytes:,} bytes allowed",
                    "Download the file by hand and use file:PATH.",
                )
            if process.returncode is not None:
                return
            if time.monotonic() > self.deadline:
                raise DownloadError(f"fetching {printable(self.name.url)} takes too long", "Try again later.")


def _settings(url: str) -> Sequence[str]:
    """Return options that restrict git; environment variables (`GIT_CONFIG_COUNT`) would need git 2.31."""
    settings = {
        "core.hooksPath": os.devnull,
        "core.symlinks": "false",
        "credential.helper": "",
        "fetch.recurseSubmodules": "false",
        "gc.auto": "0",
        "http.followRedirects": "false",
        "http.lowSpeedLimit": "1000",
        "http.lowSpeedTime": "30",
        "maintenance.auto": "false",
        "protocol.allow": "never",
        f"protocol.{url.partition(':')[0]}.allow": "always",
    }
    return [part for name, text in settings.items() for part in ("-c", f"{name}={text}")]


def _environment(folder: Path) -> Mapping[str, str]:
    """Return git's environment: none of this machine's configuration, no credentials, no hooks."""
    kept = {key: value for key, value in os.environ.items() if key.upper() in KEPT}
    if "SSL_CERT_FILE" in kept:
        kept.setdefault("GIT_SSL_CAINFO", kept["SSL_CERT_FILE"])
    return kept | {
        "GIT_ATTR_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_DIR": str(folder / "repository"),
        "GIT_LITERAL_PATHSPECS": "1",
        "GIT_TERMINAL_PROMPT": "0",
        "HOME": str(folder),  # git before 2.32 finds the user's configuration only through HOME
        "LC_ALL": "C",
    }


def _kill(process: subprocess.Popen[bytes]) -> None:
    """Kill the process and its children: git starts programs for the transfer."""
    if process.returncode is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        process.kill()
        process.wait()


def _bytes(folder: Path) -> int:
    """Return the size of a folder in which git may be renaming and removing files."""
    size = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                size += Path(place, name).lstat().st_size
    return size


def _failed(name: GitName, stderr_text: str) -> DownloadError:
    """Return the error that corresponds to git's output."""
    lines: Sequence[str] = [line for line in stderr_text.splitlines() if line.strip()]
    lowered = stderr_text.lower()
    if "could not read username" in lowered or "not found" in lowered or "authentication failed" in lowered:
        return DownloadError(
            f"there is no public repository {printable(name.url)}", "Check the address. It must be public."
        )
    if "not our ref" in lowered or "remote ref" in lowered or "unadvertised object" in lowered:
        return DownloadError(
            f"{printable(name.url)} contains no commit {name.commit}",
            f"Find one with: git ls-remote {printable(name.url)}",
        )
    if "redirect" in lowered or "returned error: 30" in lowered:
        return DownloadError(f"{printable(name.url)} has moved", "Open it in a browser to find the new address.")
    reason = printable(next((line for line in lines if line.startswith("fatal:")), "") or "".join(lines[-1:]))
    return DownloadError(
        f"git could not fetch {printable(name.url)}: {reason.removeprefix('fatal: ')}",
        "Check the address and your connection.",
    )


def _check_content(file: Path, name: GitName) -> None:
    """Reject a Git LFS pointer, which stands in for a file stored elsewhere."""
    if file.stat().st_size > MAX_POINTER_BYTES or not file.read_bytes().startswith(LFS_POINTER):
        return
    raise DownloadError(
        f"{printable(name.path)} is stored in Git LFS: the repository contains only a pointer to it",
        "Download the file itself from the repository's page, and use file:PATH.",
    )
