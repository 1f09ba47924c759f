"""What the program does on small inputs is what was written down of it."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import characterise
from characterisation import differences, load, summary

ROOT = Path(__file__).parents[2]
#: In short, what `SCENARIOS` did. After a change that is meant::
#:
#:     python scripts/characterise.py record /tmp/new --only NAME ...
#:     python scripts/characterise.py summarise /tmp/new tests/scripts/characterisation.json
KNOWN = Path(__file__).with_name("characterisation.json")
SCENARIOS = (
    "infer nrrd",
    "heads and images that are bad",
    "evaluate images",
    "evaluate tensors",
    "words of train",
    "pipelines that are wrong",
)


def test_the_program_does_what_was_written_down(tmp_path):
    words = ["scripts/characterise.py", "record", str(tmp_path / "now"), "--only", *SCENARIOS]
    subprocess.run([sys.executable, *words], cwd=ROOT, check=True, capture_output=True, timeout=230)
    now = summary(*load(tmp_path / "now"))
    known = json.loads(KNOWN.read_text())
    assert len(known) > 90
    assert list(differences((known, {}), (now, {}), 0.02, absolute=2e-4)) == []


@pytest.fixture
def records(tmp_path):
    """Two equal records, as folders."""
    entry = {"volume": {"array": "v", "dtype": "float32", "shape": [2], "sha256": "0"}}
    told = {
        "command": ["infer", "a"],
        "exit": 0,
        "stdout": ["a.nii.gz"],
        "stderr": ["3 tensors repaired"],
        "files": {"a.nii.gz": entry, "t.csv": {"table": [["rmse"], ["1.50"]]}},
        "removed": [],
    }
    (tmp_path / "a").mkdir()
    (tmp_path / "a/record.json").write_text(json.dumps({"scenarios": {"infer": told}}))
    np.savez(tmp_path / "a/arrays.npz", v=np.array([1, 2], np.float32))
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    return tmp_path / "a", tmp_path / "b"


def change(folder, edit):
    document = json.loads((folder / "record.json").read_text())
    edit(document["scenarios"]["infer"])
    (folder / "record.json").write_text(json.dumps(document))


def compare(records, capsys, *words):
    code = characterise.main(["compare", *map(str, records), *words])
    return code, capsys.readouterr().out.splitlines()


def test_equal_records_differ_in_nothing(records, capsys):
    assert compare(records, capsys) == (0, [])


@pytest.mark.parametrize(
    ("edit", "line"),
    [
        (lambda s: s.update(exit=2), "infer: exit: '0' → '2'"),
        (lambda s: s["files"].pop("t.csv"), "infer: t.csv: only in A"),
        (
            lambda s: s["files"]["t.csv"]["table"][1].__setitem__(0, "1.53"),
            "infer: t.csv: table[1][0]: '1.50' → '1.53' (+0.02 of it)",
        ),
        (
            lambda s: s["stderr"].append("warning: thin"),
            "infer: stderr: 1 → 2 items; gone '[]'; new '[\"warning: thin\"]'",
        ),
    ],
)
def test_each_difference_is_one_line(records, capsys, edit, line):
    change(records[1], edit)
    assert compare(records, capsys) == (1, [line])


def test_voxels_that_differ_are_measured(records, capsys):
    np.savez(records[1] / "arrays.npz", v=np.array([1, 2.02], np.float32))
    change(records[1], lambda s: s["files"]["a.nii.gz"]["volume"].update(sha256="1"))
    code, (line,) = compare(records, capsys)
    assert code == 1
    assert line == (
        "infer: a.nii.gz: volume: 1 of 2 values differ, at most by 0.02 (0.01 of the largest)"
    )
    assert compare(records, capsys, "--tolerance", "0.02") == (0, [])


def test_a_tolerance_is_for_numbers_in_texts_too(records, capsys):
    change(records[1], lambda s: s.update(stderr=["3.01 tensors repaired"]))
    assert compare(records, capsys)[0] == 1
    assert compare(records, capsys, "--tolerance", "0.01") == (0, [])
    change(records[1], lambda s: s.update(stderr=["3 tensors mended"]))
    assert compare(records, capsys, "--tolerance", "0.01")[0] == 1
