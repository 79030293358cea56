"""Find scenes automatically: photos of one class that show the same thing at the same place.

Consecutive photos, by name or time, belong to one scene if their features are also near; photos without an order, only
if they look almost the same. The features come from one fixed network, so that splits do not depend on the network that
is trained. Decision 0019 describes how the limits were measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lungfish.data.scan.examined import Record
from lungfish.data.scan.features import Trunk
from lungfish.data.scan.near_duplicates import NearDuplicates
from lungfish.data.scan.sequences import consecutive_pairs
from lungfish.runtime.preprocessing import Preprocessing

# Cosine similarities. Two views of one photo (at least 60 % of its area, rotated by 10 degrees, a fifth darker) reach
# 0.77 in 95 % of cases; pairs across classes in under 0.1 %, within one in 0.2 % (objects) to 1.4 % (clothes).
NEAR = 0.75
# Multiples of the distance 1 - NEAR, with the similarity that results.
STRICTER = 0.32  # 0.92: limit for photos without an order
LOOSER = 1.6  # 0.6: limit for the mean similarity between two parts of a scene
UNRELATED = 1e-3  # NEAR is raised if a larger share of the pairs across classes reaches it
LEAST_UNRELATED = 4  # number of such pairs that is always allowed, as a few labels are wrong
UNRELATED_PHOTOS = 1000
ALIKE = 0.9  # correlation of thumbnails below which photos without an order are not compared
MOST_ALIKE = 8  # other photos that each photo is compared with
AT_ONCE = 1000
MAX_SCENE = 2000  # photos, as all distances between them are in memory


@dataclass(frozen=True)
class Descriptor:
    """The fixed network that compares photos, and its preprocessing."""

    trunk: Trunk
    preprocess: Preprocessing


@dataclass(frozen=True, eq=False)
class Scenes:
    """Scenes of a dataset.

    Args:
        pairs: int64 `[m, 2]`, the first photo of a scene with each of the others; first index below second.
        in_sequence: Number of photos that follow another one by name or time.
        unknown: Why the scenes are unknown; empty if they were searched for.
    """

    pairs: NDArray[np.int64]
    in_sequence: int
    unknown: str = ""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of photos in each scene, the largest first."""
        _, members = np.unique(self.pairs[:, 0], return_counts=True)
        return tuple(sorted((members + 1).tolist(), reverse=True))


def no_scenes(unknown: str) -> Scenes:
    """Return no scenes, and why they are unknown."""
    return Scenes(np.empty((0, 2), np.int64), 0, unknown)


def find_scenes(
    records: Sequence[Record],
    copies: NearDuplicates,
    describe: Callable[[NDArray[np.int64]], NDArray[np.float32] | None],
) -> Scenes:
    """Find the photos that belong to one scene. Copies count as one photo.

    Args:
        records: Readable photos, sorted by name.
        copies: Near-duplicates among them.
        describe: Function from ascending positions in `records`, int64 `[m]`, to descriptors, float32 `[m, width]`, or
            None if they are unavailable. Called only for photos that may be in a scene with another one.
    """
    sequence = consecutive_pairs(records)
    sequence = sequence[copies.groups[sequence[:, 0]] != copies.groups[sequence[:, 1]]]
    in_sequence = len(np.unique(sequence))
    alike = _alike_pairs(records, np.flatnonzero(copies.groups == np.arange(len(records))))
    positions = np.unique(np.concatenate([sequence, alike]))
    if not len(positions):
        return Scenes(np.empty((0, 2), np.int64), in_sequence)
    described = describe(positions)
    if described is None:
        return no_scenes("the network that compares photos is not on this machine")
    vectors = described / np.maximum(np.linalg.norm(described, axis=1, keepdims=True), 1e-12)
    near = _near_limit(vectors, np.array([records[i].photo.label for i in positions]))
    links = np.concatenate(
        [
            _similar(np.searchsorted(positions, sequence), vectors, near),
            _similar(np.searchsorted(positions, alike), vectors, _scaled(near, STRICTER)),
        ]
    )
    pairs = [(part[0], i) for part in _parts(vectors, links, _scaled(near, LOOSER)) for i in part[1:]]
    return Scenes(positions[np.array(pairs, np.int64).reshape(-1, 2)], in_sequence)


def _scaled(near: float, share: float) -> float:
    """Return the similarity at `share` times the distance 1 - `near`."""
    return 1 - share * (1 - near)


def _alike_pairs(records: Sequence[Record], distinct: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the pairs of photos of one class whose thumbnails are most alike, int64 `[m, 2]`."""
    labels = np.array([records[i].photo.label for i in distinct], np.int64)
    pairs = [np.empty((0, 2), np.int64)]
    for label in np.unique(labels):
        mine = distinct[labels == label]
        thumbnails = np.stack([records[i].seen.signature for i in mine]).reshape(len(mine), -1).astype(np.float32)
        thumbnails -= thumbnails.mean(axis=1, keepdims=True)
        thumbnails /= np.maximum(np.linalg.norm(thumbnails, axis=1, keepdims=True), 1e-6)
        most = min(MOST_ALIKE, len(mine) - 1)
        for start in range(0, len(mine), AT_ONCE) if most else ():
            alike = thumbnails[start : start + AT_ONCE] @ thumbnails.T
            rows = np.arange(len(alike))[:, None]
            alike[rows, start + rows] = -1
            nearest = np.argpartition(alike, -most, axis=1)[:, -most:]
            row, column = np.nonzero(alike[rows, nearest] >= ALIKE)
            pairs.append(np.sort(np.stack([mine[start + row], mine[nearest[row, column]]], axis=1), axis=1))
    return np.unique(np.concatenate(pairs), axis=0)


def _near_limit(vectors: NDArray[np.float32], labels: NDArray[np.int64]) -> float:
    """Return `NEAR`, or a higher limit where too many pairs across classes reach it, as with digits on white."""
    step = max(1, len(vectors) // UNRELATED_PHOTOS)
    sample, classes = vectors[::step], labels[::step]
    similar = (sample @ sample.T)[np.triu(classes[:, None] != classes[None], k=1)]
    beyond = max(LEAST_UNRELATED, int(UNRELATED * len(similar)))
    if len(similar) <= beyond:
        return NEAR
    return max(NEAR, float(np.partition(similar, -beyond)[-beyond]))


def _similar(pairs: NDArray[np.int64], vectors: NDArray[np.float32], limit: float) -> NDArray[np.int64]:
    similarity = np.einsum("ij,ij->i", vectors[pairs[:, 0]], vectors[pairs[:, 1]])
    similar: NDArray[np.int64] = pairs[similarity >= limit]
    return similar


def _parts(vectors: NDArray[np.float32], links: NDArray[np.int64], least: float) -> list[list[int]]:
    """Return groups of linked photos, split where two parts differ too much on average, to break up long chains."""
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components
    from scipy.spatial.distance import pdist

    count = len(vectors)
    graph = coo_array((np.ones(len(links), np.int8), (links[:, 0], links[:, 1])), (count, count))
    _, component = connected_components(graph, directed=False)
    parts: list[list[int]] = []
    order = np.argsort(component, kind="stable")
    for members in np.split(order, np.flatnonzero(np.diff(component[order])) + 1):
        for chunk in np.split(members, range(MAX_SCENE, len(members), MAX_SCENE)):
            if len(chunk) < 2:
                continue
            tree = linkage(pdist(vectors[chunk].astype(np.float64), "cosine"), "average")
            cluster = fcluster(tree, 1 - least, "distance")
            parts += [chunk[cluster == number].tolist() for number in np.unique(cluster)]
    return [part for part in parts if len(part) > 1]
