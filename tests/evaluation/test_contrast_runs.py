"""Runs of contrast models: whole held-out heads, both ways; slices as images; sensitivity."""

from pathlib import Path

import nibabel
import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio, structural_similarity

from medrev.domains.intensity import find_contrasts, prepare_head
from medrev.domains.kinds import dataset_of
from medrev.errors import GeometryError, InputError
from medrev.evaluation import (
    EvaluationConfig,
    Sources,
    evaluate_cohort,
    find_cases,
    heldout_means,
    measure,
    score,
    translate_sample,
)
from medrev.metrics import Key
from medrev.prediction import infer_file, load_model, translate
from medrev.report import evaluate

from .untrained import ONE, UNET, heads, make_heads, make_run

SUBJECTS = ["BraTS2021_00001", "BraTS2021_00002"]


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two held-out heads; a pix2pix pair, a one2one network, a 3D network."""
    folder = tmp_path_factory.mktemp("contrasts")
    data = heads(make_heads(folder / "brats"))
    make_run(folder / "pix2pix", data, seed=1)
    make_run(folder / "one2one", data, model=ONE, method="self_inverse", seed=2)
    patches = data | {"samples": "patches", "patches": {"size": 8}}
    make_run(folder / "volumes", patches, model=UNET | {"spatial_dims": 3}, seed=3)
    return folder


def sources(root: Path, *runs: str, **more) -> Sources:
    return Sources(inputs=tuple(f"{run}={root / run}" for run in runs), **more)


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_heads_get_the_scores_of_the_held_out_table(root, tmp_path, direction):
    runs = ("pix2pix", "one2one", "volumes")
    found = find_cases(sources(root, *runs))
    choices = EvaluationConfig(direction=direction, device="cpu")
    results = evaluate_cohort(found.cases, choices, tmp_path, show_progress=False).results
    for run in runs:
        model = load_model(root / run, "cpu")
        data = dataset_of(model.pipeline)
        for head in data.part("test"):
            done = translate_sample(model, head, data.x, data.y)
            table = score(head.id, data.outcomes(done))
            for name in table.methods:
                method = run if name == "model" else name
                scores = heldout_means(table, name)
                for metric in ("nmae", "psnr", "ssim"):
                    value = results.values(method, Key(metric))[head.id]
                    assert value == pytest.approx(scores[f"{metric}_{direction}"], rel=1e-5)
                side = "x" if direction == "forward" else "y"
                if name == "model":
                    value = results.values(method, Key("cycle_mean"))[head.id]
                    assert value == pytest.approx(scores[f"cycle_{side}"], rel=1e-4)
                if f"flicker_{direction}" in scores:
                    value = results.values(method, Key("flicker"))[head.id]
                    assert value == pytest.approx(scores[f"flicker_{direction}"], rel=1e-4)
    assert results.subjects == tuple(SUBJECTS)
    regions = {key.region for key in results.keys if key.metric == "psnr"}
    assert regions == {"interior", "mask", "label 1", "label 2"}


def slices(volume: torch.Tensor, size: int) -> np.ndarray:
    """Whole axial slices in units of the scale, padded with zeros to the size of training."""
    planes = ((volume[0].numpy() + 1) / 2).clip(0, None).transpose(2, 0, 1)
    lacking = [size - n for n in planes.shape[1:]]
    return np.pad(planes, [(0, 0), *((n // 2, n - n // 2) for n in lacking)])


def scores(prediction: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """L1, PSNR and SSIM of every slice, by numpy and scikit-image."""
    options = {"data_range": 1, "gaussian_weights": True, "use_sample_covariance": False}
    return np.array(
        [
            (
                np.abs(one - two).mean(),
                peak_signal_noise_ratio(two, one, data_range=1),
                structural_similarity(two, one, **options),
            )
            for one, two in zip(prediction.astype(float), reference.astype(float), strict=True)
        ]
    )


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_the_papers_table_is_that_of_its_protocol_on_all_axial_slices(root, tmp_path, direction):
    """one2one, Table 5, computed by hand: all slices as whole images, four steps for each."""
    done = evaluate(
        sources(root, "pix2pix", "one2one"),
        output=tmp_path / "out",
        choices={"direction": direction, "sensitivity": "pix2pix", "device": "cpu"},
        paper_tables=["one2one-5"],
        show_progress=False,
    )
    back = direction == "inverse"
    models = {name: load_model(root / name, "cpu") for name in ("pix2pix", "one2one")}
    data = models["pix2pix"].pipeline.data
    found = [prepare_head(subject, data) for subject in find_contrasts(data).part("test")]
    table = (done.folder / "tables/paper_one2one-5.csv").read_text().splitlines()
    for row, (name, model) in zip(table[1:], models.items(), strict=False):
        before, after = [], []
        for head in found:
            x, y = head.whole()[:2][:: -1 if back else 1]
            changed = translate(models["pix2pix"], y, inverse=not back)
            for scored, volume in ((before, x), (after, changed)):
                output = translate(model, volume, inverse=back)
                scored.append(scores(*(slices(v, data.slices.size) for v in (output, y))))
        before, after = np.concatenate(before), np.concatenate(after)
        cells = row.split(",")
        assert cells[1] == name
        numbers = [float(cell) for cell in cells[2:] if cell]
        change = np.abs(after - before).mean(axis=0)
        expected = [*before.mean(axis=0), change[1], change[2]]
        assert numbers == pytest.approx(expected, rel=1e-5)
        assert change.min() > 0
    notes = (done.folder / "tables/paper_one2one-5.md").read_text()
    count = sum(head.shape[2] for head in found)
    assert f"{count} slices of 2 subjects; means over subjects" in notes
    way = "t2→t1" if back else "t1→t2"
    assert f"| {way} | pix2pix |" in notes


def test_groups_come_from_the_cohorts_own_table(root, tmp_path):
    found = find_cases(sources(root, "pix2pix"))
    assert [case.columns["site"] for case in found.cases] == ["B", "A"]
    table = tmp_path / "people.csv"
    table.write_text(f"id,site\n{SUBJECTS[0]},north\n")
    found = find_cases(sources(root, "pix2pix", participants=table))
    assert [case.columns.get("site") for case in found.cases] == ["north", None]


def test_runs_of_other_contrasts_or_intensities_are_not_compared(root, tmp_path):
    brats = root / "brats"
    for key, changes in {
        "source": {"source": "t2", "target": "t1"},
        "intensities": {"intensities": {"percentile": 90}},
    }.items():
        other = make_run(tmp_path / key, heads(brats, **changes))
        with pytest.raises(InputError, match=rf"differ in data\.{key}"):
            find_cases(Sources(inputs=(str(root / "pix2pix"), str(other))))


def test_a_label_map_elsewhere_is_refused(root, tmp_path):
    brats = make_heads(tmp_path / "brats", count=2)
    run = make_run(tmp_path / "run", heads(brats))
    path = brats / SUBJECTS[0] / f"{SUBJECTS[0]}_seg.nii.gz"
    volume = nibabel.load(path)
    moved = volume.affine.copy()
    moved[0, 3] += 3
    nibabel.save(nibabel.Nifti1Image(volume.get_fdata().astype(np.int16), moved), path)
    (case,) = find_cases(Sources(inputs=(str(run),))).cases
    with pytest.raises(GeometryError, match=r"seg\.nii\.gz lies elsewhere than the volumes of"):
        case.load(EvaluationConfig(device="cpu"))


def test_the_results_of_inference_get_the_scores_of_the_run(root, tmp_path):
    """Both in units of each volume's own scale; masks are those of both contrasts."""
    run, made = find_cases(sources(root, "volumes")), tmp_path / "made"
    choices = EvaluationConfig(device="cpu")
    subject = SUBJECTS[0]
    (case,) = [case for case in run.cases if case.id == subject]
    head = root / f"brats/{subject}"
    infer_file(head / f"{subject}_t1.nii.gz", model=root / "volumes", output=made, device="cpu")
    found = find_cases(Sources(inputs=(f"volumes={made}",), reference=head, low=head))
    (pair,) = found.cases
    one, two = measure(case, choices).results, measure(pair, choices).results
    for method in ("volumes", "input"):
        for metric in ("mae", "psnr", "ssim"):
            own = one.values(method, Key(metric))[subject]
            assert two.values(method, Key(metric))[pair.id] == pytest.approx(own, rel=0.02)
