"""A result is a set of files: whatever a killed command leaves, two results are never mixed."""

import contextlib
import json
from pathlib import Path

import pytest

from medrev.domains.outputs import (
    PICTURE,
    Result,
    check_outputs,
    missing_files,
    sidecar_of,
    write_outputs,
)
from medrev.errors import OutputError


class Text:
    """What is written into one file."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.about = {"Description": text}

    def write(self, path: Path) -> None:
        path.write_text(self.text)


class Killed(BaseException):
    pass


def wanted(model: str) -> dict[str, str]:
    return {"Request": model}


def result(folder: Path, model: str, names=("tensor", "fa", PICTURE)) -> Result:
    paths = {n: folder / f"sub-1_{n}.{'png' if n == PICTURE else 'nii.gz'}" for n in names}
    others = tuple(folder / f"sub-1_{n}" for n in ("std.nii.gz", f"{PICTURE}.png"))
    author = {"GeneratedBy": [{"Name": "medrev"}]}
    return Result(
        paths,
        {name: Text(f"{name} of {model}") for name in names},
        {**wanted(model), **author},
        tuple(path for path in others if path not in paths.values()),
    )


def texts(folder: Path) -> dict[str, str]:
    return {path.name: path.read_text() for path in sorted(folder.iterdir())}


def written(folder: Path, model: str, **kwargs) -> dict[str, str]:
    """What a folder holds in which this result alone was written."""
    write_outputs(result(folder, model, **kwargs), overwrite=False)
    return texts(folder)


def killed_after(monkeypatch, steps: int) -> None:
    """From then on every change of a name is a kill."""

    def counted(name):
        real = getattr(Path, name)

        def call(self, *args, **kwargs):
            nonlocal steps
            if name == "replace" or not self.name.startswith(".medrev-"):
                if steps == 0:
                    raise Killed
                steps -= 1
            return real(self, *args, **kwargs)

        return call

    for name in ("replace", "unlink"):
        monkeypatch.setattr(Path, name, counted(name))


def again_without_overwrite(new: Result) -> str:
    """Do what a cohort does; the error, if there is one."""
    try:
        if missing_files(new.paths, wanted("B")) != []:
            write_outputs(new, overwrite=False, wanted=wanted("B"))
    except OutputError as error:
        return str(error)
    return ""


def test_sidecars_tell_the_bytes_of_the_whole_set(tmp_path):
    write_outputs(result(tmp_path, "A"), overwrite=False)
    one, two = (json.loads((tmp_path / f"sub-1_{n}.json").read_text()) for n in ("tensor", "fa"))
    assert one["Files"] == two["Files"]
    assert set(one["Files"]) == {"sub-1_tensor.nii.gz", "sub-1_fa.nii.gz", "sub-1_picture.png"}
    assert missing_files(result(tmp_path, "A").paths, wanted("A")) == []


@pytest.mark.parametrize("before", [None, "A", "A with more"])
@pytest.mark.parametrize("steps", range(12))
def test_killed_at_every_change_of_a_name(tmp_path, monkeypatch, before, steps):
    folder, fresh = tmp_path / "out", tmp_path / "fresh"
    right = written(fresh, "B")
    if before:
        more = ("tensor", "fa", "std", PICTURE) if "more" in before else ("tensor", "fa", PICTURE)
        write_outputs(result(folder, "A", more), overwrite=False)
    new = result(folder, "B")
    with monkeypatch.context() as patched:
        killed_after(patched, steps)
        with contextlib.suppress(Killed):
            write_outputs(new, overwrite=bool(before), wanted=wanted("B"))
    again = again_without_overwrite(new)
    assert again == "" or (before and "made by another model or with other settings" in again)
    assert again or texts(folder) == right
    write_outputs(new, overwrite=True)
    assert texts(folder) == right


def test_a_changed_file_is_neither_kept_nor_replaced(tmp_path):
    new = result(tmp_path, "A")
    write_outputs(new, overwrite=False)
    (tmp_path / "sub-1_fa.nii.gz").write_text("corrected by hand")
    with pytest.raises(OutputError, match=r"fa\.nii\.gz was changed since it was written; give"):
        missing_files(new.paths, wanted("A"))
    with pytest.raises(OutputError, match="was changed since"):
        write_outputs(new, overwrite=False, wanted=wanted("A"))
    assert (tmp_path / "sub-1_fa.nii.gz").read_text() == "corrected by hand"


@pytest.mark.parametrize("name", ["sub-1_fa.nii.gz", "sub-1_picture.png"])
def test_a_file_of_somebody_else_is_not_replaced(tmp_path, name):
    (tmp_path / name).write_text("mine")
    new = result(tmp_path, "A")
    with pytest.raises(OutputError, match="exists already; give --overwrite"):
        write_outputs(new, overwrite=False, wanted=wanted("A"))
    assert texts(tmp_path) == {name: "mine"}


def test_results_without_hashes_are_not_taken_for_done(tmp_path):
    """Those of a medrev that did not write them yet."""
    new = result(tmp_path, "A")
    write_outputs(new, overwrite=False)
    for name in ("tensor", "fa"):
        sidecar = sidecar_of(new.paths[name])
        document = json.loads(sidecar.read_text())
        del document["Files"]
        sidecar.write_text(json.dumps(document))
    with pytest.raises(OutputError, match="exists already; give --overwrite"):
        missing_files(new.paths, wanted("A"))


def test_the_same_result_of_a_faster_process_is_kept(tmp_path):
    new = result(tmp_path, "A")
    write_outputs(new, overwrite=False)
    before = {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()}
    assert write_outputs(new, overwrite=False, wanted=wanted("A"))
    assert {path: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_replacing_removes_what_the_new_result_has_not(tmp_path):
    write_outputs(result(tmp_path, "A", ("tensor", "fa", "std", PICTURE)), overwrite=False)
    write_outputs(result(tmp_path, "B", ("tensor", "fa")), overwrite=True)
    assert set(texts(tmp_path)) == {
        f"sub-1_{name}.{ending}" for name in ("tensor", "fa") for ending in ("nii.gz", "json")
    }


@pytest.mark.parametrize(("letter", "most"), [("a", 235), ("ä", 117)])
def test_names_that_are_too_long_are_refused_before_anything_is_computed(tmp_path, letter, most):
    """Not only their own: the lock beside them has a longer one."""
    paths = {"fa": tmp_path / f"{letter * most}.nii.gz"}
    check_outputs(paths, [], overwrite=False)
    write_outputs(Result(paths, {"fa": Text("x")}, {}), overwrite=False)
    paths = {"fa": tmp_path / f"{letter * (most + 1)}.nii.gz"}
    for check in (lambda: check_outputs(paths, [], False), lambda: missing_files(paths, {})):
        with pytest.raises(OutputError, match="up to 242 are possible"):
            check()


def test_a_sidecar_that_cannot_be_read_is_called_so(tmp_path):
    paths = {"fa": tmp_path / "a_fa.nii.gz"}
    write_outputs(Result(paths, {"fa": Text("x")}, wanted("A")), overwrite=False)
    assert missing_files(paths, wanted("A")) == []
    (tmp_path / "a_fa.json").write_text('{"Request": ')
    with pytest.raises(OutputError, match=r"a_fa.json exists already, and cannot be read; give --"):
        missing_files(paths, wanted("A"))
