"""What was fetched is converted once, and read in place of the original."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import lungfish as lf
from lungfish.architecture import Flavour
from lungfish.core.errors import StorageError, WeightsError
from lungfish.core.hashing import sha256_bytes, sha256_file
from lungfish.weights.catalogue import find_entry
from lungfish.weights.entry import WeightsEntry
from lungfish.weights.fetch import converted
from lungfish.weights.fetch.converted import convert_fetched, converted_file, fetch_converted
from lungfish.weights.fetch.fetch import fetch, file_of
from lungfish.weights.formats.safetensors import read_safetensors
from lungfish.weights.load import load_network
from lungfish.weights.store.record import WeightsRecord
from lungfish.weights.store.store import Store

NAME = "mobilenet_v2:width=0.35,resolution=32,classes=5"


@pytest.fixture
def checkpoint(tmp_path: Path) -> Path:
    """Of timm, every tensor random."""
    network = lf.build(lf.arch(NAME), flavour=Flavour("symmetric", 1e-5), seed=0)
    generator = torch.Generator().manual_seed(1)
    for tensor in network.state_dict().values():
        tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.5)
    torch.save(lf.export_weights(network, "timm"), tmp_path / "net.pth")
    return tmp_path / "net.pth"


@pytest.fixture
def entry(server: Any, checkpoint: Path) -> WeightsEntry:
    return replace(
        find_entry("mobilenet_v2.ra_in1k"),
        name="mobilenet_v2.mine",
        arch=NAME,
        location=server.serve("/net.pth", checkpoint.read_bytes()),
    )


@pytest.fixture
def no_conversion(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    def refuse(*_: object) -> None:
        raise AssertionError("converted again")

    return lambda: monkeypatch.setattr(converted, "convert_file", refuse)


def test_it_is_converted_once(entry: WeightsEntry, no_conversion: Callable[[], None]) -> None:
    fetched = fetch(entry)
    assert converted_file(fetched.entry) is None
    record = convert_fetched(fetched)
    assert record == replace(fetched, converted_sha256=record.converted_sha256) == Store().record(entry.name)
    file = converted_file(record.entry)
    assert file
    assert sha256_file(file) == record.converted_sha256 != record.entry.sha256
    no_conversion()
    assert convert_fetched(record) == record
    assert fetch(entry) == record  # the ledger keeps it


def test_it_says_where_it_came_from(entry: WeightsEntry, checkpoint: Path) -> None:
    record = convert_fetched(fetch(entry))
    file = converted_file(record.entry)
    assert file
    _, header = read_safetensors(file)
    assert (header["name"], header["license"], header["source"]) == ("mobilenet_v2.mine", "Apache-2.0", "timm")
    assert header["sha256_before"] == sha256_file(checkpoint)
    assert header["location"] == entry.location


def test_it_is_what_is_read(entry: WeightsEntry, checkpoint: Path) -> None:
    expected = lf.import_weights(checkpoint, lf.arch(NAME), source="timm").state_dict()
    record = fetch(entry)
    from_original = load_network(record.entry).state_dict()
    record = convert_fetched(record)
    file_of(record).write_bytes(b"the original is not needed")
    from_converted = load_network(record.entry).state_dict()
    for name, tensor in expected.items():
        if name.endswith("num_batches_tracked"):  # which no one reads
            continue
        assert torch.equal(from_original[name], tensor), name
        assert torch.equal(from_converted[name], tensor), name


def test_it_is_made_again_where_it_is_gone_or_altered(entry: WeightsEntry) -> None:
    record = convert_fetched(fetch(entry))
    for damage in (Path.unlink, lambda file: file.write_bytes(b"altered")):
        file = converted_file(record.entry)
        assert file
        damage(file)
        assert converted_file(record.entry) is None
        assert convert_fetched(record) == record


def test_it_is_of_one_file(entry: WeightsEntry) -> None:
    record = convert_fetched(fetch(entry))
    assert converted_file(record.entry)
    assert converted_file(replace(record.entry, sha256=sha256_bytes(b"another"))) is None
    assert converted_file(replace(record.entry, name="never.fetched")) is None


def test_fetched_and_converted_in_one_step(entry: WeightsEntry) -> None:
    record = fetch_converted(entry)
    assert record.converted_sha256
    assert record == Store().record(entry.name) == fetch(entry) == convert_fetched(record)


def test_a_file_of_this_machine_needs_no_cache(entry: WeightsEntry, checkpoint: Path, cache: Path) -> None:
    mine = replace(entry, name="file:net.pth", location=f"file:{checkpoint}")
    assert fetch_converted(mine).converted_sha256
    shutil.rmtree(cache)
    cache.write_text("a file where the folder should be")
    record = fetch_converted(mine)
    assert record.converted_sha256 == ""
    assert load_network(record.entry)
    with pytest.raises(StorageError):
        fetch_converted(entry)


def test_what_needs_none(entry: WeightsEntry, tmp_path: Path, no_conversion: Callable[[], None]) -> None:
    file = converted_file(convert_fetched(fetch(entry)).entry)
    assert file
    ours = replace(entry, name="ours.v1", converter="lungfish", location=f"file:{file}", sha256="")
    no_conversion()
    for each in (ours, find_entry("efficientnet_lite0.in1k")):
        record = fetch(each)
        assert convert_fetched(record) == record
        assert record.converted_sha256 == ""


def test_a_file_of_another_network_leaves_nothing(entry: WeightsEntry) -> None:
    record: WeightsRecord = fetch(replace(entry, arch="mobilenet_v2:width=0.5,classes=5"))
    before = sorted(Store().folder.rglob("*"))
    with pytest.raises(WeightsError, match="do not fit"):
        convert_fetched(record)
    assert [path for path in sorted(Store().folder.rglob("*")) if "locks" not in path.parts] == [
        path for path in before if "locks" not in path.parts
    ]
    assert Store().record(record.entry.name) == record


def test_what_cannot_be_read_and_nobody_has_published_is_not_kept(
    server: Any, entry: WeightsEntry, checkpoint: Path
) -> None:
    """A page to log in at, say; the next fetch asks again. What was published to be so stays as it is."""
    server.serve("/net.pth", b"<html>Log in</html>")
    unpublished = replace(entry, sha256="", digest="", bytes=None)
    for _ in range(2):
        with pytest.raises(WeightsError):
            fetch_converted(unpublished)
        assert Store().records() == []
        assert not list((Store().folder / "blobs").iterdir())
    server.serve("/net.pth", checkpoint.read_bytes())
    assert fetch_converted(unpublished).converted_sha256
