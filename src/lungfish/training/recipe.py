"""Recipes: how to train, as data. Common recipes have names; others are TOML files."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from lungfish.core.errors import UsageError
from lungfish.core.files import read_at_most
from lungfish.core.names import choose, printable
from lungfish.training.stage_settings import Finetune, Full, Settings, check_ranges

MAX_FILE_BYTES = 100_000  # our recipes take about 1,000; TOML is parsed at about 1 MB/s
AUTO_MINUTES = 10.0
TABLES: dict[str, Finetune | Full] = {"finetune": Finetune(), "full": Full()}


@dataclass(frozen=True, repr=False)
class Recipe(Settings):
    """The stages of a job, each starting from the result of the one before it.

    The first stage fits a logistic head on the frozen trunk, unless `pretrained` is false; `finetune` and `full`
    follow, if given. A stage that does not improve on validation photos is discarded, and the next one starts from the
    best result so far.

    Args:
        name: Name of the recipe.
        penalties: L2 penalties to choose from on validation photos, strongest first; relative to the mean loss.
        class_weight: `none`, `balanced` (every class has the same weight) or `auto`: balanced if the largest class has
            more than `imbalance` times the photos of the smallest.
        imbalance: Ratio of class sizes, see `class_weight`.
        keep_known: Share of the correctly predicted validation photos that must count as known.
        calibration_photos: Number of training photos on which the ranges of the INT8 artifact are measured.
        int8_max_drop: Largest drop in top-1 from FP32, on validation photos, at which INT8 is the default.
        cross_validate_below: Cross-validate datasets with fewer photos than this.
        folds: Folds of the cross-validation.
        pretrained: Whether to start from pretrained weights; otherwise the network is initialized randomly.
        minutes: Time limit of the whole job, or None; stages are shortened or skipped to keep to it.
        few_photos: With fewer training photos than this, a stage is kept only if its gain is clear: in cross-validation
            on the training photos where possible, else on validation photos.
        finetune: Settings for training the last blocks on cached activations, or None to skip that stage.
        full: Settings for training all blocks on photos, or None to skip that stage.

    Raises:
        UsageError: A value has the wrong type or is out of range.

    Examples:
        >>> import lungfish as lf
        >>> lf.Recipe(name="short", minutes=5, finetune=lf.Finetune(epochs=4))
        Recipe(name='short', minutes=5, finetune=Finetune(epochs=4))
        >>> lf.Recipe.read("finetune")
        Recipe(name='finetune', few_photos=0, finetune=Finetune(runs=2))
    """

    EXAMPLES: ClassVar[Mapping[str, object]] = {"minutes": AUTO_MINUTES, **TABLES}

    name: str = "custom"
    penalties: tuple[float, ...] = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
    class_weight: Literal["auto", "balanced", "none"] = "auto"
    imbalance: float = 1.5
    keep_known: float = 0.95
    calibration_photos: int = 64
    int8_max_drop: float = 0.01
    cross_validate_below: int = 3000
    folds: int = 5
    pretrained: bool = True
    minutes: float | None = None
    few_photos: int = 500
    finetune: Finetune | None = None
    full: Full | None = None

    def __post_init__(self) -> None:
        self.check_types()
        if self.name != printable(self.name):
            raise UsageError(f"recipe: name is {self.name!r}; control characters are not allowed")
        if not self.penalties or not all(type(value) in (int, float) and 0 < value <= 1e6 for value in self.penalties):
            raise UsageError(f"recipe: penalties is {list(self.penalties)}; each must be above 0 and at most 1e6")
        choose(self.class_weight, ("auto", "balanced", "none"), "class_weight of a recipe")
        check_ranges(
            self,
            imbalance=(1, 1e6),
            keep_known=(0.01, 1),
            calibration_photos=(1, 10_000),
            int8_max_drop=(0, 1),
            cross_validate_below=(0, 1e9),
            folds=(2, 100),
            few_photos=(0, 1e9),
        )
        if self.minutes is not None and not 0 < self.minutes <= 1e6:
            raise UsageError(f"recipe: minutes is {self.minutes!r}; it must be above 0 and at most 1e6")
        if not self.pretrained and (self.finetune or not self.full):
            raise UsageError("recipe: without pretrained weights all layers are trained; give [full] and no [finetune]")

    @property
    def tables(self) -> dict[str, Finetune | Full]:
        """Settings of the stages that train by gradient descent, in order, by the names of their tables."""
        steps: dict[str, Finetune | Full | None] = {"finetune": self.finetune, "full": self.full}
        return {name: step for name, step in steps.items() if step}

    def without_tables(self) -> Recipe:
        """Return the recipe with the head only."""
        return replace(self, finetune=None, full=None)

    def for_photos(self, photos: int) -> Recipe:
        """Return the recipe with schedules for that many training photos."""
        finetune = self.finetune and self.finetune.for_photos(photos)
        full = self.full and self.full.for_photos(photos)
        return replace(self, finetune=finetune, full=full)

    def to_toml(self) -> str:
        """Return the recipe as TOML, from which `read_recipe` restores an equal one."""
        values = {key: value for key, value in asdict(self).items() if key not in TABLES and value is not None}
        return _lines(values) + "".join(f"\n[{name}]\n{_lines(asdict(step))}" for name, step in self.tables.items())

    @classmethod
    def read(cls, name: str | Path) -> Recipe:
        """Return the built-in recipe of that name, or read one from a `.toml` file. Raises as `lungfish.train`."""
        return read_recipe(name)


SCRATCH = Full(
    epochs=120,
    min_area=0.25,
    color=0.0,
    learning_rate=2e-3,
    layer_decay=1.0,
    weight_decay=0.05,
    ema_decay=0.999,
    patience=120,
    batch_norm="batch",
    policy="trivial",
    initial_resolution_scale=0.6,
)
RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe(name="auto", minutes=AUTO_MINUTES, finetune=Finetune(runs=3), full=Full()),
        Recipe(name="probe"),
        Recipe(name="finetune", finetune=Finetune(runs=2), few_photos=0),
        Recipe(name="full", full=Full(), few_photos=0),
        Recipe(name="scratch", full=SCRATCH, pretrained=False, few_photos=0),
    )
}


def read_recipe(recipe: str | Path | Recipe) -> Recipe:
    """Return a recipe by name, or read one from a `.toml` file whose keys are the fields of `Recipe`.

    Missing keys get their defaults; the name defaults to that of the file. A `Recipe` is returned unchanged.

    Raises:
        UnknownNameError: There is no such recipe or key.
        UsageError: The file cannot be read, or a value has the wrong type or is out of range.

    Examples:
        >>> read_recipe("auto").minutes
        10.0
    """
    if isinstance(recipe, Recipe):
        return recipe
    name = str(recipe)
    if not name.endswith(".toml"):
        return RECIPES[choose(name, RECIPES, "recipe")]
    try:
        values = tomllib.loads(read_at_most(Path(name), MAX_FILE_BYTES).decode())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, RecursionError) as error:
        raise UsageError(f"cannot read the recipe {printable(name)}: {printable(str(error))}") from None
    return _from_values({"name": Path(name).stem} | values)


def with_limits(recipe: Recipe, epochs: int | None, minutes: float | None) -> Recipe:
    """Return the recipe with the given limits in place of its own.

    Args:
        recipe: Recipe to change.
        epochs: Epochs of the last stage that trains by gradient descent, or None.
        minutes: Time limit of the whole job, or None.

    Raises:
        UsageError: The recipe has no epochs, or a value is out of range.
    """
    if epochs is not None:
        if epochs < 1:
            raise UsageError(f"epochs is {epochs}; it must be 1 to 10000")
        if not recipe.tables:
            raise UsageError(f"recipe {recipe.name} has no epochs", "Leave --epochs out, or give --recipe finetune.")
        last, step = list(recipe.tables.items())[-1]
        recipe = replace(recipe, **{last: replace(step, epochs=epochs)})  # type: ignore[arg-type]
    return recipe if minutes is None else replace(recipe, minutes=float(minutes))


def _from_values(values: Mapping[str, Any]) -> Recipe:
    for name in values:
        choose(name, _names(Recipe), "setting of a recipe")
    tables = {name: _table(name, values[name]) for name in TABLES if name in values}
    return Recipe(**{**values, **tables})


def _table(name: str, values: object) -> object:
    """Return a table as settings; return any other value unchanged, for `Recipe` to reject."""
    if not isinstance(values, dict):
        return values
    kind = type(TABLES[name])
    for key in values:
        choose(key, _names(kind), f"{name} setting")
    return kind(**values)


def _names(kind: type[Recipe | Finetune | Full]) -> list[str]:
    return [field.name for field in fields(kind)]


def _lines(values: Mapping[str, Any]) -> str:
    # JSON and TOML agree on printable strings, numbers and flat lists, but not on escaped surrogates
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())
