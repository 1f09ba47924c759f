"""Subjects that are chosen by name, with or without ``sub-``."""

from collections.abc import Collection, Mapping
from difflib import get_close_matches

from medrev.errors import InputError


def is_chosen(chosen: Collection[str] | None, *names: str) -> bool:
    """Whether one of the names of a subject is among those chosen (None: all are).

    Example:
        >>> is_chosen(["01"], "sub-01_ses-1", "sub-01"), is_chosen(["sub-A"], "B")
        (True, False)
    """
    return chosen is None or not {*map(_label, chosen)}.isdisjoint(map(_label, names))


def check_chosen(chosen: Collection[str] | None, known: Mapping[str, str], wrong: str) -> None:
    """Refuse names that nobody has.

    Args:
        chosen: The names.
        known: All names that there are, and by which the message calls them.
        wrong: Beginning of the message.

    Raises:
        InputError: Naming them, and those that are meant perhaps.
    """
    named = {_label(name): called for name, called in known.items()}
    missing = [name for name in chosen or () if _label(name) not in named]
    if not missing:
        return
    near = [m for name in missing for m in get_close_matches(_label(name), list(named), n=2)]
    all_names = sorted(set(named.values()))
    rest = " …" if len(all_names) > 8 else ""
    hint = f"there are {', '.join(all_names[:8])}{rest}"
    if near:
        hint = f"did you mean {' or '.join(dict.fromkeys(named[name] for name in near))}?"
    raise InputError(f"{wrong}: {', '.join(missing)}; {hint}")


def _label(name: str) -> str:
    return name.removeprefix("sub-")
