from pathlib import Path

import pytest

from medrev.evaluation.folders import is_brain_mask, is_image, is_mask, is_uncertainty, subject_of

ROOT = Path("root")


@pytest.mark.parametrize(
    ("file", "subject"),
    [
        ("sub-01_T1w.nii.gz", "sub-01"),
        ("sub-01/ses-2/anat/sub-01_ses-2_run-1_res-hi_desc-sr_T1w.nii.gz", "sub-01_ses-2_run-1"),
        ("sub-01/ses-2/sr.nii.gz", "sub-01_ses-2"),
        ("sub-A7_res-hi_model-tensor_param-fa_desc-sr_dwimap.nii.gz", "sub-A7"),
        ("100307/T1w/Diffusion/data.nii.gz", "100307"),
        ("case 7_prediction.nii", "case 7"),
        ("case7_brain_mask.nii.gz", "case7"),
        ("mask.nii.gz", "mask"),
        ("2021-03-01_T2.nii.gz", "2021-03-01_T2"),
    ],
)
def test_the_subject_is_read_from_entities_folders_or_the_name(file, subject):
    assert subject_of(ROOT / file, ROOT) == subject


def test_prediction_and_reference_have_one_name():
    names = ("sub-03_res-hi_desc-sr_T1w.nii.gz", "sub-03/anat/sub-03_T1w.nii.gz")
    assert len({subject_of(ROOT / name, ROOT) for name in names}) == 1


@pytest.mark.parametrize(
    ("name", "mask", "std", "image"),
    [
        ("sub-01_desc-brain_mask.nii.gz", True, False, False),
        ("mask.nii", True, False, False),
        ("sub-masked_T1w.nii.gz", False, False, True),
        ("sub-01_desc-sr_std_dwimap.nii.gz", False, True, False),
        ("sub-01_desc-uncertainty_T1w.nii.gz", False, True, False),
        ("sub-01_model-tensor_param-diffusivity_desc-srstd_dwimap.nrrd", False, True, False),
        ("sub-01_model-tensor_param-diffusivity_desc-srcycle_dwimap.nii", False, False, False),
        ("sub-01_dseg.nii.gz", False, False, False),
        ("case_labels.nii.gz", False, False, False),
        ("sub-01_T1w.nii.gz", False, False, True),
        ("sub-standard_T1w.nii.gz", False, False, True),
    ],
)
def test_roles_are_words_of_the_name(name, mask, std, image):
    path = Path(name)
    assert (is_mask(path), is_uncertainty(path), is_image(path)) == (mask, std, image)


@pytest.mark.parametrize(
    ("name", "is_one"),
    [
        ("sub-01_desc-brain_mask.nii.gz", True),
        ("sub-01_FLAIR_mask.nii.gz", True),
        ("lesion1_mask.nii.gz", True),  # a subject's name
        ("sub-01_label-lesion_mask.nii.gz", False),
        ("sub-01_label-wmBrain_mask.nii.gz", False),
        ("sub-01_T1w.nii.gz", False),
    ],
)
def test_masks_of_tissue_are_not_where_volumes_are_compared(name, is_one):
    assert is_brain_mask(Path(name)) == is_one
