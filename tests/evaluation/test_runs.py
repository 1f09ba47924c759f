"""Run folders: the models are applied to the subjects that training has never seen."""

import json
import shutil
from pathlib import Path

import nibabel
import numpy as np
import pytest

from medrev.config import load_pipeline
from medrev.errors import CheckpointError, InputError
from medrev.evaluation import EvaluationConfig, Sources, evaluate_cohort, find_cases
from medrev.metrics import Key
from medrev.training import train

from ..training.conftest import make_pipeline, write_cohort


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained for two steps on simulated tensors."""
    folder = tmp_path_factory.mktemp("run")
    table = write_cohort(folder / "cohort")
    pipeline = make_pipeline(table, folder / "cache", training={"steps": 2})
    return train(pipeline, folder / "small", device="cpu", quiet=True).path


def test_a_run_is_evaluated_on_its_test_subjects_with_the_numbers_of_its_own_table(run, tmp_path):
    found = find_cases(Sources(inputs=(str(run),)))
    assert found.kind == "runs"
    assert [case.id for case in found.cases] == ["s3"]
    done = evaluate_cohort(
        found.cases, EvaluationConfig(device="cpu", **found.options), tmp_path, show_progress=False
    )
    table = json.loads((run / "heldout.json").read_text())
    rows = {row["method"]: row for row in table["rows"]}
    assert done.models == ("small",)  # the table of the run itself says model
    rows["small"] = rows.pop("model")
    assert set(done.results.methods) == set(rows)
    for method, row in rows.items():
        for name, key in (("rmse", Key("rmse")), ("rmse_interior", Key("rmse", "interior"))):
            value = done.results.values(method, key)["s3"]
            assert value == pytest.approx(row[name], rel=1e-6)


def test_models_without_a_run_are_measured_on_a_cohort_that_is_named(run, tmp_path):
    weights = run / "checkpoints" / "best" / "weights.safetensors"
    cohort = Path(load_pipeline(run / "pipeline.yaml").data.table)
    by_file = find_cases(Sources(inputs=(str(weights),), data=cohort))
    assert [case.id for case in by_file.cases] == ["s3"]
    shipped = find_cases(Sources(inputs=("dti-x2",), data=cohort))
    assert [case.id for case in shipped.cases] == ["s3"]
    assert shipped.models == ("dti-x2",)
    assert shipped.origins["dti-x2"]["name"] == "dti-x2"
    assert shipped.notes == (
        f"only the test part of {shipped.cases[0].pipeline.data.root} is measured (subjects: 1); "
        "of a cohort that the model has never seen, --part all measures everybody",
    )
    everybody = find_cases(Sources(inputs=("dti-x2",), data=cohort, part="all"))
    assert sorted(case.id for case in everybody.cases) == ["s0", "s1", "s2", "s3"]
    with pytest.raises(
        InputError, match=r"dti-x2 has no cohort of its own here: give yours with --data$"
    ):
        find_cases(Sources(inputs=("dti-x2",)))
    with pytest.raises(InputError, match=r"those of its training, too: give --data"):
        find_cases(Sources(inputs=(str(run),), part="all"))
    with pytest.raises(InputError, match=rf"^--data not found: .*; did you mean {cohort.name}\?$"):
        find_cases(Sources(inputs=("dti-x2",), data=cohort.with_suffix(".cv")))
    with pytest.raises(InputError, match=r"--samples: dti-x2 makes one result of an input"):
        shipped.check(EvaluationConfig(samples=4))
    with pytest.raises(InputError, match=r"no file and no shipped model; did you mean dti-x2\?$"):
        find_cases(Sources(inputs=("dti-x9",)))


def test_a_model_of_any_contrast_is_measured_on_scans_that_are_read(tmp_path):
    for name in ("a_T1w", "b_T2w", "c", "d_T1w", "e_FLAIR"):
        values = np.ones((16, 16, 16), np.float32)
        nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), tmp_path / f"{name}.nii.gz")
    found = find_cases(Sources(inputs=("t1-x2",), data=tmp_path))
    assert len(found.cases) == 1
    assert {file.parent for file in found.cases[0].sources.values()} == {tmp_path}
    volume = np.zeros((16, 16, 16), np.float32)
    volume[2:-2, 2:-2, 2:-2] = 100 + 10 * np.random.default_rng(0).standard_normal((12, 12, 12))
    nibabel.save(
        nibabel.Nifti1Image(volume, np.eye(4)), next(iter(found.cases[0].sources.values()))
    )
    loaded = found.cases[0].load(EvaluationConfig(baselines=("cubic",), device="cpu"))
    assert list(loaded.predictions) == ["t1-x2", "cubic"]


def test_what_a_paper_says_about_the_model_is_known(run):
    origin = find_cases(Sources(inputs=(f"ours={run}",))).origins["ours"]
    assert origin["seed"] == 3
    assert origin["factor"] == 2
    assert origin["trained_on"] == 2
    assert len(origin["sha256"]) == 64


def test_two_runs_are_compared_on_the_same_subjects(run, tmp_path):
    other = tmp_path / "other"
    shutil.copytree(run, other)
    found = find_cases(Sources(inputs=(str(run), str(other))))
    assert found.models == ("small", "other")
    loaded = found.cases[0].load(EvaluationConfig(baselines=("cubic",), device="cpu"))
    assert loaded.models == ["small", "other"]
    assert list(loaded.predictions) == ["small", "other", "cubic", "noise floor"]


def test_a_model_is_not_called_as_an_interpolation(run):
    with pytest.raises(InputError, match=r"^'cubic' is the name of a row .*, as in NAME=INPUT$"):
        find_cases(Sources(inputs=(f"cubic={run}",))).check(EvaluationConfig())


def test_runs_on_different_data_are_not_compared(run, tmp_path):
    table = write_cohort(tmp_path / "elsewhere")
    pipeline = make_pipeline(table, tmp_path / "cache", training={"steps": 1})
    other = train(pipeline, tmp_path / "other", device="cpu", quiet=True).path
    with pytest.raises(InputError, match=r"differ in data\.root"):
        find_cases(Sources(inputs=(str(run), str(other))))


def test_other_parts_are_marked_as_such(run):
    found = find_cases(Sources(inputs=(str(run),), part="validation"))
    assert [case.id for case in found.cases] == ["s2"]
    assert "not held-out test subjects" in found.notes[0]


def test_a_cohort_that_has_moved_is_named_again(run, tmp_path):
    moved = tmp_path / "moved"
    shutil.copytree(run.parent / "cohort", moved)
    found = find_cases(Sources(inputs=(str(run),), data=moved / "cohort.csv"))
    assert found.cases[0].files["tensor"].parent == moved


def test_a_run_names_all_files_itself_and_must_have_weights(run, tmp_path):
    with pytest.raises(InputError, match="--reference cannot be given with runs"):
        find_cases(Sources(inputs=(str(run),), reference=tmp_path))
    (tmp_path / "empty").mkdir()
    shutil.copy(run / "pipeline.yaml", tmp_path / "empty")
    with pytest.raises(CheckpointError, match="no weights in this folder"):
        find_cases(Sources(inputs=(str(tmp_path / "empty"),)))


def test_runs_and_folders_are_not_mixed(run, tmp_path):
    with pytest.raises(InputError, match="write the runs' predictions with medrev-infer"):
        find_cases(Sources(inputs=(str(run), str(tmp_path))))
