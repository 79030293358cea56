"""Open a bundle by its folder, or published weights as a bundle."""

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
    """Open a bundle, or published weights, which are exported once to a bundle in the cache.

    A bundle may come from anyone: every listed file that exists is checked first. Bundles need the base install;
    weights need the extra `train` at their first use.

    Args:
        model: Folder of a bundle, or a name of weights: `efficientnet_lite0.in1k`.
        progress: Receives the progress of fetching and exporting weights at their first use; silent if None.

    Raises:
        UsageError: It is neither a folder nor a name of weights.
        BundleError: The bundle is damaged: `bundle.json` is missing or invalid, or of a newer schema; the default
            artifact is missing; or a file is altered, truncated, a link or outside the folder.
        LicenseError: The license of the weights was not accepted.
        MachineError: The weights cannot be fetched or exported, or only the base install is available.

    Examples:
        >>> import lungfish as lf
        >>> bundle = lf.load("shoes/")
        >>> bundle.labels
        ('boot', 'sandal', 'shoe')
        >>> lf.load("efficientnet_lite0.in1k").predict("cat.jpg")[0].label
        'tabby'
    """
    if os.path.exists(model):  # noqa: PTH110  never raises, unlike Path's
        return open_bundle(model)
    try:
        from lungfish.workflows.published_bundle import published_bundle

        return open_bundle(published_bundle(str(model), progress or Progress()))
    except UnknownNameError as error:
        raise UsageError(
            f"no bundle or weights called {printable(str(model))}",
            f"{error.hint} Or give the folder that lungfish train wrote.",
        ) from None
    except ModuleNotFoundError as error:
        raise missing_extra(error, f"predicting with the weights {printable(str(model))}") from None
