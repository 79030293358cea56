"""One file out of a git repository: nothing is checked out, so nothing of the repository can run."""

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
# What git may know of this machine: where programs and certificates are, and which proxy to use.
KEPT = ("PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", *CERTIFICATES)


@dataclass(frozen=True)
class Limits:
    """How much a fetch may take: bytes on the disk, and seconds."""

    bytes: int = MAX_BYTES
    seconds: float = MAX_SECONDS


def clone_file(location: str, folder: Path, limits: Limits | None = None) -> Path:
    """Fetch one file at one commit: a shallow, bare clone without hooks, submodules, filters or a working tree.

    Args:
        location: `git+https://HOST/OWNER/REPO@COMMIT#PATH`.
        folder: an existing folder; the file is written into it, under the last part of PATH.
        limits: of the whole clone; 2 GiB and an hour if None.

    Raises:
        UsageError: the location is no such thing.
        MachineError: git is not installed.
        DownloadError: a host that must not be asked; no such repository, commit or file; a link or a Git LFS pointer;
            too large or too slow.
        StorageError: the folder cannot be written.
    """
    name, limits = parse_git(location), limits or Limits()
    check_address(name.url, chosen=True)
    program = shutil.which("git")
    if program is None:
        raise MachineError(
            f"{printable(location)} needs the program git, which is not installed",
            "Install git (git-scm.com), or download the file by hand and give file:PATH.",
        )
    target = folder / name.path.rpartition("/")[2]
    if not is_plain_name(target.name):
        raise UsageError(f"{printable(target.name)!r} is no file name that every system takes")
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
    """A bare repository in a folder of its own, and the program that fills it."""

    program: str
    name: GitName
    folder: Path
    max_bytes: int
    deadline: float

    def fetch(self) -> None:
        """The commit and its folders; the contents of files stay away until they are asked for."""
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
        """The object of the file."""
        row = self.run("ls-tree", "-z", self.name.commit, "--", self.name.path)
        mode, _, rest = row.partition(" ")
        if not row:
            raise DownloadError(
                f"{printable(self.name.url)} holds no file {printable(self.name.path)} at {self.name.commit[:12]}",
                "Names are case-sensitive, and links to folders are not followed.",
            )
        if mode not in ("100644", "100755"):
            kind = {"120000": "a symbolic link", "160000": "a submodule"}.get(mode, "a folder")
            raise DownloadError(
                f"{printable(self.name.path)} is {kind} in {printable(self.name.url)}, not a file",
                "Give the path of the file itself.",
            )
        return rest.partition("\t")[0].partition(" ")[2]

    def write_blob(self, blob: str) -> Path:
        file = self.folder / "file"
        with file.open("wb") as out:
            self.run("cat-file", "blob", blob, out=out.fileno())
        return file

    def run(self, *arguments: str, out: int | None = None) -> str:
        """The text that a git command prints, or nothing if it prints into `out`. Raises `DownloadError`."""
        printed, said = self.folder / "printed", self.folder / "said"
        with printed.open("wb") as stdout, said.open("wb") as stderr:
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
                _end(process)
        if process.returncode:
            raise _failed(self.name, said.read_text("utf-8", "replace"))
        return printed.read_text("utf-8", "replace")

    def wait(self, process: subprocess.Popen[bytes]) -> None:
        """Until the process ends, looking that it keeps to the limits."""
        while True:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(LOOK_EVERY_S)
            if _bytes(self.folder) > self.max_bytes:
                raise DownloadError(
                    f"{printable(self.name.url)} is larger than the {self.max_bytes:,} bytes allowed",
                    "Download the file by hand and give file:PATH.",
                )
            if process.returncode is not None:
                return
            if time.monotonic() > self.deadline:
                raise DownloadError(f"{printable(self.name.url)} takes too long", "Try again later.")


def _settings(url: str) -> Sequence[str]:
    """The options of git that say what it may do; those of its environment (`GIT_CONFIG_COUNT`) need git 2.31."""
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
    """What git sees: no configuration of this machine, no credentials, no hooks."""
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
        "HOME": str(folder),  # before git 2.32 the user's configuration was found by it alone
        "LC_ALL": "C",
    }


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill what still runs: git leaves the transfer to programs that it starts."""
    if process.returncode is None:
        with contextlib.suppress(psutil.NoSuchProcess):
            for child in psutil.Process(process.pid).children(recursive=True):
                with contextlib.suppress(psutil.NoSuchProcess):
                    child.kill()
        process.kill()
        process.wait()


def _bytes(folder: Path) -> int:
    """What a folder holds while git renames and removes files in it."""
    held = 0
    for place, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                held += Path(place, name).lstat().st_size
    return held


def _failed(name: GitName, said: str) -> DownloadError:
    """The error that explains what git said."""
    lines: Sequence[str] = [line for line in said.splitlines() if line.strip()]
    words = said.lower()
    if "could not read username" in words or "not found" in words or "authentication failed" in words:
        return DownloadError(
            f"there is no public repository {printable(name.url)}", "Check the address; private ones are not read."
        )
    if "not our ref" in words or "remote ref" in words or "unadvertised object" in words:
        return DownloadError(
            f"{printable(name.url)} holds no commit {name.commit}",
            f"Find one with: git ls-remote {printable(name.url)}",
        )
    if "redirect" in words or "returned error: 30" in words:
        return DownloadError(f"{printable(name.url)} has moved", "Open it in a browser, and give the new address.")
    reason = printable(next((line for line in lines if line.startswith("fatal:")), "") or "".join(lines[-1:]))
    return DownloadError(
        f"git could not fetch {printable(name.url)}: {reason.removeprefix('fatal: ')}",
        "Check the address and your connection.",
    )


def _check_content(file: Path, name: GitName) -> None:
    """Refuse what stands in for a file that is kept elsewhere."""
    if file.stat().st_size > MAX_POINTER_BYTES or not file.read_bytes().startswith(LFS_POINTER):
        return
    raise DownloadError(
        f"{printable(name.path)} is kept in Git LFS: the repository holds only a pointer to it",
        "Download the file itself from the repository's page, and give file:PATH.",
    )
