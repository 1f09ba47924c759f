"""The commands for other programs, made of the one declaration of their options.

``python -m medrev.cli.interfaces medrev-infer`` prints a Boutiques descriptor. In nipype::

    from medrev.cli.interfaces import nipype_interface

    Infer = nipype_interface("medrev-infer")
    Infer(inputs=["sub-01_T1w.nii.gz"], output="results").run()
"""

import argparse
import importlib
import json
import shlex
import sys
from collections.abc import Sequence
from typing import Any

from medrev import __version__
from medrev.cli.common import command_parser, run_command
from medrev.errors import ConfigError, InputError, install

#: Commands that run on data, and the modules that have their parsers.
COMMANDS = {
    f"medrev-{name}": f"medrev.cli.{name.replace('-', '_')}"
    for name in (
        "infer",
        "bids-app",
        "evaluate",
        "train",
        "sample",
        "export",
        "calibrate",
        "degrade",
    )
}
#: Options that end the command, and those about what it prints of itself.
_ASIDE = {"help", "version", "debug", argparse.SUPPRESS}


def parser_of(command: str) -> argparse.ArgumentParser:
    """The parser of a command.

    Raises:
        ConfigError: There is no such command.
    """
    if command not in COMMANDS:
        raise ConfigError(f"the command must be one of {', '.join(COMMANDS)}, got {command!r}")
    parser: argparse.ArgumentParser = importlib.import_module(COMMANDS[command]).build_parser()
    return parser


def boutiques_descriptor(command: str) -> dict[str, Any]:
    """A command as a Boutiques descriptor (schema 0.5).

    Raises:
        ConfigError: There is no such command.
    """
    parser = parser_of(command)
    inputs = [_boutiques_input(action) for action in _actions(parser)]
    words = " ".join(str(each["value-key"]) for each in inputs)
    outputs = [
        {
            "id": "results",
            "name": "Results",
            "description": "What the command writes",
            "path-template": each["value-key"],
            "optional": True,
        }
        for each in inputs
        if each["id"] in ("output", "output_dir")
    ]
    return {
        "name": command,
        "description": " ".join((parser.description or command).split()),
        "tool-version": __version__,
        "schema-version": "0.5",
        "command-line": f"{command} {words}",
        "inputs": inputs,
        "groups": [
            {
                "id": "_or_".join(_name(action) for action in group._group_actions),
                "name": " or ".join(_name(action) for action in group._group_actions),
                "members": [_name(action) for action in group._group_actions],
                "mutually-exclusive": True,
            }
            for group in parser._mutually_exclusive_groups
        ],
        **({"output-files": outputs} if outputs else {}),
        "error-codes": [
            {"code": 1, "description": "Failed"},
            {"code": 2, "description": "Wrong usage, pipeline or input; nothing was written"},
            {"code": 3, "description": "Some subjects failed, the others are done"},
            {"code": 130, "description": "Interrupted"},
            {"code": 143, "description": "Terminated"},
        ],
    }


def nipype_interface(command: str) -> type[Any]:
    """A class of nipype's that runs a command; its inputs are the command's options.

    Its output ``files`` are the paths that the command has printed. Where it fails, also of some
    subjects only, running it raises RuntimeError with the command's own words.

    Raises:
        ConfigError: There is no such command.
        InputError: nipype is not installed.
    """
    parser = parser_of(command)
    try:
        from nipype.interfaces import base
    except ImportError:
        raise InputError(f"the package nipype is missing: {install('nipype')}") from None
    fields = {
        _name(action): _trait(action, base.traits, position)
        for position, action in enumerate(_actions(parser))
    }
    listed = {"files": base.traits.List(base.traits.Str, desc="paths that the command has printed")}

    def aggregate_outputs(self: Any, runtime: Any = None, needed_outputs: Any = None) -> Any:
        if runtime.returncode:  # nipype itself goes on
            raise RuntimeError((runtime.stderr or "").strip() or f"{self.cmdline} has failed")
        outputs = self._outputs()
        outputs.files = [line for line in (runtime.stdout or "").splitlines() if line]
        return outputs

    def format_argument(self: Any, name: str, trait: Any, value: Any) -> Any:
        if isinstance(value, str):
            value = shlex.quote(value)
        elif isinstance(value, list):
            value = [shlex.quote(each) if isinstance(each, str) else each for each in value]
        return base.CommandLine._format_arg(self, name, trait, value)

    words = "".join(part.capitalize() for part in command.split("-")[1:])
    return type(
        words,
        (base.CommandLine,),
        {
            "__doc__": parser.description,
            "_cmd": command,
            "_terminal_output": "stream",
            "input_spec": type(f"{words}Inputs", (base.CommandLineInputSpec,), fields),
            "output_spec": type(f"{words}Outputs", (base.TraitedSpec,), listed),
            "aggregate_outputs": aggregate_outputs,
            "_format_arg": format_argument,
        },
    )


def _actions(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    """What a program may set; options first, because some of them take several words."""
    known = [action for action in parser._actions if action.dest not in _ASIDE]
    return sorted(known, key=lambda action: bool(action.option_strings))


def _name(action: argparse.Action) -> str:
    """As the option is spelt: ``no_quick_look``."""
    return (action.option_strings or [action.dest])[0].lstrip("-").replace("-", "_")


def _is_list(action: argparse.Action) -> bool:
    return action.nargs in ("+", "*") or isinstance(action, argparse._AppendAction)


def _is_flag(action: argparse.Action) -> bool:
    return action.nargs == 0


def _is_optional(action: argparse.Action) -> bool:
    return bool(action.option_strings) or action.nargs == "*"


def _boutiques_input(action: argparse.Action) -> dict[str, Any]:
    kinds = {int: "Number", float: "Number"}
    kind = "Flag" if _is_flag(action) else kinds.get(action.type, "String")  # type: ignore[call-overload]
    made: dict[str, Any] = {
        "id": _name(action),
        "name": _name(action).replace("_", " "),
        "description": (action.help or "").replace("%%", "%"),
        "type": kind,
        "optional": _is_optional(action),
        "value-key": f"[{_name(action).upper()}]",
    }
    if action.option_strings:
        made["command-line-flag"] = action.option_strings[0]
    if action.choices is not None:
        made["value-choices"] = list(action.choices)
    if action.type is int:
        made["integer"] = True
    if _is_list(action):
        made["list"] = True
    return made


def _trait(action: argparse.Action, traits: Any, position: int) -> Any:
    about: dict[str, Any] = {"desc": action.help, "mandatory": not _is_optional(action)}
    flag = action.option_strings[0] if action.option_strings else ""
    if _is_flag(action):
        return traits.Bool(argstr=flag, **about)
    if not flag:
        about["position"] = position
    kinds = {int: traits.Int, float: traits.Float}
    kind = kinds.get(action.type, traits.Str)  # type: ignore[call-overload]
    one = kind() if action.choices is None else traits.Enum(*action.choices)
    form = {int: "%d", float: "%g"}.get(action.type, "%s")  # type: ignore[call-overload]
    words = f"{flag} {form}".strip()
    if not _is_list(action):
        if action.choices is not None:
            return traits.Enum(*action.choices, argstr=words, **about)
        return kind(argstr=words, **about)
    repeated = isinstance(action, argparse._AppendAction)
    return traits.List(one, argstr=f"{words}..." if repeated else words, sep=" ", **about)


def build_parser() -> argparse.ArgumentParser:
    """The options of this module."""
    parser = command_parser(
        "medrev.cli.interfaces",
        description="Print a command as a Boutiques descriptor, made of its own options.",
    )
    parser.add_argument("command", metavar="COMMAND", help=", ".join(COMMANDS))
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Print a descriptor and return the exit code."""
    return run_command(build_parser, _print, argv)


def _print(arguments: argparse.Namespace) -> None:
    print(json.dumps(boutiques_descriptor(arguments.command), indent=2, ensure_ascii=False))


if __name__ == "__main__":
    sys.exit(main())
