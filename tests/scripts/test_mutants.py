"""The list of deliberate faults fits the tree, and a fault is told from none."""

import subprocess
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from mutants import Fault, ListError, Record, main, read_faults

ROOT = Path(__file__).parents[2]
FAULTS = read_faults()


def test_every_old_text_occurs_once_and_every_test_is_there():
    for fault in FAULTS:
        assert fault.applied((ROOT / fault.module).read_text()) != ""
        assert len(fault.files(ROOT)) > 1
    assert len(set(map(str, FAULTS))) == len(FAULTS) >= 150


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("medrev/errors.py: tests/test_files.py\n- nowhere\n+ here\n", "it occurs 0 times"),
        ("medrev/errors.py: tests/test_files.py\n- Error\n+ Fault\n", "must occur once"),
        ("medrev/errors.py: tests/test_no.py\n- class MedrevError\n+ y\n", "no tests/test_no.py"),
        ("- x\n", "a heading, '- old' or '+ new' is needed"),
        ("medrev/errors.py: tests/test_files.py\n- x\n- y\n", "line 3 of"),
    ],
)
def test_a_list_that_no_longer_fits_is_told_in_one_line(tmp_path, capsys, text, message):
    (tmp_path / "list.txt").write_text(text)
    assert main(["--faults", str(tmp_path / "list.txt")]) == 2
    told = capsys.readouterr().err
    assert message in told
    assert told.count("\n") == 1


@pytest.mark.slow
def test_a_fault_is_found_and_a_change_of_words_is_not(tmp_path):
    listed, record = tmp_path / "list.txt", tmp_path / "record.jsonl"
    listed.write_text(
        "medrev/losses.py: tests/losses/test_losses.py\n"
        "- return d.square()\n+ return d\n- Compare two tensors.\n+ Compare tensors.\n"
    )
    command = [sys.executable, "scripts/mutants.py", "--faults", listed, "--record", record]
    text = (ROOT / "medrev/losses.py").read_text()
    lines = []
    for _ in range(2):
        run = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=1500
        )
        assert run.returncode == 1, run.stderr
        lines.append(run.stdout.splitlines())
    first, second = lines
    assert [line.split(":")[0] for line in first[:2]] == ["1/2 found", "2/2 not found"]
    assert second[0].startswith("1/2 found before:")
    assert first[2] == second[2] == "found 1 of 2 (50.0%)"
    assert (ROOT / "medrev/losses.py").read_text() == text


def test_results_are_kept_until_fault_module_or_tests_change(tmp_path):
    path = tmp_path / "record.jsonl"
    tests = ("tests/losses/test_losses.py",)
    fault = Fault("medrev/losses.py", tests, "return d.square()", "return d", 1)
    Record(path).add(fault.key(ROOT), True, str(fault))
    assert Record(path).found == {fault.key(ROOT): True}
    other = Fault("medrev/losses.py", tests, "return d.square()", "return -d", 1)
    assert other.key(ROOT) != fault.key(ROOT)
    with pytest.raises(ListError, match="occurs 0 times"):
        Fault("medrev/losses.py", tests, "nowhere", "", 7).applied("text")
