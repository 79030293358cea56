"""Build a network, with pretrained weights or randomly initialized: `lungfish.build`."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Literal, overload

from lungfish.architecture import Arch, ArchLike, Flavour, to_arch
from lungfish.core.errors import WeightsError
from lungfish.runtime.bundle_files import read_manifest
from lungfish.runtime.manifest import MANIFEST_NAME
from lungfish.weights.fitting import default_entry
from lungfish.weights.load import load_pretrained

if TYPE_CHECKING:
    from torch import Tensor

    from lungfish.nn import Backbone, Network

CHANGES = (
    "Pass num_classes to keep their classifier if it has that many classes, and to replace it otherwise. "
    "Pass in_channels to adapt their first convolution."
)
_log = logging.getLogger(__name__)


@overload
def build(
    arch: ArchLike,
    weights: str | Path | None = None,
    *,
    pretrained: bool = False,
    num_classes: int | None = None,
    in_channels: int | None = None,
    flavour: Flavour | None = None,
    seed: int | None = None,
    features_only: Literal[False] = False,
) -> Network: ...


@overload
def build(
    arch: ArchLike,
    weights: str | Path | None = None,
    *,
    pretrained: bool = False,
    num_classes: int | None = None,
    in_channels: int | None = None,
    flavour: Flavour | None = None,
    seed: int | None = None,
    features_only: Literal[True],
) -> Backbone: ...


def build(  # noqa: PLR0913  one parameter for each option, as in timm.create_model
    arch: ArchLike,
    weights: str | Path | None = None,
    *,
    pretrained: bool = False,
    num_classes: int | None = None,
    in_channels: int | None = None,
    flavour: Flavour | None = None,
    seed: int | None = None,
    features_only: bool = False,
) -> Network | Backbone:
    """Build a network, with pretrained weights or randomly initialized.

    `lungfish.transforms(network)` preprocesses photos as the weights expect.

    Args:
        arch: An architecture's name (`mobilenet_v2:width=0.75`) or JSON file, an `Arch`, a network to build again, or
            the folder of a bundle, whose network and weights are then loaded.
        weights: A catalogue name (`efficientnet_lite0.in1k`) or a name with a scheme (`hf:OWNER/REPO`), fetched if it
            is not cached; a bundle's folder; the path of a `.safetensors` file with our names (a bundle's
            `weights.safetensors`); or None for the authors' initialization.
        pretrained: Whether to use the best catalogued weights for `arch` if `weights` is None: the best on this
            machine, else the best under a permissive license. `network.weights` is their name.
        num_classes: Number of classes. If the weights have a different number, their trunk is kept and the classifier
            is new and random, which the log reports (`lungfish.weights.build`, level WARNING). If None, the number in
            `arch`, which must match the weights.
        in_channels: Channels of the input. If the weights have a different number, the kernel of the first convolution
            is adapted: for 1 channel it is summed over its channels; otherwise its channels are repeated in turn
            (R, G, B, R for 4) and scaled to keep the sum. If None, the number in `arch`, which must match the weights.
        flavour: Padding and batch-norm epsilon. If None, that of the weights, of the file's metadata or of the
            `bundle.json` in the same folder; `same` and 1e-3 if none of them states it.
        seed: Seed for every random initialization; torch's global generator is used if None.
        features_only: Whether to omit head and classifier, and return feature maps for a detector or segmenter.

    Returns:
        A network from float `[n, channels, height, width]` to logits `[n, classes]`; in eval mode if it has weights.
        With `features_only` it returns a tuple of feature maps, the last one of each stride, finest first; `.levels`
        describes them.

    Raises:
        UnknownNameError: The network or weights do not exist; the hint lists close matches.
        ArchitectureError: The number of classes or channels is out of range.
        LicenseError: The license of the weights was not accepted.
        UsageError: The file does not exist.
        MachineError: The weights cannot be fetched, or a required package is not installed.
        WeightsError: The weights belong to another network; lists missing, unexpected and misshapen tensors. Or
            `pretrained` is set, and no weights are known.

    Example:
        >>> import lungfish as lf
        >>> net = lf.build("efficientnet_lite0", pretrained=True)
        >>> net.weights, net.labels[:2]
        ('efficientnet_lite0.in1k', ('tench', 'goldfish'))
        >>> net = lf.build("efficientnet_lite0", num_classes=10, pretrained=True)
        >>> net.num_classes, net.labels
        (10, None)
    """
    from lungfish import nn

    if weights is None and isinstance(arch, str | Path) and (Path(arch) / MANIFEST_NAME).is_file():
        base, weights = Arch.from_json(read_manifest(Path(arch)).architecture), arch
    else:
        base = to_arch(arch)
    if pretrained and weights is None:
        weights = default_entry(base).name
    if weights is None:
        network = nn.build(_changed(base, num_classes, in_channels), flavour, seed=seed)
    else:
        network = _load(base, weights, flavour, any_classes=num_classes is not None)
        if num_classes not in (None, network.num_classes):
            assert num_classes is not None
            _say_new_classifier(network, num_classes)
            network.reset_classifier(num_classes, seed=seed)
        if in_channels is not None:
            adapt_stem(network, in_channels)
    return nn.Backbone(network) if features_only else network


def adapt_stem(network: Network, in_channels: int) -> None:
    """Change the number of input channels of a network, and adapt the kernel of its first convolution, as timm does.

    For 1 channel the kernel is summed over its channels: a gray image then gives the same result as three equal
    channels. Otherwise the channels are repeated in turn and scaled to keep their sum.

    Raises:
        ArchitectureError: The number of channels is invalid.
    """
    from torch import nn

    conv, arch = network.stem.conv, network.arch.with_in_channels(in_channels)
    if in_channels == network.arch.in_channels:
        return
    conv.weight = nn.Parameter(_adapted(conv.weight.detach(), in_channels))
    conv.in_channels, network.arch = in_channels, arch


def _adapted(kernel: Tensor, in_channels: int) -> Tensor:
    """Convert `[out, channels, height, width]` to `[out, in_channels, height, width]`."""
    channels = kernel.shape[1]
    if in_channels == 1:
        return kernel.sum(dim=1, keepdim=True)
    turns = [channel % channels for channel in range(in_channels)]
    return kernel[:, turns] * (channels / in_channels)


def _load(arch: Arch, weights: str | Path, flavour: Flavour | None, *, any_classes: bool) -> Network:
    try:
        return load_pretrained(arch, weights, flavour, any_classes=any_classes)
    except WeightsError as error:
        if "misshapen" not in error.message:
            raise
        raise WeightsError(error.message, f"{error.hint} {CHANGES}") from None


def _changed(arch: Arch, num_classes: int | None, in_channels: int | None) -> Arch:
    arch = arch if num_classes is None else arch.with_classes(num_classes)
    return arch if in_channels is None else arch.with_in_channels(in_channels)


def _say_new_classifier(network: Network, num_classes: int) -> None:
    _log.warning(
        "The classifier is new: %s has %s classes, you asked for %s. Train it before you use its answers.",
        network.weights,
        f"{network.num_classes:,}",
        f"{num_classes:,}",
    )
