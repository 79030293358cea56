"""Settings of gradient descent: those shared by all stages, and those of `finetune` and `full`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any, ClassVar, Literal, Self

from lungfish.core.errors import UsageError
from lungfish.core.names import choose

# Fewer photos get more epochs, so that every dataset takes about the same number of steps. Measured in
# docs/decisions/0020.
PHOTOS_SHOWN = 24_000
LEAST_EPOCHS, MOST_EPOCHS = 4, 20
# More epochs get stronger augmentation and train more layers. Over many epochs, strong augmentation prevents
# overfitting; in few epochs, it prevents the network from fitting at all. Measured in docs/decisions/0020.
FITTING = -1.0  # automatic: replaced by a value that suits the number of epochs
FEW_EPOCHS, MANY_EPOCHS = 8, 16
MIN_AREA = (0.35, 0.12)  # with few epochs, and with many
COLOR = (0.0, 0.4)
TAIL_SHARE = (0.4, 0.6)


class Settings:
    """Checked settings with defaults; `repr` shows those that differ from the default, as code."""

    EXAMPLES: ClassVar[Mapping[str, object]] = {}  # for fields whose default is None

    def __repr__(self) -> str:
        each = ((field.name, field.default, getattr(self, field.name)) for field in fields(self))  # type: ignore[arg-type]  # subclasses are dataclasses
        changed = ", ".join(f"{name}={value!r}" for name, default, value in each if value != default)
        return f"{type(self).__name__}({changed})"

    def check_types(self) -> None:
        """Raise `UsageError` unless each value has the type of its default. A list becomes a tuple."""
        for field in fields(self):  # type: ignore[arg-type]  # as above
            name, value = field.name, getattr(self, field.name)
            example = self.EXAMPLES.get(name, field.default)
            if value is None and field.default is None:
                continue
            if isinstance(example, Settings):
                if type(value) is not type(example):
                    raise UsageError(
                        f"recipe: {name} is {value!r}; it must be a table [{name}] in TOML, "
                        f"lf.{type(example).__name__}(...) in Python"
                    )
                continue
            allowed = (int, float) if isinstance(example, float) else type(example)
            if isinstance(example, tuple) and isinstance(value, list):
                object.__setattr__(self, name, tuple(value))
            elif isinstance(value, bool) is not isinstance(example, bool) or not isinstance(value, allowed):
                raise UsageError(f"recipe: {name} is {value!r}; expected a value like {example!r}")


@dataclass(frozen=True, repr=False)
class Tuning(Settings):
    """Settings of the training loop.

    Args:
        epochs: Passes over the photos; 0 chooses 4 to 20, to process about 24,000 photos in total.
        batch_size: Photos in a step, over all processes.
        grad_accum_steps: Parts into which a batch is divided, and processed one after the other, to save memory.
        optimizer: `adamw`, or `sgd` with a Nesterov momentum of 0.9.
        learning_rate: Highest learning rate of the last layer.
        layer_decay: Ratio of the learning rate of each layer to that of the layer after it.
        weight_decay: Weight decay of all parameters except biases and batch norm.
        label_smoothing: Share of each label that is spread over all classes.
        warmup_fraction: Share of the steps in which the learning rate rises.
        ema_decay: Share of the moving average that remains after a step.
        l2_sp: Weight of the squared distance to the starting weights.
        max_grad_norm: Largest norm of a step's gradients, over all parameters; larger ones are scaled down. 0 for no
            limit.
        patience: Epochs without a lower validation loss after which training stops, once the learning rate has fallen
            to a tenth.
        batch_norm: `frozen` keeps the statistics, which small batches would spoil; `batch` updates them.
        min_area: Smallest share of a photo's area in a crop; -1 sets 0.35 up to 8 epochs, 0.12 from 16 on.
        flips: Whether to mirror photos; turn off if left and right distinguish classes.
        color: Largest change of brightness, contrast and saturation, 0 to 1; -1 sets 0 up to 8 epochs, 0.4 from 16
            on.
    """

    epochs: int = 0
    batch_size: int = 64
    grad_accum_steps: int = 1
    optimizer: Literal["adamw", "sgd"] = "adamw"
    learning_rate: float = 5e-4
    layer_decay: float = 1.0
    weight_decay: float = 0.01
    label_smoothing: float = 0.1
    warmup_fraction: float = 0.1
    ema_decay: float = 0.99
    l2_sp: float = 0.0
    max_grad_norm: float = 0.0
    patience: int = 4
    batch_norm: Literal["frozen", "batch"] = "frozen"
    min_area: float = FITTING
    flips: bool = True
    color: float = FITTING

    def __post_init__(self) -> None:
        self.check_types()
        choose(self.optimizer, ("adamw", "sgd"), "optimizer of a recipe")
        choose(self.batch_norm, ("frozen", "batch"), "batch_norm of a recipe")
        check_ranges(
            self,
            epochs=(0, 10_000),
            batch_size=(1, 100_000),
            grad_accum_steps=(1, 1000),
            learning_rate=(1e-9, 10),
            layer_decay=(0.01, 1),
            weight_decay=(0, 10),
            label_smoothing=(0, 0.9),
            warmup_fraction=(0, 1),
            ema_decay=(0, 0.999999),
            l2_sp=(0, 1e6),
            max_grad_norm=(0, 1e6),
            patience=(1, 10_000),
        )
        check_ranges_unless_fitting(self, min_area=(0.01, 1), color=(0, 1))

    def for_photos(self, photos: int) -> Self:
        """Return the settings with the automatic ones chosen for this number of training photos."""
        epochs = self.epochs or min(max(round(PHOTOS_SHOWN / photos), LEAST_EPOCHS), MOST_EPOCHS)
        area, color = _fitting(self.min_area, MIN_AREA, epochs), _fitting(self.color, COLOR, epochs)
        return replace(self, epochs=epochs, min_area=area, color=color)

    def changed_from(self, other: Tuning) -> dict[str, Any]:
        """Return the settings that differ from those of `other`, by name."""
        theirs = asdict(other)
        return {name: value for name, value in asdict(self).items() if value != theirs[name]}


@dataclass(frozen=True, repr=False)
class Finetune(Tuning):
    """Settings for training the last layers on activations of augmented views, which are computed once.

    Args:
        views: Augmented views of each photo, in addition to the plain one; -1 for half as many as epochs.
        runs: Runs in different random orders, whose weights are averaged; fewer if time is short.
        tail_share: Largest share of the network's multiply-adds in the trained layers; more is slower; -1 sets 0.4
            up to 8 epochs, 0.6 from 16 on.
    """

    learning_rate: float = 1e-3
    views: int = -1
    runs: int = 1
    tail_share: float = FITTING

    def __post_init__(self) -> None:
        super().__post_init__()
        check_ranges(self, views=(-1, 1000), runs=(1, 10))
        check_ranges_unless_fitting(self, tail_share=(0.01, 1))

    def for_photos(self, photos: int) -> Self:
        fitting = super().for_photos(photos)
        views = self.views if self.views >= 0 else max(fitting.epochs // 2, 1)
        return replace(fitting, views=views, tail_share=_fitting(self.tail_share, TAIL_SHARE, fitting.epochs))


@dataclass(frozen=True, repr=False)
class Full(Tuning):
    """Settings for training all layers on photos, augmented afresh in every epoch.

    Args:
        policy: Further augmentation: `none`, `trivial` (TrivialAugment, arXiv:2103.10158) or `rand` (RandAugment,
            arXiv:1909.13719).
        mixup: Strength of MixUp (arXiv:1710.09412); 0 for none.
        cutmix: Strength of CutMix (arXiv:1905.04899); 0 for none. With both, each batch gets one of the two.
        initial_resolution_scale: Resolution of the first epochs, as a share of the network's; it rises with the epochs
            (arXiv:2104.00298).
        precision: `float32`, `bfloat16` (autocast), or `auto`: bfloat16 on CUDA.
        compile: `never`, `always`, or `auto`: use torch.compile on a GPU if the run is long enough to gain time.
        workers: Processes that read photos; 0 for threads of this process; -1 for threads or, with a GPU, one process
            per CPU core.
    """

    learning_rate: float = 3e-4
    layer_decay: float = 0.85
    ema_decay: float = 0.995
    policy: Literal["none", "trivial", "rand"] = "none"
    mixup: float = 0.0
    cutmix: float = 0.0
    initial_resolution_scale: float = 0.75
    precision: Literal["auto", "float32", "bfloat16"] = "auto"
    compile: Literal["auto", "always", "never"] = "auto"
    workers: int = -1

    def __post_init__(self) -> None:
        super().__post_init__()
        choose(self.policy, ("none", "trivial", "rand"), "policy of a recipe")
        choose(self.precision, ("auto", "float32", "bfloat16"), "precision of a recipe")
        choose(self.compile, ("auto", "always", "never"), "compile of a recipe")
        check_ranges(
            self,
            mixup=(0, 10),
            cutmix=(0, 10),
            initial_resolution_scale=(0.25, 1),
            workers=(-1, 256),
        )


def _fitting(value: float, ends: tuple[float, float], epochs: int) -> float:
    """Return `value`; for `FITTING`, one between the two `ends`, depending on the number of epochs."""
    share = min(max((epochs - FEW_EPOCHS) / (MANY_EPOCHS - FEW_EPOCHS), 0.0), 1.0)
    return round(ends[0] + share * (ends[1] - ends[0]), 3) if value == FITTING else value


def check_ranges_unless_fitting(settings: object, **ranges: tuple[float, float]) -> None:
    """Call `check_ranges` for the settings that are not `FITTING`."""
    check_ranges(settings, **{name: ends for name, ends in ranges.items() if getattr(settings, name) != FITTING})


def check_ranges(settings: object, **ranges: tuple[float, float]) -> None:
    """Raise `UsageError` unless each named setting is within its range, ends included."""
    for name, (low, high) in ranges.items():
        value = getattr(settings, name)
        if not low <= value <= high:
            raise UsageError(f"recipe: {name} is {value!r}; it must be {low:g} to {high:g}")
