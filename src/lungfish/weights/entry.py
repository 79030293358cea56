"""Describe one published set of weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lungfish.architecture import Flavour
from lungfish.core.errors import BundleError, WeightsError
from lungfish.runtime.preprocessing import Channels, Preprocessing

ANY_PX = 224  # any value: entries do not set a resolution


@dataclass(frozen=True)
class WeightsEntry:
    """One set of weights. An empty string or None means "unknown", never "none".

    Args:
        name: `ARCH.TAG`; for weights outside the catalogue, the name as typed: `hf:owner/repo`.
        arch: Architecture name, with resolution and classes where they differ from the named network's.
        converter: Key map that reads the file: `packaged`, `timm`, `timm_tf`, `torchvision`, `keras`, `slim`, `tpu`, or
            `lungfish` for files that already use our names.
        location: Where the file is: `package:MODULE/PATH`, `https://HOST/PATH`, `hf:OWNER/REPO@REVISION/PATH`,
            `git+https://HOST/REPO@COMMIT#PATH` or `file:PATH`. `!PREFIX` after the address of an archive names a
            member.
        source: Human-readable origin.
        license: SPDX identifier; NOASSERTION if no license is stated for the weights.
        license_source: Where that license is stated, or where it was looked for.
        url: The authors' page.
        training_data: The training data and its terms.
        flavour: Padding and batch-norm epsilon.
        mean, std, crop_fraction, interpolation: As in `Preprocessing`; the resolution is the network's.
        paper: The paper of the architecture.
        sha256: SHA-256 of the file, 64 hex digits; empty if it was never published, and then recorded at the first
            fetch.
        digest: A weaker published digest: `md5:HEX`, or the first digits of a SHA-256 as `sha256:HEX`.
        bytes: Size of the file.
        code_license: SPDX identifier of the code published with the weights.
        copyright: Copyright holder.
        top1: Published ImageNet top-1 accuracy, in percent.
        top1_source: Where that accuracy is published.
        trained_from: SHA-256 of the weights that these were trained from, set for bundles; empty if unknown.
        unverified: Names of the fields that were not checked against their source when the entry was written.

    Raises:
        WeightsError: A preprocessing value is out of range.
    """

    name: str
    arch: str
    converter: str
    location: str
    source: str
    license: str
    license_source: str
    url: str
    training_data: str
    flavour: Flavour
    mean: Channels
    std: Channels
    crop_fraction: float
    interpolation: str
    paper: str
    sha256: str = ""
    digest: str = ""
    bytes: int | None = None
    code_license: str = ""
    copyright: str = ""
    top1: float | None = None
    top1_source: str = ""
    trained_from: str = ""
    unverified: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        try:
            self.preprocessing(ANY_PX)
        except BundleError as error:
            raise WeightsError(error.message, "Choose other weights, or correct the value at its source.") from None

    def preprocessing(self, resolution_px: int) -> Preprocessing:
        """Return the preprocessing that these weights expect, for a network of the given resolution."""
        return Preprocessing(resolution_px, self.crop_fraction, self.interpolation, self.mean, self.std)

    def with_preprocessing(self, preprocessing: Preprocessing) -> WeightsEntry:
        """Return a copy of the entry with this preprocessing; its resolution is not used."""
        return replace(
            self,
            mean=preprocessing.mean,
            std=preprocessing.std,
            crop_fraction=preprocessing.crop_fraction,
            interpolation=preprocessing.interpolation,
        )

    @property
    def is_published(self) -> bool:
        """Whether a hash or digest of the file was published."""
        return bool(self.sha256 or self.digest)
