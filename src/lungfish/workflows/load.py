"""A bundle, by its folder; or a published set of weights as one."""

from __future__ import annotations

import os
from pathlib import Path

from lungfish.core.errors import UnknownNameError, UsageError
from lungfish.core.extras import missing_extra
from lungfish.core.names import printable
from lungfish.core.progress import Progress
from lungfish.deploy.open_bundle import open_bundle
from lungfish.runtime.bundle import Bundle


def load(model: str | Path, progress: Progress | None = None) -> Bundle:
    """Open a bundle, or a published set of weights, which is exported once to a bundle in the cache.

    A bundle may come from anyone: every listed file that is there is checked first. It needs the base install; a set of
    weights needs the training install the first time.

    Args:
        model: Folder of a bundle, or the name of a set of weights: `efficientnet_lite0.in1k`.
        progress: Told of the fetch and export that the first use of a set of weights needs; silent if None.

    Raises:
        UsageError: neither a folder nor a set of weights.
        BundleError: not a sound bundle: no `bundle.json`, one that is not valid, a newer schema, a default artifact
            that is missing, or a file that is altered, truncated, a link or outside the folder.
        LicenseError: the license of the weights was not accepted.
        MachineError: the weights cannot be fetched or exported, or this is the base install.

    Examples:
        >>> import lungfish as lf
        >>> bundle = lf.load("shoes/")
        >>> bundle.labels
        ('boot', 'sandal', 'shoe')
        >>> lf.load("efficientnet_lite0.in1k").predict("cat.jpg")[0].label
        'tabby'
    """
    if os.path.exists(model):  # noqa: PTH110  unlike Path's, it never raises
        return open_bundle(model)
    try:
        from lungfish.workflows.published_bundle import published_bundle

        return open_bundle(published_bundle(str(model), progress or Progress()))
    except UnknownNameError as error:
        raise UsageError(
            f"no bundle and no set of weights at {printable(str(model))}",
            f"{error.hint} Or give the folder that lungfish train wrote.",
        ) from None
    except ModuleNotFoundError as error:
        raise missing_extra(error, f"predicting with weights, {printable(str(model))},") from None
