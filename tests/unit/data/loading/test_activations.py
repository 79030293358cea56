from __future__ import annotations

import hashlib
import mmap
import os
import signal
import subprocess
import sys
import textwrap
import threading
from dataclasses import replace
from functools import partial

import numpy as np
import pytest

from lungfish.core.errors import MissingExtraError, StorageError, UnreadablePhotoError, UsageError
from lungfish.data.augment.augmentation import Augmentation, augmented, view_rng
from lungfish.data.loading import activations as module
from lungfish.data.loading.activations import ViewSettings, bytes_available, bytes_needed, compute_views
from lungfish.runtime.decode import decode
from lungfish.runtime.preprocessing import Preprocessing

SMALL = Preprocessing(32)
SETTINGS = ViewSettings(views=3)


class Thumbnails:
    """Activations are the pixels, 4 x 4 of them; counts the views it has seen."""

    key = "thumbnails"
    shape = (3, 4, 4)

    def __init__(self):
        self.seen = 0
        self._lock = threading.Lock()

    def __call__(self, pixels):
        with self._lock:
            self.seen += len(pixels)
        return pixels[:, ::8, ::8].transpose(0, 3, 1, 2).astype(np.float16)


@pytest.fixture
def photos(picture, encoded):
    """Bytes of twelve photos."""
    return [encoded(picture(seed, (40 + seed, 48))) for seed in range(12)]


def hashed(photos):
    return [hashlib.sha256(data).hexdigest() for data in photos]


def compute(photos, trunk=None, settings=SETTINGS, rule=SMALL):
    return compute_views(
        [partial(bytes, data) for data in photos], hashed(photos), trunk or Thumbnails(), rule, settings
    )


def everything(views):
    """All rows, `[photos, views, ...]`."""
    photos, numbers = np.divmod(np.arange(views.photos * views.views), views.views)
    return views.rows(photos, numbers).reshape(views.photos, views.views, *views.shape)


def test_each_row_is_a_view_of_its_photo(photos):
    views = compute(photos)
    assert (views.photos, views.views, views.shape) == (12, 4, (3, 4, 4))
    for i, data in enumerate(photos):
        image, sha256 = decode(data), hashlib.sha256(data).hexdigest()
        expected = [SMALL.pixels(SMALL.decode(data))]  # as at inference
        expected += [augmented(image, SMALL, SETTINGS.augmentation, view_rng(0, sha256, view)) for view in (1, 2, 3)]
        rows = views.rows(np.full(4, i), np.arange(4))
        np.testing.assert_array_equal(rows, Thumbnails()(np.stack(expected)))
    distinct = {row.tobytes() for photo in everything(views) for row in photo}
    assert len(distinct) == 12 * 4


def test_activations_are_those_of_the_networks_first_blocks(photos):
    torch = pytest.importorskip("torch")
    from lungfish.architecture import parse_arch
    from lungfish.nn import build
    from lungfish.training.trunk import BoundaryTrunk, normalized
    from lungfish.weights.catalogue import find_entry
    from lungfish.weights.load import from_network

    entry = find_entry("efficientnet_lite0.in1k")
    assert entry is not None
    network = build(parse_arch("efficientnet_lite0:width=0.2,depth=0.3,resolution=32"), entry.flavour, seed=0).eval()
    views = compute(photos, BoundaryTrunk(from_network(network), entry, 3))
    pixels = np.stack([SMALL.pixels(SMALL.decode(data)) for data in photos])
    with torch.inference_mode():
        entering = network.blocks[:3](network.stem(normalized(torch.from_numpy(pixels), entry))).numpy()
    plain = everything(views)[:, 0]
    assert plain.dtype == np.float16
    assert np.ptp(plain) > 0.1
    np.testing.assert_allclose(plain, entering, rtol=2**-11, atol=1e-4 * np.ptp(entering))


def test_rows_are_a_copy_that_may_be_written(photos):
    views = compute(photos)
    rows = views.rows(np.array([3, 0, 3]), np.array([1, 0, 1]))
    assert (rows.dtype, rows.shape, rows.flags.c_contiguous) == (np.float16, (3, 3, 4, 4), True)
    before = rows.copy()
    rows[:] = 0
    np.testing.assert_array_equal(views.rows(np.array([3, 0, 3]), np.array([1, 0, 1])), before)
    for photos_, numbers in (([12], [0]), ([0], [4])):
        with pytest.raises(IndexError):
            views.rows(np.array(photos_), np.array(numbers))


def test_a_second_run_computes_nothing(photos, monkeypatch):
    trunk = Thumbnails()
    first = everything(compute(photos, trunk))
    monkeypatch.setattr(Preprocessing, "decode", lambda *_: pytest.fail("decoded again"))
    second = everything(compute(photos, trunk))
    assert trunk.seen == 12 * 4
    assert second.tobytes() == first.tobytes()


def test_neither_order_nor_company_nor_threads_have_a_say(photos, cache, monkeypatch):
    whole = everything(compute(photos))
    assert everything(compute(photos[::-1])).tobytes() == whole[::-1].tobytes()
    assert everything(compute(photos[5:6])).tobytes() == whole[5:6].tobytes()
    for cores, together in ((1, 1), (4, 9), (3, 1000)):
        monkeypatch.setenv("LUNGFISH_CACHE", str(cache / f"{cores} {together}"))
        monkeypatch.setattr(module, "physical_cores", lambda cores=cores: cores)
        monkeypatch.setattr(module, "CHUNK_VIEWS", together)
        trunk = Thumbnails()
        assert everything(compute(photos, trunk)).tobytes() == whole.tobytes()
        assert trunk.seen == 12 * 4
    files = {file.read_bytes() for file in cache.rglob("array.npy") if file.stat().st_size == 128 + whole.nbytes}
    assert len(files) == 2  # and the one of the other order


def test_views_are_settled_by_seed_and_number(photos):
    views = everything(compute(photos))
    more = everything(compute(photos, settings=replace(SETTINGS, views=5)))
    assert more[:, :4].tobytes() == views.tobytes()
    other = everything(compute(photos, settings=replace(SETTINGS, seed=1)))
    assert other[:, 0].tobytes() == views[:, 0].tobytes()
    assert not (other[:, 1:] == views[:, 1:]).all(axis=(2, 3, 4)).any()


def test_what_changes_the_key(photos, encoded, picture, cache):
    def folders():
        return {file.parent.name for file in cache.glob("activations/*/array.npy")}

    compute(photos)
    assert len(folders()) == 1
    compute(photos)
    assert len(folders()) == 1
    other_trunk = Thumbnails()
    other_trunk.key = "other"
    changes = [
        {"photos": [encoded(picture(99)), *photos[1:]]},
        {"photos": photos[:-1]},
        {"trunk": other_trunk},
        {"rule": Preprocessing(32, crop_fraction=1.0)},
        {"settings": replace(SETTINGS, views=2)},
        {"settings": replace(SETTINGS, seed=1)},
        {"settings": replace(SETTINGS, augmentation=Augmentation(0.5))},
        {"settings": replace(SETTINGS, augmentation=Augmentation(flips=False))},
        {"settings": ViewSettings(0)},
    ]
    for number, change in enumerate(changes, 2):
        compute(**{"photos": photos} | change)
        assert len(folders()) == number
    compute(photos, settings=ViewSettings(0, Augmentation(0.5), 1))  # plain views know no chance
    assert len(folders()) == 1 + len(changes)


def test_the_plain_view_is_as_at_inference_though_parts_need_more(photos, picture, encoded):
    large = encoded(picture(0, (600, 500)), "JPEG", quality=90)
    settings = ViewSettings(1, Augmentation(0.02))
    assert settings.augmentation.draft_px(SMALL) > 2 * SMALL.draft_px
    assert decode(large, settings.augmentation.draft_px(SMALL)).width > SMALL.decode(large).width
    rows = everything(compute([large], settings=settings))[0]
    part = augmented(
        decode(large, settings.augmentation.draft_px(SMALL)),
        SMALL,
        settings.augmentation,
        view_rng(0, hashed([large])[0], 1),
    )
    np.testing.assert_array_equal(rows, Thumbnails()(np.stack([SMALL.pixels(SMALL.decode(large)), part])))


@pytest.mark.parametrize(
    ("reader", "message"),
    [
        (lambda: b"no picture", "it has changed since it was first read"),
        (lambda: (_ for _ in ()).throw(UnreadablePhotoError("no such file")), "no such file"),
    ],
)
def test_a_photo_that_is_no_longer_what_it_was(photos, reader, message, monkeypatch):
    monkeypatch.setattr(module, "CHUNK_VIEWS", 4)
    readers = [partial(bytes, data) for data in photos]
    readers[7] = reader
    which = rf"photo 8 of 12 \(SHA-256 {hashed(photos)[7][:12]}\): {message}"
    with pytest.raises(UnreadablePhotoError, match=which) as caught:
        compute_views(readers, hashed(photos), Thumbnails(), SMALL, SETTINGS)
    assert "again" in caught.value.hint
    trunk = Thumbnails()
    compute(photos, trunk)
    assert trunk.seen == 5 * 4  # the seven before it are kept


def test_a_photo_that_does_not_decode(photos):
    with pytest.raises(UnreadablePhotoError, match=r"photo 1 of 1 .*: not a picture"):
        compute([b"no picture"])


def test_no_photos():
    assert compute([]).rows(np.empty(0, np.int64), np.empty(0, np.int64)).shape == (0, 3, 4, 4)


def test_what_is_needed_and_what_there_is(photos, cache, monkeypatch):
    assert bytes_needed((112, 14, 14), 3000, 4) == 3000 * 5 * 112 * 14 * 14 * 2
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "0.000005")
    assert bytes_available() == 5000
    compute(photos)
    file = next(cache.rglob("array.npy"))
    assert file.stat().st_size == 128 + bytes_needed(Thumbnails.shape, 12, 3) == 128 + 4608
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "0.000004")
    trunk = Thumbnails()
    compute(photos, trunk)
    assert trunk.seen == 0  # what is there is not refused
    with pytest.raises(StorageError, match=r"activations need .*, but only 4e-06 GB .* in .*activations, after"):
        compute(photos[::-1], trunk)
    assert trunk.seen == 0


def test_older_activations_make_room(photos, cache, monkeypatch):
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "0.00001")  # two of them
    compute(photos)
    compute(photos[1:])
    compute(photos)  # now the other is the oldest
    compute(photos[2:])
    again, oldest = Thumbnails(), Thumbnails()
    compute(photos, again)
    compute(photos[1:], oldest)
    assert (again.seen, oldest.seen) == (0, 11 * 4)


def test_activations_that_are_read_stay(photos, monkeypatch):
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "0.000009")  # not two of them
    views = compute(photos)
    with pytest.raises(StorageError, match=r"are available in .*activations, after .* files in use"):
        compute(photos[1:])
    del views
    compute(photos[1:])


def test_a_file_that_was_cut_is_computed_anew(photos, cache):
    views = everything(compute(photos))
    file = next(cache.rglob("array.npy"))
    os.truncate(file, 1000)
    trunk = Thumbnails()
    assert everything(compute(photos, trunk)).tobytes() == views.tobytes()
    assert trunk.seen == 12 * 4


def test_pages_are_let_go(photos, monkeypatch):
    views = compute(photos)
    whole = everything(views)
    monkeypatch.setattr(module, "RESIDENT_BYTES", 100)
    for _ in range(3):
        np.testing.assert_array_equal(everything(views), whole)


@pytest.mark.skipif(not hasattr(mmap, "MADV_DONTNEED") or sys.platform != "linux", reason="counts pages as Linux does")
def test_memory_does_not_grow_with_the_file(photos, monkeypatch):
    import psutil

    class Large(Thumbnails):
        key, shape = "large", (3, 400, 400)

        def __call__(self, pixels):
            return np.ones((len(pixels), *self.shape), np.float16)

    def mapped():
        return psutil.Process().memory_info().shared  # pages of files

    views = compute(photos, Large())
    one, before = np.zeros(1, np.int64), mapped()
    monkeypatch.setattr(module, "RESIDENT_BYTES", 4 << 20)
    peak = 0
    for i in range(48):
        views.rows(one + i // 4, one + i % 4)
        peak = max(peak, mapped() - before)
    assert views.photos * views.views * 3 * 400 * 400 * 2 > 45e6
    assert 2 << 20 < peak < 12 << 20


SLOW_RUN = """
    import hashlib, io, os, signal, sys, time
    from functools import partial
    from pathlib import Path
    import numpy as np
    from lungfish.data.loading import activations as module
    from lungfish.runtime.preprocessing import Preprocessing

    class Thumbnails:
        key, shape = "thumbnails", (3, 4, 4)

        def __call__(self, pixels):
            print("called", len(pixels), flush=True)
            time.sleep(float(sys.argv[2]))
            return pixels[:, ::8, ::8].transpose(0, 3, 1, 2).astype(np.float16)

    module.FLUSH_EVERY_S = 0.0
    module.CHUNK_VIEWS = 4
    module.physical_cores = lambda: 1
    photos = [file.read_bytes() for file in sorted(Path(sys.argv[1]).iterdir())]
    hashes = [hashlib.sha256(data).hexdigest() for data in photos]
    readers = [partial(bytes, data) for data in photos]
    module.compute_views(readers, hashes, Thumbnails(), Preprocessing(32), module.ViewSettings(3))
    print("done", flush=True)
"""


@pytest.fixture
def slow_run(tmp_path, photos):
    """Start a process that computes the activations of the photos, one after the other, and pauses at each."""
    folder, script = tmp_path / "photos", tmp_path / "slow.py"
    folder.mkdir()
    for i, data in enumerate(photos):
        (folder / f"{i:02}.png").write_bytes(data)
    script.write_text(textwrap.dedent(SLOW_RUN))

    def start(pause_s):
        command = [sys.executable, str(script), str(folder), str(pause_s)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    return start


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_killed_twice_it_computes_what_is_missing_to_the_same_bytes(photos, slow_run, cache, monkeypatch, name):
    begun = []
    for _ in range(2):
        run = slow_run(0.15)
        calls = [run.stdout.readline() for _ in range(5)]
        run.send_signal(getattr(signal, name))
        rest = run.communicate(timeout=20)[0].splitlines()
        assert "done" not in rest
        begun.append(len(calls) + len(rest))
    trunk = Thumbnails()
    compute(photos, trunk)
    # each run lost at most what was in flight: two photos ahead of the one in use
    assert 12 <= sum(begun) + trunk.seen // 4 <= 12 + 2 * 3
    assert 0 < trunk.seen // 4 <= 6
    resumed = next(cache.rglob("array.npy")).read_bytes()
    monkeypatch.setenv("LUNGFISH_CACHE", str(cache / "uninterrupted"))
    compute(photos)
    assert next((cache / "uninterrupted").rglob("array.npy")).read_bytes() == resumed


def test_two_processes_share_the_work_of_one(photos, slow_run):
    runs = [slow_run(0.02) for _ in range(2)]
    outputs = [run.communicate(timeout=60)[0].splitlines() for run in runs]
    assert [output[-1] for output in outputs] == ["done", "done"]
    assert sorted(len(output) for output in outputs) == [1, 13]
    trunk = Thumbnails()
    compute(photos, trunk)
    assert trunk.seen == 0


def test_without_filelock(photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "filelock", None)
    with pytest.raises(MissingExtraError, match="filelock"):
        compute(photos)


def test_fewer_than_no_views():
    with pytest.raises(UsageError, match="views is -1; it must be 0 or more"):
        ViewSettings(-1)
