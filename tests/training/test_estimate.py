import nibabel as nib
import numpy as np
import pytest
import torch

from medrev.errors import InputError
from medrev.methods import build_method
from medrev.nets import translator_of
from medrev.training import dry_run
from medrev.training.estimate import RandomBatches, kept_bytes

JUDGED = {"kind": "paired", "discriminator": {"width": 4, "strided_layers": 0}}


def test_parameters_memory_and_time_are_told(pipeline):
    chosen = pipeline(method=JUDGED)
    estimate = dry_run(chosen, "cpu", measured=1)
    translator = translator_of(chosen)
    assert estimate.parameters["translator"] == sum(p.numel() for p in translator.parameters())
    parts = [n for name, n in estimate.parameters.items() if name.startswith("  ")]
    assert sum(parts) == estimate.parameters["translator"]
    counted = estimate.parameters["translator"] + estimate.parameters["discriminators (both)"]
    assert estimate.states == 4 * 4 * counted  # weight, gradient, two moments; 4 bytes each
    assert estimate.peak is None
    assert estimate.seconds == pytest.approx(4 * estimate.seconds_per_step)
    text = "\n".join(estimate.lines())
    assert "MiB of activations kept for backward" in text
    assert "4 steps" in text


@pytest.mark.parametrize("grid", ["low", "target"])
def test_random_batches_have_the_shapes_of_real_ones(pipeline, grid):
    batch = RandomBatches(pipeline(data={"input_grid": grid})).batch(0, 0)
    edge = 4 if grid == "low" else 8
    assert batch["x"].shape == (2, 6, edge, edge, edge)
    assert batch["y"].shape == (2, 6, 8, 8, 8)
    assert batch["mask"].shape == (2, 1, 8, 8, 8)


def test_memory_does_not_grow_with_depth(pipeline):
    kept = []
    for depth in (2, 8):
        torch.manual_seed(0)
        chosen = pipeline(model={"width": 8, "depth": depth})
        method = build_method(chosen, translator_of(chosen))
        kept.append(kept_bytes(method, RandomBatches(chosen).batch(0, 0)))
    assert kept[0] == kept[1] > 0


def test_epochs_are_an_upper_bound_of_steps(pipeline):
    exact = dry_run(pipeline(training={"steps": None, "epochs": 3}), "cpu", measured=1)
    assert (exact.steps, exact.steps_exact) == (3 * 2 * 4 // 2, True)
    data = {"patches": {"size": 8}}
    bound = dry_run(pipeline(training={"steps": None, "epochs": 3}, data=data), "cpu", measured=1)
    assert (bound.steps, bound.steps_exact) == (3 * 2 * 8 // 2, False)
    assert "at most 24 steps" in "\n".join(bound.lines())


def test_gradients_of_every_subject_are_looked_at(pipeline, tmp_path):
    rng = np.random.default_rng(0)
    lines = ["id,dwi,bval,bvec,mask"]
    for n in range(4):
        series = nib.Nifti1Image(rng.random((8, 8, 8, 7), dtype=np.float32), np.eye(4))
        nib.save(series, tmp_path / f"s{n}.nii.gz")
        nib.save(
            nib.Nifti1Image(np.ones((8, 8, 8), np.uint8), np.eye(4)), tmp_path / f"m{n}.nii.gz"
        )
        values = [0, *[1000] * (6 if n < 2 else 4)]
        (tmp_path / f"s{n}.bval").write_text(" ".join(map(str, values)))
        directions = rng.standard_normal((3, 7))
        np.savetxt(tmp_path / f"s{n}.bvec", directions / np.linalg.norm(directions, axis=0))
        lines.append(f"s{n},s{n}.nii.gz,s{n}.bval,s{n}.bvec,m{n}.nii.gz")
    (tmp_path / "cohort.csv").write_text("\n".join(lines))
    data = {"root": str(tmp_path), "table": str(tmp_path / "cohort.csv")}
    with pytest.raises(InputError) as caught:
        dry_run(pipeline(data=data), "cpu", measured=1)
    told = str(caught.value)
    assert [name in told for name in ("s0", "s1", "s2", "s3")] == [False, False, True, True]
    assert "7 b-values are needed (volumes), got 5" in told


def test_what_the_data_cannot_tell_is_told(pipeline):
    data = {"table": None, "subjects": ["s0"], "split": {"validation": 0, "test": 0}}
    small = pipeline(data=data, training={"steps": 1})
    told = dry_run(small, "cpu", measured=1).lines()
    assert [line.split(":")[1].strip() for line in told if line.startswith("warning")] == [
        "one training subject",
        "no validation subjects",
        "no test subjects",
    ]
