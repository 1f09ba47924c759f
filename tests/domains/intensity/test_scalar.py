"""Scalar super-resolution: a contrast and its twin, any grid, a factor for each axis."""

import json
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from pydantic import ValidationError

from medrev.cli.infer import main as infer
from medrev.config import load_pipeline
from medrev.config.schema import ScalarData
from medrev.domains.intensity.head import Thick, make_twin
from medrev.domains.kinds import dataset_of
from medrev.errors import InputError
from medrev.evaluation import heldout_means
from medrev.nets import translator_of
from medrev.prediction import infer_file, save_weights
from medrev.training import train
from medrev.volumes import block_mean, coarsen

ROOT = Path(__file__).parents[3]
SHAPE = (24, 20, 16)
AFFINES = {
    "ras": np.diag([1.0, 1.0, 1.0, 1.0]),
    "lps": np.array([[-1.0, 0, 0, 30], [0, -1, 0, 20], [0, 0, 1, -10], [0, 0, 0, 1]]),
    # array axes: back-front, bottom-top downwards, left-right
    "exchanged": np.array([[0, 0, 1.0, -5], [1, 0, 0, 7], [0, -1, 0, 40], [0, 0, 0, 1]]),
}
SMALL = [
    "data.patches.size=8",
    "data.batch_size=2",
    "data.patches.min_brain=0",
    "model.width=8",
    "model.depth=1",
    "training.steps=2",
    "training.validate_every=2",
    "data.split.validation=1",
    "data.split.test=1",
    "evaluation.baselines=[cubic]",
]


def ramp(affine: np.ndarray, shape: tuple[int, ...] = SHAPE) -> np.ndarray:
    """A volume whose intensity is a plane in world coordinates, positive everywhere."""
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in shape], indexing="ij"), -1)
    world = grid @ affine[:3, :3].T + affine[:3, 3]
    return 500 + world @ np.array([3.0, -2.0, 4.0])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five volumes, nothing but files in a folder."""
    root = tmp_path / "volumes"
    root.mkdir()
    generator = np.random.default_rng(0)
    for number, kind in enumerate(("ras", "lps", "exchanged", "ras", "lps")):
        noise = 100 * generator.random(SHAPE)
        image = nib.Nifti1Image((ramp(AFFINES[kind]) + noise).astype(np.float32), AFFINES[kind])
        nib.save(image, root / f"head{number}.nii.gz")
    return root


def pipeline(root: Path, *overrides: str):
    path = ROOT / "pipelines" / "t1_sr.yaml"
    return load_pipeline(path, [f"data.root={root}", *SMALL, *overrides])


@pytest.mark.parametrize("factor", ["2", "[1,1,4]"])
def test_the_twin_is_the_mean_over_slices_of_the_volume_turned_to_ras(folder: Path, factor: str):
    data = dataset_of(pipeline(folder, f"data.degradation.factor={factor}"))
    factors = data.pipeline.data.factors
    samples = [s for part in ("train", "validation", "test") for s in data.part(part)]
    assert {sample.id for sample in samples} == {f"head{n}" for n in range(5)}
    for sample in samples:
        assert torch.allclose(sample.x, block_mean(sample.y[None], factors)[0])
        world = sample.affine.numpy()
        assert (np.diag(world)[:3] > 0).all()  # axes to the right, front and top
        # what the file said of a world point is what the sample says of it
        slope = np.gradient(sample.y[0].numpy())
        for found, edge, wanted in zip(slope, np.diag(world), (3.0, -2.0, 4.0), strict=False):
            assert abs(float(found.mean()) - wanted * edge) < 0.5


def test_slice_profile_and_gap_make_the_twin(folder: Path):
    options = ["data.degradation.factor=[1,1,4]", "data.degradation.profile=gaussian"]
    data = dataset_of(pipeline(folder, *options, "data.degradation.gap=0.25"))
    sample = data.part("test")[0]
    wanted = coarsen(sample.y[None], (1, 1, 4), profile="gaussian", gap=0.25)[0]
    assert torch.equal(sample.x, wanted)
    assert not torch.allclose(sample.x, block_mean(sample.y[None], (1, 1, 4))[0])


def test_blocks_with_any_voxel_of_the_mask_count(folder: Path):
    """The twin's scale is that of all blocks that the brain reaches into."""
    data = pipeline(folder, "data.degradation.factor=2", "data.intensities.percentile=100").data
    volume, inside = torch.ones(1, 4, 4, 4), torch.ones(1, 4, 4, 4, dtype=torch.bool)
    volume[:, :2, :2, :2] = 8
    inside[:, :2, :2, :2] = False
    inside[:, 0, 0, 0] = True
    head = make_twin("A", volume, inside, affine=np.eye(4), data=data, thick=Thick.of(data))
    assert head.scales[0] == pytest.approx(8)


def test_patches_of_both_grids_show_the_same_place(folder: Path):
    data = dataset_of(pipeline(folder, "data.degradation.factor=[2,1,4]"))
    batch = next(iter(data.batches()))
    assert batch["x"].shape == (2, 1, 4, 8, 2)
    assert batch["y"].shape == batch["mask"].shape == (2, 1, 8, 8, 8)
    quiet = dataset_of(
        pipeline(folder, "data.degradation.factor=[2,1,4]", "data.augmentation.noise=0")
    )
    for batch in quiet.batches():
        torch.testing.assert_close(batch["x"], block_mean(batch["y"], (2, 1, 4)))


def test_noise_is_added_to_the_input_only_as_a_share_of_the_scale(folder: Path):
    strong = pipeline(folder, "data.augmentation.noise=0.5", "data.batch_size=2")
    difference = torch.cat(
        [(b["x"] - block_mean(b["y"], 2)).flatten() for b in dataset_of(strong).batches()]
    )
    # uniform strengths up to 2 * 0.5 in network range, whose width is 2: root mean square 1/sqrt(3)
    assert 0.3 < float(difference.std()) < 0.8


@pytest.mark.parametrize("kind", sorted(AFFINES))
@pytest.mark.parametrize("factor", ["2", "[1,1,4]"])
def test_results_keep_the_field_of_view_the_unit_and_the_place_of_every_voxel(
    folder: Path, tmp_path: Path, factor: str, kind: str, monkeypatch: pytest.MonkeyPatch
):
    """A network that adds nothing is cubic interpolation, and that of a ramp is the ramp."""
    wanted = f"data.degradation.factor={factor}"
    model = cubic_model(folder, tmp_path / "cubic.safetensors", wanted)
    path, affine = tmp_path / "scan_T1w.nii.gz", AFFINES[kind] @ np.diag([1, 1, 1, 1.0])
    nib.save(nib.Nifti1Image(ramp(affine).astype(np.float32), affine), path)
    monkeypatch.chdir(tmp_path)
    assert infer([str(path), "--model", str(model), "--output", "out"]) == 0
    made = nib.load("out/scan_res-hi_desc-sr_T1w.nii.gz")
    ratios = np.divide(made.shape, SHAPE)
    assert np.prod(ratios) == (8 if factor == "2" else 4)
    if factor != "2":  # thick along bottom-top, whatever axis of the array that is
        axis = int(np.abs(affine[2, :3]).argmax())
        assert ratios[axis] == 4
    inner = tuple(slice(int(3 * r), int(-3 * r)) for r in ratios)
    error = np.abs(made.get_fdata() - ramp(made.affine, made.shape))[inner]
    assert error.max() < 1e-2  # of intensities around 600
    corner = made.affine @ [-0.5, -0.5, -0.5, 1]
    np.testing.assert_allclose(corner, affine @ [-0.5, -0.5, -0.5, 1], atol=1e-4)
    sidecar = json.loads(Path("out/scan_res-hi_desc-sr_T1w.json").read_text())
    assert sidecar["Description"] == "Super-resolved T1w"
    assert sidecar["InputScale"] == sidecar["OutputScale"]
    assert "SkullStripped" not in sidecar


@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("kind", sorted(AFFINES))
def test_thick_slices_are_made_thinner_along_whatever_axis_they_lie(
    folder: Path, tmp_path: Path, axis: int, kind: str
):
    model = cubic_model(folder, tmp_path / "m.safetensors", "data.degradation.factor=[1,1,4]")
    edges = [1.0, 1.0, 1.0, 1.0]
    edges[axis] = 4.0
    path, affine = tmp_path / "scan_T1w.nii.gz", AFFINES[kind] @ np.diag(edges)
    nib.save(nib.Nifti1Image(2000 + ramp(affine).astype(np.float32), affine), path)
    files = infer_file(path, model=model, output=tmp_path / "out")
    made = nib.load(files[0])
    ratios = [1, 1, 1]
    ratios[axis] = 4
    assert tuple(np.divide(made.shape, SHAPE)) == tuple(ratios)
    inner = tuple(slice(3 * r, -3 * r) for r in ratios)
    error = np.abs(made.get_fdata() - 2000 - ramp(made.affine, made.shape))[inner]
    assert error.max() < 1e-2
    corner = made.affine @ [-0.5, -0.5, -0.5, 1]
    np.testing.assert_allclose(corner, affine @ [-0.5, -0.5, -0.5, 1], atol=1e-4)
    world = int(np.abs(AFFINES[kind][:3, axis]).argmax())
    factors = "x".join("4" if n == world else "1" for n in range(3))
    assert f"{factors} times finer" in json.loads(files[1].read_text())["Resolution"]
    assert files[-1].suffix == ".png"


def cubic_model(folder: Path, path: Path, *overrides: str) -> Path:
    """A network that adds nothing to cubic interpolation, and to the block mean."""
    chosen = pipeline(folder, *overrides)
    net = translator_of(chosen)
    with torch.no_grad():
        for weights in [*net.project_y.parameters(), *net.project_x.parameters()]:
            weights.zero_()
    return save_weights(path, net, chosen, 1.0)


def test_members_of_an_ensemble_keep_the_intensities_each_by_its_own_scale(
    folder: Path, tmp_path: Path
):
    """Percentiles differ from model to model; what is 1 in one network is not 1 in another."""
    models = [
        cubic_model(folder, tmp_path / f"{p}.safetensors", f"data.intensities.percentile={p}")
        for p in (99.5, 60)
    ]
    path = folder / "head0.nii.gz"
    one = infer_file(path, model=models[0], output=tmp_path / "one", quick_look=False)[0]
    two = infer_file(
        path, model=models[0], members=(models[1],), output=tmp_path / "two", quick_look=False
    )[0]
    first, both = (nib.load(file).get_fdata() for file in (one, two))
    np.testing.assert_allclose(both, first, rtol=1e-4, atol=0.1)


@pytest.mark.parametrize("slices", [17, 22])
def test_the_way_back_of_sizes_that_the_factor_does_not_divide(
    folder: Path, tmp_path: Path, slices: int
):
    shape = (12, 10, slices)
    scan = tmp_path / "scan.nii.gz"
    nib.save(nib.Nifti1Image(ramp(AFFINES["ras"], shape).astype(np.float32), np.eye(4)), scan)
    model = cubic_model(folder, tmp_path / "m.safetensors", "data.degradation.factor=[1,1,4]")
    files = infer_file(scan, model=model, output=tmp_path / "out", direction="inverse")
    assert nib.load(files[0]).shape == (12, 10, -(-slices // 4))
    assert files[-1].suffix == ".png"
    assert files[-1].is_file()
    (warning,) = [w for w in json.loads(files[1].read_text())["Warnings"] if "inverse" in w]
    assert warning.endswith("was not trained: its result is the block mean of its input")


def test_a_training_compares_with_interpolation_and_the_way_back_with_the_block_mean(
    folder: Path, tmp_path: Path
):
    run = train(pipeline(folder, "method.inverse_weight=1"), tmp_path / "run", quiet=True)
    assert run.heldout.methods == ("model", "cubic", "block mean")
    assert heldout_means(run.heldout, "block mean")["nmae_inverse"] < 1e-6
    assert heldout_means(run.heldout)["psnr_forward"] > 10
    assert "cycle_x" not in heldout_means(run.heldout, "cubic")


def test_contrasts_in_names_are_believed_and_others_left_out(folder: Path):
    (folder / "head0.nii.gz").rename(folder / "head0_T2w.nii.gz")
    names = {s.id for s in dataset_of(pipeline(folder)).cohort.subjects}
    assert names == {"head1", "head2", "head3", "head4"}
    with pytest.raises(InputError, match=r"head0_T2w: no t1 \(it has t2\)"):
        dataset_of(pipeline(folder, "data.subjects=[head0_T2w]"))


def test_masks_beside_volumes_are_taken(folder: Path):
    mask = np.zeros(SHAPE, np.uint8)
    mask[4:20, 4:16, 4:12] = 1
    image = nib.load(folder / "head0.nii.gz")
    nib.save(nib.Nifti1Image(mask, image.affine), folder / "head0_mask.nii.gz")
    data = dataset_of(pipeline(folder))
    samples = {s.id: s for part in ("train", "validation", "test") for s in data.part(part)}
    assert samples["head0"].facts["mask"] == "given"
    assert int(samples["head0"].mask.sum()) == mask.sum()
    assert not samples["head0"].y[0, :4].any()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"degradation": {"factor": 1}}, "2 or more along one axis"),
        ({"degradation": {"factor": [1, 1, 3]}}, r"multiple of degradation.factor \(1, 1, 3\)"),
        ({"degradation": {"factor": [1, 4]}}, "factor"),
        ({"degradation": {"gap": 1}}, "less than 1"),
        ({"degradation": {"profile": "sinc"}}, "'box' or 'gaussian'"),
    ],
)
def test_degradations_that_cannot_be_are_refused(change: dict, message: str):
    with pytest.raises(ValidationError, match=message):
        ScalarData(root="heads", **change)


def test_missing_and_empty_folders_are_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"data\.root not found"):
        dataset_of(pipeline(tmp_path / "nothing"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="the folder is empty"):
        dataset_of(pipeline(tmp_path / "empty"))
    (tmp_path / "empty" / "notes.txt").write_text("none")
    with pytest.raises(InputError, match=r"NAME\.nii\.gz, one volume for each subject"):
        dataset_of(pipeline(tmp_path / "empty"))


def lopsided(root: Path) -> None:
    """Volumes of ones in a mask that no mirroring leaves as it is."""
    for path in root.glob("head*.nii.gz"):
        affine = nib.load(path).affine
        inside = np.zeros(SHAPE, np.float32)
        inside[2:15, 5:11, 3:16] = 1
        inside[2:8, 5:17, 3:6] = 1
        nib.save(nib.Nifti1Image(inside, affine), path)
        nib.save(
            nib.Nifti1Image(inside.astype(np.uint8), affine),
            path.with_name(path.name.replace(".nii", "_mask.nii")),
        )


@pytest.mark.parametrize("noise", [0, 0.2])
def test_masks_are_mirrored_with_both_grids(folder: Path, noise: float):
    lopsided(folder)
    changes = ["data.augmentation.flips=true", "data.augmentation.brightness=0.3"]
    changes += [f"data.augmentation.noise={noise}", "data.intensities.clip=false"]
    data, asymmetric = dataset_of(pipeline(folder, *changes)), 0
    for batch in data.batches():
        assert torch.equal(batch["y"] > -1, batch["mask"] > 0)
        if not noise:  # one gain for both grids
            torch.testing.assert_close(batch["x"], block_mean(batch["y"], 2))
        asymmetric += not torch.equal(batch["mask"], batch["mask"].flip(2))
    assert asymmetric


def test_noise_is_uniform_up_to_its_strength_in_network_range(folder: Path):
    """Of 0.1 of the scale, which is 2 wide in network range: strengths of 0 to 0.2."""
    pairs = [
        dataset_of(pipeline(folder, f"data.augmentation.noise={n}", "data.batch_size=1")).batches()
        for n in (0.1, 0)
    ]
    strengths = []
    for _ in range(8):
        for noisy, plain in zip(*pairs, strict=True):
            strengths.append(float((noisy["x"] - plain["x"]).std()))
    assert 0.07 < np.mean(strengths) < 0.13
    assert 0.15 < max(strengths) < 0.26
