"""Photos in, proven bundle out: the main job, read from top to bottom."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from lungfish.core.errors import UsageError
from lungfish.core.extras import missing_extra
from lungfish.core.files import staged_folder
from lungfish.core.progress import Progress, Silent
from lungfish.data.examination import Record
from lungfish.data.photos import Photo
from lungfish.data.sources import open_photos
from lungfish.deploy.classifier import Classifier
from lungfish.deploy.golden import golden_pixels
from lungfish.deploy.proof import artifact_rows, check_parity, choose_default, prove
from lungfish.deploy.quantize import quantize_int8
from lungfish.runtime.ahead import map_ahead
from lungfish.runtime.manifest import Manifest
from lungfish.runtime.measure import peak_rss_bytes
from lungfish.runtime.preprocess import Preprocess
from lungfish.runtime.session import physical_cores
from lungfish.training.crossvalidation import cross_validate
from lungfish.training.probe import Head, fit_probe
from lungfish.training.recipe import Recipe, read_recipe
from lungfish.weights.fetch import FetchOptions, fetch
from lungfish.weights.ledger import Card
from lungfish.workflows.gather import Gathered, GatherOptions, gather
from lungfish.workflows.starting_point import Start, choose_start
from lungfish.workflows.stopwatch import Stopwatch
from lungfish.workflows.target import choose_target
from lungfish.workflows.write_bundle import Made, write_bundle

if TYPE_CHECKING:
    from lungfish.data.features import Trunk
    from lungfish.nn import Network

PARITY_PHOTOS = 16


@dataclass(frozen=True)
class Job:
    """What a person asks for.

    Args:
        photos: a folder or table of labelled photos.
        out: where the bundle goes; `./NAME-bundle` if None.
        arch: an architecture's name; that of the weights if None, EfficientNet-Lite0 without either.
        weights: a set of weights, or a bundle; the best at hand for the architecture if None.
        recipe: a recipe's name, or a TOML file.
        seed: of everything random.
        split: a `photos.csv` whose sides are kept.
        force: replace an existing bundle.
        resume: go on from where the same job was stopped while it trained.
    """

    photos: Path
    out: Path | None = None
    arch: str | None = None
    weights: str | None = None
    recipe: str = "probe"
    seed: int = 0
    split: Path | None = None
    force: bool = False
    resume: bool = False

    def __post_init__(self) -> None:
        if not 0 <= self.seed < 2**32:
            raise UsageError(f"seed is {self.seed}; allowed are whole numbers from 0 to {2**32 - 1}")


@dataclass(frozen=True)
class TrainResult:
    """What the job brought about; the JSON of `lungfish train`."""

    bundle: str
    arch: str
    weights: str
    recipe: str
    classes: tuple[str, ...]
    counts: dict[str, int]
    test: dict[str, Any]
    val: dict[str, Any]
    artifacts: tuple[dict[str, Any], ...]
    default: str
    seconds: dict[str, float]
    skipped: tuple[dict[str, str], ...]
    warnings: tuple[str, ...]
    leaks: tuple[dict[str, Any], ...]
    cross_validation: tuple[float, ...]
    thresholds: dict[str, float]
    temperature: float
    epochs: tuple[dict[str, Any], ...]
    peak_rss_bytes: int
    candidates: tuple[dict[str, Any], ...]

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def train(  # noqa: PLR0913  the command's options, under the names that people type
    photos: str | Path,
    out: str | Path | None = None,
    *,
    arch: str | None = None,
    weights: str | None = None,
    recipe: str = "probe",
    seed: int = 0,
    split: str | Path | None = None,
    force: bool = False,
    resume: bool = False,
    progress: Progress | None = None,
) -> TrainResult:
    """Make a proven bundle from labelled photos. The other arguments are those of `Job`.

    Args:
        progress: told of the steps; silent if None.

    Raises:
        UsageError: a name or option that is wrong, or a place that must not be written to.
        PhotosError: the photos cannot be used as they are.
        ParityError: the exported file computes something else than the network.
        MachineError: weights, packages or disk are in the way.
    """
    split = Path(split) if split else None
    job = Job(Path(photos), Path(out) if out else None, arch, weights, recipe, seed, split, force, resume)
    return run_job(job, progress or Silent())


def run_job(job: Job, progress: Progress) -> TrainResult:
    """See `train`."""
    clock = Stopwatch()
    start, recipe = resolve(job)
    photos = open_photos(job.photos)
    target = choose_target(job.photos, job.out, force=job.force)
    preprocess = start.preprocess

    with clock.step("photos_and_features"):
        network, trunk, weights = open_network(start, progress)
        options = GatherOptions(job.split, recipe.cross_validate_below)
        gathered = gather(photos, preprocess, trunk, options, progress)
    progress.say("Fitting the head")
    with clock.step("head"):
        head = _fit_head(gathered, recipe)
        folds = _cross_validate(gathered, head, recipe, job.seed)

    network, tuned = _attach(network, head), None
    if recipe.tuning:
        from lungfish.workflows.tune import Setting, tune

        with clock.step("tuning"):
            setting = Setting(weights.entry, preprocess, job.seed, target, job.resume, progress)
            tuned = tune(network, gathered, recipe, recipe.tuning, setting)

    temperature = tuned.temperature if tuned else head.temperature
    classifier = Classifier(network, temperature, photos.labels, preprocess, weights.entry)
    with staged_folder(target, replace=job.force) as stage:
        progress.say("Exporting and quantizing")
        with clock.step("export"):
            artifacts = _export(stage, classifier, gathered, recipe)
        with clock.step("proof"):
            val, test = gathered.to_prove("val"), gathered.to_prove("test")
            proofs = prove(list(artifacts.values()), val, test, preprocess, progress)
            rows = tuple(artifact_rows(artifacts, proofs, recipe.int8_max_drop))
        made = Made(
            job.seed, recipe, weights, classifier, head, tuned, gathered, rows, choose_default(rows), proofs, folds
        )
        manifest = write_bundle(stage, target.name, made, clock)
    return _result(target, manifest, made, clock)


def resolve(job: Job) -> tuple[Start, Recipe]:
    """The architecture, weights and recipe that a job names.

    Raises:
        UnknownNameError: one of the names is not known.
        WeightsError: no weights fit the architecture.
        MissingExtraError: this is the base install, which does not train.
    """
    if find_spec("torch") is None:
        raise missing_extra(ModuleNotFoundError("No module named 'torch'", name="torch"), "training")
    return choose_start(job.arch, job.weights), read_recipe(job.recipe)


def open_network(start: Start, progress: Progress) -> tuple[Network, Trunk, Card]:
    """The pretrained network, its trunk on the fastest engine at hand, and the card of its weights.

    Weights that are not on this machine are fetched.
    """
    from lungfish.training.trunk import open_trunk
    from lungfish.weights.load import load_network

    card = fetch(start.entry, FetchOptions(progress=progress))
    network = load_network(card.entry, start.arch)
    return network, open_trunk(network, card.entry), card


def _fit_head(gathered: Gathered, recipe: Recipe) -> Head:
    """The probe on the training photos; its copies of the features are gone when it returns."""
    train, val = (gathered.samples(gathered.indices(split)) for split in ("train", "val"))
    return fit_probe(train, val, recipe)


def _cross_validate(gathered: Gathered, head: Head, recipe: Recipe, seed: int) -> tuple[float, ...]:
    """Top-1 of each fold over all photos; empty with many photos, or with too few to fold."""
    truth, units = gathered.truth, gathered.sides.units
    if len(gathered.photos.photos) >= recipe.cross_validate_below:
        return ()
    folds = min(recipe.folds, *(len(set(units[truth == label])) for label in range(len(gathered.labels))))
    if folds < 2:
        return ()
    everything = gathered.samples(np.arange(len(truth)))
    return cross_validate(everything, units, head, folds, seed)


def _attach(network: Network, head: Head) -> Network:
    """The network with the new head for a classifier, on the CPU."""
    import torch
    from torch import nn

    classes, width = head.weight.shape
    network.classifier = nn.Linear(width, classes)
    with torch.no_grad():
        network.classifier.weight.copy_(torch.from_numpy(head.weight))
        network.classifier.bias.copy_(torch.from_numpy(head.bias))
    network.arch = network.arch.with_classes(classes)
    return network.cpu().eval()


def _export(stage: Path, classifier: Classifier, gathered: Gathered, recipe: Recipe) -> dict[str, Path]:
    """Write the artefacts by precision; FP32 is held against torch before anything is made from it."""
    fp32, int8 = stage / "model.onnx", stage / "model-int8.onnx"
    classifier.write_onnx(fp32)
    val = _pixels(gathered, gathered.records("val"), PARITY_PHOTOS, classifier.preprocess)
    check_parity(classifier, fp32, np.concatenate([golden_pixels(classifier.preprocess), val]))
    train = _pixels(gathered, gathered.records("train"), recipe.calibration_photos, classifier.preprocess)
    quantize_int8(fp32, int8, train)
    return {"fp32": fp32, "int8": int8}


def _pixels(gathered: Gathered, records: Sequence[Record], count: int, preprocess: Preprocess) -> NDArray[np.uint8]:
    """Some photos, those with the smallest content hashes: a fixed choice that no order of names can bias."""
    chosen = {record.photo.name for record in sorted(records, key=lambda record: record.seen.sha256)[:count]}
    photos = [record.photo for record in records if record.photo.name in chosen]  # read in the source's order

    def read(photo: Photo) -> NDArray[np.uint8]:
        return preprocess.pixels(preprocess.decode(gathered.read(photo)))

    cores = physical_cores()
    return np.stack(list(map_ahead(read, photos, cores, 2 * cores)))


def _result(target: Path, manifest: Manifest, made: Made, clock: Stopwatch) -> TrainResult:
    entry, network = made.classifier.entry, made.classifier.network
    candidate = {"arch": network.arch.name, "weights": entry.name, "recipe": made.recipe.name, "val": manifest.val}
    return TrainResult(
        bundle=str(target),
        arch=network.arch.name,
        weights=entry.name,
        recipe=made.recipe.name,
        classes=manifest.labels,
        counts=made.gathered.counts(),
        test=manifest.test,
        val=manifest.val,
        artifacts=tuple(row.to_json() for row in manifest.artifacts),
        default=manifest.default,
        seconds=clock.seconds(),
        skipped=tuple({"file": each.file, "reason": each.reason} for each in made.gathered.examined.skipped),
        warnings=made.gathered.warnings,
        leaks=tuple(asdict(leak) for leak in made.gathered.sides.leaks),
        cross_validation=made.folds,
        thresholds=manifest.thresholds,
        temperature=manifest.temperature,
        epochs=tuple(map(dict, made.tuned.history)) if made.tuned else (),
        peak_rss_bytes=peak_rss_bytes(),
        candidates=(candidate,),
    )
