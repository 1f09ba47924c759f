"""``medrev-bids-app``: medrev-infer over a BIDS dataset, with the words of every BIDS App."""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Literal

from medrev.cli.common import command_parser, run_command
from medrev.cli.infer import Inputs, infer
from medrev.cli.options import take_options
from medrev.cli.places import Places
from medrev.errors import ConfigError
from medrev.options import Request


@dataclass(frozen=True, kw_only=True)
class Options:
    """What every BIDS App is told."""

    bids_dir: Path = field(metadata={"positional": True})
    """the dataset"""
    output_dir: Path = field(metadata={"positional": True})
    """folder of the results, which becomes a derivative dataset"""
    analysis_level: Literal["participant", "group"] = field(metadata={"positional": True})
    """participant: translate every subject; group: a table of the maps that are in output_dir,
    group_maps.tsv, a line each"""
    participant_label: tuple[str, ...] | None = field(
        default=None, metadata={"metavar": "LABEL", "also": "--participant_label"}
    )
    """only these subjects, with or without 'sub-'"""
    model: tuple[Path, ...] | None = field(
        default=None, metadata={"group": "model", "metavar": "RUN|FILE|NAME", "repeat": True}
    )
    """as of medrev-infer (default: the shipped one for the dataset)"""


def build_parser() -> argparse.ArgumentParser:
    """The options of ``medrev-bids-app``."""
    return command_parser(
        "medrev-bids-app",
        Options,
        Request,
        Places,
        groups=("input", "output", "model"),
        device=True,
        description="Run medrev on a BIDS dataset. It works offline, and subjects that were done\n"
        "before are kept. Results go into a BIDS derivative dataset.",
        epilog="examples:\n"
        "  medrev-bids-app /data /out participant --participant-label 01 02\n"
        "  medrev-bids-app /data /out participant --model t1-x2 --threads 4\n"
        "  medrev-bids-app /data /out group",
    )


def main(argv: Sequence[str] | None = None) -> int:
    """Run ``medrev-bids-app`` and return its exit code."""
    return run_command(
        build_parser,
        _run,
        argv,
        memory_advice="give the container more, or give a lower --max-memory",
    )


def _run(arguments: argparse.Namespace) -> int:
    options = take_options(Options, arguments)
    if not options.bids_dir.is_dir():
        raise ConfigError(f"bids_dir must be a folder, got {options.bids_dir}")
    if options.output_dir.resolve() == options.bids_dir.resolve():
        raise ConfigError(
            f"output_dir must be another folder than the dataset, such as "
            f"{options.bids_dir / 'derivatives' / 'medrev'}"
        )
    if options.analysis_level == "group":
        _refuse_options_of_participants(arguments)
        from medrev.report.group import write_group_table

        written = write_group_table(
            options.output_dir, options.participant_label, overwrite=arguments.overwrite
        )
        print(*written, sep="\n")
        return 0
    given: dict[str, Any] = {each.name: None for each in fields(Inputs)} | vars(arguments)
    given |= {"inputs": [options.bids_dir], "output": options.output_dir}
    return infer(argparse.Namespace(**given))


def _refuse_options_of_participants(arguments: argparse.Namespace) -> None:
    names = [each for options in (Request, Places) for each in fields(options)]
    given = [
        each.name
        for each in names
        if each.name != "overwrite"
        and getattr(arguments, each.name, None) not in (None, each.default)
    ]
    given += ["model"] if arguments.model else []
    given += ["device"] if arguments.device != "auto" else []
    given += ["threads"] if arguments.threads is not None else []
    if given:
        raise ConfigError(
            f"--{given[0].replace('_', '-')} says how subjects are translated, at the level "
            "participant: leave it out"
        )


if __name__ == "__main__":
    sys.exit(main())
