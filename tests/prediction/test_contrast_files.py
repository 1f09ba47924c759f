"""Contrasts from file to file: geometry, intensities, names, sidecars, pictures."""

import json
from dataclasses import replace

import nibabel
import numpy as np
import pytest

from medrev.prediction import infer_file as infer
from medrev.volumes import read_volume

from .conftest import oblique, save
from .contrasts import (
    GIVEN,
    T2,
    expected,
    head,
    infer_file,
    random_model,
    save_head,
    sidecar_of,
    square_model,
    values_of,
)
from .test_inputs import scalar_files

GRIDS = {
    "oblique": oblique((1.5, 2.0, 3.5)),
    "left-handed": oblique((2.0, 2.5, 1.2), left=True),
    "flipped and permuted": np.array(
        [[0, 0, 2.0, -30], [-2.2, 0, 0, 40], [0, -1.8, 0, 7], [0, 0, 0, 1]]
    ),
}


# --- geometry and intensities -------------------------------------------------------------------


@pytest.mark.parametrize("grid", GRIDS)
@pytest.mark.parametrize("dims", [2, 3])
@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_the_grid_is_exactly_that_of_the_input(tmp_path, grid, dims, direction):
    affine, values = GRIDS[grid], head()
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", values, affine, code=4)
    written = infer_file(
        path, model=square_model(dims), output=tmp_path / "out", direction=direction
    )
    before, after = nibabel.load(path), nibabel.load(written[0])
    assert np.array_equal(after.affine, before.affine)
    assert after.shape == before.shape
    assert after.get_data_dtype() == np.float32
    assert (int(after.header["sform_code"]), int(after.header["qform_code"])) == (4, 4)
    inverse = direction == "inverse"
    np.testing.assert_allclose(
        values_of(written[0]), expected(values, inverse=inverse), rtol=1e-4, atol=0.01
    )


@pytest.mark.parametrize("axis", ["sagittal", "coronal", "axial"])
def test_slices_are_those_of_the_world_whatever_the_order_of_the_array(tmp_path, axis):
    """A network of neighbours gives the same head from an array of any orientation."""
    model = random_model(slices={"size": 16, "axis": axis})
    ras = np.diag([2.0, 2, 2, 1])
    values = head((12, 16, 10))
    one = infer_file(save_head(tmp_path / "a_t1.nii.gz", values, ras), model=model, output=tmp_path)
    turned = np.flip(values.transpose(2, 0, 1), axis=1)  # axes: up, right to left, front
    affine = np.array([[0, -2.0, 0, 22], [0, 0, 2, 0], [2, 0, 0, 0], [0, 0, 0, 1]])
    two = infer_file(
        save_head(tmp_path / "b_t1.nii.gz", turned, affine), model=model, output=tmp_path
    )
    back = np.flip(values_of(two[0]), axis=1).transpose(1, 2, 0)
    assert np.array_equal(back, values_of(one[0]))
    assert values_of(one[0]).std() > 1


def test_intensities_are_scaled_by_the_whole_volume_and_by_the_training(tmp_path):
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head(), oblique())
    written = infer_file(path, model=square_model(), output=tmp_path / "out")
    document = sidecar_of(written[0])
    assert (document["InputScale"], document["OutputScale"]) == (GIVEN, T2)
    assert values_of(written[0]).max() == pytest.approx(T2)
    brighter = save_head(tmp_path / "sub-02_T1w.nii.gz", 3 * head(), oblique())
    again = infer_file(brighter, model=square_model(), output=tmp_path / "out")
    np.testing.assert_allclose(values_of(again[0]), values_of(written[0]), rtol=1e-5)
    fixed = infer_file(path, model=square_model(scale=50.0), output=tmp_path / "fixed")
    assert values_of(fixed[0]).max() == pytest.approx(50)
    silent = replace(square_model(), metadata={})
    noted = infer_file(path, model=silent, output=tmp_path / "silent")
    assert values_of(noted[0]).max() == pytest.approx(1000)
    assert "does not say what intensities t2 had" in sidecar_of(noted[0])["Notes"][0]


def test_outside_the_mask_all_is_zero(tmp_path):
    values, mask = head(), np.zeros((13, 18, 11))
    mask[4:9, 4:12, 3:8] = 1
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", values, oblique())
    written = infer_file(
        path,
        model=random_model(),
        mask=save(tmp_path / "m.nii.gz", mask, oblique()),
        output=tmp_path / "out",
        ensemble=2,
        cycle_residual=True,
    )
    for file in written[::2]:
        assert not values_of(file)[mask == 0].any()
    document = sidecar_of(written[0])
    assert (document["MaskSource"], document["MaskVoxels"]) == ("given", int(mask.sum()))
    without = infer_file(path, model=random_model(), output=tmp_path / "without")
    assert sidecar_of(without[0])["MaskSource"] == "nonzero"
    assert not values_of(without[0])[values == 0].any()


def test_every_format_gives_the_same(tmp_path):
    SimpleITK = pytest.importorskip("SimpleITK")
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head(), oblique(left=True))
    first = infer_file(path, model=square_model(), output=tmp_path / "nifti")
    for ending in ("mha", "nrrd"):
        other = tmp_path / f"sub-01_T1w.{ending}"
        SimpleITK.WriteImage(SimpleITK.ReadImage(str(path)), str(other))
        written = infer_file(other, model=square_model(), output=tmp_path / ending, format="nrrd")
        assert written[0].name == "sub-01_desc-synth_T2w.nrrd"
        found = read_volume(written[0])
        np.testing.assert_allclose(found.values[0], values_of(first[0]), rtol=1e-6)
        np.testing.assert_allclose(found.affine, oblique(left=True), atol=1e-5)


def test_a_dicom_series_gives_what_the_same_volume_in_a_file_gives(tmp_path):
    files = {path.suffix or "dicom": path for path in scalar_files(tmp_path)}
    results = [
        values_of(infer_file(files[name], model=square_model(), output=tmp_path / "out" / name)[0])
        for name in (".mha", "dicom")
    ]
    assert (tmp_path / "out" / "dicom" / "dicom_desc-synth_T2w.nii.gz").is_file()
    np.testing.assert_allclose(results[0], results[1], atol=0.04 * T2)  # whole numbers in DICOM
    assert results[0].max() == pytest.approx(T2)


# --- names, sidecars, the picture ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "contrasts", "direction", "result"),
    [
        ("sub-01_ses-2_T1w", "t1 t2", "forward", "sub-01_ses-2_desc-synth_T2w"),
        ("sub-01_desc-preproc_T2w", "t1 t2", "inverse", "sub-01_desc-synth_T1w"),
        ("BraTS20_Training_001_t1", "t1 flair", "forward", "BraTS20_Training_001_desc-synth_FLAIR"),
        ("BraTS-GLI-02-0-t2w", "t2 t1ce", "forward", "BraTS-GLI-02-0_ce-gadolinium_desc-synth_T1w"),
        (
            "sub-01_run-2_space-T1w_T1w",
            "t1 t1ce",
            "forward",
            "sub-01_ce-gadolinium_run-2_space-T1w_desc-synth_T1w",
        ),
        ("sub-01_ce-gadolinium_T1w", "t1ce t1", "forward", "sub-01_desc-synth_T1w"),
        ("sub-01_PDw", "pdw t2", "forward", "sub-01_desc-synth_T2w"),
        ("case_swi", "t1 swi", "inverse", "case_desc-synth_T1w"),
    ],
)
def test_names(tmp_path, name, contrasts, direction, result):
    path = save_head(tmp_path / f"{name}.nii.gz", head(), oblique())
    source, target = contrasts.split()
    model = square_model(source=source, target=target)
    written = infer_file(path, model=model, output=tmp_path / "out", direction=direction)
    assert [file.name for file in written] == [f"{result}.nii.gz", f"{result}.json"]


def test_what_is_written_and_what_its_sidecars_say(tmp_path):
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head(), oblique())
    options = {"ensemble": 2, "cycle_residual": True}
    written = infer(path, model=random_model(), output=tmp_path / "out", **options)
    assert [file.name for file in written] == [
        "sub-01_desc-synth_T2w.nii.gz",
        "sub-01_desc-synth_T2w.json",
        "sub-01_desc-synthstd_T2w.nii.gz",
        "sub-01_desc-synthstd_T2w.json",
        "sub-01_desc-synthcycle_T1w.nii.gz",
        "sub-01_desc-synthcycle_T1w.json",
        "sub-01_desc-synth_T2w.png",
    ]
    document = sidecar_of(written[0])
    assert document["Description"] == "Synthetic T2w made of T1w"
    assert (document["InputContrast"], document["Contrast"]) == ("t1", "t2")
    assert (document["InputKind"], document["Direction"]) == ("scalar", "forward")
    assert document["Sources"] == [str(path)]
    assert len(document["SourceSHA256"][0]) == 64
    assert document["Plan"] == "axial slices of 16×18 voxels"
    assert document["EnsembleMembers"] == 2
    assert document["Engine"] == "torch, float32, cpu"
    assert document["Request"]["CycleResidual"] is True
    assert "standard deviation" in sidecar_of(written[2])["Description"]
    described = json.loads((tmp_path / "out" / "dataset_description.json").read_text())
    assert described["Name"] == "Synthetic contrasts of MRI"
    # The uncertainty of an earlier result does not stay beside a new one without.
    infer_file(path, model=random_model(), output=tmp_path / "out", overwrite=True)
    assert not list((tmp_path / "out").glob("*synthstd*"))
    assert not list((tmp_path / "out").glob("*synthcycle*"))


@pytest.mark.parametrize(("shape", "rows"), [((13, 18, 11), 3), ((24, 24, 2), 1)])
def test_the_picture_shows_the_views_there_are(tmp_path, shape, rows):
    from matplotlib.image import imread

    values = head((13, 18, 11)) if rows == 3 else np.ones(shape)
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", values, np.diag([2.0, 2, 2, 1]))
    options = {"cycle_residual": True}
    written = infer(path, model=square_model(), output=tmp_path, **options)
    height, width = imread(written[-1]).shape[:2]
    assert 900 < width < 1300
    assert height > 300 * rows


# --- doubts -------------------------------------------------------------------------------------


# --- bad input ----------------------------------------------------------------------------------
