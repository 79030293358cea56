"""`config.json` of timm's repositories on the hub: which network it is, and what its pixels go through."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lungfish.architecture import parse_arch
from lungfish.core.errors import ArchitectureError, BundleError, UsageError, WeightsError
from lungfish.core.names import printable
from lungfish.runtime.preprocessing import Preprocessing

# mobilenetv2_140 is V2 at width 1.4. Left out, because their tables are others: mobilenetv1_100h, mobilenetv2_110d,
# mobilenetv2_120d, efficientnet_b1_pruned, efficientnet_b0_gn ...
_MOBILENET = re.compile(r"mobilenetv([12])_(\d{3})")
_EFFICIENTNET = re.compile(r"(tf_)?(efficientnet_(?:b[0-7]|lite[0-4]))")
_HARMLESS = frozenset({"num_classes", "drop_rate", "drop_path_rate"})  # arguments that change no answer
_USUAL = {"in_chans": 3, "global_pool": "avg"}  # and those that do not with these values


@dataclass(frozen=True)
class TimmModel:
    """A network as timm describes it.

    Args:
        arch: its name here, resolution and classes included where they differ from the named network's.
        converter: `timm`, or `timm_tf` for its models called `tf_`.
        preprocessing: what its pixels go through.
    """

    arch: str
    converter: str
    preprocessing: Preprocessing


def read_timm_config(config: Any, where: str) -> TimmModel:
    """What `config.json` says, in today's form or in the older one without `pretrained_cfg`.

    Args:
        config: the JSON value.
        where: the repository, for messages.

    Raises:
        UsageError: a network that is not built here.
        WeightsError: a configuration that makes no sense.
    """
    rows = config if isinstance(config, dict) else {}
    pretrained = rows.get("pretrained_cfg", rows)
    rows = pretrained | rows if isinstance(pretrained, dict) else rows
    called = rows.get("architecture")
    base, converter = _base(called, where)
    try:
        unknown = sorted(_unusual(dict(rows.get("model_args") or {})))
        if unknown:
            raise UsageError(
                f"{where} builds its {called} with {', '.join(map(printable, unknown))}: "
                "that is another network than any here",
                "Choose a set of the catalogue: lungfish weights list",
            )
        name = _arch(base, rows)
        return TimmModel(name, converter, _preprocessing(rows, parse_arch(name).resolution_px))
    except (KeyError, TypeError, ValueError, ArchitectureError, BundleError) as error:
        raise WeightsError(
            f"config.json of {where} cannot be used: {type(error).__name__} {printable(str(error))}",
            "Download the file, and convert it: lungfish weights convert FILE --source timm --arch NAME",
        ) from None


def _base(called: object, where: str) -> tuple[str, str]:
    """Our name of timm's network, before its resolution and classes, and the converter."""
    mobilenet = _MOBILENET.fullmatch(str(called))
    if mobilenet:
        width = int(mobilenet[2]) / 100
        return f"mobilenet_v{mobilenet[1]}" + (f":width={width:g}" if width != 1 else ""), "timm"
    efficientnet = _EFFICIENTNET.fullmatch(str(called))
    if efficientnet:
        return efficientnet[2], "timm_tf" if efficientnet[1] else "timm"
    raise UsageError(
        f"{where} is a {printable(str(called)[:80])} of timm, which is not built here",
        "Built are MobileNetV1, MobileNetV2, EfficientNet-B0 to B7 and Lite0 to Lite4: lungfish weights list",
    )


def _unusual(arguments: dict[str, Any]) -> set[str]:
    return {name for name, value in arguments.items() if name not in _HARMLESS and _USUAL.get(name) != value}


def _arch(base: str, rows: dict[str, Any]) -> str:
    channels, height, width = map(int, rows["input_size"])
    if channels != 3 or height != width:
        raise ValueError(f"input_size is {rows['input_size']}; it must be [3, SIDE, SIDE]")
    arch, classes = parse_arch(base), int(rows["num_classes"])
    settings = [f"resolution={height}"] if height != arch.resolution_px else []
    settings += [f"classes={classes}"] if classes != arch.classes else []
    separator = "," if ":" in base else ":"
    name = f"{base}{separator}{','.join(settings)}" if settings else base
    parse_arch(name)  # a size that makes no network
    return name


def _preprocessing(rows: dict[str, Any], resolution_px: int) -> Preprocessing:
    mean, std = (tuple(round(float(each) * 255, 6) for each in rows[key]) for key in ("mean", "std"))
    crop, interpolation = float(rows["crop_pct"]), str(rows["interpolation"])
    if not (len(mean) == len(std) == 3 and all(0 <= a <= 255 and 0 < b <= 255 for a, b in zip(mean, std, strict=True))):
        raise ValueError(f"mean is {rows['mean']}, std {rows['std']}; both must be 3 shares of 255")
    return Preprocessing(resolution_px, crop, interpolation, mean, std)
