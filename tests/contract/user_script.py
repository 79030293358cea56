"""A script as a user writes one: `make check` holds it against mypy's strict rules; no test runs it."""

from pathlib import Path
from typing import assert_type

import numpy as np
from PIL import Image

import lungfish as lf


def main(photos: Path) -> None:
    """Train, predict, measure, and export a network of one's own."""
    recipe = lf.Recipe(name="short", minutes=5, finetune=lf.Finetune(epochs=4))
    result = lf.train(photos, out="shoes", recipe=recipe, on_event=print, stop=lf.StopToken())
    assert_type(result.test.top1, float)
    assert_type(result.artifacts[0].top1, float | None)
    assert_type(result.bundle, lf.Bundle)

    array = np.zeros((8, 8, 3), np.uint8)
    rows = result.bundle.predict(["a.jpg", Path("b.jpg"), Image.new("RGB", (8, 8)), array])
    assert_type(rows, list[lf.Prediction])
    assert_type(rows[0].label, str | None)
    names: list[str] = ["a.jpg"]
    result.bundle.predict(names)
    result.bundle.predict("a.jpg")
    lf.predict(lf.load("efficientnet_lite0.in1k"), "a.jpg")

    measured = lf.evaluate(result.bundle, "more/")
    assert_type(measured.artifacts[0].metrics.top1, float)

    network = lf.build(lf.arch("efficientnet_lite0:classes=2"), seed=0)
    pixels = lf.Preprocessing(224, mean=(127, 127, 127), std=(128, 128, 128))
    exported = lf.export(network, ["boot", "shoe"], "own", photos="val/", preprocessing=pixels)
    assert_type(exported.test.n, int)


if __name__ == "__main__":
    main(Path("photos"))
