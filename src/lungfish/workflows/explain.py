"""Draw where on a photo the network finds a class, with a class activation map."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from lungfish.core.errors import OutputError, UnreadablePhotoError
from lungfish.core.extras import missing_extra
from lungfish.core.files import write_atomic
from lungfish.core.names import choose, printable
from lungfish.deploy.open_bundle import open_bundle
from lungfish.evaluation.explanation import ExplainedAnswer, explanation_png
from lungfish.runtime.bundle import Bundle
from lungfish.runtime.decode import read_photo
from lungfish.runtime.preprocessing import Preprocessing


@dataclass(frozen=True)
class Explanation:
    """The explained answer, and where the picture is.

    Args:
        file: The photo, as given.
        label: The default artifact's answer.
        probability: Probability of `label`, 0 to 1.
        explained: The class that the picture explains.
        picture: The PNG file.
    """

    file: str
    label: str
    probability: float
    explained: str
    picture: str

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def explain(
    bundle: str | Path | Bundle, image: str | Path, out: str | Path | None = None, label: str | None = None
) -> Explanation:
    """Draw where the network of a bundle finds a class on a photo.

    The answer comes from the default artifact; the picture, from the float network that the artifact was made from.

    Args:
        bundle: A bundle or its folder; it must contain `weights.safetensors`.
        image: Path of the photo.
        out: A .png file; `NAME.explained.png` in the current folder if None.
        label: Class to explain; the predicted one if None.

    Returns:
        The answer, the marked class, and the path of the picture.

    Raises:
        UsageError: The bundle or class does not exist, or `out` cannot be used.
        BundleError: The bundle is damaged.
        UnreadablePhotoError: The photo cannot be read.
        WeightsError: The bundle does not contain its weights.
        MissingExtraError: onnx or matplotlib is not installed.
        StorageError: The picture cannot be written.

    Example:
        >>> import lungfish as lf
        >>> lf.explain("shoes-bundle", "boot.jpg").picture  # doctest: +SKIP
        'boot.explained.png'
    """
    image = Path(image)
    picture = _check_picture(Path(out or f"{image.stem}.explained.png"), image)
    opened = bundle if isinstance(bundle, Bundle) else open_bundle(bundle)
    asked = None if label is None else opened.labels.index(choose(label, opened.labels, "class of this bundle"))
    _check_packages()
    from lungfish.training.class_maps import class_maps
    from lungfish.weights.load import load_weights
    from lungfish.weights.resolve.local import bundle_entry

    entry = bundle_entry(str(opened.folder))
    pixels = opened.manifest.preprocess.pixels(_read(image, opened.manifest.preprocess))[None]

    probabilities = opened.probabilities(pixels)[0]
    answer = int(probabilities.argmax())
    marked = answer if asked is None else asked
    heat = class_maps(load_weights(entry), entry, pixels, np.array([marked]))[0]
    said = ExplainedAnswer(
        file=image.name,
        label=opened.labels[answer],
        probability=float(probabilities[answer]),
        artifact=opened.manifest.default,
        marked=opened.labels[marked],
        marked_probability=float(probabilities[marked]),
    )
    write_atomic(picture, explanation_png(pixels[0], heat, said))
    return Explanation(str(image), said.label, said.probability, said.marked, str(picture))


def _check_packages() -> None:
    """Check all packages before any work, to report both extras at once."""
    try:
        for package in ("matplotlib", "onnx", "safetensors"):
            import_module(package)
    except ModuleNotFoundError as error:
        raise missing_extra(error, "explaining an answer", "train,explain") from None


def _check_picture(path: Path, image: Path) -> Path:
    """Return `path` if a PNG may be written there."""
    shown = printable(str(path))
    if path.suffix != ".png":
        raise OutputError(f"--out {shown} does not end in .png", "For example --out picture.png.")
    if path.is_dir():
        raise OutputError(f"--out {shown} is a folder", "For example --out picture.png.")
    if path.resolve() == image.resolve():
        raise OutputError(f"--out {shown} is the photo itself", "Choose another --out.")
    return path


def _read(path: Path, preprocess: Preprocessing) -> Image.Image:
    try:
        return preprocess.decode(read_photo(path))
    except UnreadablePhotoError as error:
        raise UnreadablePhotoError(
            f"{printable(str(path))}: {error.message}", "Give a photo that lungfish predict can read."
        ) from None
