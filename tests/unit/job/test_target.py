import shutil
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from lungfish.core.errors import OutputError, StorageError, UsageError
from lungfish.core.staging import Identity, staged_folder
from lungfish.job.target import Target, choose_target


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of photos, and another where one stands."""
    folder = tmp_path / "data" / "shoes"
    (folder / "boots").mkdir(parents=True)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return folder


@pytest.mark.parametrize(
    ("name", "bundle"),
    [("shoes", "shoes-bundle"), ("shoes.v2", "shoes.v2-bundle"), ("schöne schuhe", "schöne schuhe-bundle")],
)
def test_beside_where_one_stands(photos: Path, name: str, bundle: str) -> None:
    folder = photos.rename(photos.with_name(name))
    assert choose_target(folder, None, force=False).folder == Path.cwd() / bundle
    assert choose_target(folder / "boots" / "..", None, force=False).folder == Path.cwd() / bundle


def test_a_table_gives_its_stem(photos: Path) -> None:
    table = photos / "labels.csv"
    table.write_text("image,label\n")
    assert choose_target(table, None, force=False).folder == Path.cwd() / "labels-bundle"


@pytest.mark.parametrize(
    ("name", "bundle"),
    [
        ("hf:owner/shoes@v1:small", "shoes-bundle"),
        ("s3://bucket/data/shoes/", "shoes-bundle"),
        ("s3://bucket", "bucket-bundle"),
        ("https://example.com:8443/", "example.com-8443-bundle"),
        ("gs://bucket/shoes/labels.csv", "labels-bundle"),
        ("shoes/train-{000..009}.tar", "shoes-bundle"),
        ("s3://bucket/shoes/{000..009}.tar", "shoes-bundle"),
        ("train-{000..009}.tar", "photos-bundle"),
    ],
)
def test_photos_that_are_at_no_path(photos: Path, name: str, bundle: str) -> None:
    assert choose_target(name, None, force=False).folder == Path.cwd() / bundle
    assert choose_target(name, photos / "bundle", force=False).folder == photos / "bundle"


def test_the_name_of_the_folder_one_stands_in(photos: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(photos)
    with pytest.raises(OutputError, match=r"inside the photos .*\n.*for example \.\./my-bundle"):
        choose_target(Path(), None, force=False)


def test_nothing_is_made_yet(photos: Path, tmp_path: Path) -> None:
    before = sorted(tmp_path.rglob("*"))
    target = choose_target(photos, tmp_path / "a" / "b" / "c", force=False).folder
    assert target == tmp_path / "a" / "b" / "c"
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize(
    ("out", "relation"),
    [
        ("data/shoes", "is the folder of the photos"),
        ("data/shoes/boots/../bundle", "is inside the photos"),
        ("data/shoes/boots/deep/bundle", "is inside the photos"),
        ("data", "contains the photos"),
        (".", "contains the photos"),
    ],
)
@pytest.mark.parametrize("force", [False, True])
def test_never_in_or_around_the_photos(photos: Path, tmp_path: Path, out: str, relation: str, force: bool) -> None:
    with pytest.raises(OutputError, match=rf"the output folder .* {relation} \(.*shoes\)\n"):
        choose_target(photos, tmp_path / out, force=force)


def test_links_hide_nothing(photos: Path, tmp_path: Path) -> None:
    try:
        (tmp_path / "link").symlink_to(photos, target_is_directory=True)
    except OSError:
        pytest.skip("this system does not let us make links")
    with pytest.raises(OutputError, match="inside the photos"):
        choose_target(photos, tmp_path / "link" / "bundle", force=False)
    with pytest.raises(OutputError, match="inside the photos"):
        choose_target(tmp_path / "link", photos / "bundle", force=False)
    with pytest.raises(OutputError, match="the folder of the photos"):
        choose_target(photos, tmp_path / "link", force=True)


def test_around_a_table_and_on_it(photos: Path) -> None:
    table = photos / "labels.csv"
    table.write_text("image,label\n")
    with pytest.raises(OutputError, match="contains the photos"):
        choose_target(table, photos, force=True)
    with pytest.raises(OutputError, match="the folder of the photos"):
        choose_target(table, table, force=True)


def test_what_stands_there_stays(photos: Path, tmp_path: Path) -> None:
    bundle = tmp_path / "bundle"
    bundle.mkdir()
    words = r"bundle exists\nChoose another output folder, or .* --force \(in Python: force=True\)"
    with pytest.raises(OutputError, match=words):
        choose_target(photos, bundle, force=False)
    for content in (None, "", "{}", '{"schema": 1}'):
        if content is not None:
            (bundle / "bundle.json").write_text(content)
        with pytest.raises(OutputError, match=r"is not a bundle: only .* valid bundle\.json can be replaced"):
            choose_target(photos, bundle, force=True)
    assert (bundle / "bundle.json").read_text() == content
    shutil.rmtree(bundle)
    bundle.write_text("a file")
    for force in (False, True):
        with pytest.raises(OutputError, match=r"bundle"):
            choose_target(photos, bundle, force=force)
    assert bundle.read_text() == "a file"


def test_force_replaces_a_bundle(photos: Path, color_bundle: Path) -> None:
    with pytest.raises(OutputError, match="exists"):
        choose_target(photos, color_bundle, force=False)
    assert choose_target(photos, color_bundle, force=True).folder == color_bundle


def test_the_first_free_name(photos: Path, write_color_bundle: Callable[..., Path]) -> None:
    here = Path.cwd()
    assert choose_target(photos, None, force=False) == Target(here / "shoes-bundle")
    first = write_color_bundle(here / "shoes-bundle")
    (here / "shoes-bundle-2").mkdir()  # somebody's own: no earlier bundle
    target = choose_target(photos, None, force=False)
    assert target == Target(here / "shoes-bundle-3", previous=first)
    assert target.to_say() == "shoes-bundle is kept; the new bundle will be shoes-bundle-3"
    second = write_color_bundle(here / "shoes-bundle-3")
    assert choose_target(photos, None, force=False) == Target(here / "shoes-bundle-4", previous=second)
    assert choose_target(photos, None, force=True) == Target(first, replaced=Identity.of(first))
    assert not choose_target(photos, None, force=True).to_say()


def test_force_replaces_no_link(photos: Path, color_bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(color_bundle)
    with pytest.raises(OutputError, match=r"link is a link: only a folder can be replaced"):
        choose_target(photos, tmp_path / "link", force=True)


def test_force_replaces_only_what_belongs_to_the_bundle(photos: Path, color_bundle: Path) -> None:
    for number in range(5):
        (color_bundle / f"note{number}").write_text("mine")
    words = r"color-bundle contains files .*: note\d, note\d, note\d and 2 others\nOnly files of the bundle are"
    with pytest.raises(OutputError, match=words):
        choose_target(photos, color_bundle, force=True)


def test_a_file_that_is_open_elsewhere_is_found_before_the_training(
    photos: Path, color_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Windows refuses to rename it."""
    replace = Path.replace

    def refuse(self: Path, target: Path) -> Path:
        if self.name == "model.onnx":
            raise PermissionError(13, "The process cannot access the file because it is being used")
        return replace(self, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(OutputError, match=r"model\.onnx in .*color-bundle cannot be replaced: another program has it"):
        choose_target(photos, color_bundle, force=True)


def test_a_bundle_that_a_killed_process_moved_aside_is_put_back(
    photos: Path, write_color_bundle: Callable[..., Path], tmp_path: Path
) -> None:
    here = Path.cwd()
    with suppress(KeyboardInterrupt), staged_folder(here / "shoes-bundle") as new:
        stage = new.parent
        write_color_bundle(stage / "old")
        raise KeyboardInterrupt
    assert stage.exists()
    assert choose_target(photos, None, force=False) == Target(here / "shoes-bundle-2", previous=here / "shoes-bundle")
    assert choose_target(photos, here / "shoes-bundle", force=True).replaced


def test_a_place_that_cannot_be(photos: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StorageError, match=r"cannot write .*file.bundle: .*\nChoose a writable folder"):
        choose_target(photos, tmp_path / "file" / "bundle", force=False)
    with pytest.raises(StorageError, match="cannot write"):
        choose_target(photos, tmp_path / ("n" * 300), force=False)


def test_a_name_that_has_no_room_for_more(photos: Path, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="File name too long"):
        choose_target(photos, tmp_path / ("n" * 245), force=False)


def test_a_path_with_dots_is_the_folder_that_it_leads_to(
    photos: Path, color_bundle: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(color_bundle / "golden")
    assert choose_target(photos, Path(".."), force=True).folder == color_bundle
    assert choose_target(photos, Path("../../new"), force=False).folder == color_bundle.with_name("new")


def test_a_bundle_that_lacks_optional_files_may_be_replaced(photos: Path, color_bundle: Path) -> None:
    (color_bundle / "labels.txt").unlink()
    assert choose_target(photos, color_bundle, force=True).replaced


def test_a_home_that_nobody_has(photos: Path) -> None:
    with pytest.raises(UsageError, match=r"the output folder is '~nouser/x'; that user has no home folder"):
        choose_target(photos, Path("~nouser/x"), force=False)
    folder = photos.rename(photos.with_name("~nouser"))
    assert choose_target(folder, None, force=False).folder == Path.cwd() / "~nouser-bundle"


def test_home(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    assert choose_target(photos, Path("~/bundle"), force=False).folder == tmp_path / "bundle"


def test_forbidden_places(photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def forbidden(*_: Any, **__: Any) -> None:
        raise PermissionError(13, "Permission denied")

    for name in ("exists", "is_symlink"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, name, forbidden)
            with pytest.raises(StorageError, match="cannot write"):
                choose_target(photos, tmp_path / "locked" / "bundle", force=False)
