"""A command's options from one declaration: the fields of a frozen dataclass.

The same class is what Python callers give: its field is the keyword, the field's docstring is the
help, and its type says what is read from the command line. A class that inherits from another one
has the options of both. Standard library only: what ``--help`` needs must be imported in
milliseconds, and pydantic-settings' command line takes 0.2 s and more to begin.

How fields become options:

- ``name: Literal["a", "b"] = "a"`` — ``--name {a,b}``
- ``name: Path | None = None``, ``int``, ``float``, ``str`` — ``--name NAME``
- ``name: bool = False`` — ``--name``; of a field that is true by default ``--no-name``
- ``name: tuple[Path, ...] = ()`` — ``--name A B``, or ``--name A --name B`` with ``repeat``

``field(metadata={…})`` may say: ``metavar``; ``group``, the heading in the help; ``positional``;
``repeat``; ``choices``; ``parse``, which reads the text in place of the type; ``option``, its name
where it is not the field's, and ``also``, another one; ``unset`` where the command must know
whether it was given; ``cli: False`` for a field that Python callers alone have.

Example:
    >>> from dataclasses import dataclass, field
    >>> @dataclass(frozen=True, kw_only=True)
    ... class Settings:
    ...     steps: int = field(default=3, metadata={"metavar": "N"})
    ...     picture: bool = True
    >>> parser = argparse.ArgumentParser()
    >>> add_options(parser, Settings)
    >>> take_options(Settings, parser.parse_args(["--steps", "5", "--no-picture"]))
    Settings(steps=5, picture=False)
"""

import argparse
import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Mapping, Sequence
from dataclasses import MISSING, Field, fields
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from medrev.errors import MedrevError

Options = TypeVar("Options")


def add_options(
    parser: argparse.ArgumentParser, *options: type[Any], groups: Sequence[str] = ()
) -> None:
    """Add the options that classes declare.

    Args:
        parser: Gets them.
        options: Dataclasses; see above.
        groups: Headings in the order in which the help shows them; others come after them, as
            fields name them.
    """
    places: dict[str, Any] = {"": parser}
    for title in groups:
        places[title] = parser.add_argument_group(title)
    for declared in options:
        docs, hints = field_docs(declared), get_type_hints(declared)
        for each in fields(declared):
            if not each.metadata.get("cli", True):
                continue
            title = each.metadata.get("group", "")
            if title not in places:
                places[title] = parser.add_argument_group(title)
            names, settings = _argument(each, hints[each.name], docs.get(each.name, ""))
            places[title].add_argument(*names, **settings)


def take_options(options: type[Options], arguments: argparse.Namespace, **more: Any) -> Options:
    """The options that were given, as an object of the class that declares them.

    ``more`` are fields that the command gives in other words.

    Raises:
        MedrevError: What the class raises, in the words of the command line.
    """
    given = given_options(options, arguments)
    declared: Any = options
    try:
        return options(**given, **more)
    except MedrevError as error:
        names = {each.name: _name(each) for each in fields(declared) if each.name in given}
        raise type(error)(_as_options(str(error), names)) from None


def given_options(options: type[Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """The same as values by field; those that have none are left out."""
    found = {
        each.name: getattr(arguments, _name(each), None)
        for each in fields(options)
        if each.metadata.get("cli", True)
    }
    return {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in found.items()
        if value is not None
    }


def _name(each: "Field[Any]") -> str:
    """What the option of a field is called."""
    return str(each.metadata.get("option", each.name))


def _as_options(text: str, names: Mapping[str, str]) -> str:
    """A message with the names of options, by field, as they are typed, not as Python has them."""
    for name, option in names.items():
        if "_" in name or text.startswith(f"{name} "):  # others are words of prose, too
            text = re.sub(rf"(?<![\w.-]){name}\b", f"--{option.replace('_', '-')}", text)
    return text


def field_docs(options: type[Any]) -> dict[str, str]:
    """The docstrings of a class's fields, and of those it inherits, on one line each."""
    docs: dict[str, str] = {}
    for each in reversed(options.__mro__):
        try:
            (body,) = ast.parse(textwrap.dedent(inspect.getsource(each))).body
        except (OSError, TypeError, SyntaxError):  # no source: a builtin, a frozen program
            continue
        assert isinstance(body, ast.ClassDef)
        for declared, text in zip(body.body, body.body[1:], strict=False):
            if (
                isinstance(declared, ast.AnnAssign)
                and isinstance(declared.target, ast.Name)
                and isinstance(text, ast.Expr)
                and isinstance(text.value, ast.Constant)
                and isinstance(text.value.value, str)
            ):
                docs[declared.target.id] = " ".join(text.value.value.split())
    return docs


def _argument(each: "Field[Any]", hint: Any, doc: str) -> tuple[list[str], dict[str, Any]]:
    """What ``add_argument`` is given."""
    about, default = each.metadata, each.default
    name = _name(each)
    option = name.replace("_", "-")
    settings: dict[str, Any] = {"help": doc.replace("``", "").replace("%", "%%")}
    if hint is bool and default is True:
        settings.update(action="store_false", dest=name, help=f"do not {settings['help']}")
        return [f"--no-{option}"], settings
    if hint is bool:
        return [f"--{option}"], {**settings, "action": "store_true"}
    kind, many = _kind(hint)
    if get_origin(kind) is Literal:
        settings.update(choices=get_args(kind), type=type(get_args(kind)[0]))
    else:
        settings["type"] = _path if kind is Path else kind
    settings.update({key: about[key] for key in ("metavar", "choices") if key in about})
    settings["type"] = about.get("parse", settings["type"])
    if about.get("positional"):
        if many:
            settings["nargs"] = "+" if default is MISSING else "*"
        return [name], settings
    if many:
        how = {"action": "append"} if about.get("repeat") else {"action": "extend", "nargs": "+"}
        settings.update(how)
    elif default is not MISSING and not about.get("unset"):
        settings["default"] = default
    return [f"--{option}", *([about["also"]] if "also" in about else [])], settings


def _path(text: str) -> Path:
    """A path; an empty text, as of a variable that a script has not set, would be the folder."""
    if not text:
        raise argparse.ArgumentTypeError("a path must not be empty")
    return Path(text)


def _kind(hint: Any) -> tuple[Callable[[str], Any], bool]:
    """What a text becomes, and whether there may be several."""
    if get_origin(hint) in {Union, UnionType}:
        kinds = [kind for kind in get_args(hint) if kind is not NoneType]
        return _kind(Path if Path in kinds else kinds[0])
    if get_origin(hint) is tuple:
        return _kind(get_args(hint)[0])[0], True
    return hint, False
