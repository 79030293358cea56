"""Prepare a job: resolve its names, open the network, scan and split the photos. A dry run ends here."""

from __future__ import annotations

from dataclasses import dataclass, replace

from lungfish.core.errors import DownloadError, UsageError
from lungfish.core.extras import install_extra, missing_extra
from lungfish.core.progress import Progress
from lungfish.data.photos import PhotoSet
from lungfish.data.scan.features import Trunk
from lungfish.data.sources import open_photos
from lungfish.evaluation.stage_result import StageResult
from lungfish.job.dataset import Dataset, dataset_options, prepare_dataset
from lungfish.job.spec import DEFAULT_RECIPE, Job
from lungfish.job.stages.head import HeadStage, initial_network, open_network
from lungfish.job.start import Start, choose_start, initial_start
from lungfish.job.target import Target, choose_target
from lungfish.training.probe import Head
from lungfish.training.recipe import Recipe, read_recipe, with_limits
from lungfish.training.torch_install import has_torch
from lungfish.training.trunk import open_trunk
from lungfish.weights.fetch.fetch import FetchOptions
from lungfish.weights.network_weights import NetworkWeights
from lungfish.weights.store.record import WeightsRecord


@dataclass(frozen=True, eq=False)
class Choices:
    """What the arguments of a job refer to.

    Args:
        start: Architecture and weights.
        recipe: Recipe with the given limits.
        photos: Photos as their source lists them.
        target: Destination of the bundle.
        left_out: Rows for the stages of the recipe that are left out because PyTorch is not installed.
    """

    start: Start
    recipe: Recipe
    photos: PhotoSet
    target: Target
    left_out: tuple[StageResult, ...] = ()

    @property
    def advice(self) -> str:
        """What PyTorch would add to the job; empty if it is installed, or would add nothing."""
        if not self.left_out:
            return ""
        names = " and ".join(stage.recipe for stage in self.left_out)
        return (
            f"Fitting the head only: {names} need PyTorch, and up to {self.recipe.minutes:g} minutes. "
            f"To add them, run: {install_extra('torch')}"
        )


@dataclass(frozen=True, eq=False)
class Prepared:
    """A job that is ready to train.

    Args:
        start: Architecture and weights, completed from the file of the weights.
        recipe: Recipe with schedules for the number of photos.
        network: Network that training starts from.
        weights: Record of the weights; None in a dry run, if they would have to be downloaded.
        trunk: Trunk that computes features.
        dataset: Photos, scanned and split; in a dry run without features.
    """

    start: Start
    recipe: Recipe
    network: NetworkWeights
    weights: WeightsRecord | None
    trunk: Trunk
    dataset: Dataset

    def head_stage(self, head: Head | None) -> HeadStage:
        """Return the head stage: the network with a head fitted on its features, or a classifier of zeros for None."""
        assert self.weights
        network = self.with_head(head)
        return HeadStage(network, head, self.start, self.weights, self.trunk, self.dataset)

    def with_head(self, head: Head | None) -> NetworkWeights:
        """Return the network with the head as its classifier, or with a classifier of zeros for None."""
        if head is None:
            return self.network.with_new_classifier(len(self.dataset.labels))
        return self.network.with_classifier(head.weight, head.bias)


def resolve(job: Job) -> tuple[Start, Recipe]:
    """Return the architecture, weights and recipe that a job names.

    If torch is not installed, `auto` is returned without the stages that need it.

    Raises:
        UnknownNameError: One of the names is unknown.
        UsageError: Weights were given with a recipe that uses none, or a limit is out of range.
        WeightsError: No weights fit the architecture.
        MissingExtraError: A package is not installed: the base install cannot train, or the recipe needs torch.
    """
    try:
        import safetensors  # noqa: F401  quick to import, and missing from the base install
    except ModuleNotFoundError as error:
        raise missing_extra(error, "training") from None
    recipe = with_limits(read_recipe(job.recipe), job.epochs, job.minutes)
    if recipe.tables and not has_torch():
        if job.recipe != DEFAULT_RECIPE or job.epochs:
            raise missing_extra(ModuleNotFoundError(name="torch"), f"the recipe {recipe.name}")
        recipe = recipe.without_tables()
    if recipe.pretrained:
        return choose_start(job.arch, job.weights), recipe
    if job.weights:
        raise UsageError(
            f"recipe {recipe.name} starts without weights", "Leave --weights out, or choose --recipe full."
        )
    return initial_start(job.arch), recipe


def choose(job: Job) -> Choices:
    """Resolve the arguments of a job, before any work is done.

    Raises: As `resolve`, and
        PhotosError: There are no photos.
        OutputError: The bundle may not be written at its destination.
    """
    start, recipe = resolve(job)
    photos = open_photos(job.photos, follow_links=job.follow_links)
    target = choose_target(job.photos, job.out, force=job.force)
    left_out = tuple(
        StageResult(name, None, 0.0, kept=False, why="left out: needs PyTorch, which is not installed")
        for name in read_recipe(job.recipe).tables
        if name not in recipe.tables
    )
    return Choices(start, recipe, photos, target, left_out)


def prepare(job: Job, choices: Choices, progress: Progress, *, dry: bool = False) -> Prepared:
    """Open the network, and scan and split the photos.

    Args:
        job: Job to prepare.
        choices: What the arguments of the job refer to.
        progress: Receives the progress.
        dry: Download no weights, compute no features, and list all problems with the photos instead of raising the
            first.

    Raises:
        LicenseError: The license of the weights was not accepted.
        DownloadError: The weights cannot be downloaded.
        PhotosError: A class has no readable photo, or too few.
        UsageError: The saved split cannot be read.
    """
    start, recipe = choices.start, choices.recipe
    try:
        network, weights = open_network(start, recipe, job.seed, FetchOptions(offline=dry, progress=progress))
        start = replace(start, entry=weights.entry)  # completed from the file
    except DownloadError:
        if not dry:
            raise
        network, weights = initial_network(start, job.seed), None  # runs as fast as with the weights
    trunk = open_trunk(network, start.entry)
    own = (trunk, start.entry) if weights else None
    options = replace(dataset_options(job, choices.target, recipe.cross_validate_below, own), stop=not dry)
    embeds = recipe.pretrained and not dry
    dataset = prepare_dataset(choices.photos, start.preprocess, trunk if embeds else None, options, progress)
    recipe = recipe.for_photos(max(len(dataset.indices("train")), 1))
    return Prepared(start, recipe, network, weights, trunk, dataset)
