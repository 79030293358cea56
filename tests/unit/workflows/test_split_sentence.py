"""What a report says about how the photos were divided."""

from lungfish.job.bundle.split_text import split_sentence


def test_one_way_is_named_alone() -> None:
    assert split_sentence({"given": 12}) == "as given with the photos"
    assert split_sentence({"content hash": 400}) == "by a hash of the content, about 80/10/10"
    assert split_sentence({"in halves": 40}) == "in halves, by a hash of the content"


def test_several_ways_are_counted() -> None:
    how = {"saved": 1200, "content hash": 30, "with a copy, group or scene": 2}
    assert split_sentence(how) == (
        "as in the saved split (1,200), by a hash of the content, about 80/10/10 (30), "
        "together with a copy, their group or their scene (2)"
    )
