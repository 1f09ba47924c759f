"""What the commands share: options, exit codes, and errors as one line on standard error.

Exit codes: 0 done; 1 failed; 2 wrong usage, pipeline or input; 3 some subjects failed;
130 interrupted; 143 terminated.
"""

import argparse
import errno
import logging
import os
import sys
import traceback
import warnings
from collections.abc import Callable, Sequence
from typing import Any

from medrev import __version__
from medrev.cli.options import add_options
from medrev.cli.signals import Signals, Terminated
from medrev.cli.streams import lasting_streams
from medrev.errors import ConfigError, MedrevError, OutputError

__all__ = [
    "add_common_options",
    "check_device_name",
    "command_parser",
    "first_process",
    "run_command",
]

FAILED, USAGE, PARTIAL, INTERRUPTED, TERMINATED = 1, 2, 3, 130, 143


def command_parser(
    prog: str,
    *options: type[Any],
    groups: Sequence[str] = (),
    device: bool = False,
    **settings: Any,
) -> argparse.ArgumentParser:
    """The parser of a command: the options that classes declare, and those of all commands.

    Args:
        prog: Name of the command.
        options: Dataclasses (:mod:`medrev.cli.options`).
        groups: Headings of the help, in their order.
        device: Whether the command has ``--device``.
        settings: ``description``, ``epilog`` and ``usage`` of :class:`argparse.ArgumentParser`,
            shown as they are.
    """
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(prog, allow_abbrev=False, formatter_class=raw, **settings)
    add_options(parser, *options, groups=groups)
    add_common_options(parser, device=device)
    return parser


def add_common_options(parser: argparse.ArgumentParser, *, device: bool = True) -> None:
    """Add ``--debug`` and ``--version``, and ``--device`` where the command has one."""
    if device:
        parser.add_argument(
            "--device",
            default="auto",
            type=check_device_name,
            metavar="DEVICE",
            help="auto (default), cpu, cuda, cuda:N or mps",
        )
    parser.add_argument(
        "--debug", action="store_true", help="show tracebacks and the warnings of libraries"
    )
    parser.add_argument("--version", action="version", version=f"medrev {__version__}")


def check_device_name(text: str) -> str:
    """The name of a device; whether the machine has it is seen when it is used.

    Raises:
        argparse.ArgumentTypeError: It is not a name of a device.
    """
    kind, colon, index = text.partition(":")
    if text in {"auto", "cpu", "cuda", "mps"} or (kind == "cuda" and colon and index.isdecimal()):
        return text
    raise argparse.ArgumentTypeError(f"must be auto, cpu, cuda, cuda:N or mps, got '{text}'")


def first_process() -> bool:
    """Whether this is the only process or, under ``torchrun``, the one that prints."""
    return _rank() == "0"


def _rank() -> str:
    return os.environ.get("RANK") or os.environ.get("LOCAL_RANK") or "0"


def run_command(
    build_parser: Callable[[], argparse.ArgumentParser],
    body: Callable[[argparse.Namespace], int | None],
    argv: Sequence[str] | None = None,
    *,
    memory_advice: str = "",
) -> int:
    """Parse the command line, run a command, and turn what goes wrong into a line and a code.

    Args:
        build_parser: Makes the parser; its ``prog`` begins each message.
        body: Does the work; may return an exit code (None is 0).
        argv: The arguments (default: those of the process).
        memory_advice: What to do when memory runs out.

    Returns:
        The exit code.
    """
    parser = build_parser()
    arguments = parser.parse_intermixed_args(argv)
    with lasting_streams(), Signals():
        return _run(parser.prog, arguments, body, memory_advice)


def _run(
    prog: str,
    arguments: argparse.Namespace,
    body: Callable[[argparse.Namespace], int | None],
    memory_advice: str,
) -> int:
    _quieten(arguments.debug)
    code, message = FAILED, ""
    try:
        return body(arguments) or 0
    except MedrevError as error:
        code = USAGE
        shared = isinstance(error, ConfigError | OutputError)
        message = str(error) if first_process() or not shared else ""
        _show_traceback(arguments.debug)
    except KeyboardInterrupt as error:
        code = TERMINATED if isinstance(error, Terminated) else INTERRUPTED
        message = (str(error) or "interrupted") if first_process() else ""
    except Exception as error:
        message = _unexpected(error, arguments.debug, memory_advice)
        _show_traceback(arguments.debug)
    _print_errors(prog, message)
    return code


def _print_errors(prog: str, message: str) -> None:
    """Print each line of a message with the command's name before it."""
    where = "" if first_process() else f" (process {_rank()})"
    for line in message.splitlines():
        print(f"{prog}: error{where}: {line}", file=sys.stderr, flush=True)


def _unexpected(error: Exception, debug: bool, memory_advice: str) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, MemoryError) or "out of memory" in text.lower():
        return "not enough memory" + (f"; {memory_advice}" if memory_advice else "")
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return f"the disk is full ({text})"
    advice = "" if debug else " (run with --debug for the traceback)"
    return f"{type(error).__name__}: {text}{advice}"


def _show_traceback(debug: bool) -> None:
    if debug:
        traceback.print_exc()


def _quieten(debug: bool) -> None:
    """Log to standard error; silence what libraries print unless ``debug``."""
    level = logging.DEBUG if debug else logging.INFO if first_process() else logging.ERROR
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(logging.Formatter("%(message)s"))
    logger = logging.getLogger("medrev")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
    if not debug:
        warnings.simplefilter("ignore")
        os.environ.setdefault("PYTHONWARNINGS", "ignore")  # worker processes too
        logging.getLogger().setLevel(logging.CRITICAL)
