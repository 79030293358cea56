"""Define the `lungfish` command: its subcommands, and how each of them ends."""

from __future__ import annotations

import errno
import os
import re
import signal
import sys
import traceback
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer

from lungfish.cli.compare import compare
from lungfish.cli.demo import demo
from lungfish.cli.describe import describe
from lungfish.cli.doctor import doctor
from lungfish.cli.evaluate import evaluate
from lungfish.cli.explain import explain
from lungfish.cli.models import models
from lungfish.cli.output import print_error, warn
from lungfish.cli.predict import predict
from lungfish.cli.scale import scale
from lungfish.cli.signals import end_soon_after_signals
from lungfish.cli.slim import slim
from lungfish.cli.train import train
from lungfish.cli.weights import weights
from lungfish.core.errors import LungfishError, MachineError, StorageError, UsageError, WorkerError
from lungfish.core.extras import missing_extra
from lungfish.core.files import DAMAGED, DISK_ERRORS, NO_SPACE
from lungfish.core.names import in_short, printable

COMMANDS = (demo, train, predict, evaluate, explain, slim, models, describe, compare, scale, doctor)
STOPPED, INTERRUPTED = 75, 130
WATCHED = (predict, evaluate, explain)  # run untrusted bundles, and have nothing to save when a signal arrives
# typer's base class of usage errors; newer versions vendor click, so it cannot be imported by name
UsageProblem: type[Exception] = typer.BadParameter.__mro__[2]

app = typer.Typer(
    name="lungfish",
    help="Turn a folder of labelled photos into a small image classifier, proven on the exported file.",
    add_completion=False,
    rich_markup_mode=None,  # plain help: rich would double its time
    pretty_exceptions_enable=False,
)
for command in COMMANDS:
    app.command()(command)
app.add_typer(weights)


def _print_version(wanted: bool) -> None:
    if wanted:
        from lungfish.core.version import __version__

        print(f"lungfish {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    pass


class Stopped(BaseException):
    """Raised on SIGTERM; like KeyboardInterrupt, it escapes `except Exception`. The cache is kept for the next run."""


def main() -> None:
    """Run the command line and exit with its exit code."""
    signal.signal(signal.SIGTERM, _stop)
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:  # closed by the parent process
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115  stays open until exit
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):  # labels may contain characters that the terminal cannot encode
            stream.reconfigure(errors="backslashreplace")
    if sys.argv[1:] and sys.argv[1] in [command.__name__ for command in WATCHED]:
        end_soon_after_signals({signal.SIGINT: INTERRUPTED, signal.SIGTERM: STOPPED})
    code = run(sys.argv[1:])
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # nothing is left to stop
    if "RANK" in os.environ:  # started by torchrun
        _exit_at_once(code)
    sys.exit(code)


def _exit_at_once(code: int) -> None:
    """Exit without shutting down the interpreter.

    PyTorch never frees the reducer of DistributedDataParallel, so gloo's threads outlive the process group. They can
    abort the process during interpreter shutdown: a finished job would then exit with SIGABRT.
    """
    sys.stderr.flush()  # stdout was flushed after the command
    os._exit(code)


def run(arguments: list[str]) -> int:
    """Run one command and return its exit code.

    0 ok, 1 a check failed, 2 usage, 3 environment or disk, 75 stopped but resumable, 130 Ctrl-C.
    """
    try:
        code = _run(arguments or ["--help"])
        sys.stdout.flush()
    except BrokenPipeError:  # the reader of the output has exited (lungfish ... | head)
        _give_up_stdout()
        return 1
    except OSError as error:
        _give_up_stdout()
        print_error(StorageError(f"the output cannot be written: {error.strerror}"), as_json=False)
        return StorageError.exit_code
    return code


def _run(arguments: list[str]) -> int:
    try:
        result: Any = app(arguments, prog_name="lungfish", standalone_mode=False)
    except Stopped:
        return _stopped(arguments, STOPPED)
    except (KeyboardInterrupt, typer.Abort):
        return _stopped(arguments, INTERRUPTED)
    except Exception as error:  # last resort: users get a message, not a traceback
        if isinstance(error, BrokenPipeError) or _is_of_stdout(error):
            raise
        return _fail(_explain(error), as_json="--json" in arguments)
    if result == INTERRUPTED:  # typer's result for Ctrl-C
        return _stopped(arguments, INTERRUPTED)
    return result if isinstance(result, int) else 0


def _is_of_stdout(error: Exception) -> bool:
    """Return whether the error means that the disk behind stdout is full: errors of other files have a file name."""
    return isinstance(error, OSError) and error.filename is None and error.errno in NO_SPACE


def _stop(_number: int, _frame: FrameType | None) -> None:
    raise Stopped


def _stopped(arguments: list[str], code: int) -> int:
    resumable = arguments[0] == train.__name__
    warn("stopped: run the same command again to resume" if resumable else "stopped")
    return code


def _fail(error: LungfishError, *, as_json: bool) -> int:
    from lungfish.training.group import is_main_process

    if os.environ.get("LUNGFISH_DEBUG") == "1":
        traceback.print_exc()
    print_error(error, as_json=as_json and is_main_process())  # one value on stdout even if several processes fail
    return error.exit_code


def _explain(error: Exception) -> LungfishError:
    if isinstance(error, ModuleNotFoundError):
        error = missing_extra(error, "this command")
    if isinstance(error, LungfishError):
        return error
    if isinstance(error, UsageProblem):
        context = getattr(error, "ctx", None)
        message = error.format_message() if hasattr(error, "format_message") else str(error)
        return UsageError(message, f"See {context.command_path if context else 'lungfish'} --help.")
    if isinstance(error, MemoryError):
        return MachineError("out of memory", "Close other programs, or use fewer or smaller photos.")
    if isinstance(error, OSError) and (error.filename or error.errno in DISK_ERRORS):
        used = printable(os.fsdecode(error.filename)) if error.filename else "a file"
        hint = "Choose a folder that you have access to; LUNGFISH_CACHE sets the cache folder."
        return StorageError(f"cannot use {used}: {error.strerror}", DAMAGED if error.errno == errno.EIO else hint)
    in_group = os.environ.get("WORLD_SIZE", "1") != "1"
    if in_group and isinstance(error, RuntimeError) and re.search(r"\b(gloo|nccl)\b", str(error), re.IGNORECASE):
        return WorkerError(
            f"another process of the group has ended: {in_short(error)}",
            "See its output. Run the same command again to resume; docs/training.md explains how torchrun does that.",
        )
    return MachineError(
        f"unexpected {type(error).__name__}: {in_short(error)}",
        "This is a bug. Run again with LUNGFISH_DEBUG=1, and report the traceback and the output of lungfish doctor.",
    )


def _give_up_stdout() -> None:
    """Redirect stdout so that Python does not complain when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
