from __future__ import annotations

import hashlib

import numpy as np
import pytest

from lungfish.core.errors import UnreadablePhotoError
from lungfish.data.augment.augmentation import augmented, view_rng
from lungfish.data.augment.fresh import FreshAugmentation
from lungfish.data.loading.batches import PhotoBatches, plain_batches
from lungfish.data.loading.loader import PhotoLoader
from lungfish.data.photos import Photo
from lungfish.data.scan.examined import Record
from lungfish.data.scan.inspection import Inspection
from lungfish.data.sources.files import FileReader
from lungfish.runtime.decode import decode
from lungfish.runtime.preprocessing import Preprocessing

torch = pytest.importorskip("torch")
pytest.importorskip("torchvision")

SMALL = Preprocessing(32)
AUGMENTATION = FreshAugmentation(policy="trivial")
ORDER = np.array([3, 0, 11, 7, 5, 9, 1, 10, 2, 8, 6, 4])


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tmp_path_factory.mktemp("photos")


@pytest.fixture(scope="module", params=[0, 1, 2])
def loader(request, root, process_lock):
    with process_lock, PhotoLoader(FileReader(root), request.param) as loader:
        yield loader


def write(root, name, data, label=0):
    (root / name).write_bytes(data)
    return Record(Photo(name, label), Inspection(hashlib.sha256(data).hexdigest(), 0, np.zeros((8, 8, 3), np.uint8)))


@pytest.fixture
def records(root, picture, encoded):
    """Twelve photos."""
    return [write(root, f"{i}.png", encoded(picture(i, (40 + i, 48))), i % 3) for i in range(12)]


def batches(loader, records, augmentation=AUGMENTATION, seed=0):
    return PhotoBatches(loader, records, SMALL, augmentation, seed)


def by_photo(chunks, tensors):
    """The rows, by the photo's position."""
    return {
        int(i): row for chunk, rows in zip(chunks, tensors, strict=True) for i, row in zip(chunk, rows, strict=True)
    }


def test_what_is_loaded_is_the_same_however_it_is_loaded(loader, root, records):
    one = [np.arange(12)]
    with PhotoLoader(FileReader(root)) as plain:
        expected = by_photo(one, batches(plain, records).epoch(3, one, 32))
    for chunks in (one, [ORDER[:5], ORDER[5:5], ORDER[5:6], ORDER[6:]]):
        tensors = list(batches(loader, records).epoch(3, chunks, 32))
        assert [tuple(x.shape) for x in tensors] == [(len(chunk), 3, 32, 32) for chunk in chunks]
        assert all(x.dtype == torch.uint8 and x.is_contiguous() for x in tensors)
        rows = by_photo(chunks, tensors)
        assert all(torch.equal(rows[i], expected[i]) for i in range(12))


def test_epochs_seeds_and_sides_differ(loader, records):
    chunks = [ORDER]
    views = {
        (seed, epoch): next(batches(loader, records, seed=seed).epoch(epoch, chunks, 32))
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    rows = [row.numpy().tobytes() for view in views.values() for row in view]
    assert len(set(rows)) == len(rows)
    assert next(batches(loader, records).epoch(0, chunks, 48)).shape == (12, 3, 48, 48)


def test_without_a_policy_a_view_is_a_part_of_the_photo(loader, root, records):
    augmentation = FreshAugmentation(0.5, 1.2)
    (rows,) = batches(loader, records, augmentation, seed=7).epoch(2, [ORDER], 32)
    for i, row in zip(ORDER, rows, strict=True):
        data = (root / records[i].photo.name).read_bytes()
        expected = augmented(decode(data), SMALL, augmentation, view_rng(7, f"fresh {records[i].seen.sha256}", 2))
        np.testing.assert_array_equal(row.permute(1, 2, 0), expected)


def test_plain_views_are_what_the_artifact_sees(loader, root, records):
    chunks = [ORDER[:7], ORDER[7:]]
    rows = by_photo(chunks, plain_batches(loader, records, SMALL, chunks))
    for i, record in enumerate(records):
        expected = SMALL.pixels(SMALL.decode((root / record.photo.name).read_bytes()))
        np.testing.assert_array_equal(rows[i].permute(1, 2, 0), expected)


def test_labels_are_those_of_the_photos(loader, records):
    labels = batches(loader, records).labels
    assert labels.dtype == np.int64
    np.testing.assert_array_equal(labels, np.arange(12) % 3)


def test_torchs_random_numbers_are_left_alone(loader, records):
    state = torch.get_rng_state()
    for _ in batches(loader, records).epoch(0, [ORDER[:4], ORDER[4:]], 32):
        assert torch.equal(torch.get_rng_state(), state)


def test_an_epoch_may_be_left_early(loader, records):
    epoch = batches(loader, records).epoch(0, [ORDER[:3]] * 20, 32)
    first = next(epoch)
    epoch.close()
    assert torch.equal(next(batches(loader, records).epoch(0, [ORDER[:3]], 32)), first)


def test_chunks_are_taken_as_they_are_needed(loader, records):
    taken = []

    def endless():
        while True:
            taken.append(None)
            yield ORDER[:2]

    epoch = batches(loader, records).epoch(0, endless(), 32)
    next(epoch)
    next(epoch)
    assert len(taken) <= 5
    epoch.close()


@pytest.mark.parametrize(
    ("now", "reason"),
    [(None, "no such file"), (b"another", "it has changed since it was first read"), (b"", "it has changed since")],
)
def test_a_photo_that_is_not_what_it_was_is_named(loader, root, records, now, reason):
    victim = write(root, "victim\x1b.png", b"as it was")
    if now is None:
        (root / victim.photo.name).unlink()
    else:
        (root / victim.photo.name).write_bytes(now)
    with pytest.raises(UnreadablePhotoError) as caught:
        list(batches(loader, [*records, victim]).epoch(0, [ORDER, np.array([12])], 32))
    assert caught.value.message.startswith(rf"victim\x1b.png: {reason}")
    assert caught.value.hint.startswith("Put it back and run the same command again")
    assert len(next(batches(loader, records).epoch(0, [ORDER], 32))) == 12  # the loader lives on


def test_a_broken_photo_is_named(loader, root):
    broken = write(root, "broken.jpg", b"\xff\xd8\xff\xe0 no picture")
    with pytest.raises(UnreadablePhotoError, match=r"^broken\.jpg: "):
        list(plain_batches(loader, [broken], SMALL, [np.array([0])]))
