"""Parse the names of weights that users type. Nothing is looked up here."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lungfish.core.errors import UsageError
from lungfish.core.names import printable

FILE = "file:"
PUBLISHERS = ("timm", "torchvision", "keras")
FORMS = (
    "ARCH.TAG of the catalogue, timm:NAME, torchvision:NAME, keras:NAME, hf:OWNER/REPO, "
    "git+https://HOST/OWNER/REPO@COMMIT#PATH, file:PATH, tf:PREFIX, or the folder of a bundle"
)

NAME_IT = "Give it once with --arch, for example: lungfish weights fetch NAME --arch efficientnet_b0"

_HUB = re.compile(r"hf:(?P<repository>[\w.-]+/[\w.-]+)(@(?P<revision>[\w.-]+))?(/(?P<file>.+))?", re.ASCII)
_GIT = re.compile(r"git\+(?P<url>https?://[^@#\s]+)(@(?P<commit>[^#]*))?(#(?P<path>.*))?")
_CREDENTIALS = re.compile(r"git\+https?://[^/#]*@[^/#]*[/:]")
_COMMIT = re.compile(r"[0-9a-f]{40}")


@dataclass(frozen=True)
class HubName:
    """`hf:OWNER/REPO[@REVISION][/FILE]`; omitted parts are empty strings."""

    repository: str
    revision: str = ""
    file: str = ""

    @property
    def is_pinned(self) -> bool:
        """Whether the revision is a commit, which never changes."""
        return _COMMIT.fullmatch(self.revision) is not None

    def __str__(self) -> str:
        revision, file = f"@{self.revision}" if self.revision else "", f"/{self.file}" if self.file else ""
        return f"hf:{self.repository}{revision}{file}"


@dataclass(frozen=True)
class GitName:
    """`git+https://HOST/OWNER/REPO@COMMIT#PATH`."""

    url: str
    commit: str
    path: str

    def __str__(self) -> str:
        return f"git+{self.url}@{self.commit}#{self.path}"


def split_scheme(name: str) -> tuple[str, str]:
    """Return `("hf", "owner/repo")` for `hf:owner/repo`, and `("", name)` for a name without a scheme.

    A single letter is not a scheme but a drive, as in `C:\\bundle`.
    """
    scheme, colon, rest = name.partition(":")
    return (scheme, rest) if colon and len(scheme) > 1 and re.fullmatch(r"[a-z][a-z0-9+.-]*", scheme) else ("", name)


def parse_hub(name: str) -> HubName:
    """Parse `hf:OWNER/REPO[@REVISION][/FILE]`. Raises `UsageError`."""
    match = _HUB.fullmatch(name)
    if match is None or not is_inside(match["file"] or "file") or ".." in match["repository"]:
        raise UsageError(
            f"{printable(name)!r} is not a name on the Hugging Face hub",
            "Write hf:OWNER/REPO, hf:OWNER/REPO@REVISION or hf:OWNER/REPO@REVISION/FILE.",
        )
    return HubName(match["repository"], match["revision"] or "", match["file"] or "")


def parse_git(name: str) -> GitName:
    """Parse `git+https://HOST/OWNER/REPO@COMMIT#PATH`.

    Raises:
        UsageError: The name does not have this form, or does not pin a full commit: branches and tags move.
    """
    if _CREDENTIALS.match(name):
        raise UsageError("the address contains a user name or password", "Remove it: git runs without credentials.")
    match = _GIT.fullmatch(name)
    if match is None or not match["path"] or not is_inside(match["path"]):
        raise UsageError(
            f"{printable(name)!r} does not name a file in a git repository",
            "Write git+https://HOST/OWNER/REPO@COMMIT#PATH, for example ...@0123...cdef#models/weights.safetensors.",
        )
    commit = match["commit"] or ""
    if not _COMMIT.fullmatch(commit):
        raise UsageError(
            f"{printable(name)!r} names {f'{printable(commit)!r}, not a commit' if commit else 'no commit'}; "
            "a commit has 40 hex digits, and branches and tags move",
            f"Find it with: git ls-remote {printable(match['url'])} {printable(commit) or 'HEAD'}",
        )
    return GitName(match["url"], commit, match["path"])


def is_inside(path: str) -> bool:
    """Return whether a slash-separated path stays below its starting folder, and contains only printable characters."""
    return path == printable(path) and "\\" not in path and not {"", ".", ".."}.intersection(path.split("/"))
