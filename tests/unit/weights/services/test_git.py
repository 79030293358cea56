"""A file of a git repository: fetched at one commit, and nothing of the repository runs."""

import os
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from lungfish.core.errors import DownloadError, MachineError, UsageError
from lungfish.weights.services import git as module
from lungfish.weights.services.git import Limits, clone_file

from ..git_server import git, serve_git

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")

CONTENT = bytes(range(256)) * 40
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 12345\n"
ABSENT = "0123456789abcdef" * 2 + "01234567"


@dataclass(frozen=True)
class Served:
    """A repository with one commit, and its address."""

    work: Path
    url: str

    def commit(self, message: str = "one") -> str:
        git(self.work, "add", "--all")
        git(self.work, "commit", "--quiet", "--message", message)
        return git(self.work, "rev-parse", "HEAD")

    def location(self, commit: str, path: str) -> str:
        return f"git+{self.url}@{commit}#{path}"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    work = tmp_path / "served" / "nets"
    work.mkdir(parents=True)
    git(work, "init", "--quiet", "--initial-branch=main")
    git(work, "config", "uploadpack.allowFilter", "true")
    (work / "models").mkdir()
    (work / "models" / "net.pth").write_bytes(CONTENT)
    with serve_git(work.parent) as address:
        yield Served(work, f"{address}/nets/.git")


@pytest.fixture
def out(tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    folder.mkdir()
    return folder


def test_the_file_at_a_commit_and_nothing_else(served: Served, out: Path) -> None:
    first = served.commit()
    (served.work / "models" / "net.pth").write_bytes(b"newer")
    second = served.commit("two")
    file = clone_file(served.location(first, "models/net.pth"), out)
    assert (file, file.read_bytes()) == (out / "net.pth", CONTENT)
    assert clone_file(served.location(second, "models/net.pth"), out).read_bytes() == b"newer"
    assert list(out.iterdir()) == [file]


def test_a_server_that_sends_every_file(served: Served, out: Path) -> None:
    git(served.work, "config", "uploadpack.allowFilter", "false")
    assert clone_file(served.location(served.commit(), "models/net.pth"), out).read_bytes() == CONTENT


def test_only_the_wanted_file_travels(served: Served, out: Path) -> None:
    (served.work / "models" / "large.bin").write_bytes(os.urandom(3_000_000))
    location = served.location(served.commit(), "models/net.pth")
    assert clone_file(location, out, Limits(bytes=1_000_000)).read_bytes() == CONTENT


@pytest.mark.parametrize("allowed", [True, False])
def test_too_large(served: Served, out: Path, allowed: bool) -> None:
    git(served.work, "config", "uploadpack.allowFilter", str(allowed).lower())
    (served.work / "models" / "large.bin").write_bytes(os.urandom(3_000_000))
    location = served.location(served.commit(), "models/large.bin")
    with pytest.raises(DownloadError, match="larger than the 1,000,000 bytes"):
        clone_file(location, out, Limits(bytes=1_000_000))
    assert list(out.iterdir()) == []


def test_too_slow(served: Served, out: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A git that hangs in a program that it started: both are ended."""
    script = tmp_path / "bin" / "git"
    script.parent.mkdir()
    script.write_text("#!/bin/sh\nsleep 100 &\necho $! > $GIT_DIR.child\nwait\n", encoding="utf-8")
    script.chmod(0o755)
    monkeypatch.setattr(module.shutil, "which", lambda _name: str(script))
    kept: list[int] = []
    monkeypatch.setattr(module, "_kill", _recording(module._kill, out, kept))
    began = time.monotonic()
    with pytest.raises(DownloadError, match="takes too long"):
        clone_file(served.location(ABSENT, "models/net.pth"), out, Limits(seconds=0.5))
    assert time.monotonic() - began < 20
    assert kept
    while _runs(kept[0]) and time.monotonic() - began < 20:  # a busy system takes a moment to end it
        time.sleep(0.01)
    assert not _runs(kept[0])


def _recording(
    end: Callable[[subprocess.Popen[bytes]], None], out: Path, kept: list[int]
) -> Callable[[subprocess.Popen[bytes]], None]:
    def recorded(process: subprocess.Popen[bytes]) -> None:
        kept.extend(int(file.read_text()) for file in out.rglob("repository.child"))
        end(process)

    return recorded


def _runs(pid: int) -> bool:
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("models/other.pth", "contains no file models/other.pth"),
        ("Models/net.pth", "contains no file"),
        ("models", "is a folder"),
        ("passwd", "is a symbolic link"),
        ("linked/passwd", "contains no file"),
        ("inner", "is a submodule"),
        ("pointer.pth", "Git LFS"),
    ],
)
def test_what_is_no_file(served: Served, out: Path, path: str, words: str) -> None:
    (served.work / "passwd").symlink_to("/etc/passwd")
    (served.work / "linked").symlink_to("/etc")
    (served.work / "pointer.pth").write_bytes(POINTER)
    git(served.work, "update-index", "--add", "--cacheinfo", f"160000,{ABSENT},inner")
    git(served.work, "add", "passwd", "linked", "pointer.pth", "models")
    git(served.work, "commit", "--quiet", "--message", "one")
    with pytest.raises(DownloadError, match=words):
        clone_file(served.location(git(served.work, "rev-parse", "HEAD"), path), out)
    assert list(out.iterdir()) == []


def test_a_hostile_repository_runs_nothing(served: Served, out: Path, tmp_path: Path) -> None:
    """Hooks, a submodule of ext::, filters and an LFS configuration lie in wait; the file is still only read."""
    trap = tmp_path / "sprung"
    touch = f"touch {trap}"
    hooks = served.work / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    for name in ("post-checkout", "post-merge", "reference-transaction", "fsmonitor-watchman"):
        (hooks / name).write_text(f"#!/bin/sh\n{touch}-server\n", encoding="utf-8")
    for name in ("hooks/post-checkout", ".githooks/post-checkout"):
        (served.work / name).parent.mkdir(exist_ok=True)
        (served.work / name).write_text(f"#!/bin/sh\n{touch}\n", encoding="utf-8")
        (served.work / name).chmod(0o755)
    (served.work / ".gitmodules").write_text(
        f'[submodule "inner"]\n\tpath = inner\n\turl = ext::sh -c "{touch}"\n', encoding="utf-8"
    )
    (served.work / ".gitattributes").write_text("*.pth filter=evil diff=evil\n", encoding="utf-8")
    (served.work / ".gitconfig").write_text(f'[filter "evil"]\n\tsmudge = {touch}\n', encoding="utf-8")
    git(served.work, "add", "--all")
    git(served.work, "update-index", "--add", "--cacheinfo", f"160000,{ABSENT},inner")
    git(served.work, "commit", "--quiet", "--message", "one")
    commit = git(served.work, "rev-parse", "HEAD")
    file = clone_file(served.location(commit, "models/net.pth"), out)
    assert file.read_bytes() == CONTENT
    assert list(out.iterdir()) == [file]
    assert not trap.exists()


def test_the_users_configuration_is_not_read(
    served: Served, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An address rewritten by configuration, a credential helper and a template folder with a hook."""
    trap, home = tmp_path / "sprung", tmp_path / "home"
    template = tmp_path / "template"
    (template / "hooks").mkdir(parents=True)
    (template / "hooks" / "reference-transaction").write_text(f"#!/bin/sh\ntouch {trap}\n", encoding="utf-8")
    (template / "hooks" / "reference-transaction").chmod(0o755)
    home.mkdir()
    (home / ".gitconfig").write_text(
        f'[url "ext::touch {trap} "]\n\tinsteadOf = http\n[init]\n\ttemplateDir = {template}\n'
        f'[credential]\n\thelper = "!touch {trap}"\n',
        encoding="utf-8",
    )
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(home / ".gitconfig"))
    monkeypatch.setenv("GIT_TEMPLATE_DIR", str(template))
    monkeypatch.setenv("GIT_ALLOW_PROTOCOL", "ext")
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "elsewhere"))
    assert clone_file(served.location(served.commit(), "models/net.pth"), out).read_bytes() == CONTENT
    assert not trap.exists()
    assert not (tmp_path / "elsewhere").exists()


def test_what_the_server_does_not_have(served: Served, out: Path) -> None:
    served.commit()
    with pytest.raises(DownloadError, match=f"contains no commit {ABSENT}"):
        clone_file(served.location(ABSENT, "models/net.pth"), out)
    with pytest.raises(DownloadError, match="there is no public repository"):
        clone_file(f"git+{served.url.replace('nets', 'others')}@{ABSENT}#net.pth", out)


def test_an_annotated_tag_is_no_commit(served: Served, out: Path) -> None:
    served.commit()
    git(served.work, "tag", "--annotate", "--message", "v1", "v1")
    with pytest.raises(DownloadError, match=r"is a tag of .*, not a commit"):
        clone_file(served.location(git(served.work, "rev-parse", "v1"), "models/net.pth"), out)


def test_a_redirect_is_not_followed(served: Served, out: Path) -> None:
    commit = served.commit()
    moved = served.url.replace("/nets", "/moved/nets")
    with pytest.raises(DownloadError, match="has moved"):
        clone_file(f"git+{moved}@{commit}#models/net.pth", out)


def test_a_git_before_2_31_follows_no_redirect(
    served: Served, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It knows no settings by number in its environment, and before 2.32 no other place for the user's own."""
    script = tmp_path / "bin" / "git"
    script.parent.mkdir()
    script.write_text(
        f'#!/bin/sh\nunset GIT_CONFIG_COUNT GIT_CONFIG_GLOBAL\nexec {shutil.which("git")} "$@"\n', "utf-8"
    )
    script.chmod(0o755)
    monkeypatch.setattr(module.shutil, "which", lambda _name: str(script))
    commit = served.commit()
    with pytest.raises(DownloadError, match="has moved"):
        clone_file(f"git+{served.url.replace('/nets', '/moved/nets')}@{commit}#models/net.pth", out)
    assert clone_file(served.location(commit, "models/net.pth"), out).read_bytes() == CONTENT


def test_no_server(out: Path) -> None:
    with pytest.raises(DownloadError, match="could not fetch"):
        clone_file(f"git+http://127.0.0.1:9/nets@{ABSENT}#net.pth", out)


@pytest.mark.parametrize(
    "location",
    [
        f"git+ext::sh -c true@{ABSENT}#net.pth",
        f"git+file:///srv/nets@{ABSENT}#net.pth",
        f"git+ssh://git@example.org/nets@{ABSENT}#net.pth",
        f"git+https://user:word@example.org/nets@{ABSENT}#net.pth",
        f"git+https://example.org/nets@{ABSENT}#../net.pth",
        f"git+https://example.org/nets@{ABSENT}#/etc/passwd",
        f"git+https://example.org/nets@{ABSENT}",
        f"git+https://example.org/nets@{ABSENT}#CON",
    ],
)
def test_locations_that_are_refused(location: str, out: Path) -> None:
    with pytest.raises(UsageError):
        clone_file(location, out)


def test_plain_http_goes_to_this_machine_only(out: Path) -> None:
    with pytest.raises(DownloadError, match="plain http"):
        clone_file(f"git+http://example.org/nets@{ABSENT}#net.pth", out)


@pytest.mark.parametrize("commit", ["@main", "@v1.0", "@0123abc", "", "@" + ABSENT.upper()])
def test_a_branch_is_no_commit(commit: str, out: Path) -> None:
    with pytest.raises(UsageError, match="40 hex digits") as caught:
        clone_file(f"git+https://example.org/owner/nets{commit}#net.pth", out)
    assert "git ls-remote https://example.org/owner/nets" in caught.value.hint


def test_without_git(served: Served, out: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "which", lambda _name: None)
    with pytest.raises(MachineError, match="needs the program git") as caught:
        clone_file(served.location(ABSENT, "net.pth"), out)
    assert "Install git" in caught.value.hint
