"""The folder of results as a BIDS derivative dataset, and URIs of files of datasets."""

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from medrev import __version__
from medrev.files import ensure_writable_folder, write_text
from medrev.locks import LOCK, hold
from medrev.texts import read_json

BIDS_VERSION = "1.10.0"
#: Suffixes and formats that BIDS has not adopted yet; the validator is told to pass over them.
IGNORED = ("*_dwimap.*", "*_certificate.json", "*.png", "*.mrb")
_DESCRIPTION = "dataset_description.json"
_LINKS = "DatasetLinks"
_WAIT = 60.0  # seconds that another process may take to write them
_URI = re.compile(r"bids:([A-Za-z0-9]*):(.+)", re.DOTALL)


def describe_dataset(
    folder: Path,
    title: str,
    ignored: tuple[str, ...] = (),
    links: Mapping[str, str] | None = None,
) -> list[Path]:
    """Write ``dataset_description.json`` and ``.bidsignore`` where missing; gives those written.

    Nothing is written in a folder that belongs to a dataset already: one with a description in it,
    a folder of a subject, or one in a dataset of medrev's; only links that a description of
    medrev's does not have are added. Any other folder, as below ``derivatives/``, begins a dataset
    of its own.

    Args:
        folder: The root of the results.
        title: Name of the dataset.
        ignored: More patterns of files that the validator should pass over.
        links: Other datasets by the names that URIs call them (:func:`links_of`).
    """
    home = _home(folder)
    if home is not None and not links:
        return []
    if home is not None and not _is_own(read_json(home / _DESCRIPTION, lenient=True)):
        return []
    place = home or ensure_writable_folder(folder)
    with hold(place / f"{LOCK}-{_DESCRIPTION}", wait=_WAIT):  # each adds its own links
        if _home(folder) is not None:
            return _add_links(place / _DESCRIPTION, links or {})
        description = {
            "Name": title,
            "BIDSVersion": BIDS_VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": "medrev", "Version": __version__}],
            **({_LINKS: dict(links)} if links else {}),
        }
        written = []
        for name, text in (  # the description last: where it is, the dataset is complete
            (".bidsignore", "\n".join((*IGNORED, *ignored)) + "\n"),
            (_DESCRIPTION, _json(description)),
        ):
            path = folder / name
            if not path.exists():
                write_text(path, text)
                written.append(path)
        return written


def links_of(files: Sequence[Path], folder: Path) -> dict[str, str]:
    """The datasets that files lie in, by the names that URIs in a folder of results call them.

    Only where the description of that folder is, or will be, medrev's: it has to tell them.
    """
    home = _home(folder)
    description = {} if home is None else read_json(home / _DESCRIPTION, lenient=True)
    if home is not None and not _is_own(description):
        return {}
    known, links = _links(description), {}
    for root in datasets_of(files):
        name = re.sub("[^A-Za-z0-9]", "", root.name) or "input"
        link = _relative(root, home or folder.absolute())
        if root != home and known.get(name, link) == link and name not in links:
            links[name] = link
    return links


def datasets_of(files: Sequence[Path]) -> tuple[Path, ...]:
    """The datasets that files lie in."""
    return tuple(dict.fromkeys(filter(None, map(_dataset, files))))


def source_uris(files: Sequence[Path], folder: Path | None) -> list[str]:
    """Files as sidecars of a folder of results call them; None where they make no dataset.

    Returns:
        BIDS URIs of files in the dataset of the results (``bids::sub-01/…``) and in others that
        its description links to (``bids:NAME:sub-01/…``); else whole paths.
    """
    if folder is None:
        return [str(file.absolute()) for file in files]
    home, links = _home(folder), links_of(files, folder)
    places = {_target(target, home or folder.absolute()): name for name, target in links.items()}
    uris = []
    for file in files:
        root = _dataset(file)
        if root is not None and (root == home or root in places):
            inside = file.absolute().relative_to(root).as_posix()
            uris.append(f"bids:{'' if root == home else places[root]}:{inside}")
        else:
            uris.append(str(file.absolute()))
    return uris


def source_path(uri: str, folder: Path) -> Path:
    """The file that a sidecar in a folder names, by a URI or a path."""
    found, home = _URI.fullmatch(uri), _home(folder)
    if found is None or home is None:
        return Path(uri)
    known = {"": ".", **_links(read_json(home / _DESCRIPTION, lenient=True))}
    return _target(str(known.get(found[1], found[1])), home) / found[2]


def _home(folder: Path) -> Path | None:
    """The dataset that a folder belongs to, if there is one."""
    root = _dataset(folder.absolute() / _DESCRIPTION)
    if root is None:
        return None
    inside = folder.absolute().relative_to(root).parts
    if "derivatives" in inside:
        return None
    own = _is_own(read_json(root / _DESCRIPTION, lenient=True))
    return root if not inside or own or any(map(_is_subject, inside)) else None


def _is_subject(name: str) -> bool:
    return name.startswith("sub-")


def _dataset(file: Path) -> Path | None:
    """The dataset that a file lies in, if there is one."""
    parents = file.absolute().parents
    return next((place for place in parents if (place / _DESCRIPTION).is_file()), None)


def _relative(root: Path, home: Path) -> str:
    try:
        return Path(os.path.relpath(root, home)).as_posix()
    except ValueError:  # another drive
        return root.as_uri()


def _target(link: str, home: Path) -> Path:
    """Where a link of a dataset leads to."""
    if link.startswith("file:"):
        from urllib.parse import urlsplit
        from urllib.request import url2pathname

        return Path(url2pathname(urlsplit(link).path))
    return Path(os.path.normpath(home / link))


def _is_own(description: Mapping[str, Any]) -> bool:
    authors = description.get("GeneratedBy")
    return isinstance(authors, list) and any(
        isinstance(author, dict) and author.get("Name") == "medrev" for author in authors
    )


def _links(description: Mapping[str, Any]) -> dict[str, Any]:
    """Other datasets by name; none where somebody has written something else there."""
    found = description.get(_LINKS)
    return found if isinstance(found, dict) else {}


def _add_links(path: Path, links: Mapping[str, str]) -> list[Path]:
    description = read_json(path, lenient=True)
    known = _links(description)
    if not _is_own(description) or links.keys() <= known.keys():
        return []
    write_text(path, _json({**description, _LINKS: {**links, **known}}), overwrite=True)
    return [path]


def _json(document: Mapping[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"
