"""An artifact of a bundle: the files of one model, and what was measured on them."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from lungfish.core.untrusted import Fields, is_plain_name, shortened

MAX_FILE_BYTES = 2 * 2**30  # what one protobuf message can hold
MAX_MODEL_FILES = 100  # of one artifact; a folder of Core ML's has five
STATUSES = ("pass", "fail", "not_measured")


@dataclass(frozen=True)
class FileRow:
    """Hash and size of a file of the bundle."""

    sha256: str
    bytes: int


@dataclass(frozen=True)
class Latency:
    """Milliseconds per photo at batch 1, median and 95th percentile; the threads and the runtime that took them."""

    p50: float
    p95: float
    threads: int
    runtime: str


@dataclass(frozen=True)
class ArtifactRow:
    """The files of one model and what was measured on them; `None` stands for not measured.

    Args:
        file: the main file: a plain name inside the bundle, by which the artifact is known.
        format: a name of `runtime.engines.table`: `onnx`, ...
        precision: `fp32`, `fp16`, `int8`, ...
        bytes: size of all `files` together: what a device has to store.
        sha256: hash of `file`, 64 lower-case hexadecimal digits.
        top1: accuracy on the test photos, 0 to 1.
        ci95: 95 % interval of `top1`.
        agreement_with_fp32: share of test photos with the label of the fp32 artifact, 0 to 1.
        latency_ms: on the machine of the manifest.
        status: `pass`, `fail` or `not_measured`.
        why: the reason for any status but `pass`.
        files: all files of the model by name, `file` among them; that one alone if none are given, as in bundles of
            earlier versions.
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
        """Read an untrusted row; the names in `files` are still to be checked. Raises `BundleError`."""
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
            fields.refuse("files", f"files with {shortened(row.file)} among them, of the row's sha256")
        if sum(each.bytes for each in row.files.values()) != row.bytes:
            fields.refuse("files", f"files of {row.bytes:,} bytes together, as the row says")
        return row


def read_file_rows(fields: Fields, key: str, most: int) -> dict[str, FileRow]:
    """Read untrusted hashes and sizes by name; the names are still to be checked. Raises `BundleError`."""
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
