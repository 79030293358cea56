"""Verify that weights compute the same here as in the library that published them."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lungfish.architecture import parse_arch
from lungfish.core.errors import MissingExtraError, UnreadablePhotoError, UsageError
from lungfish.core.extras import install_command
from lungfish.core.names import plural, printable
from lungfish.core.progress import Progress
from lungfish.data.sources.tree import read_tree, why_not_photo
from lungfish.deploy.golden import golden_pictures, golden_pixels
from lungfish.runtime.answering import Model, answer_photos
from lungfish.runtime.decode import read_photo
from lungfish.runtime.measure import versions
from lungfish.training.trunk import normalized
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.fetch.converted import fetch_converted
from lungfish.weights.fetch.fetch import FetchOptions, file_of, record_of
from lungfish.weights.imagenet import imagenet_wnids
from lungfish.weights.load import load_network
from lungfish.weights.resolve.names import resolve
from lungfish.weights.store.record import Verification, WeightsRecord
from lungfish.weights.store.store import Store
from lungfish.weights.verify.recorded import RECORDED, recorded_logits
from lungfish.weights.verify.reference import MODELS, Logits, open_reference

if TYPE_CHECKING:
    from lungfish.nn import Network

TOLERANCE = 1e-4  # relative to the larger of 1 and the spread of the reference's logits
WNID = re.compile(r"n\d{8}")
PACKAGES = ("lungfish", "torch", "torchvision", "timm", "keras", "tensorflow-cpu", "tensorflow")


@dataclass(frozen=True)
class Verified:
    """The result; the JSON of `lungfish weights verify`.

    Args:
        name: Name of the weights.
        reference: Library, version and model, or `RECORDED`.
        images: Number of compared pictures.
        max_abs_diff: Largest absolute difference of the logits.
        spread: Standard deviation of the reference's logits.
        top1_agreement: Share of the pictures with the same top class.
        top1: Share of correct answers, if the pictures' names give ImageNet classes.
        passed: Whether the difference is within `TOLERANCE` of the spread, and every top class is the same.
    """

    name: str
    reference: str
    images: int
    max_abs_diff: float
    spread: float
    top1_agreement: float
    top1: float | None
    passed: bool

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True, eq=False)
class Compared:
    """Answers of both networks to n pictures.

    Args:
        reference: Library, version and model, or `RECORDED`.
        ours: Our logits, `[n, classes]`, or those of the recorded classes.
        theirs: The reference's logits, of the same shape.
        first: Our top class of each picture, `[n]`.
        agrees: Whether our top class of each picture is also the reference's, `[n]`.
        truth: ImageNet class of each picture, if its name gives it.
    """

    reference: str
    ours: NDArray[np.float32]
    theirs: NDArray[np.float32]
    first: NDArray[np.int64]
    agrees: NDArray[np.bool_]
    truth: Sequence[int | None]


def verify(name: str, images: Path | None, progress: Progress) -> Verified:
    """Compare our network with the reference implementation, on the same file, and record the result.

    Args:
        name: Name of the weights; fetched if necessary.
        images: Folder of pictures; four generated ones if None.
        progress: Receives progress events.

    Raises:
        UsageError: The name or folder does not exist, the folder has no pictures, or no library has such a network.
        MissingExtraError: Neither the library nor recorded logits are available.
        MachineError: The weights cannot be fetched or read.
    """
    readers, truth = _pictures(images)
    record = fetch_converted(resolve(name), FetchOptions(progress=progress))
    found = _verified(name, _compare(record, readers, truth, progress))
    verification = Verification(
        reference=found.reference,
        images=found.images,
        max_abs_diff=found.max_abs_diff,
        top1_agreement=found.top1_agreement,
        when=datetime.now(UTC).isoformat(timespec="seconds"),
        packages=versions(PACKAGES),
    )
    store = Store()
    with store.changing():  # keep changes made to the record during the comparison
        known = record_of(record.entry, store)
        if known:
            store.write_record(replace(known, verified=verification))
    return found


def _pictures(images: Path | None) -> tuple[list[Callable[[], bytes]], list[int | None]]:
    """Return readers of the pictures, and the ImageNet class in each one's name or folder."""
    if images is None:
        pictures = golden_pictures()
        return [partial(_png, pictures[name]) for name in sorted(pictures)], [None] * len(pictures)
    if not images.is_dir():
        raise UsageError(f"no folder {printable(str(images))}", "Give a folder of pictures.")
    names = [name for name in read_tree(images).files if why_not_photo(name) is None]
    if not names:
        raise UsageError(f"no pictures in {printable(str(images))}", "Give a folder of JPEG, PNG or WebP files.")
    classes = {wnid: number for number, wnid in enumerate(imagenet_wnids())}
    wnids = [WNID.findall(name) for name in names]
    return [partial(read_photo, images / name) for name in names], [
        classes.get(found[-1]) if found else None for found in wnids
    ]


def _png(picture: Image.Image) -> bytes:
    stream = BytesIO()
    picture.save(stream, "PNG")
    return stream.getvalue()


def _compare(
    record: WeightsRecord, readers: Sequence[Callable[[], bytes]], truth: Sequence[int | None], progress: Progress
) -> Compared:
    entry, network = record.entry, load_network(record.entry)
    reference = open_reference(entry, file_of(record))
    if reference is None:
        return _compare_recorded(entry, network)
    preprocess = entry.preprocessing(parse_arch(entry.arch).resolution_px)
    models = {"ours": _on_pixels(partial(_logits, network), entry), "theirs": _on_pixels(reference.logits, entry)}
    with progress.task(f"Comparing with {reference.name}", len(readers)) as advance:
        answered = answer_photos(models, readers, preprocess, advance)
    if len(answered.unreadable) == len(readers):
        raise UnreadablePhotoError(f"no picture can be read: {answered.unreadable[0]}")
    if answered.unreadable:
        progress.say(f"skipped {plural(len(answered.unreadable), 'picture')} that could not be read")
    known = [number for i, number in enumerate(truth) if i not in answered.unreadable]
    ours, theirs = (answered.probabilities[name] for name in models)
    first = ours.argmax(axis=1)
    return Compared(reference.name, ours, theirs, first, first == theirs.argmax(axis=1), known)


def _compare_recorded(entry: WeightsEntry, network: Network) -> Compared:
    recorded = recorded_logits(entry)
    if recorded is None and entry.converter not in MODELS:
        raise UsageError(
            f"{entry.name} cannot be verified: no reference library loads files of {entry.converter}",
            "Verify the weights that these come from, or a port of them to timm or Keras.",
        )
    if recorded is None:
        raise MissingExtraError(
            f"nothing to compare {entry.name} with: its library is not installed, and no logits are recorded",
            f"Run: {install_command('timm', 'torchvision')}, or tensorflow-cpu for Keras.",
        )
    preprocess = entry.preprocessing(network.arch.resolution_px)
    logits = _on_pixels(partial(_logits, network), entry)(golden_pixels(preprocess))
    ours = np.stack([row[each.classes] for row, each in zip(logits, recorded, strict=True)])
    theirs = np.stack([each.logits for each in recorded])
    first, largest = logits.argmax(axis=1), [each.classes[each.logits.argmax()] for each in recorded]
    return Compared(RECORDED, ours, theirs, first, first == largest, [None] * len(recorded))


def _on_pixels(logits: Logits, entry: WeightsEntry) -> Model:
    """Return a function of uint8 `[n, height, width, 3]`."""
    import torch

    return lambda pixels: logits(normalized(torch.from_numpy(pixels), entry).contiguous().numpy())


def _logits(network: Network, x_nchw: NDArray[np.float32]) -> NDArray[np.float32]:
    import torch

    with torch.inference_mode():
        result: NDArray[np.float32] = network(torch.from_numpy(x_nchw)).numpy()
    return result


def _verified(name: str, compared: Compared) -> Verified:
    ours, theirs = compared.ours, compared.theirs
    difference, spread = float(np.abs(ours - theirs).max()), float(theirs.std())
    agreement = float(compared.agrees.mean())
    answers = [answer == number for answer, number in zip(compared.first, compared.truth, strict=True)]
    is_labelled = None not in compared.truth
    return Verified(
        name=name,
        reference=compared.reference,
        images=len(ours),
        max_abs_diff=difference,
        spread=spread,
        top1_agreement=agreement,
        top1=float(np.mean(answers)) if is_labelled else None,
        passed=difference <= TOLERANCE * max(spread, 1.0) and agreement == 1,
    )
