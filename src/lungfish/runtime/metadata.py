"""Write and check the metadata inside a model file, which repeats the bundle's labels and resize rule."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

from lungfish.core.errors import BundleError
from lungfish.core.untrusted import HINT, check_values
from lungfish.runtime.preprocessing import Preprocessing


def graph_metadata(labels: Sequence[str], preprocess: Preprocessing) -> dict[str, str]:
    """Return the metadata of a model file: `labels`, a JSON list in class order, and `preprocess`, a JSON object."""
    return {
        "labels": json.dumps(list(labels), ensure_ascii=False),
        "preprocess": json.dumps(preprocess.to_json(), sort_keys=True),
    }


def check_metadata(metadata: Mapping[str, str], labels: Sequence[str], preprocess: Preprocessing, file: str) -> None:
    """Check that a model file and its bundle have the same classes in the same order, and the same resize rule.

    Raises:
        BundleError: They differ, or the file has no metadata.
    """
    expected = graph_metadata(labels, preprocess)
    for key, text in expected.items():
        if _value(metadata.get(key, "")) != json.loads(text):
            raise BundleError(f"the {key} metadata of {file} does not match the bundle", HINT)


def _value(text: str) -> object:
    try:
        check_values(text)
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
