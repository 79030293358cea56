"""How to train, as data: a name for the usual ones, a TOML file for one's own."""

from __future__ import annotations

import json
import tomllib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Literal

from lungfish.core.errors import UsageError
from lungfish.core.names import choose, printable
from lungfish.training.tuning import Tuning, check_ranges


@dataclass(frozen=True)
class Recipe:
    """A logistic head on a frozen trunk; with `tuning`, the last blocks are then trained too.

    Args:
        name: of the recipe.
        penalties: L2 penalties to choose from on validation, strongest first; each is relative to the mean loss.
        class_weight: `none`, `balanced` (every class weighs the same) or `auto`: balanced if the largest class has
            over `imbalance` times the photos of the smallest.
        imbalance: see `class_weight`.
        keep_known: share of the correctly answered validation photos that must count as known.
        calibration_photos: training photos that the INT8 artefact's ranges are measured on.
        int8_max_drop: how far under FP32's top-1 on validation the smaller artefact may be and still be the default.
        cross_validate_below: cross-validate if there are fewer photos than this.
        folds: of the cross-validation.
        tuning: how the last blocks are trained; None leaves them as they are.
    """

    name: str = "probe"
    penalties: tuple[float, ...] = (1.0, 0.3, 0.1, 0.03, 0.01, 0.003, 0.001)
    class_weight: Literal["auto", "balanced", "none"] = "auto"
    imbalance: float = 1.5
    keep_known: float = 0.95
    calibration_photos: int = 128
    int8_max_drop: float = 0.01
    cross_validate_below: int = 1000
    folds: int = 5
    tuning: Tuning | None = None

    def __post_init__(self) -> None:
        if self.name != printable(self.name):
            raise UsageError(f"recipe: name is {self.name!r}; control characters are not allowed")
        if not self.penalties or not all(type(value) in (int, float) and 0 < value <= 1e6 for value in self.penalties):
            raise UsageError(f"recipe: penalties is {list(self.penalties)}; allowed are numbers above 0 up to 1e6")
        choose(self.class_weight, ("auto", "balanced", "none"), "class_weight of a recipe")
        check_ranges(
            self,
            "",
            imbalance=(1, 1e6),
            keep_known=(0.01, 1),
            calibration_photos=(1, 10_000),
            int8_max_drop=(0, 1),
            cross_validate_below=(0, 1e9),
            folds=(2, 100),
        )

    def to_toml(self) -> str:
        """The recipe as a TOML file that `read_recipe` reads back to an equal one."""
        values = asdict(self)
        tuning = values.pop("tuning")
        return _lines(values) + (f"\n[tuning]\n{_lines(tuning)}" if tuning else "")


RECIPES = {recipe.name: recipe for recipe in (Recipe(), Recipe(name="finetune", tuning=Tuning()))}


def read_recipe(name: str) -> Recipe:
    """A recipe by name, or from a `.toml` file whose keys are the fields of `Recipe`; absent keys keep the default.

    Raises:
        UnknownNameError: no such recipe or key.
        UsageError: the file cannot be read, or a value is of the wrong type or out of range.
    """
    if not name.endswith(".toml"):
        return RECIPES[choose(name, RECIPES, "recipe")]
    try:
        values = tomllib.loads(Path(name).read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise UsageError(f"cannot read the recipe {printable(name)}: {error}") from None
    return _from_values(values)


def _from_values(values: dict[str, Any]) -> Recipe:
    tuning = values.pop("tuning", None)
    if tuning is not None and not isinstance(tuning, dict):
        raise UsageError(f"recipe: tuning is {tuning!r}; it must be a table: [tuning]")
    recipe = Recipe(**_checked(values, Recipe(), "setting of a recipe"))
    return recipe if tuning is None else replace(recipe, tuning=Tuning(**_checked(tuning, Tuning(), "tuning setting")))


def _checked(values: Mapping[str, Any], example: Recipe | Tuning, what: str) -> dict[str, Any]:
    """Values whose names and types are those of `example`."""
    defaults = {key: value for key, value in asdict(example).items() if key != "tuning"}
    checked = {}
    for key, value in values.items():
        expected = defaults[choose(key, defaults, what)]
        allowed = (
            (int, float) if isinstance(expected, float) else list if isinstance(expected, tuple) else type(expected)
        )
        if isinstance(value, bool) is not isinstance(expected, bool) or not isinstance(value, allowed):
            raise UsageError(f"recipe: {key} is {value!r}; for example {expected!r} is allowed")
        checked[key] = tuple(value) if isinstance(value, list) else value
    return checked


def _lines(values: Mapping[str, Any]) -> str:
    # printable strings, numbers and flat lists are written alike in JSON and TOML, but not JSON's surrogate escapes
    return "".join(f"{key} = {json.dumps(value, ensure_ascii=False)}\n" for key, value in values.items())
