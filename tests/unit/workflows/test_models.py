"""The list of networks."""

from lungfish.architecture import NAMED
from lungfish.workflows.models import models


def test_every_named_network_once_with_its_figures() -> None:
    rows = {row.name: row for row in models()}
    assert len(rows) == len(models())
    assert set(NAMED) <= set(rows)
    assert rows["mobilenet_v2"].to_json() == {
        "name": "mobilenet_v2",
        "params": 3_504_872,
        "macs": 300_774_272,
        "resolution_px": 224,
        "published": {"top1": 71.8, "source": "TensorFlow slim, mobilenet_v2"},
    }
