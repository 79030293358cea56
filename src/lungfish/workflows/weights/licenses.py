"""Show the attributions that must travel with a bundle."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from lungfish.core.errors import BundleError
from lungfish.deploy.open_bundle import open_bundle
from lungfish.runtime.manifest import WeightsOrigin

NOTICE = "NOTICE"
MAX_NOTICE_BYTES = 1_000_000


@dataclass(frozen=True)
class Attribution:
    """The origin of a bundle's weights, and their notice.

    Args:
        weights: Origin and license.
        notice: Text that must be shipped with them.
    """

    weights: WeightsOrigin
    notice: str

    @property
    def accepted_license(self) -> str:
        """The license that the bundle's maker accepted; empty if none had to be."""
        return str(self.weights.record.get("accepted_license", ""))

    def to_json(self) -> dict[str, Any]:
        return asdict(self.weights) | {"accepted_license": self.accepted_license, "notice": self.notice}


def licenses(path: str | Path) -> Attribution:
    """Read the attributions of a bundle's weights.

    Raises:
        UsageError: The folder does not exist.
        BundleError: The bundle is damaged, or its NOTICE is gone.
        StorageError: A file cannot be read.
    """
    bundle = open_bundle(path)  # checks every listed file that exists
    file, row = bundle.folder / NOTICE, bundle.manifest.files.get(NOTICE)
    if row is None or not file.is_file():
        raise BundleError(
            f"the bundle contains no {NOTICE}, which must be shipped with it",
            "Copy it from the bundle that this one was made from, or train that bundle again: lungfish train PHOTOS",
        )
    if row.bytes > MAX_NOTICE_BYTES:
        raise BundleError(f"{NOTICE} has {row.bytes:,} bytes; at most {MAX_NOTICE_BYTES:,} are read")
    return Attribution(bundle.manifest.weights, file.read_text("utf-8", "replace"))
