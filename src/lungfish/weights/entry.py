"""What is known of one published set of weights."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lungfish.architecture import Flavour
from lungfish.core.errors import BundleError, WeightsError
from lungfish.runtime.preprocessing import Channels, Preprocessing

ANY_PX = 224  # the network has the resolution; the other values are the same at every one


@dataclass(frozen=True)
class WeightsEntry:
    """One set of weights. An empty text or None says that the thing is not known, never that it is nothing.

    Args:
        name: `ARCH.TAG`, or for what is not in the catalogue the name that was typed: `hf:owner/repo`.
        arch: an architecture's name, resolution and classes included where they differ from the named network's.
        converter: which key map reads it: `packaged`, `timm`, `timm_tf`, `torchvision`, `keras`, `slim`, `tpu`, or
            `lungfish` for files with our own names.
        location: where the file is: `package:MODULE/PATH`, `https://HOST/PATH`, `hf:OWNER/REPO@REVISION/PATH`,
            `git+https://HOST/REPO@COMMIT#PATH` or `file:PATH`. `!PREFIX` after an archive's address is a member.
        source: where it comes from, for a person to read.
        license: SPDX identifier; NOASSERTION if nobody says what may be done with the weights.
        license_source: where that license is stated, or where it was looked for.
        url: the authors' page.
        training_data: what it was trained on, and under which terms.
        flavour: padding and batch-norm epsilon.
        mean, std, crop_fraction, interpolation: as in `Preprocessing`; its resolution is the network's.
        paper: of the architecture.
        sha256: of the file, 64 hex digits; empty if it was never published: it is recorded at the first fetch.
        digest: a weaker published digest: `md5:HEX`, or the first digits of a SHA-256 as `sha256:HEX`.
        bytes: size of the file.
        code_license: SPDX identifier of the code that the weights were published with.
        copyright: who holds it.
        top1: published ImageNet top-1 in percent.
        top1_source: where it is published.
        trained_from: SHA-256 of the set that it was trained from, as that of a bundle is; empty if none is told.
        unverified: names of the fields that were not checked against their source when the entry was written.

    Raises:
        WeightsError: a preprocessing that is out of range.
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
            raise WeightsError(error.message, "Name another set of weights, or mend the place that says so.") from None

    def preprocessing(self, resolution_px: int) -> Preprocessing:
        """Return what happens to a photo before these weights, in a network of that resolution."""
        return Preprocessing(resolution_px, self.crop_fraction, self.interpolation, self.mean, self.std)

    def with_preprocessing(self, preprocessing: Preprocessing) -> WeightsEntry:
        """Return the entry with all of that but its resolution."""
        return replace(
            self,
            mean=preprocessing.mean,
            std=preprocessing.std,
            crop_fraction=preprocessing.crop_fraction,
            interpolation=preprocessing.interpolation,
        )

    @property
    def is_published(self) -> bool:
        """Whether something tells of a file that it is the one."""
        return bool(self.sha256 or self.digest)
