"""A folder is owned by one command, and what is replaced comes back unless the new is worth it."""

from pathlib import Path

import pytest

from medrev.errors import OutputError
from medrev.folders import EVALUATION, RUN, OutputFolder
from medrev.locks import ASIDE


class Killed(BaseException):
    """Stands for a kill: nothing of the block's own cleaning is run after it."""


def run(folder: Path, text: str, *, saved: bool) -> None:
    folder.mkdir(exist_ok=True)
    (folder / "pipeline.yaml").write_text(text)
    (folder / "metrics.csv").write_text(text)
    if saved:
        state = folder / "checkpoints" / "last" / "state.pt"
        state.parent.mkdir(parents=True)
        state.write_text(text)


def texts(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture
def old(tmp_path):
    run(tmp_path / "run", "old", saved=True)
    return tmp_path / "run"


def test_a_new_folder_is_owned_and_goes_again_if_it_stays_empty(tmp_path):
    folder = OutputFolder(tmp_path / "runs" / "a", RUN)
    with folder.owned():
        assert folder.path.is_dir()
        assert not folder.check()
        with pytest.raises(OutputError, match="is in use by"), folder.owned():
            pytest.fail("two own one folder")
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_kept_unless_told(old, tmp_path):
    folder = OutputFolder(old, RUN)
    with pytest.raises(OutputError, match="not empty; --resume goes on with it, --overwrite"):
        folder.check()
    assert folder.check(resume=True)
    assert folder.check(overwrite=True)
    with pytest.raises(OutputError, match="is no evaluation"):
        OutputFolder(old, EVALUATION).check(overwrite=True)


def test_hidden_files_of_the_killed_are_no_content(tmp_path):
    (tmp_path / ".medrev-0123456789ab.yaml").touch()
    (tmp_path / ".medrev-lock").touch()
    assert not OutputFolder(tmp_path, RUN).check()


@pytest.mark.parametrize("saved", [False, True])
@pytest.mark.parametrize("killed", [False, True])
def test_the_old_comes_back_unless_the_new_has_saved_something(old, saved, killed):
    before = texts(old)
    folder = OutputFolder(old, RUN)
    with folder.owned():
        folder.set_aside()
        run(old, "new", saved=saved)
        if not killed:
            assert folder.settle() is not saved
    with folder.owned():  # the next command
        assert folder.check(resume=True)
    after = texts(old)
    assert after == (dict.fromkeys(before, "new") if saved else before)


def test_an_end_without_anything_saved_is_an_end(old):
    folder = OutputFolder(old, RUN)
    with folder.owned():
        folder.set_aside()
        run(old, "new", saved=False)
        assert not folder.settle(done=True)
    assert texts(old) == {"pipeline.yaml": "new", "metrics.csv": "new"}


@pytest.mark.parametrize("step", range(12))
def test_killed_at_any_step_of_setting_aside_and_bringing_back(old, step, monkeypatch):
    before = texts(old)
    left = step

    def counted(name):
        real = getattr(Path, name)

        def call(self, *args, **kwargs):
            nonlocal left
            if self.name == ASIDE or not self.name.startswith(".medrev-"):
                if left == 0:
                    raise Killed
                left -= 1
            return real(self, *args, **kwargs)

        return call

    folder = OutputFolder(old, RUN)
    with monkeypatch.context() as patched:
        for name in ("rename", "unlink", "rmdir"):
            patched.setattr(Path, name, counted(name))
        try:
            with folder.owned():
                folder.set_aside()
                run(old, "new", saved=False)
                folder.settle()
        except Killed:
            pass
    folder.restore()
    assert not (old / ASIDE).exists()
    assert texts(old) == before


def test_files_beside_an_evaluation_stay(tmp_path):
    for name in ("evaluation.json", "notes.txt"):
        (tmp_path / name).write_text("old")
    folder = OutputFolder(tmp_path, EVALUATION)
    with folder.owned():
        folder.set_aside()
        (tmp_path / "evaluation.json").write_text("new")
        folder.settle(done=True)
    assert texts(tmp_path) == {"evaluation.json": "new", "notes.txt": "old"}
