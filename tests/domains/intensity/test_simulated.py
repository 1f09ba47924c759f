"""Scans that are drawn: every one from its seed, other ones in every epoch, resumed to the bit."""

import os
import signal
from pathlib import Path

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from medrev.config import load_pipeline
from medrev.config.schema import ScalarData
from medrev.domains.intensity.simulation import draw_scan
from medrev.domains.kinds import dataset_of, domains_of
from medrev.training import TrainingInterrupted, dry_run, train
from medrev.training.trainer import Trainer
from medrev.volumes import block_mean, voxel_size

ROOT = Path(__file__).parents[3]
SMALL = [
    "data.simulated.train=2",
    "data.simulated.validation=1",
    "data.simulated.test=1",
    "data.simulated.edge=20",
    "data.patches.size=10",
    "data.patches.per_subject=4",
    "data.batch_size=2",
    "model.width=8",
    "model.depth=1",
    "training.steps=6",
    "training.validate_every=3",
    "evaluation.baselines=[cubic]",
]


def pipeline(name: str = "t1_x2", *overrides: str):
    return load_pipeline(ROOT / "pipelines" / f"{name}.yaml", [*SMALL, *overrides])


def test_a_scan_follows_from_its_seed_and_is_an_image():
    scans = {seed: draw_scan((3, seed), 24) for seed in range(12)}
    again = draw_scan((3, 5), 24)
    assert torch.equal(again.values, scans[5].values)
    assert np.array_equal(again.affine, scans[5].affine)
    for scan in scans.values():
        assert scan.values.shape == (1, 24, 24, 24)
        assert bool(torch.isfinite(scan.values).all())
        assert float(scan.values.min()) >= 0
        assert len(set(voxel_size(scan.affine))) == 1
    means = {float(scan.values.mean()) for scan in scans.values()}
    assert len(means) == len(scans)
    edges = [voxel_size(scan.affine)[0] for scan in scans.values()]
    assert 0.65 <= min(edges) < 0.8
    assert 1.1 < max(edges) <= 1.35


def test_details_of_stretched_voxels_are_as_many_times_longer_along_the_last_axis():
    """Half as long voxels need twice as many for the same change."""

    def lengths(stretch: float) -> list[float]:
        """Voxels over which scans change along the first and the last axis."""
        steps = []
        for seed in range(12):
            values = draw_scan((8, seed), 32, stretch).values[0]
            steps.append([float(values.diff(dim=axis).square().mean()) for axis in (0, 2)])
        first, last = np.sqrt(np.mean(steps, axis=0))
        return [1 / first, 1 / last]

    first, last = lengths(1.0)
    assert 0.8 < last / first < 1.25
    first, last = lengths(0.5)
    assert 1.4 < last / first < 2.2
    np.testing.assert_allclose(voxel_size(draw_scan((8, 0), 16, 0.5).affine)[2] * 2,
                               voxel_size(draw_scan((8, 0), 16, 0.5).affine)[0])  # fmt: skip


def test_every_epoch_draws_other_scans_and_any_batch_can_be_had_again():
    data = dataset_of(pipeline())
    batches = data.batches()
    assert len(batches) == 4
    seen = [batch for _ in range(3) for batch in batches]
    assert len({float(batch["y"].sum()) for batch in seen}) == 12
    other = dataset_of(pipeline()).batches()
    for epoch, number in ((2, 1), (0, 3), (1, 0)):
        batch = other.batch(epoch, number)
        for name, values in seen[4 * epoch + number].items():
            assert torch.equal(batch[name], values), (epoch, number, name)
    batch = seen[5]
    assert batch["x"].shape == (2, 1, 5, 5, 5)
    torch.testing.assert_close(batch["x"], block_mean(batch["y"], 2))


@pytest.mark.parametrize(
    ("name", "edges"), [("t1_x2", [1.3, 2.7]), ("mri_through_plane", [0.65, 8.1])]
)
def test_the_header_has_the_edges_of_all_voxels_that_can_be_drawn(name: str, edges: list[float]):
    assert dataset_of(pipeline(name)).header()["voxel_size"] == pytest.approx(edges)


def test_slices_of_training_are_of_any_thickness_and_those_of_tests_are_as_it_is_said():
    data = dataset_of(pipeline("mri_through_plane", "data.simulated.train=12"))
    thick = []
    for head in data.kept("train"):
        assert head.factors == (1, 1, 5)
        edges = voxel_size(head.coarse_affine())
        assert edges[0] == edges[1]
        thick.append(edges[2] / edges[0])
    assert 2 <= min(thick) < 3
    assert 4.5 < max(thick) <= 6
    (test,) = data.part("test")
    edges = voxel_size(test.affine)
    assert edges[0] == pytest.approx(edges[2])
    torch.testing.assert_close(test.x, block_mean(test.y[None], (1, 1, 5))[0])
    unlike = [
        head
        for head in data.kept("train")
        if not torch.allclose(head.volumes()[0], block_mean(head.volumes()[1][None], (1, 1, 5))[0])
    ]
    assert unlike  # other slice profiles, and gaps


def test_a_resumed_training_ends_with_the_same_weights(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    chosen = pipeline("t1_x2", "training.precision=fp32")
    whole = train(chosen, tmp_path / "whole", quiet=True, device="cpu")
    original = Trainer.step

    def interrupted(self: Trainer) -> dict[str, float]:
        losses = original(self)
        if self.step_number == 5:  # in the second epoch
            os.kill(os.getpid(), signal.SIGTERM)
        return losses

    with monkeypatch.context() as patched:
        patched.setattr(Trainer, "step", interrupted)
        with pytest.raises(TrainingInterrupted, match="stopped at step 5"):
            train(chosen, tmp_path / "parts", quiet=True, device="cpu")
    parts = train(chosen, tmp_path / "parts", resume=True, quiet=True, device="cpu")
    for which in ("last", "best"):
        assert parts.weights(which).read_bytes() == whole.weights(which).read_bytes()
    card = (whole.path / "model_card.md").read_text(encoding="utf-8")
    assert "drawn anew for every epoch" in card
    assert "any volumes" not in card


@pytest.mark.parametrize(
    ("name", "volume", "deviation"),
    [
        ("sub-01_T2w.nii.gz", "sub-01_res-hi_desc-sr_T2w.nii.gz", "sub-01_res-hi_desc-srstd_T2w"),
        ("head-t2f.nii.gz", "head_res-hi_desc-sr_FLAIR.nii.gz", "head_res-hi_desc-srstd_FLAIR"),
        ("scan.nii.gz", "scan_res-hi_desc-sr_MRI.nii.gz", "scan_res-hi_desc-srstd_MRI"),
        (
            "sub-01_ce-gad_run-2_T1w.nii.gz",
            "sub-01_ce-gadolinium_run-2_res-hi_desc-sr_T1w.nii.gz",
            "sub-01_ce-gadolinium_run-2_res-hi_desc-srstd_T1w",
        ),
    ],
)
def test_results_of_any_contrast_are_called_what_their_input_is(
    name: str, volume: str, deviation: str
):
    _, y = domains_of(pipeline())
    base = y.base(Path("somewhere") / name)
    assert y.file_name(base, "volume", ".nii.gz") == volume
    assert y.file_name(base, "std", "") == deviation


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, "root is missing"),
        ({"contrast": "any", "root": "heads"}, "contrast any and layout simulated go together"),
        ({"layout": "simulated"}, "contrast any and layout simulated go together"),
        ({"layout": "simulated", "contrast": "any"}, "patches.per_subject, got random and None"),
        (
            {
                "layout": "simulated",
                "contrast": "any",
                "patches": {"per_subject": 2, "sampling": "grid"},
            },
            "patches.sampling random",
        ),
        (
            {
                "layout": "simulated",
                "contrast": "any",
                "patches": {"per_subject": 2},
                "simulated": {"slices": [6, 2]},
            },
            r"must be \[lowest, highest\], got \[6.0, 2.0\]",
        ),
        ({"simulated": {"edge": 8}, "root": "heads"}, "greater than or equal to 16"),
        *(
            (
                {"layout": "simulated", "contrast": "any", "patches": {"per_subject": 2}, **given},
                rf"{next(iter(given))} is of a cohort .* leave {next(iter(given))} out",
            )
            for given in ({"subjects": ["a"]}, {"root": "heads"}, {"split": {"test": 2}})
        ),
    ],
)
def test_what_cannot_be_drawn_is_refused(change: dict, message: str):
    with pytest.raises(ValidationError, match=message):
        ScalarData(**change)


def test_a_dry_run_says_what_would_be_drawn():
    lines = list(dataset_of(pipeline()).found())
    assert lines[0].startswith("4 scans")
    assert not any(line.startswith("sizes") for line in lines)  # there are no files
    assert dry_run(pipeline(), "cpu").steps == 6
