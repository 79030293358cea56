"""Lungfish turns a folder of labelled photos into a small image classifier, proven on the artifact that ships.

Names are imported when they are first used, so `import lungfish` alone loads neither torch nor numpy.
"""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from lungfish.core.version import __version__ as __version__

if TYPE_CHECKING:
    from lungfish.architecture import Arch as Arch
    from lungfish.architecture import list_models as list_models
    from lungfish.architecture import to_arch as arch
    from lungfish.core.errors import LungfishError as LungfishError
    from lungfish.core.errors import StoppedError as StoppedError
    from lungfish.core.events import Advanced as Advanced
    from lungfish.core.events import EpochEnded as EpochEnded
    from lungfish.core.events import Logged as Logged
    from lungfish.core.events import StageEnded as StageEnded
    from lungfish.core.events import StageStarted as StageStarted
    from lungfish.core.events import Warned as Warned
    from lungfish.core.stopping import StopToken as StopToken
    from lungfish.costs import cost as cost
    from lungfish.costs import solve as solve
    from lungfish.job.result import BundleResult as BundleResult
    from lungfish.job.result import TrainResult as TrainResult
    from lungfish.runtime.bundle import Bundle as Bundle
    from lungfish.runtime.prediction import Prediction as Prediction
    from lungfish.runtime.preprocessing import Preprocessing as Preprocessing
    from lungfish.training.recipe import Recipe as Recipe
    from lungfish.training.stage_settings import Finetune as Finetune
    from lungfish.training.stage_settings import Full as Full
    from lungfish.weights.build import build as build
    from lungfish.weights.convert.exchange import export_weights as export_weights
    from lungfish.weights.convert.exchange import import_weights as import_weights
    from lungfish.weights.transforms import transforms as transforms
    from lungfish.workflows.compare import compare_networks as compare
    from lungfish.workflows.describe import describe as describe
    from lungfish.workflows.evaluate import evaluate as evaluate
    from lungfish.workflows.explain import explain as explain
    from lungfish.workflows.export import export as export
    from lungfish.workflows.load import load as load
    from lungfish.workflows.predict import predict as predict
    from lungfish.workflows.slim import slim as slim
    from lungfish.workflows.train import train as train
    from lungfish.workflows.weights.names import list_weights as list_weights

# public name -> (module, name in it)
_PUBLIC = {
    "Advanced": ("lungfish.core.events", "Advanced"),
    "Arch": ("lungfish.architecture", "Arch"),
    "Bundle": ("lungfish.runtime.bundle", "Bundle"),
    "BundleResult": ("lungfish.job.result", "BundleResult"),
    "EpochEnded": ("lungfish.core.events", "EpochEnded"),
    "Finetune": ("lungfish.training.stage_settings", "Finetune"),
    "Full": ("lungfish.training.stage_settings", "Full"),
    "LungfishError": ("lungfish.core.errors", "LungfishError"),
    "Prediction": ("lungfish.runtime.prediction", "Prediction"),
    "Preprocessing": ("lungfish.runtime.preprocessing", "Preprocessing"),
    "Recipe": ("lungfish.training.recipe", "Recipe"),
    "Logged": ("lungfish.core.events", "Logged"),
    "StageEnded": ("lungfish.core.events", "StageEnded"),
    "StageStarted": ("lungfish.core.events", "StageStarted"),
    "StopToken": ("lungfish.core.stopping", "StopToken"),
    "StoppedError": ("lungfish.core.errors", "StoppedError"),
    "TrainResult": ("lungfish.job.result", "TrainResult"),
    "Warned": ("lungfish.core.events", "Warned"),
    "arch": ("lungfish.architecture", "to_arch"),
    "build": ("lungfish.weights.build", "build"),
    "compare": ("lungfish.workflows.compare", "compare_networks"),
    "cost": ("lungfish.costs", "cost"),
    "describe": ("lungfish.workflows.describe", "describe"),
    "evaluate": ("lungfish.workflows.evaluate", "evaluate"),
    "explain": ("lungfish.workflows.explain", "explain"),
    "export": ("lungfish.workflows.export", "export"),
    "export_weights": ("lungfish.weights.convert.exchange", "export_weights"),
    "import_weights": ("lungfish.weights.convert.exchange", "import_weights"),
    "list_models": ("lungfish.architecture", "list_models"),
    "list_weights": ("lungfish.workflows.weights.names", "list_weights"),
    "load": ("lungfish.workflows.load", "load"),
    "predict": ("lungfish.workflows.predict", "predict"),
    "slim": ("lungfish.workflows.slim", "slim"),
    "solve": ("lungfish.costs", "solve"),
    "train": ("lungfish.workflows.train", "train"),
    "transforms": ("lungfish.weights.transforms", "transforms"),
}
# what users of timm type first -> what it is here
_OF_TIMM = {"create_model": "build", "create_transform": "transforms", "list_pretrained": "list_weights"}
_NEEDS_TORCH = frozenset({"build", "export", "export_weights", "import_weights", "transforms"})
__all__ = [
    "Advanced",
    "Arch",
    "Bundle",
    "BundleResult",
    "EpochEnded",
    "Finetune",
    "Full",
    "Logged",
    "LungfishError",
    "Prediction",
    "Preprocessing",
    "Recipe",
    "StageEnded",
    "StageStarted",
    "StopToken",
    "StoppedError",
    "TrainResult",
    "Warned",
    "__version__",
    "arch",
    "build",
    "compare",
    "cost",
    "describe",
    "evaluate",
    "explain",
    "export",
    "export_weights",
    "import_weights",
    "list_models",
    "list_weights",
    "load",
    "predict",
    "slim",
    "solve",
    "train",
    "transforms",
]


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        instead = f"; use lungfish.{_OF_TIMM[name]}" if name in _OF_TIMM else ""
        raise AttributeError(f"module 'lungfish' has no attribute {name!r}{instead}")
    module, attribute = _PUBLIC[name]
    try:
        if name in _NEEDS_TORCH and find_spec("torch") is None:
            raise ModuleNotFoundError("No module named 'torch'", name="torch")  # noqa: TRY301
        value = getattr(import_module(module), attribute)
    except ModuleNotFoundError as error:
        from lungfish.core.extras import missing_extra

        raise missing_extra(error, f"lungfish.{name}") from None
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
