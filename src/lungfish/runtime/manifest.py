"""Read and write `bundle.json`, the manifest of a bundle."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from lungfish.core.errors import BundleError
from lungfish.core.names import choose
from lungfish.core.untrusted import HINT, Fields, is_plain_name, parse_object, shortened
from lungfish.runtime.artifact import ArtifactRow, FileRow, read_file_rows
from lungfish.runtime.description import describe_models, temperature_inside
from lungfish.runtime.preprocessing import Preprocessing

SCHEMA = 1
MANIFEST_NAME = "bundle.json"
MAX_MANIFEST_BYTES = 8 * 2**20  # enough for 100,000 labels of 60 characters; takes under 300 MB when parsed
MAX_LABELS = 100_000
MAX_LABEL_CHARACTERS = 1000
MAX_ARTIFACTS = 100
MAX_FILES = 10_000
PADDINGS = ("same", "symmetric")


@dataclass(frozen=True)
class FlavourRow:
    """How the network pads, `same` or `symmetric`, and the epsilon of its batch norm."""

    padding: str
    bn_eps: float


@dataclass(frozen=True)
class WeightsOrigin:
    """The origin of the pretrained weights; all fields are empty for a network trained from scratch.

    `record` is the weights store's record: origin, license and its acceptance, hashes before and after conversion, and
    verification. It is opaque here, and empty in bundles of earlier versions.
    """

    name: str = ""
    source: str = ""
    license: str = ""
    sha256: str = ""
    record: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class DataSummary:
    """A hash of the contents and labels of the photos, their counts per split, and how they were split."""

    fingerprint: str
    counts: dict[str, int]
    splits: dict[str, Any]


@dataclass(frozen=True)
class Manifest:
    """The content of `bundle.json`.

    Args:
        lungfish: Version that wrote the bundle.
        created: Time of creation, ISO 8601 in UTC.
        seed: Seed of the training.
        packages: Versions of the packages used, by name.
        architecture: The network, as the `architecture` package wrote it; opaque here except for its `name`.
        flavour: Padding and batch-norm epsilon of the weights.
        weights: Origin and license of the pretrained weights.
        labels: Class names, in the order of the output of every artifact.
        thresholds: Thresholds by name, 0 to 1; `known` is the lowest probability at which a prediction counts as known.
        temperature: Divisor of the logits; the artifacts already apply it.
        preprocess: The resize rule.
        data: Summary of the photos.
        artifacts: The models, with their files and measurements.
        default: Name of the default artifact's main file.
        test, val: Metrics of the default artifact.
        machine: Machine of the measurements.
        files: All other files by name, which may contain folders (`golden/inputs.npy`).
    """

    lungfish: str
    created: str
    seed: int
    packages: dict[str, str]
    architecture: dict[str, Any]
    flavour: FlavourRow
    weights: WeightsOrigin
    labels: tuple[str, ...]
    thresholds: dict[str, float]
    temperature: float
    preprocess: Preprocessing
    data: DataSummary
    artifacts: tuple[ArtifactRow, ...]
    default: str
    test: dict[str, Any]
    val: dict[str, Any]
    machine: dict[str, Any]
    files: dict[str, FileRow] = field(default_factory=dict)
    schema: int = SCHEMA

    @classmethod
    def from_json(cls, text: str | bytes) -> Manifest:
        """Read an untrusted `bundle.json`; unknown keys are ignored.

        Raises:
            BundleError: The text is not JSON, a key is missing or out of range, a name is outside the bundle, or the
                schema is newer.
        """
        return _manifest(parse_object(text, MANIFEST_NAME))

    def to_json(self) -> str:
        """Return the text of `bundle.json`, which is deterministic.

        The keys from `lungfish.runtime.description` and `Preprocessing.describe` are for human readers; `from_json`
        ignores them.
        """
        values = {
            "schema": self.schema,
            **describe_models(self.preprocess, len(self.labels)),
            "temperature_inside": temperature_inside((row.file for row in self.artifacts), self.files),
            **asdict(self),
            "preprocess": self.preprocess.to_json() | self.preprocess.describe(),
        }
        return json.dumps(values, ensure_ascii=False, indent=2, allow_nan=False) + "\n"

    def artifact(self, file: str | None = None) -> ArtifactRow:
        """Return the artifact whose main file is `file`, or the default one.

        Raises:
            UnknownNameError: The bundle has no such artifact.
        """
        rows = {row.file: row for row in self.artifacts}
        return rows[choose(file or self.default, rows, "artifact of this bundle")]


def _manifest(fields: Fields) -> Manifest:
    schema = fields.integer("schema", 1, 10**6)
    if schema > SCHEMA:
        raise BundleError(
            f"{MANIFEST_NAME} has schema {schema}; this version of lungfish reads up to {SCHEMA}",
            "Upgrade lungfish: pip install --upgrade lungfish",
        )
    fields.object("architecture").text("name", 200, empty=False)
    artifacts = tuple(ArtifactRow.read(row) for row in fields.rows("artifacts", MAX_ARTIFACTS))
    default = fields.text("default", 255)
    if default not in [row.file for row in artifacts]:
        fields.refuse("default", "the file of one of the artifacts")
    files = read_file_rows(fields, "files", MAX_FILES) if fields.has("files") else {}
    _check_names([*(name for row in artifacts for name in row.files), *files, MANIFEST_NAME])
    flavour, weights, data = fields.object("flavour"), fields.object("weights"), fields.object("data")
    return Manifest(
        schema=schema,
        lungfish=fields.text("lungfish", 100),
        created=fields.text("created", 100),
        seed=fields.integer("seed", 0, 2**64 - 1),
        packages=fields.texts("packages"),
        architecture=fields.object("architecture").values,
        flavour=FlavourRow(flavour.one_of("padding", PADDINGS), flavour.number("bn_eps", 0, 1)),
        weights=_origin(weights),
        labels=_labels(fields),
        thresholds=fields.numbers("thresholds", 0, 1),
        temperature=fields.number("temperature", 1e-6, 1e6),
        preprocess=Preprocessing.read(fields.object("preprocess")),
        data=DataSummary(data.text("fingerprint"), _counts(data), data.object("splits").values),
        artifacts=artifacts,
        default=default,
        test=fields.object("test").values,
        val=fields.object("val").values,
        machine=fields.object("machine").values,
        files=files,
    )


def _origin(weights: Fields) -> WeightsOrigin:
    texts = {key: weights.text(key, 10_000) for key in ("name", "source", "license", "sha256")}
    key = next((key for key in ("record", "card") if weights.has(key)), "")  # earlier bundles have "card"
    return WeightsOrigin(**texts, record=weights.object(key).values if key else {})


def _labels(fields: Fields) -> tuple[str, ...]:
    labels = fields.indexed("labels", MAX_LABELS)
    texts = tuple(labels.text(index, MAX_LABEL_CHARACTERS, empty=False) for index in labels.values)
    if len(texts) < 2 or len(set(texts)) != len(texts):
        fields.refuse("labels", f"a list of 2 to {MAX_LABELS:,} different names")
    return texts


def _counts(fields: Fields) -> dict[str, int]:
    counts = fields.object("counts")
    return {name: counts.integer(name, 0, 10**12) for name in counts.values}


def _check_names(names: list[str]) -> None:
    for name in names:
        if not all(map(is_plain_name, name.split("/"))):
            raise BundleError(
                f"{MANIFEST_NAME} lists {shortened(name)}; every file must have a plain name inside the bundle", HINT
            )
    if len({name.casefold() for name in names}) != len(names):
        raise BundleError(f"{MANIFEST_NAME} lists the same file twice", HINT)
