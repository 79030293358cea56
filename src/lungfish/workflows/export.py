"""A network of one's own training loop, to a proven bundle."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lungfish.core.progress import Progress, stderr_listeners
from lungfish.job.export_network import ExportJob, export_network
from lungfish.job.result import BundleResult
from lungfish.runtime.preprocessing import Preprocessing

if TYPE_CHECKING:
    from lungfish.nn import Network


def export(  # noqa: PLR0913  one parameter for each option, as in `train`
    network: Network,
    labels: Sequence[str],
    out: str | Path,
    *,
    photos: str | Path,
    preprocessing: Preprocessing | None = None,
    weights: str | None = None,
    force: bool = False,
    follow_links: bool = False,
    progress: bool = False,
) -> BundleResult:
    """Make a proven bundle of a network that you trained yourself: `model.onnx`, INT8, report, model card.

    The artifacts compute the softmax of the network's logits, without a temperature. They are held against the network
    on pixels, and measured on `photos`. The network itself is not changed: not its mode, device, dtype or gradients.

    Which photos it was trained on is not known, so whether some of `photos` are among them is not checked; report and
    model card say so. Give photos that it was not trained on.

    Args:
        network: A network of `lungfish.build`, trained; its classifier is a `torch.nn.Linear`.
        labels: Class names in the order of the logits.
        out: Folder for the bundle; beside the photos, and not there yet.
        photos: Labelled photos of each class, as `lungfish.train` takes them. If they come as `val` and `test`, INT8
            and the threshold for "none of these" are chosen on `val` and figures are reported on `test`; else one half
            of each class serves for either. INT8 is calibrated on photos given as `train`, if there are any, else on
            the first half.
        preprocessing: How photos were resized and normalized in training; `network.preprocessing` if None, or what the
            `weights` expect.
        weights: Name of the weights that training started from, `efficientnet_lite0.in1k`: their license goes into the
            bundle. `random` if there were none. `network.weights` if None; if that is not known either, the bundle says
            that nobody named them.
        force: Whether to replace the bundle there once the new one is complete.
        follow_links: Whether to follow links that lead outside the folder of the photos.
        progress: Whether to show progress on stderr.

    Returns:
        The figures and the bundle.

    Raises:
        UsageError: labels that do not fit the network, a preprocessing that is not known, or a place that must not be
            written to.
        PhotosError: the classes of the photos are not those of `labels`, or a class has too few.
        WeightsError: the network is not what its architecture says or holds values that are not finite; or the weights
            are not on this machine.
        ParityError: the exported file computes something else than the network.
        MachineError: packages or disk are in the way.

    Examples:
        >>> import lungfish as lf
        >>> net = lf.build(lf.arch("efficientnet_lite0:classes=3"), seed=0)
        >>> ...  # your own training loop
        >>> pixels = lf.Preprocessing(224, mean=(127, 127, 127), std=(128, 128, 128))
        >>> result = lf.export(net, ["boot", "shoe", "sandal"], "shoes/", photos="val/", preprocessing=pixels)
        >>> result.test.top1, result.bundle.predict("photo.jpg")[0].label
        (0.94, 'boot')
    """
    job = ExportJob(network, labels, Path(out), photos, preprocessing, weights, force, follow_links)
    return export_network(job, Progress(*(stderr_listeners() if progress else ())))
