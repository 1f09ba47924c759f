"""Damaged files: those that were once read wrongly, and a few new ones of every format."""

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from fuzz import FORMAT_FILE, KEPT, case_of, fuzz, problem, write
from fuzzing.formats import FORMATS

CASES = sorted(path.parent for path in KEPT.glob(f"*/{FORMAT_FILE}"))


@pytest.mark.parametrize("kept", CASES, ids=lambda path: path.name)
def test_what_was_found_is_read_or_refused(kept, tmp_path):
    name = (kept / FORMAT_FILE).read_text().strip()
    paths = [p for p in kept.rglob("*") if p.is_file() and p.name != FORMAT_FILE]
    folder = tmp_path / "case" / "files"
    write({str(path.relative_to(kept)): path.read_bytes() for path in paths}, folder)
    assert problem(FORMATS[name], folder) == ""


@pytest.mark.parametrize("name", FORMATS)
def test_valid_files_are_read_and_damaged_ones_read_or_refused(name, tmp_path):
    kind = FORMATS[name]
    (tmp_path / "seeds").mkdir()
    seeds = kind.seeds(tmp_path / "seeds")
    folder = tmp_path / "case" / "files"
    for files in seeds:
        write(files, folder)
        assert problem(kind, folder) == ""
        if name != "json":  # a document is one of the three that it is read as
            kind.read(folder)
    changed = 0
    for number in range(20):
        files = case_of(kind, seeds, 1, number)
        assert files == case_of(kind, seeds, 1, number)
        changed += files not in seeds
        write(files, folder)
        assert problem(kind, folder) == "", number
    assert changed > 10


def test_a_fault_is_told(tmp_path, monkeypatch, capsys):
    """Readers that fail in each of the ways that count."""
    import fuzz as program

    def leave(folder):
        (folder / "left").write_text("x")

    def fill(folder):
        return bytearray(3 << 30)

    def hang(folder):
        while True:
            pass

    monkeypatch.setattr(program, "SECONDS", 0.2)
    for read, words in (
        (lambda folder: 1 / 0, "ZeroDivisionError"),
        (leave, "files were written or changed"),
        (fill, "MemoryError"),
        (hang, "no end within"),
    ):
        folder = tmp_path / "case" / "files"
        write({"a": b"x"}, folder)
        kind = program.Format(lambda f: [{"a": b"x"}], lambda rng, name, data: data, read)
        assert words in problem(kind, folder)
    monkeypatch.setattr(program, "KEPT", program.ROOT / "tests" / "fuzz")
    monkeypatch.setitem(
        program.FORMATS, "json", program.Format(kind.seeds, kind.mutate, lambda folder: None)
    )
    assert fuzz("json", seed=0, cases=5, seconds=60) == (5, 0)
    assert "json: 5 cases, 0 failed" in capsys.readouterr().out
