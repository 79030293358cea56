"""How to train, as data: a name for the usual ones, a TOML file for one's own."""

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

MAX_FILE_BYTES = 100_000  # ours have a thousand; TOML is parsed at about 1 MB/s
AUTO_MINUTES = 10.0
TABLES: dict[str, Finetune | Full] = {"finetune": Finetune(), "full": Full()}


@dataclass(frozen=True, repr=False)
class Recipe(Settings):
    """The steps of a job, each of which starts from what the one before it reached.

    First a logistic head on the frozen trunk, unless `pretrained` is false; then `finetune`, then `full`, if they are
    there. A step that is not better on validation photos changes nothing, and the next one starts from what was best.

    Args:
        name: of the recipe.
        penalties: L2 penalties to choose from on validation, strongest first; each is relative to the mean loss.
        class_weight: `none`, `balanced` (every class weighs the same) or `auto`: balanced if the largest class has
            over `imbalance` times the photos of the smallest.
        imbalance: see `class_weight`.
        keep_known: share of the correctly answered validation photos that must count as known.
        calibration_photos: training photos that the INT8 artifact's ranges are measured on.
        int8_max_drop: how far under FP32's top-1 on validation the smaller artifact may be and still be the default.
        cross_validate_below: cross-validate if there are fewer photos than this.
        folds: of the cross-validation.
        pretrained: whether weights are the start; without, the network is at its random initialization.
        minutes: that the whole job may take, or None; steps are shortened or left out to keep to it.
        few_photos: with fewer training photos, a step counts only if its gain is clear: cross-validated on the training
            photos, or else on validation photos.
        finetune: how the last blocks are trained from cached activations; None leaves them as they are.
        full: how all blocks are trained from photos; None leaves them as they are.

    Raises:
        UsageError: a value is of the wrong type or out of range.

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
            raise UsageError(f"recipe: penalties is {list(self.penalties)}; allowed are numbers above 0 up to 1e6")
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
            raise UsageError(f"recipe: minutes is {self.minutes!r}; allowed are numbers above 0 up to 1e6")
        if not self.pretrained and (self.finetune or not self.full):
            raise UsageError("recipe: without pretrained weights all layers are trained: [full], and no [finetune]")

    @property
    def tables(self) -> dict[str, Finetune | Full]:
        """The steps that follow gradients, in order, by the names of their tables."""
        steps: dict[str, Finetune | Full | None] = {"finetune": self.finetune, "full": self.full}
        return {name: step for name, step in steps.items() if step}

    def for_photos(self, photos: int) -> Recipe:
        """Return the recipe with the schedules that suit that many training photos."""
        finetune = self.finetune and self.finetune.for_photos(photos)
        full = self.full and self.full.for_photos(photos)
        return replace(self, finetune=finetune, full=full)

    def to_toml(self) -> str:
        """The recipe as a TOML file that `read_recipe` reads back to an equal one."""
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
    """A recipe by name, or from a `.toml` file whose keys are the fields of `Recipe`; absent keys keep the default.

    Without a name in it, it has that of the file. A recipe is returned as it is.

    Raises:
        UnknownNameError: no such recipe or key.
        UsageError: the file cannot be read, or a value is of the wrong type or out of range.
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
    """The recipe with other limits, where they are given.

    Args:
        recipe: any.
        epochs: of the last step that follows gradients.
        minutes: that the whole job may take.

    Raises:
        UsageError: a recipe without such a step has no epochs, or a value is out of range.
    """
    if epochs is not None:
        if epochs < 1:
            raise UsageError(f"epochs is {epochs}; allowed are 1 to 10000")
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
    """The settings in a table; another value as it is, which `Recipe` refuses."""
    if not isinstance(values, dict):
        return values
    kind = type(TABLES[name])
    for key in values:
        choose(key, _names(kind), f"{name} setting")
    return kind(**values)


def _names(kind: type[Recipe | Finetune | Full]) -> list[str]:
    return [field.name for field in fields(kind)]


def _lines(values: Mapping[str, Any]) -> str:
    # printable strings, numbers and flat lists are written alike in JSON and TOML, but not JSON's surrogate escapes
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())
