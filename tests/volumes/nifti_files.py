"""NIfTI files for tests."""

import nibabel as nib
import numpy as np
import pytest

from medrev.errors import InputError
from medrev.volumes import read_nifti

AFFINE = np.array([[-2.0, 0, 0, 90], [0, 1.5, 0, -126], [0, 0, 3, -72], [0, 0, 0, 1]])


def image(shape=(4, 5, 6), dtype=np.float32, affine=AFFINE, cls=nib.Nifti1Image):
    values = np.arange(np.prod(shape), dtype=dtype).reshape(shape)
    return cls(values, affine, dtype=dtype)


def message_of(path, error=InputError, **options):
    with pytest.raises(error) as caught:
        read_nifti(path, **options)
    text = str(caught.value)
    assert "\n" not in text
    assert path.name in text
    return text


def save_in_unit(path, unit, factor):
    """The same grid with its lengths in a unit of so many mm."""
    source = image()
    affine = AFFINE.copy()
    affine[:3] /= factor
    source.set_sform(affine)
    source.set_qform(affine)
    source.header.set_xyzt_units(unit, "sec")
    source.to_filename(path)
