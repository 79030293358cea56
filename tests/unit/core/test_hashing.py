from pathlib import Path

from lungfish.core.hashing import files_digest, sha256_bytes, sha256_file, sha256_json

ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2


def test_the_published_vector(tmp_path: Path) -> None:
    (tmp_path / "abc").write_bytes(b"abc")
    assert sha256_bytes(b"abc") == sha256_file(tmp_path / "abc") == ABC


def test_files_count_as_one(tmp_path: Path) -> None:
    for name in ("a", "bc"):
        (tmp_path / name).write_text(name)
    files = [tmp_path / "a", tmp_path / "bc"]
    assert files_digest(files) == ABC
    assert files_digest(files, "md5") == "900150983cd24fb0d6963f7d28e17f72"  # RFC 1321


def test_json_has_one_form() -> None:
    assert sha256_json({"a": 1, "b": [2]}) == sha256_json({"b": [2], "a": 1})
    assert sha256_json({"a": 1}) != sha256_json({"a": "1"})
