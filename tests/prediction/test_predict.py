"""A model from Python: one volume in, one of the same type out."""

import dataclasses
import subprocess
import sys

import nibabel
import numpy as np
import pytest
import SimpleITK
import torch
import torchio
from monai.data.meta_tensor import MetaTensor
from monai.transforms import LoadImage

import medrev
from medrev.errors import InputError
from medrev.prediction import infer_file, save_weights

from .contrasts import head, random_model


def saved(model, folder):
    return medrev.load_model(
        save_weights(
            folder / "weights.safetensors",
            model.translator,
            model.pipeline,
            model.scale,
            dict(model.metadata),
        )
    )


@pytest.fixture
def tensors(make_model, tensor_file, tmp_path):
    """A model from a file, an image of tensors, and the file that is written for it."""
    model = saved(make_model(norm="none"), tmp_path)
    written = infer_file(
        tensor_file, model=model, output=tmp_path / "out", quick_look=False, show_progress=False
    )
    (expected,) = (path for path in written if "diffusivity" in path.name and "nii" in path.name)
    return model, nibabel.load(tensor_file), nibabel.load(expected)


def test_a_nibabel_image_gives_what_the_command_writes(tensors, tensor_file):
    model, image, expected = tensors
    for scan in (image, tensor_file, str(tensor_file)):
        result = model.predict(scan)
        assert isinstance(result, nibabel.Nifti1Image)
        np.testing.assert_allclose(result.affine, expected.affine, atol=1e-6)
        assert np.array_equal(result.get_fdata(), expected.get_fdata())


def test_metatensors_and_torchio_images_keep_type_and_place(tensors):
    model, image, expected = tensors
    values = torch.from_numpy(np.moveaxis(image.get_fdata(dtype=np.float32), -1, 0).copy())
    wanted = np.moveaxis(expected.get_fdata(dtype=np.float32), -1, 0)
    affine = torch.from_numpy(image.affine)
    meta = model.predict(MetaTensor(values, affine=affine, meta={"patient": "one"}))
    assert isinstance(meta, MetaTensor)
    assert meta.meta["patient"] == "one"
    picture = model.predict(torchio.ScalarImage(tensor=values, affine=image.affine))
    assert type(picture) is torchio.ScalarImage
    subject = model.predict(
        torchio.Subject(dti=torchio.ScalarImage(tensor=values, affine=image.affine), age=40)
    )
    assert subject["age"] == 40
    for found, where in (
        (meta.as_tensor(), meta.affine.numpy()),
        (picture.data, picture.affine),
        (subject["dti"].data, subject["dti"].affine),
    ):
        np.testing.assert_allclose(where, expected.affine, atol=1e-6)
        assert np.array_equal(found.numpy(), wanted)


def test_a_mask_comes_as_an_image_or_as_the_label_map_of_a_subject(tensors):
    model, image, _ = tensors
    mask = np.zeros(image.shape[:3], dtype=np.uint8)
    mask[2:6, 2:6, 2:6] = 1
    result = model.predict(image, mask=nibabel.Nifti1Image(mask, image.affine))
    fine = mask.repeat(2, 0).repeat(2, 1).repeat(2, 2) > 0
    values = result.get_fdata()
    assert (values[~fine] == 0).all()
    assert (values[fine] != 0).any(axis=-1).all()
    subject = torchio.Subject(
        dti=torchio.ScalarImage(
            tensor=torch.from_numpy(np.moveaxis(image.get_fdata(dtype=np.float32), -1, 0).copy()),
            affine=image.affine,
        ),
        brain=torchio.LabelMap(tensor=torch.from_numpy(mask[None]), affine=image.affine),
    )
    found = model.predict(subject)["dti"].data.numpy()
    assert np.array_equal(np.moveaxis(found, 0, -1), values.astype(np.float32))


@pytest.mark.parametrize("inverse", [False, True])
def test_a_simpleitk_image_keeps_its_grid(tmp_path, inverse):
    model = saved(random_model(), tmp_path)
    affine = np.diag([-2.0, 2.0, 3.0, 1.0])
    image = nibabel.Nifti1Image(head().astype(np.float32), affine)
    nibabel.save(image, tmp_path / "t1.nii")
    expected = model.predict(image, inverse=inverse)
    given = SimpleITK.ReadImage(str(tmp_path / "t1.nii"))
    result = model.predict(given, inverse=inverse)
    assert isinstance(result, SimpleITK.Image)
    for name in ("GetSize", "GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(result, name)() == pytest.approx(getattr(given, name)(), abs=1e-5)
    found = SimpleITK.GetArrayFromImage(result).transpose()
    assert np.array_equal(found, expected.get_fdata(dtype=np.float32))


def test_options_are_those_of_the_command(tensors):
    model, image, _ = tensors
    one, eight = model.predict(image), model.predict(image, ensemble=8)
    assert not np.array_equal(one.get_fdata(), eight.get_fdata())
    with pytest.raises(InputError, match="ensemble must be"):
        model.predict(image, ensemble=7)
    back = model.predict(one, inverse=True)
    np.testing.assert_allclose(back.affine, image.affine, atol=1e-6)
    assert back.shape == image.shape


def test_what_is_no_volume_is_refused(tensors):
    model, _, _ = tensors
    with pytest.raises(InputError, match=r"a scan must be a path, a nibabel image, .* got ndarray"):
        model.predict(np.zeros((6, 8, 8, 8)))
    with pytest.raises(InputError, match=r"ndarray, which has no affine: give nibabel\."):
        model.predict(np.zeros((6, 8, 8, 8)))
    for shape in ((8, 8, 8), (1, 6, 8, 8, 8)):  # without channels; with an axis of batches
        with pytest.raises(InputError, match=r"a MetaTensor must be \(C, I, J, K\)"):
            model.predict(MetaTensor(torch.ones(shape)))
    with pytest.raises(InputError, match="takes diffusion tensors"):
        model.predict(nibabel.Nifti1Image(np.ones((8, 8, 8), dtype=np.float32), np.eye(4)))
    two = {name: torchio.ScalarImage(tensor=torch.ones(6, 8, 8, 8)) for name in ("a", "b")}
    with pytest.raises(InputError, match=r"must have one image or one called .* got a, b"):
        model.predict(torchio.Subject(two))


def test_importing_medrev_imports_nothing_slow():
    code = "import sys, medrev; print({'torch', 'numpy', 'nibabel'} & set(sys.modules))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "set()"
    assert callable(medrev.load_model)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        _ = medrev.nothing


def test_a_metatensor_comes_back_with_the_grid_of_the_result_alone(tensors):
    """Nothing of what MONAI wrote about the old grid stays: all that says where it is agrees."""
    model, image, expected = tensors
    load = LoadImage(ensure_channel_first=True, image_only=True)
    given = load(image.get_filename())
    assert {"spatial_shape", "pixdim", "original_affine", "srow_x", "dim"} <= set(given.meta)
    result = model.predict(given)
    assert "pixdim" not in result.meta
    assert {name for name in result.meta if "affine" in name} == {"affine"}
    assert not {"srow_x", "qoffset_x", "quatern_b", "dim", "spatial_shape"} & set(result.meta)
    edges = np.linalg.norm(expected.affine[:3, :3], axis=0)
    np.testing.assert_allclose(result.pixdim, edges, atol=1e-5)
    np.testing.assert_allclose(result.meta["affine"], expected.affine, atol=1e-6)
    assert result.meta["filename_or_obj"] == given.meta["filename_or_obj"]


def test_a_subject_comes_back_on_one_grid(tensors):
    """Images and masks of the old grid are left out, those that lie on the new one are kept."""
    model, image, expected = tensors
    values = torch.from_numpy(np.moveaxis(image.get_fdata(dtype=np.float32), -1, 0).copy())
    coarse, fine = image.shape[:3], expected.shape[:3]
    elsewhere = expected.affine.copy()
    elsewhere[:3, 3] += 40
    given = {
        "low resolution": torchio.ScalarImage(tensor=values, affine=image.affine),
        "other": torchio.ScalarImage(tensor=values, affine=image.affine),
        "brain": torchio.LabelMap(tensor=torch.ones(1, *coarse), affine=image.affine),
        "t1": torchio.ScalarImage(tensor=torch.ones(1, *fine), affine=expected.affine),
        "moved": torchio.ScalarImage(tensor=torch.ones(1, *fine), affine=elsewhere),
        "age": 40,
    }
    result = model.predict(torchio.Subject(given))
    assert set(result) == {"low resolution", "t1", "age"}
    result.check_consistent_space()
    np.testing.assert_allclose(result["t1"].affine, expected.affine, atol=1e-6)
    assert result.spatial_shape == fine


def test_warnings_are_logged(tensors, caplog):
    """Voxels of 2 mm in a model that was trained on 5 mm."""
    model, image, _ = tensors
    with caplog.at_level("WARNING", logger="medrev"):
        model.predict(image)
    assert "trained on edges" not in caplog.text
    far = dataclasses.replace(model, metadata={**model.metadata, "voxel_size": [5.0, 5.0]})
    with caplog.at_level("WARNING", logger="medrev"):
        far.predict(image)
    (line,) = [r.getMessage() for r in caplog.records if "trained on edges" in r.getMessage()]
    assert line == (
        "warning: the voxels have 2 x 2 x 2 mm, the model was trained on edges of 5 mm: "
        "judge the result with care"
    )


def test_unknown_keywords_name_the_known_ones(tensors):
    model, image, _ = tensors
    calls = [
        (lambda: model.predict(image, ensembles=2), "predict has no keyword ensembles.* ensemble,"),
        (lambda: medrev.load_model("dti-x2", devise="cpu"), "load_model has .*devise.* device"),
        (
            lambda: medrev.train(None, steps=2),
            "train has no keyword steps; it has pipeline",
        ),
        (lambda: medrev.evaluate("runs/a", reference="b"), "evaluate has no .*reference.* sources"),
        (lambda: medrev.evaluate("a", choices={"edges": 3}), "choices has no edges; it has"),
        (
            lambda: medrev.infer_file("a.nii", out="b"),
            "infer_file has no .* out; .* overwrite",
        ),
    ]
    for call, said in calls:
        with pytest.raises(medrev.MedrevError, match=said):
            call()


def test_errors_of_images_name_no_temporary_file(tensors):
    model, image, _ = tensors
    values = image.get_fdata(dtype=np.float32)
    values[4, 4, 4] = np.nan
    values[:] = np.inf
    with pytest.raises(InputError) as caught:
        model.predict(nibabel.Nifti1Image(values, image.affine))
    assert "the scan" in str(caught.value)
    assert "medrev-" not in str(caught.value)
    assert ".nii" not in str(caught.value)
