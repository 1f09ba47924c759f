"""What is written: formats, colours, names, the dataset around it, and the picture."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import matplotlib.image
import nibabel
import nrrd
import numpy as np
import pytest
import torch

from medrev.domains.bids import describe_dataset, links_of, source_path, source_uris
from medrev.domains.tensor.results import base_name
from medrev.dti import to_matrix
from medrev.errors import InputError, OutputError
from medrev.prediction import Predictor, infer_file
from medrev.volumes import read_volume

from .conftest import oblique, save, save_ramp


def by_param(written):
    """Volumes and sidecars by the param entity and, where it is not sr, the desc entity."""
    found = {}
    for path in written:
        if path.suffix not in (".json", ".png"):
            entities = dict(e.split("-", 1) for e in path.name.split("_") if "-" in e)
            desc = "" if entities["desc"] == "sr" else f" {entities['desc']}"
            found[entities["param"] + desc] = path
    return found


@pytest.fixture
def fibres(tmp_path):
    """Tensors on an oblique, left-handed grid that point along x, y and z by region."""
    axes = np.eye(3)
    tensors = np.stack([axes * 3e-4 + 1.4e-3 * np.outer(a, a) for a in axes])
    values = np.zeros((6, 9, 8, 8))
    for region in range(3):
        six = tensors[region][[0, 0, 0, 1, 1, 2], [0, 1, 2, 1, 2, 2]]
        values[:, 3 * region : 3 * region + 3] = six[:, None, None, None]
    return save(tmp_path / "sub-01_dwimap.nii.gz", values, oblique(left=True))


def test_colours_are_directions_in_the_world(residual_model, fibres, tmp_path):
    written = infer_file(fibres, model=residual_model(), output=tmp_path, tensor_frame="ras")
    files = by_param(written)
    fa = nibabel.load(files["fa"]).get_fdata()
    pixels = np.asarray(nibabel.load(files["colorfa"]).dataobj)
    colours = np.stack([pixels[c] for c in "RGB"], -1) / 255
    for region in range(3):  # red x, green y, blue z
        inside = slice(6 * region + 2, 6 * region + 4)
        expected = np.eye(3)[region] * fa[inside, :, :, None]
        np.testing.assert_allclose(colours[inside], expected, atol=0.004)


@pytest.mark.parametrize("left", [False, True])
def test_nrrd_says_the_same_as_nifti(make_model, tensor_file, tmp_path, left):
    path = save_ramp(tmp_path / "sub-02_dwimap.nii", (7, 6, 8), oblique(left=left))
    nifti, nrrds = (
        by_param(
            infer_file(path, model=make_model(), output=tmp_path / f, format=f, quick_look=False)
        )
        for f in ("nifti", "nrrd")
    )
    assert nifti.keys() == nrrds.keys()
    for name in ("fa", "md", "ad", "rd"):
        one, two = read_volume(nifti[name]), read_volume(nrrds[name])
        np.testing.assert_array_equal(one.values.numpy(), two.values.numpy())
        np.testing.assert_allclose(one.affine, two.affine, atol=1e-5)
    colours, header = nrrd.read(str(nrrds["colorfa"]))
    assert header["kinds"][0] == "RGB-color"
    assert colours.dtype == np.float32
    pixels = np.asarray(nibabel.load(nifti["colorfa"]).dataobj)
    np.testing.assert_allclose(colours, np.stack([pixels[c] for c in "RGB"]) / 255, atol=0.002)
    one, two = read_volume(nifti["diffusivity"]), read_volume(nrrds["diffusivity"])
    axes = one.affine[:3, :3] / np.linalg.norm(one.affine[:3, :3], axis=0)
    axes[:, 0] *= -1 if np.linalg.det(axes) > 0 else 1  # FSL's frame
    stored = two.values.flip(1) if left else two.values  # NRRD is written right-handed
    worlds = [
        turn @ to_matrix(np.moveaxis(values.numpy().astype(float), 0, -1)) @ turn.T
        for values, turn in ((one.values, axes), (stored, two.header.tensor.frame))
    ]
    np.testing.assert_allclose(worlds[0], worlds[1], atol=1e-9)
    again = infer_file(
        nrrds["diffusivity"], model=make_model(), output=tmp_path / "again", quick_look=False
    )
    assert json.loads(again[1].read_text())["TensorConvention"] == "header"


def test_uncertainty_and_cycle_residual_are_written_where_they_are_given(
    residual_model, dwi_file, tmp_path, monkeypatch
):
    model = residual_model()
    plain = Predictor.__call__

    def predict(self, scan, **options):
        found = plain(self, scan, **options)
        std, residual = 1e-5 * found.mask, 2e-5 * scan.mask
        return replace(found, std=std, cycle_residual=residual, members=8, notes=("a note",))

    monkeypatch.setattr(Predictor, "__call__", predict)
    mask = tmp_path / "mask.nii.gz"
    written = infer_file(
        dwi_file,
        model=model,
        output=tmp_path / "out",
        mask=mask,
        ensemble=8,
        cycle_residual=True,
    )
    files = by_param(written)
    low = nibabel.load(mask)
    cycle = nibabel.load(files["diffusivity srcycle"])
    assert "_res-lo_" in files["diffusivity srcycle"].name
    np.testing.assert_allclose(cycle.affine, low.affine, atol=1e-5)
    np.testing.assert_allclose(cycle.get_fdata(), 2e-5 * (low.get_fdata() > 0), rtol=1e-6)
    std = nibabel.load(files["diffusivity srstd"])
    fa = nibabel.load(files["fa"])
    np.testing.assert_allclose(std.affine, fa.affine)
    np.testing.assert_allclose(std.get_fdata(), 1e-5 * (fa.get_fdata() > 0), rtol=1e-6)
    document = json.loads(written[1].read_text())
    assert (document["EnsembleMembers"], document["Notes"]) == (8, ["a note"])
    assert "Frobenius" in json.loads(written[13].read_text())["Description"]


def test_the_sidecar_says_how_it_was_made(residual_model, tensor_file, tmp_path):
    written = infer_file(tensor_file, model=residual_model(), output=tmp_path)
    document = json.loads(written[1].read_text())
    assert document["Engine"].startswith("torch")
    assert len(document["SourceSHA256"][0]) == 64
    assert document["Request"]["Direction"] == "forward"
    assert document["TensorConvention"] == "assumed"


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("sub-01_ses-2_run-1_dwi.nii.gz", "sub-01_ses-2_run-1"),
        ("sub-01_res-hi_model-tensor_param-diffusivity_desc-sr_dwimap.nii.gz", "sub-01"),
        ("/data/100307/T1w/Diffusion/data.nii.gz", "sub-100307"),
        ("/data/sub-A_1/Diffusion/data.nii", "sub-A1"),
        ("tensor.nrrd", "tensor"),
        ("scan.v2.mha", "scan.v2"),
    ],
)
def test_base_names(path, expected):
    assert base_name(Path(path)) == expected


def test_the_uncertainty_of_an_earlier_result_does_not_stay(residual_model, tensor_file, tmp_path):
    model = residual_model()
    options = {"ensemble": 2, "cycle_residual": True}
    first = infer_file(tensor_file, model=model, output=tmp_path, **options, quick_look=False)
    (tmp_path / "notes_dwimap.json").write_text("{}")
    again = infer_file(tensor_file, model=model, output=tmp_path, overwrite=True, quick_look=False)
    gone = set(first) - set(again)
    assert len(gone) == 4
    assert not any(path.exists() for path in gone)
    foreign = next(path for path in gone if path.name.endswith("srstd_dwimap.json"))
    foreign.write_text("{}")
    infer_file(tensor_file, model=model, output=tmp_path, overwrite=True, quick_look=False)
    assert foreign.exists()


# --- the dataset --------------------------------------------------------------------------------


def test_the_folder_becomes_a_derivative_dataset_once(residual_model, tensor_file, tmp_path):
    out = tmp_path / "out"
    infer_file(tensor_file, model=residual_model(), output=out)
    document = json.loads((out / "dataset_description.json").read_text())
    assert document["DatasetType"] == "derivative"
    assert document["GeneratedBy"][0]["Name"] == "medrev"
    assert "*_dwimap.*" in (out / ".bidsignore").read_text().splitlines()
    (out / "dataset_description.json").write_text('{"Name": "mine"}')
    infer_file(tensor_file, model=residual_model(), output=out, overwrite=True)
    assert (out / "dataset_description.json").read_text() == '{"Name": "mine"}'


@pytest.mark.parametrize(
    ("place", "written"),
    [
        ("", 0),
        ("sub-01/dwi", 0),
        ("derivatives/medrev", 2),
        ("derivatives/medrev/sub-01", 2),
        ("results", 2),
    ],
)
def test_a_folder_in_a_dataset_is_one_unless_it_is_a_subjects(tmp_path, place, written):
    (tmp_path / "dataset_description.json").write_text("{}")
    folder = tmp_path / place
    folder.mkdir(parents=True, exist_ok=True)
    assert len(describe_dataset(folder, "Results")) == written


def test_a_result_that_is_named_makes_no_dataset(residual_model, tensor_file, tmp_path):
    file = tmp_path / "out" / "fine.nii.gz"
    written = infer_file(tensor_file, model=residual_model(), output=file)
    assert written[0] == file
    assert {path.name for path in file.parent.iterdir()} == {path.name for path in written}
    assert json.loads(written[1].read_text())["Sources"] == [str(tensor_file)]


class TestSources:
    """Sidecars name the input so that it is found again from wherever one stands."""

    @pytest.fixture
    def dataset(self, tensor_file, tmp_path):
        root = tmp_path / "ds-1 ü"
        (root / "sub-01" / "dwi").mkdir(parents=True)
        (root / "dataset_description.json").write_text('{"Name": "mine"}')
        shutil.copy(tensor_file, root / "sub-01" / "dwi" / "sub-01_dwimap.nii.gz")
        return root

    @staticmethod
    def source_of(written):
        return json.loads(written[1].read_text())["Sources"][0]

    @pytest.mark.parametrize("out", ["ds-1 ü/derivatives/medrev", "elsewhere/out"])
    def test_in_another_dataset(self, residual_model, dataset, tmp_path, out):
        out, path = tmp_path / out, dataset / "sub-01" / "dwi" / "sub-01_dwimap.nii.gz"
        written = infer_file(path, model=residual_model(), output=out)
        source = self.source_of(written)
        assert source == "bids:ds1:sub-01/dwi/sub-01_dwimap.nii.gz"
        links = json.loads((out / "dataset_description.json").read_text())["DatasetLinks"]
        assert (out / links["ds1"]).resolve() == dataset.resolve()
        assert source_path(source, out) == path

    def test_in_the_same_dataset(self, residual_model, dataset):
        folder = dataset / "sub-01" / "dwi"
        path = folder / "sub-01_dwimap.nii.gz"
        written = infer_file(path, model=residual_model(), output=folder)
        assert self.source_of(written) == "bids::sub-01/dwi/sub-01_dwimap.nii.gz"
        assert source_path(self.source_of(written), folder) == path

    def test_in_none(self, residual_model, tensor_file, tmp_path, monkeypatch):
        monkeypatch.chdir(tensor_file.parent)
        written = infer_file(tensor_file.name, model=residual_model(), output=tmp_path / "out")
        assert self.source_of(written) == str(tensor_file)
        assert source_path(self.source_of(written), tmp_path) == tensor_file

    def test_a_second_dataset_is_linked_too_unless_the_name_is_taken(self, dataset, tmp_path):
        out = tmp_path / "out"
        others = [tmp_path / "ds2", tmp_path / "other" / "ds2"]
        for root in (dataset, *others):
            root.mkdir(parents=True, exist_ok=True)
            (root / "dataset_description.json").write_text("{}")
            describe_dataset(out, "Results", links=links_of([root / "a.nii"], out))
        links = json.loads((out / "dataset_description.json").read_text())["DatasetLinks"]
        assert links == {"ds1": "../ds-1 ü", "ds2": "../ds2"}
        files = [root / "a.nii" for root in (dataset, *others)]
        assert source_uris(files, out) == ["bids:ds1:a.nii", "bids:ds2:a.nii", str(files[2])]


class TestANamedFile:
    """``--output fine.nii.gz`` is that file, and the others beside it begin like it."""

    @pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".mgz", ".nrrd"])
    def test_the_result_has_the_name(self, residual_model, tensor_file, tmp_path, ending):
        target = tmp_path / "new" / f"fine{ending}"
        written = infer_file(tensor_file, model=residual_model(), output=target)
        usual = infer_file(tensor_file, model=residual_model(), output=tmp_path / "usual")
        assert written[0] == target
        assert written[1] == target.with_name("fine.json")
        assert len(written) == len(usual)
        assert all(file.parent == target.parent and file.name[:4] == "fine" for file in written)
        assert torch.equal(read_volume(target).values, read_volume(usual[0]).values)
        with pytest.raises(OutputError, match="exists already"):
            infer_file(tensor_file, model=residual_model(), output=target)

    def test_a_folder_of_such_a_name_stays_one(self, residual_model, tensor_file, tmp_path):
        folder = tmp_path / "odd.nii"
        folder.mkdir()
        written = infer_file(tensor_file, model=residual_model(), output=folder)
        assert {file.parent for file in written} == {folder}

    @pytest.mark.parametrize(
        ("name", "options", "message"),
        [
            ("a.mha", {}, "must be a folder or end in .nii.gz, .nrrd, .nii, .mgz, .mgh"),
            ("a.png", {}, "must be a folder or end in"),
            ("a.nii.gz", {"format": "nrrd"}, "--format nrrd and --output .* contradict"),
        ],
    )
    def test_names_that_cannot_be(
        self, residual_model, tensor_file, tmp_path, name, options, message
    ):
        with pytest.raises(InputError, match=message):
            infer_file(tensor_file, model=residual_model(), output=tmp_path / name, **options)
        assert not (tmp_path / name).exists()


# --- the picture --------------------------------------------------------------------------------


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_the_picture_shows_three_columns_alike(residual_model, fibres, tmp_path, direction):
    """A model that adds nothing: input and output look alike, and neither is blank."""
    written = infer_file(
        fibres, model=residual_model(), output=tmp_path / "out", direction=direction
    )
    picture = matplotlib.image.imread(written[-1])[..., :3]
    assert written[-1].name.endswith("_desc-sr_dwimap.png")
    height, width = picture.shape[:2]
    column = 2.7 * 120  # pixels
    first, second, third = (
        picture[100:, int(6 + n * column) : int(6 + n * column) + 310] for n in range(3)
    )
    for part in (first, second, third):
        assert (part.max(-1) > 0.3).mean() > 0.1
    assert np.abs(first - third).mean() < 0.12
    assert width < 1300
    assert height < 1500


def test_no_picture_if_none_is_wanted(residual_model, tensor_file, tmp_path):
    written = infer_file(tensor_file, model=residual_model(), output=tmp_path, quick_look=False)
    assert not [p for p in written if p.suffix == ".png"]
    assert not list(tmp_path.glob("*.png"))


def test_an_existing_picture_stops_too(residual_model, tensor_file, tmp_path):
    (tmp_path / "sub-01_res-hi_model-tensor_desc-sr_dwimap.png").write_bytes(b"mine")
    with pytest.raises(OutputError, match=r"dwimap\.png exists already"):
        infer_file(tensor_file, model=residual_model(), output=tmp_path)

    def test_what_somebody_wrote_in_the_place_of_links_is_passed_over(self, dataset, tmp_path):
        out, scan = tmp_path / "out", dataset / "a.nii"
        describe_dataset(out, "Results")
        description = json.loads((out / "dataset_description.json").read_text())
        text = json.dumps({**description, "DatasetLinks": ["../ds"]})
        (out / "dataset_description.json").write_text(text)
        assert links_of([scan], out) == {"ds1": "../ds-1 ü"}
        assert source_path("bids:ds1:a.nii", out) == out / "ds1" / "a.nii"
        describe_dataset(out, "Results", links=links_of([scan], out))
        assert source_path("bids:ds1:a.nii", out) == scan
