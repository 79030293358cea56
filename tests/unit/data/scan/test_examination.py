from __future__ import annotations

import os
import signal
import struct
import subprocess
import sys
import textwrap
import threading
import time
import zlib

import numpy as np
import pytest
from PIL import Image

from lungfish.core.errors import StoppedError, UsageError
from lungfish.core.events import Advanced, Event
from lungfish.core.progress import Progress
from lungfish.core.stopping import StopToken
from lungfish.data.photos import Photo, PhotoSet
from lungfish.data.scan import examination
from lungfish.data.scan.examination import CHUNK_PHOTOS, LOOK_AHEAD, ExamineOptions, examine
from lungfish.data.scan.features import features_folder
from lungfish.data.sources import open_photos
from lungfish.runtime.prefetch import prefetch
from lungfish.runtime.preprocessing import Preprocessing

SMALL = Preprocessing(32)


@pytest.fixture
def folder(tmp_path, write_classes):
    return write_classes(tmp_path / "photos", {"cat": 20, "dog": 20})


def test_records_and_features_are_in_the_order_of_names(folder, trunk):
    examined = examine(open_photos(folder), SMALL, trunk)
    assert [record.photo.name for record in examined.records] == sorted(
        path.relative_to(folder).as_posix() for path in folder.rglob("*.png")
    )
    assert examined.features.shape == (40, 3)
    assert examined.features.dtype == np.float32
    for record, row in zip(examined.records, examined.feature_rows, strict=True):
        pixels = SMALL.pixels(SMALL.decode((folder / record.photo.name).read_bytes()))
        assert np.array_equal(examined.features[row], trunk(pixels[None])[0])
    assert (examined.decoded, examined.embedded) == (40, 40)


def test_a_second_run_decodes_nothing(folder, trunk, monkeypatch):
    first = examine(open_photos(folder), SMALL, trunk)
    monkeypatch.setattr(Preprocessing, "decode", lambda *_: pytest.fail("decoded again"))
    second = examine(open_photos(folder), SMALL, trunk)
    assert (second.decoded, second.embedded, trunk.seen) == (0, 0, 40)
    assert second.features.tobytes() == first.features.tobytes()
    for a, b in zip(first.records, second.records, strict=True):
        assert a.photo == b.photo
        assert (a.seen.sha256, a.seen.phash) == (b.seen.sha256, b.seen.phash)
        assert np.array_equal(a.seen.signature, b.seen.signature)


def test_another_rule_or_trunk_is_another_cache(folder, trunk):
    examine(open_photos(folder), SMALL, trunk)
    assert examine(open_photos(folder), Preprocessing(24), trunk).embedded == 40
    trunk.key = "other"
    again = examine(open_photos(folder), SMALL, trunk)
    assert (again.decoded, again.embedded) == (40, 40)


def test_a_partly_cached_run_gives_the_same_bits(folder, trunk, write_classes):
    write_classes(folder, {"cow": 5}, first_seed=100)
    whole = examine(open_photos(folder), SMALL, trunk)
    for chunk in features_folder(trunk, SMALL).iterdir():
        chunk.unlink()
    some = ExamineOptions(needs_features=lambda photo: photo.name.endswith(("1.png", "5.png")))
    examine(open_photos(folder), SMALL, trunk, some)
    again = examine(open_photos(folder), SMALL, trunk)
    assert 0 < again.embedded < 45
    assert again.features.tobytes() == whole.features.tobytes()


def test_a_real_session_gives_the_same_bits_in_any_batch():
    ort = pytest.importorskip("onnxruntime")
    model = _conv_model()
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    session = ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    pixels = np.random.default_rng(0).integers(0, 256, (16, 32, 32, 3), dtype=np.uint8)
    whole = session.run(None, {"image": pixels})[0]
    for size in (1, 3, 7, 15):
        assert session.run(None, {"image": pixels[:size]})[0].tobytes() == whole[:size].tobytes()


def test_photos_that_need_no_features_skip_the_trunk(folder, trunk):
    options = ExamineOptions(needs_features=lambda photo: photo.name.startswith("dog"))
    examined = examine(open_photos(folder), SMALL, trunk, options)
    assert trunk.seen == 20
    assert examined.features.shape == (20, 3)
    assert examined.feature_rows.tolist() == [-1] * 20 + list(range(20))


def test_without_a_trunk_photos_are_only_inspected(folder, cache):
    examined = examine(open_photos(folder), SMALL)
    assert examined.features.shape == (0, 0)
    assert len(examined.records) == 40
    assert not (cache / "features").exists()
    assert examine(open_photos(folder), SMALL).decoded == 0


def test_bad_photos_are_skipped_and_named(folder, trunk, encoded, picture):
    (folder / "cat" / "a.jpg").write_bytes(b"")
    (folder / "cat" / "b.jpg").write_bytes(b"I am text")
    (folder / "cat" / "c.jpg").write_bytes(encoded(picture(9, (300, 300)), "JPEG")[:900])
    header = b"IHDR" + struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + struct.pack(">I", 13)
        + header
        + struct.pack(">I", zlib.crc32(header))
        + struct.pack(">I", 8)
        + b"IDAT"
    )
    (folder / "cat" / "d.png").write_bytes(bomb)
    photos = open_photos(folder)
    (folder / "dog" / "000.png").unlink()
    examined = examine(photos, SMALL, trunk)
    reasons = {skipped.file: skipped.reason for skipped in examined.skipped}
    assert list(reasons) == ["cat/a.jpg", "cat/b.jpg", "cat/c.jpg", "cat/d.png", "dog/000.png"]
    assert reasons["cat/a.jpg"] == "empty file"
    assert "not a picture" in reasons["cat/b.jpg"]
    assert "truncated" in reasons["cat/c.jpg"]
    assert "pixels allowed" in reasons["cat/d.png"]
    assert reasons["dog/000.png"] == "no such file"
    assert len(examined.records) == len(examined.feature_rows) == 39


def test_a_photo_is_opened_once(folder, trunk, monkeypatch):
    opened = []
    real = Image.open
    monkeypatch.setattr(Image, "open", lambda *args, **options: opened.append(1) or real(*args, **options))
    examine(open_photos(folder), SMALL, trunk)
    assert len(opened) == 40


def test_a_damaged_cache_is_made_again(folder, trunk):
    first = examine(open_photos(folder), SMALL, trunk)
    for chunk in features_folder(trunk, SMALL).iterdir():
        chunk.write_bytes(chunk.read_bytes()[:-7])
    again = examine(open_photos(folder), SMALL, trunk)
    assert again.embedded == 40
    assert again.features.tobytes() == first.features.tobytes()
    assert examine(open_photos(folder), SMALL, trunk).embedded == 0


def test_a_cache_that_cannot_be_written_is_one_warning_for_each_store(folder, trunk, cache, monkeypatch):
    monkeypatch.setattr(examination, "FLUSH_EVERY_S", 0.0)
    cache.parent.write_text("a file in the way")
    examined = examine(open_photos(folder), SMALL, trunk, ExamineOptions(workers=1))
    assert examined.features.shape == (40, 3)
    inspections, features = examined.warnings
    assert inspections.startswith("inspections are not cached: ")
    assert features.startswith("features are not cached: ")
    assert str(cache.parent) not in inspections + features


def test_threads_are_the_cores_that_may_be_used(folder, monkeypatch):
    asked = []

    def recorded(look, chunks, threads, ahead, stop):
        asked.append(threads)
        return prefetch(look, chunks, threads, ahead, stop)

    monkeypatch.setattr(examination, "physical_cores", lambda: 3)
    monkeypatch.setattr(examination, "prefetch", recorded)
    assert len(examine(open_photos(folder), SMALL).records) == 40
    assert asked == [3]


def test_the_budget_holds_for_old_features(folder, trunk, cache, monkeypatch):
    examine(open_photos(folder), SMALL, trunk)
    old = features_folder(trunk, SMALL)
    os.utime(old, (1, 1))
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "0.000001")
    trunk.key = "new"
    examine(open_photos(folder), SMALL, trunk)
    assert not old.exists()
    assert features_folder(trunk, SMALL).is_dir()
    monkeypatch.setenv("LUNGFISH_CACHE_GB", "none")
    with pytest.raises(UsageError):
        examine(open_photos(folder), SMALL, trunk)


def test_few_photos_are_held_at_once(encoded, picture):
    data = encoded(picture(1))
    count, workers = 600, 2
    handed_out, taken, held = [], [], []

    def read(_photo: Photo) -> bytes:
        handed_out.append(1)
        held.append(len(handed_out) - sum(taken))
        return data

    class Bar(Progress):
        def task(self, _description, total):
            return _Counter(taken)

        def say(self, text):
            pass

    photos = PhotoSet(("a",), tuple(Photo(f"{i:03d}", 0) for i in range(count)), read)
    examine(photos, SMALL, None, ExamineOptions(workers=workers, progress=Bar()))
    assert sum(taken) == count
    assert max(held) <= (LOOK_AHEAD * workers + 2) * CHUNK_PHOTOS


class _Counter:
    def __init__(self, taken: list[int]) -> None:
        self.taken = taken

    def __enter__(self):
        return self.taken.append

    def __exit__(self, *_):
        return None


def test_ctrl_c_keeps_what_is_done_and_stops_the_workers(folder, trunk):
    class Interrupted(Progress):
        def task(self, _description, total):
            return self

        def __enter__(self):
            return self.advance

        def __exit__(self, *_):
            return None

        def advance(self, _count):
            raise KeyboardInterrupt

        def say(self, text):
            pass

    with pytest.raises(KeyboardInterrupt):
        examine(open_photos(folder), SMALL, trunk, ExamineOptions(progress=Interrupted()))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("lungfish")]
    done = trunk.seen
    assert done >= CHUNK_PHOTOS
    again = examine(open_photos(folder), SMALL, trunk)
    assert again.embedded == 40 - done


def test_a_stop_keeps_what_is_done(folder, trunk):
    stop = StopToken()

    def listener(event: Event) -> None:
        if isinstance(event, Advanced):
            stop.stop()

    class Slow(type(trunk)):
        def __call__(self, pixels):
            if self.seen:
                time.sleep(1)  # the stop is known before the third chunk begins
            return super().__call__(pixels)

    slow, progress = Slow(), Progress(listener, stop=stop)
    with pytest.raises(StoppedError):
        examine(open_photos(folder), SMALL, slow, ExamineOptions(workers=1, progress=progress))
    done = slow.seen
    assert CHUNK_PHOTOS <= done < 40
    assert examine(open_photos(folder), SMALL, trunk).embedded == 40 - done


def test_a_failing_trunk_keeps_what_is_done(folder, trunk):
    class Failing(type(trunk)):
        def __call__(self, pixels):
            if self.seen:
                raise RuntimeError("out of memory")
            return super().__call__(pixels)

    with pytest.raises(RuntimeError, match="out of memory"):
        examine(open_photos(folder), SMALL, Failing(), ExamineOptions(workers=1))
    assert examine(open_photos(folder), SMALL, trunk).embedded == 40 - CHUNK_PHOTOS


SLOW_RUN = """
    import sys, time
    import numpy as np
    from lungfish.data.scan import examination
    from lungfish.data.sources import open_photos
    from lungfish.runtime.preprocessing import Preprocessing

    class Slow:
        key, width = "mean", 3
        def __call__(self, pixels):
            time.sleep(0.3)
            print("batch", flush=True)
            return pixels.mean(axis=(1, 2), dtype=np.float64).astype(np.float32)

    examination.FLUSH_EVERY_S = 0.0
    examination.examine(
        open_photos(sys.argv[1]), Preprocessing(32), Slow(), examination.ExamineOptions(workers=1)
    )
"""


@pytest.mark.skipif(os.name == "nt", reason="POSIX signals")
@pytest.mark.parametrize("name", ["SIGKILL", "SIGINT"])
def test_a_killed_run_loses_little(tmp_path, write_classes, trunk, name):
    folder = write_classes(tmp_path / "photos", {"cat": 100, "dog": 100})
    script = tmp_path / "slow.py"
    script.write_text(textwrap.dedent(SLOW_RUN))
    run = subprocess.Popen([sys.executable, script, folder], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    # the first result is taken, and flushed, once LOOK_AHEAD chunks are in flight
    for _ in range(LOOK_AHEAD + 2):
        run.stdout.readline()
    time.sleep(0.1)
    began = time.monotonic()
    run.send_signal(getattr(signal, name))
    run.wait(timeout=10)
    run.stdout.close()
    assert time.monotonic() - began < 3
    left = examine(open_photos(folder), SMALL, trunk).embedded
    assert 0 < left <= 200 - (LOOK_AHEAD + 1) * CHUNK_PHOTOS


def test_the_room_imports_on_the_base_install():
    code = (
        "import sys, lungfish.data.scan.examination, lungfish.data.sources;"
        "import lungfish.data.split.assign, lungfish.data.split.integrity;"
        "heavy = {'torch', 'sklearn', 'pyarrow', 'scipy', 'onnx'};"
        "sys.exit(bool(heavy & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def _conv_model() -> bytes:
    """A small ONNX graph of the kind that trunks are: cast, convolution, global mean."""
    from onnx import TensorProto, helper, numpy_helper

    weights = np.random.default_rng(0).normal(size=(8, 3, 3, 3)).astype(np.float32)
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        helper.make_node("Transpose", ["pixels"], ["x_nchw"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["x_nchw", "weights"], ["y_nchw"]),
        helper.make_node("Relu", ["y_nchw"], ["z_nchw"]),
        helper.make_node("GlobalAveragePool", ["z_nchw"], ["pooled"]),
        helper.make_node("Flatten", ["pooled"], ["f"]),
    ]
    graph = helper.make_graph(
        nodes,
        "conv",
        [helper.make_tensor_value_info("image", TensorProto.UINT8, ["n", 32, 32, 3])],
        [helper.make_tensor_value_info("f", TensorProto.FLOAT, ["n", 8])],
        [numpy_helper.from_array(weights, "weights")],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    return bytes(model.SerializeToString())
