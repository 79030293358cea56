"""Find catalogue entries by their publishers' names: `timm:`, `torchvision:` and `keras:`."""

from __future__ import annotations

import re

from lungfish.core.errors import UsageError
from lungfish.core.names import choose, printable
from lungfish.weights.catalogue import catalogue
from lungfish.weights.entry import WeightsEntry

KERAS = {  # model functions of Keras Applications, by our name
    "mobilenet_v1": "MobileNet",
    "mobilenet_v2": "MobileNetV2",
    **{f"efficientnet_b{number}": f"EfficientNetB{number}" for number in range(8)},
}
_TIMM = re.compile(r"hf:timm/([^@/]+)@.*")


def published_name(entry: WeightsEntry) -> str:
    """Return the publisher's name of a catalogue entry, with its scheme; empty for other publishers.

    Examples: `timm:mobilenetv2_100.ra_in1k`, `torchvision:mobilenet_v2.IMAGENET1K_V1`, and `keras:MobileNetV2`, which
    stands for the full width and resolution.
    """
    network, _, tag = entry.name.partition(".")
    timm = _TIMM.fullmatch(entry.location)
    if timm:
        return f"timm:{timm[1]}"
    if entry.converter == "torchvision":
        return f"torchvision:{network}.IMAGENET1K_V{2 if tag.startswith('tv2') else 1}"
    if entry.converter == "keras" and entry.arch in KERAS:
        return f"keras:{KERAS[entry.arch]}"
    return ""


def find_published(name: str) -> WeightsEntry:
    """Return the entry that its publisher calls `name`.

    Without a tag, the name stands for torchvision's default, or for timm's weights if there is only one set.

    Raises:
        UnknownNameError: The catalogue has no such name; the hint lists close matches.
        UsageError: Several entries match.
    """
    scheme = name.partition(":")[0]
    named = {published_name(entry): entry for entry in catalogue().values()}
    matching = sorted(candidate for candidate in named if candidate == name or candidate.startswith(f"{name}."))
    if len(matching) > 1 and scheme != "torchvision":
        raise UsageError(f"{printable(name)} has several sets of weights", f"Choose: {', '.join(matching)}.")
    if matching:
        return named[matching[-1]]
    return named[
        choose(name, sorted(candidate for candidate in named if candidate.startswith(f"{scheme}:")), "set of weights")
    ]
