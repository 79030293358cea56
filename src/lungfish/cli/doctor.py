"""Define the command `lungfish doctor`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from lungfish.workflows.doctor import Diagnosis


def doctor(json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False) -> int:
    """Show what is installed, what works and how fast this machine is.

    Exits with 3 if predicting would fail.
    """
    from lungfish.cli.output import print_json
    from lungfish.core.errors import MachineError
    from lungfish.workflows.doctor import examine

    diagnosis = examine()
    if json:
        print_json(diagnosis.to_json())
    else:
        _print(diagnosis)
    return 0 if diagnosis.ok else MachineError.exit_code


def _print(diagnosis: Diagnosis) -> None:
    from lungfish.cli.output import warn
    from lungfish.core.extras import install_extra
    from lungfish.core.names import plural

    here, cache = diagnosis.machine, diagnosis.cache
    rows = [
        [
            "machine",
            f"{here['cpu']}, {plural(here['cores'], 'core')}, {here['memory_bytes'] / 1e9:.0f} GB, {here['os']}",
        ],
        ["python", diagnosis.python],
    ]
    rows += [[name, version or "not installed"] for name, version in diagnosis.packages.items()]
    rows += [
        [f"runtime {name}", runtime["why"] or ", ".join(runtime["devices"])]
        for name, runtime in diagnosis.runtimes.items()
    ]
    rows += [
        [f"extra {name}", "installed" if there else f"not installed: {install_extra(name)}"]
        for name, there in diagnosis.extras.items()
    ]
    rows += [
        ["reads", ", ".join(name for name, works in diagnosis.formats.items() if works)],
        ["cannot read", ", ".join(name for name, works in diagnosis.formats.items() if not works) or "-"],
        ["decode and resize", f"{diagnosis.speed['decode_resize_ms']:.1f} ms for a 1,600 x 1,200 JPEG"],
        ["matrix product", f"{diagnosis.speed['matmul_gflops']:.0f} billion operations/s, float32"],
        ["cache", f"{cache['folder']}: {cache['bytes'] / 1e6:.1f} MB used, {cache['free_bytes'] / 1e9:.0f} GB free"],
    ]
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        print(f"{name.ljust(width)}  {text}")
    print("ok" if diagnosis.ok else "not ok")
    for problem in diagnosis.problems:
        warn(f"problem: {problem}")
    for warning in diagnosis.warnings:
        warn(f"warning: {warning}")
