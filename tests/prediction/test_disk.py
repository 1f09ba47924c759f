"""Disks that are full, small or read-only: one clear line, and nothing half written."""

import contextlib
import os
import resource
import subprocess

import pytest

from medrev.errors import OutputError
from medrev.prediction import Request, find_entries, infer_file, infer_many

from .conftest import SOURCE


@contextlib.contextmanager
def largest_file(size: int):
    """A real limit of the system: writing beyond it fails as on a full disk."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


@pytest.fixture
def mount(tmp_path):
    """Mounts small disks; where the system does not allow it, the test is skipped."""
    mounted = []

    def make(*options: str):
        place = tmp_path / f"disk{len(mounted)}"
        place.mkdir()
        command = ["mount", "-t", "tmpfs", "-o", ",".join(options), "tmpfs", str(place)]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=120)
        except (OSError, subprocess.CalledProcessError):
            pytest.skip("mounting a disk is not allowed here")
        mounted.append(place)
        return place

    yield make
    for place in mounted:
        subprocess.run(["umount", str(place)], check=False, capture_output=True, timeout=120)


@pytest.mark.parametrize("size", [0, 400, 3000])
@pytest.mark.parametrize("format", ["nifti", "nrrd"])
def test_a_limit_on_files(make_model, tensor_file, tmp_path, size, format):
    model = make_model()
    with largest_file(size), pytest.raises(OutputError, match=r"cannot write .*\(") as caught:
        infer_file(tensor_file, model=model, output=tmp_path / "out", format=format)
    assert "\n" not in str(caught.value)
    assert f"cannot write {tmp_path / 'out' / 'sub-01'}_res-hi_" in str(caught.value)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("kib", [4, 40, 120])
def test_a_full_disk(make_model, tensor_file, mount, kib):
    disk = mount(f"size={kib}k")
    with pytest.raises(OutputError, match="no space left on device"):
        infer_file(tensor_file, model=make_model(), output=disk / "out")
    assert list(disk.iterdir()) == []


def test_a_full_disk_in_a_cohort(make_model, tensor_file, mount):
    disk = mount("size=40k")
    entries = find_entries(SOURCE, [tensor_file], disk / "out")
    report = infer_many(entries, (make_model(),), Request(quick_look=False))
    assert "no space left on device" in report.failed[str(tensor_file)]
    assert list(disk.iterdir()) == []


def test_a_read_only_disk(make_model, tensor_file, mount):
    disk = mount("ro")
    with pytest.raises(OutputError, match=r"cannot write to the folder .*read-only file system"):
        infer_file(tensor_file, model=make_model(), output=disk)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_folder_without_permission(make_model, tensor_file, tmp_path):
    folder = tmp_path / "closed"
    folder.mkdir(mode=0o555)
    with pytest.raises(OutputError, match=r"cannot write to the folder .*permission denied"):
        infer_file(tensor_file, model=make_model(), output=folder)


def test_an_input_on_a_read_only_disk_is_read(make_model, tensor_file, mount, tmp_path):
    disk = mount("size=2m")
    copy = disk / tensor_file.name
    copy.write_bytes(tensor_file.read_bytes())
    if subprocess.run(
        ["mount", "-o", "remount,ro", str(disk)], check=False, timeout=120
    ).returncode:
        pytest.skip("mounting a disk is not allowed here")
    written = infer_file(copy, model=make_model(), output=tmp_path / "out", quick_look=False)
    assert all(path.is_file() for path in written)
    with pytest.raises(OutputError, match="cannot write to the folder"):
        infer_file(copy, model=make_model(), output=disk)
