"""Scenes from made-up descriptors; thumbnails are random, so that only names link photos unless a test says so."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from lungfish.data.scan.near_duplicates import NearDuplicates
from lungfish.data.scan.scenes import find_scenes


def unit_vectors(angles: list[float]) -> np.ndarray:
    """Descriptors in a plane: the similarity of two is the cosine of their difference."""
    return np.stack([np.cos(angles), np.sin(angles)], axis=1).astype(np.float32)


def scenes_of(records, vectors):
    none = NearDuplicates(np.empty((0, 2), np.int64), np.arange(len(records)))
    return find_scenes(records, none, lambda positions: vectors[positions])


@pytest.fixture
def numbered(record):
    def make(count, folder="cup", label=0):
        return [record(f"{folder}/{i:02d}.jpg", label) for i in range(count)]

    return make


def test_names_alone_link_nothing(numbered):
    found = scenes_of(numbered(4), np.eye(4, dtype=np.float32))
    assert found.pairs.tolist() == []
    assert (found.sizes, found.in_sequence, found.unknown) == ((), 4, "")


def test_near_neighbors_are_one_scene_and_the_next_is_another(numbered):
    found = scenes_of(numbered(6), unit_vectors([0, 0.1, 0.2, 1.5, 1.6, 3]))
    assert found.pairs.tolist() == [[0, 1], [0, 2], [3, 4]]
    assert found.sizes == (3, 2)


def test_looks_alone_link_only_photos_that_are_almost_the_same(record):
    names = [f"cup/{word}" for word in ("ant", "bee", "cat", "dog")]
    records = [record(name, 0) for name in names]
    vectors = unit_vectors([0, 0.3, 1.5, 2.1])  # cosines of 0.96 and 0.83
    assert scenes_of(records, vectors).pairs.tolist() == [], "thumbnails differ"
    signature = records[0].seen.signature
    alike = [replace(each, seen=replace(each.seen, signature=signature)) for each in records]
    assert scenes_of(alike, vectors).pairs.tolist() == [[0, 1]]


def test_a_chain_does_not_swallow_a_class(numbered):
    """Each photo is near the next one, and the ends are opposite."""
    found = scenes_of(numbered(60), unit_vectors(np.linspace(0, np.pi, 60).tolist()))
    assert len(found.sizes) > 2
    assert max(found.sizes) < 40


def test_where_all_classes_look_alike_only_the_nearest_are_a_scene(numbered, record):
    """Digits on white: 0.9 between any two photos says nothing."""
    records = numbered(20, "3", 0) + numbered(20, "8", 1)
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(40, 64)) / 8
    vectors = (np.eye(1, 64) * 3 + noise).astype(np.float32)
    cosines = np.corrcoef(vectors)
    assert np.median(cosines) > 0.75
    assert scenes_of(records, vectors).sizes == ()
    vectors[5] = vectors[4] + 0.01 * noise[5].astype(np.float32)
    assert scenes_of(records, vectors).pairs.tolist() == [[4, 5]]


def test_classes_are_apart_and_copies_are_no_scene(numbered):
    records = sorted(numbered(2, "cup", 0) + numbered(2, "mug", 1), key=lambda r: r.photo.name)
    same = unit_vectors([0, 0.1, 0, 0.1])
    assert scenes_of(records, same).pairs.tolist() == [[0, 1], [2, 3]]
    copies = NearDuplicates(np.array([[0, 1]]), np.array([0, 0, 2, 3]))
    assert find_scenes(records, copies, lambda positions: same[positions]).pairs.tolist() == [[2, 3]]


def test_nothing_is_described_where_nothing_can_be_linked(record):
    records = [record(f"cup/{word}", 0) for word in ("ant", "bee")]
    none = NearDuplicates(np.empty((0, 2), np.int64), np.arange(2))

    def refuse(positions):
        raise AssertionError(positions)

    assert find_scenes(records, none, refuse).unknown == ""


def test_without_the_network_it_says_so(numbered):
    none = NearDuplicates(np.empty((0, 2), np.int64), np.arange(3))
    found = find_scenes(numbered(3), none, lambda _positions: None)
    assert "not on this machine" in found.unknown
    assert found.sizes == ()
