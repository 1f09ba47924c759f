"""Contrasts from file to file: geometry, intensities, names, sidecars, uncertainty, bad input."""

import functools
import json
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch

from medrev.errors import InputError, OutputError
from medrev.prediction import infer_file as infer
from medrev.volumes import read_volume

from .conftest import oblique, save
from .contrasts import (
    GIVEN,
    T1,
    T2,
    expected,
    head,
    random_model,
    save_head,
    square_model,
)
from .refusal import check_refused
from .test_inputs import scalar_files

infer_file = functools.partial(infer, quick_look=False)

GRIDS = {
    "oblique": oblique((1.5, 2.0, 3.5)),
    "left-handed": oblique((2.0, 2.5, 1.2), left=True),
    "flipped and permuted": np.array(
        [[0, 0, 2.0, -30], [-2.2, 0, 0, 40], [0, -1.8, 0, 7], [0, 0, 0, 1]]
    ),
}


def values_of(path: Path) -> np.ndarray:
    return np.asarray(nibabel.load(path).get_fdata(dtype=np.float32))


def sidecar_of(path: Path) -> dict:
    return json.loads(Path(str(path).replace(".nii.gz", ".json")).read_text())


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


# --- uncertainty --------------------------------------------------------------------------------


@pytest.mark.parametrize(("dims", "count"), [(2, 2), (2, 4), (3, 2), (3, 4), (3, 8)])
def test_the_ensemble_is_mean_and_spread_over_mirror_images(tmp_path, dims, count):
    """Even sizes: a mirrored slice lies in the middle of its frame as the slice itself does."""
    model, values, affine = random_model(dims), head((12, 16, 10)), np.diag([2.0, 2, 2, 1])

    def result(volume: np.ndarray, name: str, **options) -> np.ndarray:
        path = save_head(tmp_path / f"{name}_t1.nii.gz", volume, affine)
        files = infer_file(path, model=model, output=tmp_path / name, **options)
        return np.stack([values_of(file) for file in files[::2]])

    axes = {2: [(0,)], 4: [(0,), (1,), (0, 1)]}.get(count) or [
        (0,), (1,), (2,), (0, 1), (0, 2), (1, 2), (0, 1, 2)
    ]  # fmt: skip
    members = [result(values, "plain")[0]] + [
        np.flip(result(np.flip(values, a), f"flip{n}")[0], a) for n, a in enumerate(axes)
    ]
    found = result(values, "ensemble", ensemble=count)
    dark = np.min(members, axis=0) == 0  # intensities below zero were cut off
    np.testing.assert_allclose(found[0][~dark], np.mean(members, 0)[~dark], rtol=1e-4, atol=0.05)
    np.testing.assert_allclose(
        found[1][~dark], np.std(members, 0, ddof=1)[~dark], rtol=1e-3, atol=0.05
    )
    assert found[1][~dark].max() > 1


def test_several_models_join_the_ensemble(tmp_path):
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head(), oblique())
    models = [random_model(seed=n) for n in range(2)]
    alone = [
        values_of(infer_file(path, model=model, output=tmp_path / str(n))[0])
        for n, model in enumerate(models)
    ]
    written = infer_file(path, model=models[0], members=(models[1],), output=tmp_path / "both")
    lit = np.minimum(*alone) > 0
    np.testing.assert_allclose(values_of(written[0])[lit], np.mean(alone, 0)[lit], rtol=1e-4)
    assert sidecar_of(written[0])["EnsembleMembers"] == 2
    other = square_model(target="flair")
    with pytest.raises(InputError, match=r"must translate alike, got t1 to t2 .* and t1 to flair"):
        infer_file(path, model=models[0], members=(other,), output=tmp_path / "no")


@pytest.mark.parametrize("dims", [2, 3])
def test_the_cycle_residual_is_zero_where_the_way_back_is_exact(tmp_path, dims):
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head(), oblique())
    options = {"cycle_residual": True}
    exact = infer_file(path, model=square_model(dims), output=tmp_path / "a", **options)
    assert values_of(exact[2]).max() < 1e-3 * GIVEN
    rough = infer_file(path, model=random_model(dims), output=tmp_path / "b", **options)
    assert values_of(rough[2]).max() > 0.05 * GIVEN


@pytest.mark.parametrize("dims", [2, 3])
def test_what_a_network_puts_outside_of_the_brain_belongs_to_the_way_back(tmp_path, dims):
    kind = {"kind": "involution", "width": 4, "depth": 1, "downsamplings": 1, "norm": "none"}
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head((14, 18, 12)), oblique())
    options = {"cycle_residual": True}
    model = random_model(dims, model=kind, slices={"size": 20})
    written = infer_file(path, model=model, output=tmp_path / "out", **options)
    assert values_of(written[2]).max() < 1e-4 * GIVEN


def test_the_cycle_residual_is_in_intensities_of_the_input(tmp_path):
    class Halved(square_model().translator.__class__):
        def translate_back(self, y: torch.Tensor) -> torch.Tensor:
            return (super().translate_back(y) + 1) / 2 - 1

    values = head()
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", values, oblique(left=True))
    model = replace(square_model(), translator=Halved().eval())
    options = {"cycle_residual": True}
    written = infer_file(path, model=model, output=tmp_path / "out", **options)
    np.testing.assert_allclose(values_of(written[2]), values / 2, rtol=1e-3, atol=0.01)


# --- doubts -------------------------------------------------------------------------------------


def test_volumes_unlike_those_of_the_training_are_doubted(tmp_path):
    metadata = {
        "intensity": {"t1": T1, "t2": T2},
        "voxel_size": [1.0, 1.0],
        "ranges": {"t1": {"median": [0.9, 0.9], "mask_ml": [1, 1], "inside": [0.1, 0.3]}},
    }
    model = replace(square_model(), metadata=metadata)
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head() + 1, oblique())
    text = " ".join(sidecar_of(infer_file(path, model=model, output=tmp_path)[0])["Warnings"])
    assert "2 x 2 x 2 mm, the model was trained on edges of 1 mm" in text
    assert "100% of the voxels are in the mask, in training at most 30%" in text
    assert "of its brightest voxels' intensity, in training it was 0.9" in text


@pytest.mark.parametrize(
    ("name", "direction", "says"),
    [
        ("sub-01_T1w", "forward", None),
        ("sub-01_T2w", "forward", "says t2, but the model starts from t1"),
        ("sub-01_T2w", "inverse", None),
        ("BraTS20_001_t1ce", "inverse", "says t1ce, but the model starts from t2"),
        ("sub-01_ce-gadolinium_T1w", "forward", "says t1ce, but the model starts from t1"),
        ("head", "forward", None),
    ],
)
def test_a_name_that_says_another_contrast_is_doubted(tmp_path, name, direction, says):
    path = save_head(tmp_path / f"{name}.nii.gz", head(), oblique())
    written = infer_file(path, model=square_model(), output=tmp_path / "o", direction=direction)
    doubts = [line for line in sidecar_of(written[0])["Warnings"] if "the name of" in line]
    assert len(doubts) == (says is not None)
    assert says is None or says in doubts[0]


def test_mirror_images_that_training_did_not_have_are_noted(tmp_path):
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head(), oblique())
    notes = {}
    for count, flips in ((2, True), (2, False), (4, True)):
        model = square_model(augmentation={"flips": flips})
        written = infer_file(
            path,
            model=model,
            output=tmp_path / f"{count}{flips}",
            ensemble=count,
        )
        notes[count, flips] = " ".join(sidecar_of(written[0])["Notes"])
    assert notes[2, True] == ""
    assert "mirror images of left and right" in notes[2, False]
    assert "mirror images of front and back" in notes[4, True]


def test_an_untrained_direction_is_said(tmp_path):
    model = square_model()
    method = model.pipeline.method.model_copy(
        update={"inverse_weight": 0.0, "adversarial_weight": 0.0, "cycle_weight": 0.0}
    )
    model = replace(model, pipeline=model.pipeline.model_copy(update={"method": method}))
    path = save_head(tmp_path / "sub-01_T2w.nii.gz", head(), oblique())
    written = infer_file(path, model=model, output=tmp_path, direction="inverse")
    assert "was not trained: its result is noise" in " ".join(sidecar_of(written[0])["Warnings"])


# --- bad input ----------------------------------------------------------------------------------


@pytest.fixture
def refuse(tmp_path):
    return functools.partial(
        check_refused, tmp_path, model=square_model(), error=InputError, quick_look=False
    )


def test_inputs_of_another_kind(refuse, tmp_path, dwi_file, tensor_file, residual_model):
    volumes = save(tmp_path / "f.nii.gz", np.ones((4, 6, 6, 6)), oblique())
    takes = "the model tiny takes a scalar 3D volume such as T1w or T2w, the input is"
    refuse(f"{takes} raw DWI", dwi_file)
    refuse(f"{takes} diffusion tensors", tensor_file)
    refuse(f"{takes} a series of volumes \\(NIfTI, 4 of 6×6×6 voxels\\)", volumes)
    scalar = save_head(tmp_path / "sub-01_T1w.nii.gz", head(), oblique())
    tensors = residual_model()
    refuse("takes diffusion tensors .* the input is a scalar volume", scalar, model=tensors)
    mixed = {"model": square_model(), "members": (tensors,)}
    refuse("of one kind of data, got contrast .* and dti", scalar, **mixed)


def test_volumes_that_cannot_be_used(refuse, tmp_path):
    zero = save_head(tmp_path / "zero_t1.nii.gz", np.zeros((8, 8, 8)), oblique())
    refuse("no voxel is above zero", zero)
    values = head()
    values[5, 6, 7] = np.nan
    refuse(r"in the brain are NaN .* at \(5, 6, 7\)", save(tmp_path / "nan.nii", values, oblique()))
    negative = save(tmp_path / "negative.nii", -head() - 1, oblique())
    refuse("no voxel is above zero", negative)
    good = save_head(tmp_path / "good_t1.nii.gz", head(), oblique())
    empty = save(tmp_path / "m.nii", np.zeros((13, 18, 11)), oblique())
    refuse("mask is empty", good, mask=empty)
    refuse("no such file", tmp_path / "none.nii.gz")
    thin = save_head(tmp_path / "thin_t1.nii.gz", np.ones((8, 8, 2)), oblique())
    refuse("thin_t1.*at least 4 voxels along every axis", thin, model=square_model(3))
    damaged = tmp_path / "damaged_t1.nii.gz"
    damaged.write_bytes(good.read_bytes()[:-40])
    refuse("truncated", damaged)


def test_settings_that_are_of_tensors(refuse, tmp_path):
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head(), oblique())
    refuse("--tensor-order is for models of diffusion tensors", path, tensor_order="fsl")
    for name, value in (("engine", "openvino"), ("precision", "bfloat16"), ("spacing", "train")):
        refuse(f"--{name} {value}", path, **{name: value})
    for dims, count, allowed in ((2, 8, "1, 2, 4"), (3, 24, "1, 2, 4, 8")):
        options = {"ensemble": count}
        refuse(f"one of {allowed} members", path, model=square_model(dims), **options)


def test_a_cycle_needs_a_way_back(refuse, tmp_path):
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head(), oblique())
    model = square_model()
    model.translator.has_inverse = False
    options = {"cycle_residual": True}
    refuse("--cycle-residual: tiny has no inverse direction", path, model=model, **options)
    refuse("tiny has no inverse direction", path, model=model, direction="inverse")


def test_a_result_that_is_not_finite(refuse, tmp_path):
    class Broken(square_model().translator.__class__):
        def translate(self, x: torch.Tensor) -> torch.Tensor:
            return x / 0

    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head(), oblique())
    refuse("NaN or Inf; nothing written", path, model=replace(square_model(), translator=Broken()))


def test_existing_results_and_folders_that_cannot_be_written(refuse, tmp_path, monkeypatch):
    path = save_head(tmp_path / "sub-01_T1w.nii.gz", head(), oblique())
    (tmp_path / "sub-01_desc-synth_T2w.png").write_bytes(b"mine")
    both = {"output": tmp_path, "quick_look": True, "error": OutputError}
    refuse(r"T2w\.png exists already; give --overwrite", path, **both)
    (tmp_path / "file").write_text("occupied")
    refuse("is a file, not a folder", path, error=OutputError, output=tmp_path / "file")

    def forbidden(self, *args, **kwargs):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "mkdir", forbidden)
    refuse("cannot write to the folder", path, error=OutputError)
