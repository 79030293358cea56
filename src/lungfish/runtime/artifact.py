"""Describe an artifact of a bundle: the files of one model and its measurements."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from lungfish.core.untrusted import Fields, is_plain_name, shortened

MAX_FILE_BYTES = 2 * 2**30  # limit of a protobuf message
MAX_MODEL_FILES = 100  # in one artifact; a Core ML package has five
STATUSES = ("pass", "fail", "not_measured")


@dataclass(frozen=True)
class FileRow:
    """SHA-256 and size of a file of the bundle."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Latency:
    """Milliseconds per photo at batch size 1 (median and 95th percentile), number of threads, and runtime."""

    p50: float
    p95: float
    threads: int
    runtime: str


@dataclass(frozen=True)
class ArtifactRow:
    """The files of one model and its measurements; None means not measured.

    Args:
        file: Name of the main file inside the bundle, which identifies the artifact.
        format: A name in `runtime.engines.table`: `onnx`, ...
        precision: `fp32`, `fp16`, `int8`, ...
        bytes: Total size of `files`, which a device has to store.
        sha256: SHA-256 of `file`, 64 lower-case hexadecimal digits.
        top1: Accuracy on the test photos, 0 to 1.
        ci95: 95 % confidence interval of `top1`.
        agreement_with_fp32: Share of test photos that get the same label from the fp32 artifact, 0 to 1.
        latency_ms: Latency on the machine of the manifest.
        status: `pass`, `fail` or `not_measured`.
        why: Reason for any status other than `pass`.
        files: All files of the model by name, including `file`. If empty, as in bundles of earlier versions, `file` is
            the only one.
    """

    file: str
    format: str
    precision: str
    bytes: int
    sha256: str
    top1: float | None = None
    ci95: tuple[float, float] | None = None
    agreement_with_fp32: float | None = None
    latency_ms: Latency | None = None
    status: str = "not_measured"
    why: str = ""
    files: dict[str, FileRow] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not self.files:
            object.__setattr__(self, "files", {self.file: FileRow(self.sha256, self.bytes)})  # frozen

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def read(cls, fields: Fields) -> ArtifactRow:
        """Read an untrusted row, without checking the names in `files`. Raises `BundleError`."""
        row = cls(
            file=fields.text("file", 255),
            format=fields.text("format", 40, empty=False),
            precision=fields.text("precision", 40, empty=False),
            bytes=fields.integer("bytes", 1, MAX_FILE_BYTES),
            sha256=fields.sha256("sha256"),
            top1=fields.number_or_none("top1", 0, 1),
            ci95=_interval(fields.indexed("ci95", 2)) if fields.has("ci95") else None,
            agreement_with_fp32=fields.number_or_none("agreement_with_fp32", 0, 1),
            latency_ms=_latency(fields.object("latency_ms")) if fields.has("latency_ms") else None,
            status=fields.one_of("status", STATUSES),
            why=fields.text("why", 10_000) if fields.has("why") else "",
            files=read_file_rows(fields, "files", MAX_MODEL_FILES) if fields.has("files") else {},
        )
        if not is_plain_name(row.file):
            fields.refuse("file", "a plain file name inside the bundle")
        if row.file not in row.files or row.files[row.file].sha256 != row.sha256:
            fields.refuse("files", f"an object that lists {shortened(row.file)} with the artifact's sha256")
        if sum(each.bytes for each in row.files.values()) != row.bytes:
            fields.refuse("files", f"files of {row.bytes:,} bytes in total, the size of the artifact")
        return row


def read_file_rows(fields: Fields, key: str, most: int) -> dict[str, FileRow]:
    """Read untrusted hashes and sizes by name, without checking the names. Raises `BundleError`."""
    files = fields.object(key)
    if len(files.values) > most:
        fields.refuse(key, f"at most {most:,} files")
    rows = {name: files.object(name) for name in files.values}
    return {name: FileRow(row.sha256("sha256"), row.integer("bytes", 0, MAX_FILE_BYTES)) for name, row in rows.items()}


def _interval(ends: Fields) -> tuple[float, float]:
    return ends.number("0", 0, 1), ends.number("1", 0, 1)


def _latency(fields: Fields) -> Latency:
    return Latency(
        p50=fields.number("p50", 0, 1e9),
        p95=fields.number("p95", 0, 1e9),
        threads=fields.integer("threads", 1, 100_000),
        runtime=fields.text("runtime", 200),
    )
