"""Check whether PyTorch is installed; only gradient descent needs it."""

from __future__ import annotations

from lungfish.core.errors import MissingExtraError
from lungfish.core.extras import install_extra
from lungfish.core.names import in_short


def has_torch() -> bool:
    """Return whether torch is installed.

    Raises:
        MissingExtraError: It is installed, but its import fails.
    """
    try:
        import torch  # noqa: F401
    except ModuleNotFoundError as error:
        if error.name == "torch":
            return False
        raise _broken(error) from None
    except Exception as error:  # noqa: BLE001  missing system libraries raise various errors
        raise _broken(error) from None
    return True


def _broken(error: Exception) -> MissingExtraError:
    return MissingExtraError(
        f"torch is installed, but cannot be imported: {in_short(error)}",
        f"Reinstall it: {install_extra('torch')}. Or uninstall it: --recipe probe does not need it.",
    )
