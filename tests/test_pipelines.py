"""Every shipped pipeline trains: two real steps on a small cohort, to the held-out table."""

from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from medrev.config import load_pipeline
from medrev.inference import load_model
from medrev.training import train

PIPELINES = sorted((Path(__file__).parents[1] / "pipelines").rglob("*.yaml"))


@pytest.fixture(scope="module")
def cohort(tmp_path_factory):
    """Four subjects of raw DWI in BIDS layout, 26 × 24 × 26 voxels, with noise."""
    root = tmp_path_factory.mktemp("cohort")
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
    return root


@pytest.mark.parametrize("path", PIPELINES, ids=lambda path: path.stem)
def test_a_shipped_pipeline_trains_for_two_steps(path, cohort, tmp_path):
    overrides = [
        f"data.root={cohort}",
        f"data.cache_dir={cohort.parent / 'cache'}",
        "data.workers=1",
        "data.split.validation=1",
        "data.split.test=1",
        "evaluation.baselines=[cubic]",
        "training.steps=2",
        "training.validate_every=2",
    ]
    run = train(load_pipeline(path, overrides), tmp_path / "run", quiet=True)
    assert run.read_status()["status"] == "finished"
    model = run.table.summary("model", "rmse")
    assert 0 < model.mean < 500
    assert load_model(run.path, "cpu").pipeline.name == path.stem
