"""Models that come with medrev: found by name, chosen by what an input is."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from medrev.errors import CheckpointError, InputError
from medrev.prediction import (
    infer_file,
    load_model,
    shipped_models,
    suitable_model,
    suitable_models,
)

from .conftest import oblique, save, save_ramp

ROOT = Path(__file__).parents[2]
NAMES = [model.name for model in shipped_models()]


def test_every_shipped_model_has_a_card_and_says_what_it_does():
    for model in shipped_models():
        card = model.path.with_suffix(".md").read_text()
        for part in (f"# {model.name}", "## Training", "## Figures", "## Limits", "Not a medical"):
            assert part in card
        assert 20 < len(model.description) <= 100
        assert model.pipeline.name == model.name
    assert sum(model.path.stat().st_size for model in shipped_models()) <= 12e6


@pytest.mark.parametrize("name", NAMES)
def test_every_shipped_model_is_on_the_page_and_says_what_its_intervals_are_for(name):
    page = (Path(__file__).parents[2] / "docs" / "models.md").read_text(encoding="utf-8")
    assert f"../medrev/models/{name}.md" in page
    metadata = load_model(name, "cpu").metadata
    if "Conformal" in metadata:
        assert {"ensemble", "samples", "subjects"} <= metadata["ConformalSource"].keys()


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_model_loads_by_its_name(name):
    loaded = load_model(name, "cpu")
    assert loaded.pipeline.name == name
    assert all(bool(torch.isfinite(value).all()) for value in loaded.translator.parameters())


def test_a_name_that_is_not_there_is_answered_with_one_that_is():
    with pytest.raises(CheckpointError, match=r"dti-x3: no such .* shipped model; .*dti-x2"):
        load_model("dti-x3", "cpu")
    with pytest.raises(CheckpointError, match=r"zzz: no such .*; medrev ships dti-x2"):
        load_model("zzz", "cpu")
    with pytest.raises(CheckpointError, match="runs/zzz: no such run folder or weight file"):
        load_model("runs/zzz", "cpu")


def test_tensors_dwi_and_cohorts_take_the_tensor_model(tmp_path):
    (tmp_path / "cohort" / "A").mkdir(parents=True)
    tensor = save_ramp(tmp_path / "cohort" / "A" / "tensor.nii.gz", (8, 8, 8), oblique())
    assert suitable_model(tensor).name == "dti-x2"
    ((model, entries),) = suitable_models([tmp_path / "cohort"])
    assert (model.name, [entry.name for entry in entries]) == ("dti-x2", ["A"])


def test_every_subject_of_a_folder_takes_its_own_model(tmp_path):
    for name, edges in (("a_T1w", (1, 1, 1)), ("b_T2w", (1, 1, 5)), ("c", (2, 2, 2))):
        save(tmp_path / f"{name}.nii.gz", np.ones((8, 8, 8)), np.diag([*edges, 1.0]))
    (tmp_path / "d_T1w.nii.gz").write_bytes(b"no volume")
    chosen = {
        model.name: [(entry.name, entry.base) for entry in entries]
        for model, entries in suitable_models([tmp_path], tmp_path / "out")
    }
    assert chosen == {
        "t1-x2": [("a_T1w", "sub-a_T1w"), ("c", "sub-c"), ("d_T1w", "sub-d_T1w")],
        "mri-through-plane": [("b_T2w", "sub-b_T2w")],
    }
    with pytest.raises(InputError, match=r"take several models \(t1-x2, mri-through-plane\): give"):
        suitable_model(tmp_path)
    files = [tmp_path / f"{name}.nii.gz" for name in ("b_T2w", "a_T1w")]
    single = [model.name for model, _ in suitable_models([*files, tmp_path / "gone.nii"])]
    assert single == ["mri-through-plane", "t1-x2"]


def test_diffusion_data_go_before_other_scans_of_a_subject(tmp_path, caplog):
    one, two = tmp_path / "sub-1", tmp_path / "sub-2"
    for folder in (one / "anat", one / "dwi", two / "anat"):
        folder.mkdir(parents=True)
    save(two / "anat" / "sub-2_T1w.nii.gz", np.ones((8, 8, 8)), np.eye(4))
    save(one / "anat" / "sub-1_T1w.nii.gz", np.ones((8, 8, 8)), np.eye(4))
    dwi = save(one / "dwi" / "sub-1_dwi.nii.gz", np.ones((8, 8, 8, 7)), np.eye(4))
    for ending in ("bval", "bvec"):
        dwi.with_name(f"sub-1_dwi.{ending}").write_text("0\n")
    with caplog.at_level("INFO", logger="medrev"):
        chosen = suitable_models([tmp_path])
    found = {model.name: [entry.path.name for entry in entries] for model, entries in chosen}
    assert found == {"dti-x2": ["sub-1_dwi.nii.gz"], "t1-x2": ["sub-2_T1w.nii.gz"]}
    assert "other scans of sub-1 are left out: give --model for a scalar" in caplog.text
    assert suitable_models([one])[0][0].name == "dti-x2"
    assert suitable_models([two])[0][0].name == "t1-x2"
    assert suitable_models([tmp_path], participants=["2"])[0][0].name == "t1-x2"


def test_maps_beside_tensors_are_no_scans(tmp_path):
    save_ramp(tmp_path / "A_tensor.nii.gz", (8, 8, 8), oblique())
    save(tmp_path / "A_FA.nii.gz", np.ones((8, 8, 8)), oblique())
    ((model, entries),) = suitable_models([tmp_path])
    assert (model.name, [entry.name for entry in entries]) == ("dti-x2", ["A"])


def test_a_folder_of_no_layout_is_told_those_of_all_kinds(tmp_path):
    with pytest.raises(InputError, match=r"no subjects in .*: the folder is empty$"):
        suitable_models([tmp_path])
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(InputError) as caught:
        suitable_models([tmp_path])
    text = str(caught.value)
    assert text.startswith(f"no subjects in {tmp_path}; expected table: ")
    for layout in ("dwi/*_dwi.", "anat/*_{T1w", "NAME.nii.gz, one volume for each", "BraTS"):
        assert layout in text
    assert text.count("found: notes.txt") == text.count("expected table: ") == 1


def test_what_no_shipped_model_takes_is_said(tmp_path):
    from PIL import Image

    Image.fromarray(np.zeros((8, 8, 3), np.uint8)).save(tmp_path / "photo.png")
    with pytest.raises(InputError, match=r"photo.png: no shipped model takes an image"):
        suitable_model(tmp_path / "photo.png")
    with pytest.raises(InputError, match="nothing: no such file"):
        suitable_model(tmp_path / "nothing")


def test_scalar_volumes_take_the_model_whose_factors_suit_their_voxels(tmp_path):
    cube = save(tmp_path / "cube.nii.gz", np.ones((8, 8, 8)), np.diag([2.0, 2, 2, 1]))
    thick = save(tmp_path / "thick.nii.gz", np.ones((8, 8, 8)), np.diag([1.0, 1, 5, 1]))
    twice = save(tmp_path / "twice.nii.gz", np.ones((8, 8, 8)), np.diag([1.0, 2, 1, 1]))
    assert suitable_model(twice).name == "mri-through-plane"
    assert suitable_model(cube).name == "t1-x2"
    assert suitable_model(thick).name.startswith("mri-through-plane")


@pytest.mark.parametrize(
    ("edges", "wanted", "shape"),
    [
        ((1.0, 1.0, 5.0), 1.0, (24, 24, 30)),
        ((5.0, 1.0, 1.0), 1.0, (120, 24, 6)),  # slices along the first axis
        ((1.2, 1.2, 6.0), 2.0, (15, 15, 18)),
        ((2.0, 2.0, 2.0), 0.8, (60, 60, 15)),
    ],
)
def test_scalar_volumes_come_on_voxels_of_a_wanted_size(edges, wanted, shape, tmp_path):
    generator = np.random.default_rng(0)
    volume = save(
        tmp_path / "a_T1w.nii.gz", 50 + 10 * generator.random((24, 24, 6)), np.diag([*edges, 1.0])
    )
    files = infer_file(volume, voxel_size=wanted, output=tmp_path / "out", show_progress=False)
    image = nibabel.load(files[0])
    assert image.shape == shape
    np.testing.assert_allclose(np.diag(image.affine)[:3], wanted, rtol=1e-6)
    corners = [a @ [-0.5, -0.5, -0.5, 1] for a in (image.affine, np.diag([*edges, 1.0]))]
    np.testing.assert_allclose(*corners, atol=1e-5)
    assert files[-1].suffix == ".png"
    assert "same corner" in files[1].read_text()


def test_an_image_of_raw_dwi_takes_its_gradients_from_files():
    dwi = ROOT / "sample_data/sub-13/dwi/sub-13_dwi.nii.gz"
    image = nibabel.load(dwi).slicer[20:36, 20:36, 4:16]
    model = load_model("dti-x2", "cpu")
    with pytest.raises(InputError, match=r"^the scan: 13 volumes are .* give --bval and --bvec"):
        model.predict(image)
    gradients = {end: dwi.with_name(f"sub-13_dwi.{end}") for end in ("bval", "bvec")}
    assert model.predict(image, **gradients).shape == (32, 32, 24, 6)


def test_warnings_in_python_name_the_scan_and_no_file_that_is_gone(caplog):
    bare = nibabel.Nifti1Image(np.ones((16, 16, 16), np.float32), None)
    with caplog.at_level("WARNING", "medrev"):
        load_model("t1-x2", "cpu").predict(bare)
    assert "warning: the scan: neither sform nor qform is set" in caplog.text


def test_what_lies_beside_a_named_result_is_called_by_the_contrast(tmp_path):
    scan = tmp_path / "sub-01_T1w.nii.gz"
    values = np.zeros((12, 12, 12), np.float32)
    values[2:10, 2:10, 2:10] = 5
    nibabel.save(nibabel.Nifti1Image(values, 2 * np.eye(4)), scan)
    written = infer_file(
        scan, model="t1-x2", output=tmp_path / "fine.nii.gz", ensemble=2, quick_look=False
    )
    assert [path.name for path in written] == [
        "fine.nii.gz",
        "fine.json",
        "fine_res-hi_desc-srstd_T1w.nii.gz",
        "fine_res-hi_desc-srstd_T1w.json",
    ]
