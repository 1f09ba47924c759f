import functools
import json
import logging
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from medrev.dti import to_matrix
from medrev.errors import InputError, OutputError
from medrev.prediction import Predictor, recognise
from medrev.prediction import infer_file as infer

from .conftest import oblique, save

infer_file = functools.partial(infer, quick_look=False)  # drawing takes half a second


# dipy's Otsu threshold of a signal with two values only.
pytestmark = pytest.mark.filterwarnings("ignore:invalid value encountered:RuntimeWarning")


def names(folder: Path) -> list[str]:
    return sorted(p.name for p in folder.iterdir())


def test_names_and_sidecars_are_bids(residual_model, dwi_file, tmp_path):
    written = infer(dwi_file, model=residual_model(), output=tmp_path / "out")
    stem = "sub-01_res-hi_model-tensor_param-{}_desc-sr_dwimap"
    expected = [
        f"{stem.format(p)}{suffix}"
        for p in ("diffusivity", "fa", "md", "ad", "rd", "colorfa")
        for suffix in (".nii.gz", ".json")
    ]
    expected.append("sub-01_res-hi_model-tensor_desc-sr_dwimap.png")
    assert [path.name for path in written] == expected
    dataset = [".bidsignore", "dataset_description.json"]
    assert names(tmp_path / "out") == sorted([*expected, *dataset])
    sidecar = json.loads(written[1].read_text())
    assert sidecar["Units"] == "mm^2/s"
    assert sidecar["Sources"][0] == str(dwi_file)
    assert (sidecar["TensorOrder"], sidecar["TensorFrame"]) == ("fsl", "fsl")
    assert (sidecar["Direction"], sidecar["InputKind"]) == ("forward", "dwi")
    assert sidecar["VoxelSize"] == [1.0, 1.0, 1.0]
    assert sidecar["InputVoxelSize"] == [2.0, 2.0, 2.0]
    assert sidecar["Fit"] == {"method": "WLS", "b_max": 1500.0}
    assert "whole volume" in sidecar["Plan"]
    assert sidecar["GeneratedBy"][0]["Name"] == "medrev"
    assert json.loads(written[3].read_text())["Units"] == "dimensionless"


def test_raw_dwi_is_fitted_in_fsl_frame_and_order(residual_model, dwi_file, tmp_path):
    mask = tmp_path / "mask.nii.gz"
    written = infer_file(dwi_file, model=residual_model(), mask=mask, output=tmp_path / "out")
    tensor, fa, md, ad, rd = (nibabel.load(path).get_fdata() for path in written[:10:2])
    # Deep inside the mask the tensor is the one that the signal was made of, in the bvecs' frame.
    truth = np.array([1.4, 0.3, 0.1, 0.7, -0.1, 0.5]) * 1e-3
    np.testing.assert_allclose(tensor[8:12, 8:12, 6:10], truth * np.ones((4, 4, 4, 6)), atol=2e-7)
    values = np.linalg.eigvalsh(to_matrix(truth))
    np.testing.assert_allclose(md[10, 10, 8], values.mean(), rtol=1e-3)
    spread = np.sqrt(1.5 * ((values - values.mean()) ** 2).sum() / (values**2).sum())
    np.testing.assert_allclose(fa[10, 10, 8], spread, rtol=1e-3)
    np.testing.assert_allclose(ad[10, 10, 8], values.max(), rtol=1e-3)
    np.testing.assert_allclose(rd[10, 10, 8], np.sort(values)[:2].mean(), rtol=1e-3)


def test_the_mask_is_the_inputs_mask_on_the_fine_grid(residual_model, dwi_file, tmp_path):
    mask = tmp_path / "mask.nii.gz"
    written = infer_file(dwi_file, model=residual_model(), mask=mask, output=tmp_path / "out")
    low = nibabel.load(mask).get_fdata() > 0
    fine = low.repeat(2, 0).repeat(2, 1).repeat(2, 2)
    tensor = nibabel.load(written[0]).get_fdata()
    assert np.array_equal((tensor != 0).any(-1), fine)
    sidecar = json.loads(written[1].read_text())
    assert (sidecar["MaskSource"], sidecar["MaskVoxels"]) == ("given", int(fine.sum()))


def test_tensors_are_repaired_and_counted(make_model, tensor_file, tmp_path):
    # Random weights give many tensors that are not positive definite.
    written = infer_file(tensor_file, model=make_model(), output=tmp_path / "out")
    tensor = nibabel.load(written[0]).get_fdata()
    assert np.linalg.eigvalsh(to_matrix(tensor)).min() > 0
    assert json.loads(written[1].read_text())["RepairedTensors"] > 0
    fa = nibabel.load(written[2]).get_fdata()
    assert fa.min() >= 0
    assert fa.max() <= 1


def test_tensors_repaired_before_a_resampling_are_not_counted_against_its_voxels(
    make_model, tensor_file, tmp_path, caplog
):
    with caplog.at_level("INFO", logger="medrev"):
        infer_file(tensor_file, model=make_model(), output=tmp_path / "out", voxel_size=1.4)
    assert "tensors repaired before the last resampling" in caplog.text


def test_there_and_back_again(residual_model, tensor_file, tmp_path):
    model = residual_model()
    high = infer_file(tensor_file, model=model, output=tmp_path / "out")
    low = infer_file(high[0], model=model, output=tmp_path / "out", direction="inverse")
    assert low[0].name == "sub-01_res-lo_model-tensor_param-diffusivity_desc-sr_dwimap.nii.gz"
    before, after = nibabel.load(tensor_file), nibabel.load(low[0])
    assert after.shape == before.shape
    np.testing.assert_allclose(after.affine, before.affine, atol=1e-5)
    inner = (slice(1, -1),) * 3
    np.testing.assert_allclose(after.get_fdata()[inner], before.get_fdata()[inner], atol=1e-9)


def test_the_space_code_is_kept(residual_model, tensor_file, tmp_path):
    image = nibabel.load(tensor_file)
    image.set_sform(image.affine, 4)
    image.set_qform(image.affine, 4)
    nibabel.save(image, tmp_path / "mni.nii.gz")
    written = infer_file(tmp_path / "mni.nii.gz", model=residual_model(), output=tmp_path)
    assert int(nibabel.load(written[0]).header["sform_code"]) == 4


def test_order_and_frame_come_from_the_json_file_beside(residual_model, tensor_file, tmp_path):
    model = residual_model()
    first = infer_file(
        tensor_file, model=model, output=tmp_path, tensor_order="fsl", tensor_frame="ras"
    )
    again = infer_file(first[0], model=model, output=tmp_path / "2")
    assert json.loads(again[1].read_text())["TensorFrame"] == "ras"
    given = infer_file(first[0], model=model, output=tmp_path / "3", tensor_frame="voxel")
    assert json.loads(given[1].read_text())["TensorFrame"] == "voxel"


def test_what_was_recognised_is_said(residual_model, dwi_file, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="medrev")
    (tmp_path / "mask.nii.gz").unlink()
    infer_file(dwi_file, model=residual_model(), output=tmp_path / "out")
    assert (
        "raw DWI (NIfTI), 10 volumes of 10×9×8 voxels, gradients from sub-01_dwi.bval"
        in caplog.text
    )
    assert "median_otsu" in caplog.text
    assert "tensors repaired" in caplog.text


def test_kinds(tmp_path, dwi_file, tensor_file):
    assert recognise(dwi_file).kind == "dwi"
    assert recognise(tensor_file).kind == "tensor"
    # An HCP folder's gradients do not make its six-component tensors a DWI.
    for name in ("bvals", "bvecs"):
        (tmp_path / name).write_text("0\n")
    save(tmp_path / "tensor.nii.gz", np.ones((6, 5, 5, 5)), oblique())
    save(tmp_path / "data.nii.gz", np.ones((9, 5, 5, 5)), oblique())
    assert recognise(tmp_path / "tensor.nii.gz").kind == "tensor"
    assert recognise(tmp_path / "data.nii.gz").bval == tmp_path / "bvals"


def test_without_a_model_the_shipped_one_is_used_and_named(
    tensor_file, tmp_path, monkeypatch, caplog
):
    monkeypatch.chdir(tmp_path)
    caplog.set_level(logging.INFO, logger="medrev")
    written = infer_file(tensor_file)
    assert written[0].parent == Path()
    assert written[0].exists()
    assert "dti-x2, shipped with medrev" in caplog.text
    document = json.loads(written[1].read_text())
    assert len(document["Model"]["SHA256"]) == 64


def test_signs_of_a_wrong_order_unit_or_spacing_are_said(residual_model, tmp_path, caplog):
    model = residual_model()
    model.metadata["voxel_size"] = [4.0, 5.0]
    rng = np.random.default_rng(0)
    a = 0.02 * rng.standard_normal((6, 6, 6, 3, 3)) + np.diag([0.035, 0.03, 0.025])
    d = a @ np.swapaxes(a, -1, -2)
    lower = d[..., [0, 1, 1, 2, 2, 2], [0, 0, 1, 0, 1, 2]]
    path = save(tmp_path / "t.nii.gz", np.moveaxis(lower, -1, 0), oblique())
    written = infer_file(path, model=model, output=tmp_path / "out")
    text = " ".join(json.loads(written[1].read_text())["Warnings"])
    assert "'dipy': check --tensor-order" in text
    assert "trained on edges of 4 to 5 mm" in text
    fine = infer_file(path, model=model, output=tmp_path / "ok", tensor_order="ants")
    assert "--tensor-order" not in " ".join(json.loads(fine[1].read_text())["Warnings"])
    path = save(tmp_path / "u.nii.gz", np.moveaxis(lower, -1, 0) * 1e3, oblique())
    written = infer_file(path, model=model, output=tmp_path / "unit", tensor_order="dipy")
    assert "µm²/ms" in " ".join(json.loads(written[1].read_text())["Warnings"])


def test_existing_results_are_kept_unless_told_otherwise(residual_model, tensor_file, tmp_path):
    model, out = residual_model(), tmp_path / "out"
    first = infer_file(tensor_file, model=model, output=out)
    contents = [path.read_bytes() for path in first]
    first[0].unlink()  # one of six is enough to stop
    with pytest.raises(OutputError, match="exists already; give --overwrite"):
        infer_file(tensor_file, model=model, output=out)
    assert not first[0].exists()
    infer_file(tensor_file, model=model, output=out, overwrite=True)
    assert [path.read_bytes() for path in first] == contents


def test_a_result_never_replaces_its_input(residual_model, tensor_file, tmp_path):
    model = residual_model()
    written = infer_file(tensor_file, model=model, output=tmp_path)
    with pytest.raises(OutputError, match="is the input itself"):
        infer_file(written[0], model=model, output=tmp_path, overwrite=True)


@pytest.mark.parametrize("failing", [1, 2, 3])
def test_a_failure_while_writing_leaves_nothing(
    residual_model, tensor_file, tmp_path, monkeypatch, failing
):
    from medrev.domains import outputs

    count, real = 0, outputs.write_nifti

    def broken(*args, **kwargs):
        nonlocal count
        count += 1
        if count == failing:
            raise OSError(28, "No space left on device")
        return real(*args, **kwargs)

    monkeypatch.setattr(outputs, "write_nifti", broken)
    with pytest.raises(OutputError, match="no space left"):
        infer_file(tensor_file, model=residual_model(), output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_an_interruption_leaves_nothing(residual_model, tensor_file, tmp_path, monkeypatch):
    model = residual_model()

    def interrupt(*args, **options):
        raise KeyboardInterrupt

    monkeypatch.setattr(Predictor, "__call__", interrupt)
    with pytest.raises(KeyboardInterrupt):
        infer_file(tensor_file, model=model, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_network_that_gives_nan_writes_nothing(residual_model, tensor_file, tmp_path):
    model = residual_model()
    with torch.no_grad():
        next(model.translator.project_y.parameters()).fill_(float("nan"))
    with pytest.raises(InputError, match="NaN or Inf; nothing written"):
        infer_file(tensor_file, model=model, output=tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("stem", "mask"),
    [("sub-01_dwi", "sub-01_desc-brain_mask"), ("x_dwi", "x_mask"), ("data", "nodif_brain_mask")],
)
def test_raw_dwi_takes_the_mask_beside_it(dwi_file, tmp_path, stem, mask):
    folder = tmp_path / "beside"
    folder.mkdir()
    for ending in ("nii.gz", "bval", "bvec"):
        (tmp_path / f"sub-01_dwi.{ending}").rename(folder / f"{stem}.{ending}")
    assert recognise(folder / f"{stem}.nii.gz").mask is None
    (tmp_path / "mask.nii.gz").rename(folder / f"{mask}.nii.gz")
    (folder / "sub-010_mask.nii.gz").write_bytes(b"another subject's")
    found = recognise(folder / f"{stem}.nii.gz")
    assert found.mask == folder / f"{mask}.nii.gz"
    assert mask in str(found)


def test_raw_dwi_of_a_dataset_inherits_gradients_as_in_its_cohort(dwi_file, tmp_path):
    folder = tmp_path / "data" / "sub-01" / "dwi"
    folder.mkdir(parents=True)
    dwi = dwi_file.rename(folder / "sub-01_acq-a_dwi.nii.gz")
    root = folder.parents[1]
    (tmp_path / "sub-01_dwi.bvec").rename(root / "dwi.bvec")
    (tmp_path / "sub-01_dwi.bval").rename(root / "acq-b_dwi.bval")
    assert recognise(dwi).kind == "series"
    (root / "acq-b_dwi.bval").rename(root / "acq-a_dwi.bval")
    found = recognise(dwi)
    assert (found.kind, found.bval, found.bvec) == (
        "dwi",
        root / "acq-a_dwi.bval",
        root / "dwi.bvec",
    )


@pytest.mark.parametrize("name", ["sub-01_ses-2_desc-brain_mask", "sub-01_task-rest_mask"])
def test_raw_dwi_takes_no_mask_of_another_session_or_of_another_kind_of_scan(
    dwi_file, tmp_path, name
):
    (tmp_path / "mask.nii.gz").rename(tmp_path / f"{name}.nii.gz")
    assert recognise(tmp_path / "sub-01_dwi.nii.gz").mask is None


def test_an_untrained_inverse_is_said(residual_model, tensor_file, tmp_path):
    model = residual_model()
    method = model.pipeline.method.model_copy(update={"inverse_weight": 0.0})
    method = method.model_copy(update={"adversarial_weight": 0.0, "cycle_weight": 0.0})
    untrained = replace(model, pipeline=model.pipeline.model_copy(update={"method": method}))
    for each, said in ((model, False), (untrained, True)):
        out = tmp_path / str(said)
        written = infer_file(tensor_file, model=each, direction="inverse", output=out)
        text = " ".join(json.loads(written[1].read_text())["Warnings"])
        assert ("was not trained" in text) == said
