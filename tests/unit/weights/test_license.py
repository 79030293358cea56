"""The license gate: what passes, and what it says when it does not."""

from dataclasses import replace

import pytest

from lungfish.core.errors import LicenseError
from lungfish.weights.catalogue import find_entry
from lungfish.weights.license import NOASSERTION, PERMISSIVE, check_license, is_permissive

PERMITTED = find_entry("efficientnet_lite0.in1k")
UNKNOWN = find_entry("mobilenet_v2.tv_in1k")
NONCOMMERCIAL = replace(UNKNOWN, license="CC-BY-NC-4.0", code_license="")


@pytest.mark.parametrize("license_id", [*sorted(PERMISSIVE), "apache-2.0", "mit", "BSD-3-CLAUSE", "cc0-1.0"])
def test_permissive_licenses_pass(license_id: str) -> None:
    assert is_permissive(license_id)
    assert check_license(replace(PERMITTED, license=license_id), None) == ""
    assert check_license(replace(PERMITTED, license=license_id), license_id) == ""


@pytest.mark.parametrize(
    "license_id",
    [
        "",
        NOASSERTION,
        "other",
        "GPL-3.0-only",
        "AGPL-3.0",
        "CC-BY-NC-4.0",
        "CC-BY-SA-4.0",
        "openrail",
        "Apache",
        "MITx",
    ],
)
def test_others_are_refused(license_id: str) -> None:
    assert not is_permissive(license_id)
    with pytest.raises(LicenseError):
        check_license(replace(UNKNOWN, license=license_id), None)


def test_an_unknown_license_says_where_it_was_looked_for_and_what_to_do() -> None:
    with pytest.raises(LicenseError) as caught:
        check_license(UNKNOWN, None)
    message, hint = caught.value.message, caught.value.hint
    assert "no license is stated for the weights mobilenet_v2.tv_in1k" in message
    assert UNKNOWN.license_source in message
    assert "The code they came with is under BSD-3-Clause." in message
    assert UNKNOWN.training_data in message
    assert UNKNOWN.url in hint
    assert hint.endswith("lungfish weights fetch mobilenet_v2.tv_in1k --accept-license NOASSERTION")
    assert caught.value.code == "license"
    assert caught.value.exit_code == 2


def test_a_license_that_asks_for_more_is_named() -> None:
    with pytest.raises(LicenseError) as caught:
        check_license(NONCOMMERCIAL, None)
    assert "are under CC-BY-NC-4.0, which is not a permissive license" in caught.value.message
    assert "The code" not in caught.value.message
    assert caught.value.hint.endswith("--accept-license CC-BY-NC-4.0")


@pytest.mark.parametrize("accepted", ["CC-BY-NC-4.0", "cc-by-nc-4.0"])
def test_what_is_accepted_is_returned_to_be_recorded(accepted: str) -> None:
    assert check_license(NONCOMMERCIAL, accepted) == "CC-BY-NC-4.0"
    assert check_license(UNKNOWN, "noassertion") == NOASSERTION


def test_without_a_page_there_is_nothing_to_read() -> None:
    with pytest.raises(LicenseError) as caught:
        check_license(replace(UNKNOWN, url=""), None)
    assert caught.value.hint.startswith("Decide whether you may use them. If so, run: lungfish weights fetch ")


def test_accepting_another_license_does_not_help() -> None:
    with pytest.raises(LicenseError, match="You accepted MIT, a different license"):
        check_license(NONCOMMERCIAL, "MIT")


def test_texts_of_a_server_cannot_drive_the_terminal() -> None:
    hostile = replace(UNKNOWN, license="\x1b[2J", license_source="\x1b[31m", url="\x1b]0;x\x07", name="\x1b[1m")
    with pytest.raises(LicenseError) as caught:
        check_license(hostile, "\x1b[5m")
    assert "\x1b" not in str(caught.value)
