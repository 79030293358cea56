"""Read the network and preprocessing from the `config.json` of timm's repositories on the hub."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from lungfish.architecture import parse_arch
from lungfish.core.errors import ArchitectureError, BundleError, UsageError, WeightsError
from lungfish.core.names import printable
from lungfish.runtime.preprocessing import Preprocessing

# mobilenetv2_140 is V2 at width 1.4. Excluded, because their tables differ: mobilenetv1_100h, mobilenetv2_110d,
# mobilenetv2_120d, efficientnet_b1_pruned, efficientnet_b0_gn ...
_MOBILENET = re.compile(r"mobilenetv([12])_(\d{3})")
_EFFICIENTNET = re.compile(r"(tf_)?(efficientnet_(?:b[0-7]|lite[0-4]))")
_HARMLESS = frozenset({"num_classes", "drop_rate", "drop_path_rate"})  # arguments that do not change the outputs
_USUAL = {"in_chans": 3, "global_pool": "avg"}  # arguments that do not change the outputs if they have these values


@dataclass(frozen=True)
class TimmModel:
    """A network as timm describes it.

    Args:
        arch: Our name, with resolution and classes where they differ from the named network's.
        converter: `timm`, or `timm_tf` for its `tf_` models.
        preprocessing: Preprocessing of the photos.
    """

    arch: str
    converter: str
    preprocessing: Preprocessing


def read_timm_config(config: Any, where: str) -> TimmModel:
    """Return what `config.json` describes, in the current form or the older one without `pretrained_cfg`.

    Args:
        config: The JSON value.
        where: The repository, for messages.

    Raises:
        UsageError: The network is not supported.
        WeightsError: The configuration is invalid.
    """
    rows = config if isinstance(config, dict) else {}
    pretrained = rows.get("pretrained_cfg", rows)
    rows = pretrained | rows if isinstance(pretrained, dict) else rows
    timm_name = rows.get("architecture")
    base, converter = _base(timm_name, where)
    try:
        unknown = sorted(_unusual(dict(rows.get("model_args") or {})))
        if unknown:
            raise UsageError(
                f"{where} builds its {timm_name} with {', '.join(map(printable, unknown))}: "
                "no supported network has these arguments",
                "Choose weights from the catalogue: lungfish weights list",
            )
        name = _arch(base, rows)
        return TimmModel(name, converter, _preprocessing(rows, parse_arch(name).resolution_px))
    except (KeyError, TypeError, ValueError, ArchitectureError, BundleError) as error:
        raise WeightsError(
            f"config.json of {where} cannot be used: {type(error).__name__} {printable(str(error))}",
            "Download the file and convert it: lungfish weights convert FILE --source timm --arch NAME",
        ) from None


def _base(timm_name: object, where: str) -> tuple[str, str]:
    """Return our name of timm's network, without resolution and classes, and the converter."""
    mobilenet = _MOBILENET.fullmatch(str(timm_name))
    if mobilenet:
        width = int(mobilenet[2]) / 100
        return f"mobilenet_v{mobilenet[1]}" + (f":width={width:g}" if width != 1 else ""), "timm"
    efficientnet = _EFFICIENTNET.fullmatch(str(timm_name))
    if efficientnet:
        return efficientnet[2], "timm_tf" if efficientnet[1] else "timm"
    raise UsageError(
        f"{where} is timm's {printable(str(timm_name)[:80])}, which is not supported",
        "Supported: MobileNetV1, MobileNetV2, EfficientNet-B0 to B7 and Lite0 to Lite4. See: lungfish weights list",
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
    parse_arch(name)  # raises for an impossible size
    return name


def _preprocessing(rows: dict[str, Any], resolution_px: int) -> Preprocessing:
    mean, std = (tuple(round(float(each) * 255, 6) for each in rows[key]) for key in ("mean", "std"))
    crop, interpolation = float(rows["crop_pct"]), str(rows["interpolation"])
    if not (len(mean) == len(std) == 3 and all(0 <= a <= 255 and 0 < b <= 255 for a, b in zip(mean, std, strict=True))):
        raise ValueError(f"mean is {rows['mean']}, std {rows['std']}; both must be 3 numbers from 0 to 1, std above 0")
    return Preprocessing(resolution_px, crop, interpolation, mean, std)
