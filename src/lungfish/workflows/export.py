"""Export a network from your own training loop as a proven bundle."""

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
    """Make a proven bundle from a network that you trained yourself: `model.onnx`, INT8, report, model card.

    The artifacts compute the softmax of the network's logits, without a temperature. They are compared with the network
    on the same pixels, and measured on `photos`. The network keeps its mode, device, dtype and gradients.

    The photos that it was trained on are unknown, so Lungfish cannot check whether `photos` include some of them;
    report and model card say so. Use photos that it was not trained on.

    Args:
        network: A trained network from `lungfish.build`, whose classifier is a `torch.nn.Linear`.
        labels: Class names in the order of the logits.
        out: Folder for the bundle, which must not exist and must not be among the photos.
        photos: Labelled photos of each class, as for `lungfish.train`. If they are split into `val` and `test`, INT8
            and the threshold for "none of these" are chosen on `val`, and figures are reported on `test`; otherwise one
            half of each class is `val` and the other `test`. INT8 is calibrated on photos given as `train`, if any,
            else on `val`.
        preprocessing: How photos were resized and normalized in training. If None, `network.preprocessing`, or if that
            is unknown, the preprocessing that `weights` expect.
        weights: Name of the weights that training started from, such as `efficientnet_lite0.in1k`, or `random`; their
            license goes into the bundle. `network.weights` if None; if that is unknown too, the bundle says so.
        force: Whether to replace an existing bundle once the new one is complete.
        follow_links: Whether to follow links that lead outside the photos' folder.
        progress: Whether to show progress on stderr.

    Returns:
        The figures and the bundle.

    Raises:
        UsageError: The labels do not fit the network, the preprocessing is unknown, or `out` cannot be used.
        PhotosError: The classes of the photos are not those of `labels`, or a class has too few photos.
        WeightsError: The network does not match its architecture or contains values that are not finite; or the weights
            are not on this machine.
        ParityError: The exported file does not compute the same as the network.
        MachineError: A package is missing, or files cannot be written.

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
