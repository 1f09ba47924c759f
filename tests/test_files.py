import errno
import hashlib
import os
from pathlib import Path

import pytest

from medrev import files
from medrev.errors import InputError, OutputError
from medrev.files import atomic_folder, atomic_path, content_hash, ensure_writable_folder, not_there


def left_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_file_appears_only_when_the_block_ends(tmp_path):
    target = tmp_path / "new" / "map.nii.gz"
    with atomic_path(target) as temporary:
        temporary.write_bytes(b"whole")
        assert not target.exists()
        assert temporary.parent == target.parent
        assert temporary.name.endswith(".nii.gz")
    assert target.read_bytes() == b"whole"
    assert left_in(target.parent) == ["map.nii.gz"]


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_failure_leaves_the_old_file_and_nothing_else(tmp_path, error):
    target = tmp_path / "a.csv"
    target.write_text("old")
    with pytest.raises(error), atomic_path(target, overwrite=True) as temporary:
        temporary.write_text("half")
        raise error
    assert target.read_text() == "old"
    assert left_in(tmp_path) == ["a.csv"]


def test_existing_file_is_kept_without_overwrite(tmp_path):
    target = tmp_path / "a.csv"
    target.write_text("old")
    message = r"a\.csv exists already; give --overwrite"
    with pytest.raises(OutputError, match=message), atomic_path(target):
        pytest.fail("the block must not run")
    assert target.read_text() == "old"


def test_file_that_appears_meanwhile_is_kept(tmp_path):
    target = tmp_path / "a.csv"
    with pytest.raises(OutputError, match="exists already"), atomic_path(target) as temporary:
        temporary.write_text("mine")
        target.write_text("theirs")
    assert target.read_text() == "theirs"


def test_overwrite_replaces(tmp_path):
    target = tmp_path / "a.csv"
    target.write_text("old")
    with atomic_path(target, overwrite=True) as temporary:
        temporary.write_text("new")
    assert target.read_text() == "new"


def test_writing_nothing_is_an_error(tmp_path):
    with pytest.raises(OutputError, match="nothing was written"), atomic_path(tmp_path / "a.csv"):
        pass
    assert left_in(tmp_path) == []


def test_folder_in_the_way(tmp_path):
    with pytest.raises(OutputError, match="is a folder"), atomic_path(tmp_path, overwrite=True):
        pass


def test_full_disk_is_one_line(tmp_path):
    target = tmp_path / "a.csv"
    with pytest.raises(OutputError) as caught, atomic_path(target) as temporary:
        temporary.write_text("half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    assert str(caught.value) == f"cannot write {target} (no space left on device)"
    assert left_in(tmp_path) == []


def test_other_system_errors_pass_through(tmp_path):
    with pytest.raises(FileNotFoundError), atomic_path(tmp_path / "a.csv"):
        (tmp_path / "missing").read_bytes()


def test_output_below_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match="file is a file, not a folder"):
        ensure_writable_folder(tmp_path / "file" / "deeper")


def test_folder_that_cannot_be_written(tmp_path, monkeypatch):
    def refuse(self, *args, **kwargs):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(files.Path, "touch", refuse)
    with pytest.raises(OutputError, match=r"cannot write to the folder .* \(permission denied\)"):
        ensure_writable_folder(tmp_path)


def test_writable_folder_is_created_and_left_empty(tmp_path):
    folder = ensure_writable_folder(tmp_path / "a" / "b")
    assert folder.is_dir()
    assert left_in(folder) == []


def test_folder_appears_whole(tmp_path):
    target = tmp_path / "last"
    with atomic_folder(target) as temporary:
        (temporary / "weights").write_text("1")
        assert not target.exists()
    assert left_in(target) == ["weights"]
    with atomic_folder(target, overwrite=True) as temporary:
        (temporary / "other").write_text("2")
        assert left_in(target) == ["weights"]
    assert left_in(target) == ["other"]
    assert left_in(tmp_path) == ["last"]


def test_failed_folder_leaves_the_old_one(tmp_path):
    target = tmp_path / "last"
    target.mkdir()
    (target / "weights").write_text("old")
    with pytest.raises(RuntimeError), atomic_folder(target, overwrite=True) as temporary:
        (temporary / "weights").write_text("half")
        raise RuntimeError
    assert (target / "weights").read_text() == "old"
    assert left_in(tmp_path) == ["last"]


def test_existing_folder_is_kept_without_overwrite(tmp_path):
    with pytest.raises(OutputError, match="--overwrite"), atomic_folder(tmp_path):
        pytest.fail("the block must not run")


def test_hash_of_file_and_of_its_bytes_agree(tmp_path):
    content = os.urandom(3 * files._BLOCK + 17)
    (tmp_path / "x").write_bytes(content)
    assert content_hash(tmp_path / "x") == content_hash(content)
    assert content_hash(content) == hashlib.sha256(content).hexdigest()


def test_a_path_that_is_not_there_is_answered_with_what_is_like_it(tmp_path):
    (tmp_path / "cohort").mkdir()
    assert not_there(tmp_path / "cohrt") == "; did you mean cohort?"
    deep = tmp_path / "cohrt" / "sub-01" / "x.nii"
    folder = tmp_path / "cohrt"
    assert not_there(deep) == f": the folder {folder} does not exist; did you mean cohort?"
    assert not_there(tmp_path / "zzz") == ""


def test_hash_of_missing_file_is_one_line(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        content_hash(tmp_path / "x")


def test_files_that_a_library_writes_for_their_owner_alone_have_the_permissions_of_others(tmp_path):
    before = os.umask(0o027)
    try:
        with atomic_path(tmp_path / "weights.safetensors") as temporary:
            temporary.touch(mode=0o600)
            temporary.write_bytes(b"w")
        assert (tmp_path / "weights.safetensors").stat().st_mode & 0o777 == 0o640
    finally:
        os.umask(before)
