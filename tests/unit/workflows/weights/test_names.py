import lungfish as lf
from lungfish.workflows.weights.list import list_weights as rows


def test_names_in_the_order_of_the_table() -> None:
    assert lf.list_weights() == [row.name for row in rows()]


def test_a_pattern_matches_the_name_or_the_network() -> None:
    of_v2 = lf.list_weights("mobilenet_v2")
    assert of_v2[0] == "mobilenet_v2.ra_in1k"
    assert all(name.startswith("mobilenet_v2.") for name in of_v2)
    assert lf.list_weights("*lite0.in1k") == ["efficientnet_lite0.in1k"]
    assert set(lf.list_weights("mobilenet_v2*")) > set(of_v2)
    assert lf.list_weights("resnet*") == []
