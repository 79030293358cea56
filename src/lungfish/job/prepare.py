"""What a job knows before it trains: what its names stand for, its photos, its network. A dry run ends here."""

from __future__ import annotations

from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import TYPE_CHECKING

from lungfish.core.errors import DownloadError, UsageError
from lungfish.core.extras import missing_extra
from lungfish.core.progress import Progress
from lungfish.data.photos import PhotoSet
from lungfish.data.scan.features import Trunk
from lungfish.data.sources import open_photos
from lungfish.job.dataset import Dataset, dataset_options, prepare_dataset
from lungfish.job.spec import Job
from lungfish.job.stages.head import HeadStage, initial_network, open_network
from lungfish.job.start import Start, choose_start, initial_start
from lungfish.job.target import Target, choose_target
from lungfish.training.attach import attach
from lungfish.training.probe import Head
from lungfish.training.recipe import Recipe, read_recipe, with_limits
from lungfish.training.trunk import open_trunk
from lungfish.weights.fetch.fetch import FetchOptions
from lungfish.weights.store.record import WeightsRecord

if TYPE_CHECKING:
    from lungfish.nn import Network


@dataclass(frozen=True, eq=False)
class Choices:
    """What a job is about.

    Args:
        start: The architecture and the weights.
        recipe: The recipe, with the limits that were given.
        photos: The photos, as their source lists them.
        target: Where the bundle goes.
    """

    start: Start
    recipe: Recipe
    photos: PhotoSet
    target: Target


@dataclass(frozen=True, eq=False)
class Prepared:
    """A job that is ready to train.

    Args:
        start: The architecture and the weights, with what only their file could say.
        recipe: The recipe, with schedules for the number of photos.
        network: The network that training starts from.
        weights: The record of the weights; None in a dry run, if they would have to be downloaded.
        trunk: Computes features.
        dataset: The photos, scanned and split; in a dry run without features.
    """

    start: Start
    recipe: Recipe
    network: Network
    weights: WeightsRecord | None
    trunk: Trunk
    dataset: Dataset

    def head_stage(self, head: Head | None) -> HeadStage:
        """Return the network with a head that was fitted on its features, or with a new one."""
        assert self.weights
        attach(self.network, head, len(self.dataset.labels))
        return HeadStage(self.network, head, self.start, self.weights, self.trunk, self.dataset)


def resolve(job: Job) -> tuple[Start, Recipe]:
    """Return the architecture, weights and recipe that a job names.

    Raises:
        UnknownNameError: One of the names is not known.
        UsageError: A recipe that needs no weights got some, or a limit is out of range.
        WeightsError: No weights fit the architecture.
        MissingExtraError: This is the base install, which does not train.
    """
    if find_spec("torch") is None:
        raise missing_extra(ModuleNotFoundError("No module named 'torch'", name="torch"), "training")
    recipe = with_limits(read_recipe(job.recipe), job.epochs, job.minutes)
    if recipe.pretrained:
        return choose_start(job.arch, job.weights), recipe
    if job.weights:
        raise UsageError(
            f"recipe {recipe.name} starts without weights", "Leave --weights out, or choose --recipe full."
        )
    return initial_start(job.arch), recipe


def choose(job: Job) -> Choices:
    """Find what a job is about, before any work is done.

    Raises: As `resolve`, and
        PhotosError: There are no photos.
        OutputError: The bundle may not be written where it should go.
    """
    start, recipe = resolve(job)
    photos = open_photos(job.photos, follow_links=job.follow_links)
    return Choices(start, recipe, photos, choose_target(job.photos, job.out, force=job.force))


def prepare(job: Job, choices: Choices, progress: Progress, *, dry: bool = False) -> Prepared:
    """Open the network, look at every photo, and split the photos.

    Args:
        job: The job.
        choices: What its names stand for.
        progress: Receives what is done.
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
        network, weights = initial_network(start, job.seed), None  # as fast as with the weights
    trunk = open_trunk(network, start.entry)
    own = (trunk, start.entry) if weights else None
    options = replace(dataset_options(job, choices.target, recipe.cross_validate_below, own), stop=not dry)
    embeds = recipe.pretrained and not dry
    dataset = prepare_dataset(choices.photos, start.preprocess, trunk if embeds else None, options, progress)
    recipe = recipe.for_photos(max(len(dataset.indices("train")), 1))
    return Prepared(start, recipe, network, weights, trunk, dataset)
