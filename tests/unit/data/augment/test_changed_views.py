import numpy as np

from lungfish.data.augment.changed_views import CHANGES, changed_views

RNG = np.random.default_rng(0)


def changed(pixels: np.ndarray) -> dict[str, np.ndarray]:
    return dict(zip(CHANGES, changed_views(pixels), strict=True))


def test_each_change_differs_from_the_photo_and_from_the_others() -> None:
    coarse = RNG.integers(0, 256, (8, 8, 3), np.uint8).repeat(16, 0).repeat(16, 1)
    views = changed(coarse)
    assert {view.shape for view in views.values()} == {(128, 128, 3)}
    assert {view.dtype for view in views.values()} == {np.dtype(np.uint8)}
    assert len({view.tobytes() for view in (coarse, *views.values())}) == 1 + len(CHANGES)
    assert all((changed(coarse)[name] == view).all() for name, view in views.items())


def test_a_flat_photo_changes_in_light_and_color_alone() -> None:
    """No corner is empty after turning; gray 128 gets darker by the gamma, and warmer in red and blue."""
    views = changed(np.full((96, 96, 3), 128, np.uint8))
    assert all((views[name] == 128).all() for name in ("cropped", "rotated", "blurred"))
    assert (views["darkened"] == round(255 * (128 / 255) ** 1.8)).all()
    assert (views["warmed"] == (160, 128, 96)).all()


def test_white_stays_in_range() -> None:
    views = changed(np.full((64, 64, 3), 255, np.uint8))
    assert (views["darkened"] == 255).all()
    assert (views["warmed"] == (255, 255, 191)).all()
