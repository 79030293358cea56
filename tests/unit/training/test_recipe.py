import tomllib
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from lungfish.core.errors import UnknownNameError, UsageError
from lungfish.training.recipe import RECIPES, Recipe, read_recipe
from lungfish.training.stage_settings import Finetune, Full, Tuning

OTHER = Recipe(
    name="my “recipe” 🫁",
    penalties=(0.5, 1e-05, 3.0),
    class_weight="balanced",
    imbalance=2.25,
    keep_known=1.0,
    calibration_photos=7,
    int8_max_drop=0.0,
    cross_validate_below=0,
    folds=3,
)


def written(folder: Path, text: str) -> str:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize("recipe", [*RECIPES.values(), OTHER])
def test_toml_round_trip(recipe: Recipe, tmp_path: Path) -> None:
    assert read_recipe(written(tmp_path, recipe.to_toml())) == recipe
    assert set(tomllib.loads(recipe.to_toml())) == {key for key, value in asdict(recipe).items() if value is not None}


def test_absent_keys_keep_the_default(tmp_path: Path) -> None:
    """But the name is the file's."""
    assert read_recipe(written(tmp_path, "folds = 3\n")) == replace(Recipe(), name="recipe", folds=3)
    assert read_recipe(written(tmp_path, 'name = "custom"\n')) == Recipe()


def test_by_name() -> None:
    assert read_recipe("probe") == Recipe.read("probe") == Recipe(name="probe")
    with pytest.raises(UnknownNameError, match=r"unknown recipe: 'prob'\nDid you mean probe\?"):
        read_recipe("prob")


def test_an_unknown_key(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"unknown setting of a recipe: 'penalty'\nDid you mean penalties\?"):
        read_recipe(written(tmp_path, "penalty = [1.0]"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("folds = 2.5", "folds is 2.5; expected a value like 5"),
        ("folds = true", "folds is True"),
        ('folds = "5"', "folds is '5'"),
        ("penalties = 0.1", r"penalties is 0.1; expected a value like \(1.0"),
        ('penalties = ["0.1"]', "penalties"),
        ("penalties = [[0.1]]", "penalties"),
        ("penalties = [true]", "penalties"),
        ("[penalties]\na = 1", "penalties is {'a': 1}"),
        ("name = 3", "name is 3"),
        ("imbalance = 2026-01-01", "imbalance is datetime"),
    ],
)
def test_a_wrong_type(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        read_recipe(written(tmp_path, text))


@pytest.mark.parametrize(
    "text",
    [
        "penalties = []",
        "penalties = [0]",
        "penalties = [-1.0]",
        "penalties = [nan]",
        "penalties = [inf]",
        "imbalance = 0.5",
        "imbalance = inf",
        "keep_known = 0",
        "keep_known = 1.1",
        "keep_known = nan",
        "calibration_photos = 0",
        "int8_max_drop = -0.1",
        "cross_validate_below = -1",
        "folds = 1",
        "folds = 101",
    ],
)
def test_out_of_range(tmp_path: Path, text: str) -> None:
    key = text.partition(" ")[0]
    with pytest.raises(UsageError, match=rf"recipe: {key} is .*(it|each) must be "):
        read_recipe(written(tmp_path, text))


def test_python_is_checked_as_a_file_is(tmp_path: Path) -> None:
    for wrong in ({"folds": "5"}, {"folds": True}, {"penalties": 0.1}, {"minutes": "10"}, {"imbalance": 0.5}):
        (key, value), *_ = wrong.items()
        with pytest.raises(UsageError) as in_python:
            Recipe(**wrong)  # type: ignore[arg-type]
        with pytest.raises(UsageError) as in_file:
            read_recipe(written(tmp_path, f"{key} = {str(value).lower() if value is True else repr(value)}"))
        assert in_python.value.message == in_file.value.message
    with pytest.raises(UsageError, match=r"epochs is 2\.5; expected a value like 0"):
        Finetune(epochs=2.5)  # type: ignore[arg-type]


@pytest.mark.parametrize("value", [3, {"epochs": 4}, Full()])
def test_a_stage_of_another_kind(value: object) -> None:
    with pytest.raises(UsageError, match=r"finetune is .*; it must be a table \[finetune\].*lf\.Finetune"):
        Recipe(finetune=value)  # type: ignore[arg-type]


def test_a_list_is_taken_for_a_tuple() -> None:
    assert Recipe(penalties=[1.0, 0.1]).penalties == (1.0, 0.1)  # type: ignore[arg-type]


@pytest.mark.parametrize("recipe", [*RECIPES.values(), OTHER])
def test_repr_makes_it_again(recipe: Recipe) -> None:
    shown = repr(recipe)
    assert eval(shown, {"Recipe": Recipe, "Finetune": Finetune, "Full": Full}) == recipe
    assert "epochs" not in shown or recipe.name == "scratch"  # defaults are left out


def test_a_recipe_is_read_as_it_is(tmp_path: Path) -> None:
    assert read_recipe(OTHER) is OTHER
    assert read_recipe(Path(written(tmp_path, OTHER.to_toml()))) == OTHER


def test_a_class_weight_that_is_none_of_the_three(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match=r"'balance'\nDid you mean balanced\?"):
        read_recipe(written(tmp_path, 'class_weight = "balance"'))


def test_a_name_that_drives_the_terminal(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"name is 'a\\x1b\[2J'"):
        read_recipe(written(tmp_path, r'name = "a\u001b[2J"'))


def test_files_that_are_no_recipe(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read the recipe .*gone\.toml: .*No such file"):
        read_recipe(str(tmp_path / "gone.toml"))
    with pytest.raises(UsageError, match="cannot read the recipe"):
        read_recipe(written(tmp_path, "folds ="))
    (tmp_path / "latin.toml").write_bytes(b'name = "\xe9"')
    with pytest.raises(UsageError, match="cannot read the recipe"):
        read_recipe(str(tmp_path / "latin.toml"))
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(UsageError, match="cannot read the recipe"):
        read_recipe(str(tmp_path / "folder.toml"))


def test_limits_are_inclusive() -> None:
    assert Tuning(grad_accum_steps=1000).grad_accum_steps == 1000
    with pytest.raises(UsageError, match="grad_accum_steps"):
        Tuning(grad_accum_steps=1001)


@pytest.mark.parametrize(
    ("photos", "epochs", "views", "tail_share", "min_area", "color"),
    [
        (500, 20, 10, 0.6, 0.12, 0.4),
        (1500, 16, 8, 0.6, 0.12, 0.4),
        (2000, 12, 6, 0.5, 0.235, 0.2),
        (3000, 8, 4, 0.4, 0.35, 0.0),
        (20_000, 4, 2, 0.4, 0.35, 0.0),
    ],
)
def test_few_photos_are_seen_more_often_and_augmented_more(
    photos: int, epochs: int, views: int, tail_share: float, min_area: float, color: float
) -> None:
    found = Finetune().for_photos(photos)
    settings = (found.epochs, found.views, found.tail_share, found.min_area, found.color)
    assert settings == (epochs, views, tail_share, min_area, color)


def test_settings_that_are_given_do_not_depend_on_the_photos() -> None:
    given = Finetune(epochs=3, views=0, min_area=0.5, color=1.0, tail_share=0.2)
    assert given.for_photos(100) == given.for_photos(10_000) == given
    assert Full(epochs=16).for_photos(10_000).color == 0.4
    assert Full(min_area=0.25).for_photos(3000) == Full(min_area=0.25, epochs=8, color=0.0)


@pytest.mark.parametrize(
    ("name", "value"), [("min_area", 0.0), ("min_area", 1.1), ("tail_share", 0.0), ("color", -0.5), ("color", 1.1)]
)
def test_augmentation_out_of_range(name: str, value: float) -> None:
    with pytest.raises(UsageError, match=f"{name} is {value}; it must be"):
        Finetune(**{name: value})  # type: ignore[arg-type]
