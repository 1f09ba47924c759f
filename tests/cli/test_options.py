"""Options declared once: what a dataclass's fields become on a command line, and back."""

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest

from medrev.cli.options import add_options, field_docs, take_options


@dataclass(frozen=True, kw_only=True)
class Base:
    """What two commands share."""

    output: Path | None = field(default=None, metadata={"group": "output", "metavar": "DIR"})
    """folder of the results
    (default: the current one)"""
    count: Literal[1, 2, 4] = 1
    """how many, 50% of ``all``"""


def even(text: str) -> int:
    """An even number."""
    if int(text) % 2:
        raise argparse.ArgumentTypeError("must be even")
    return int(text)


@dataclass(frozen=True, kw_only=True)
class Options(Base):
    """Everything that can be declared."""

    inputs: tuple[Path, ...] = field(metadata={"positional": True, "metavar": "INPUT"})
    only: tuple[str, ...] | None = None
    model: tuple[Path, ...] = field(default=(), metadata={"repeat": True})
    kind: Literal["a", "b"] = "a"
    limit: float | None = None
    fast_way: bool = False
    picture: bool = True
    """draw a picture"""
    pairs: int = field(default=2, metadata={"parse": even})
    inner: str = field(default="x", metadata={"cli": False})


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(prog="test")
    add_options(made, Options, groups=("output",))
    return made


def taken(words: str) -> Options:
    return take_options(Options, parser().parse_args(words.split()))


def test_without_options_the_defaults_hold():
    assert taken("one.nii") == Options(inputs=(Path("one.nii"),))


def test_every_type_is_read():
    words = (
        "one two --output out --count 4 --only a b --only c --model m --model n --kind b "
        "--limit 2.5 --fast-way --no-picture --pairs 6"
    )
    assert taken(words) == Options(
        inputs=(Path("one"), Path("two")),
        output=Path("out"),
        count=4,
        only=("a", "b", "c"),
        model=(Path("m"), Path("n")),
        kind="b",
        limit=2.5,
        fast_way=True,
        picture=False,
        pairs=6,
    )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("one --count 3", "argument --count: invalid choice: 3 (choose from 1, 2, 4)"),
        ("one --kind c", "argument --kind: invalid choice: 'c'"),
        ("one --pairs 3", "argument --pairs: must be even"),
        ("one --inner y", "unrecognized arguments: --inner y"),
        ("", "the following arguments are required: INPUT"),
    ],
)
def test_wrong_values_are_named(words, message, capsys):
    with pytest.raises(SystemExit) as ended:
        taken(words)
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_docstrings_of_fields_are_the_help():
    docs = field_docs(Options)
    assert docs["output"] == "folder of the results (default: the current one)"
    text = parser().format_help()
    assert (
        "output:\n  --output DIR          folder of the results (default: the current one)" in text
    )
    assert "how many, 50% of all" in text
    assert "do not draw a picture" in text


def test_part_of_the_options_is_taken_as_the_class_that_declares_it():
    arguments = parser().parse_args(["one", "--count", "2"])
    assert take_options(Base, arguments) == Base(count=2)
