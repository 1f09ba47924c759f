import nibabel as nib
import numpy as np
import pytest

from medrev.cli.dry_run import cohort_lines
from medrev.config import Split
from medrev.data import Cohort, Subject


@pytest.fixture
def cohort(tmp_path):
    """Twelve subjects, one of them larger."""
    subjects = []
    for number in range(12):
        path = tmp_path / f"{number:02}.nii.gz"
        edge = 5 if number == 0 else 4
        nib.save(nib.Nifti1Image(np.zeros((edge, 4, 4, 6), np.float32), np.eye(4)), path)
        subjects.append(Subject(id=f"{number:02}", tensor=path))
    return Cohort(tuple(subjects), "tensors", tmp_path, Split(validation=1, test=2))


def test_layout_parts_and_sizes_are_told(cohort):
    first, train, validation, test, sizes = cohort_lines(cohort)
    assert first.startswith("12 scans (ready tensors), tensors layout")
    assert train.startswith("train:      9 (")
    assert train.endswith(", … 1 more)")
    assert validation.startswith("validation: 1 (")
    assert test.startswith("test:       2 (")
    assert sizes == ("sizes:      11 of 4x4x4 voxels of 6 volumes, 1 of 5x4x4 voxels of 6 volumes")


def test_many_sizes_are_summed_up(cohort, tmp_path):
    for number in range(5):
        image = nib.Nifti1Image(np.zeros((6 + number, 4, 4, 6), np.float32), np.eye(4))
        nib.save(image, tmp_path / f"{number:02}.nii.gz")
    *_, sizes = cohort_lines(cohort)
    assert sizes.endswith(", 3 of other sizes")
