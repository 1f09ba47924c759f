"""Results are BIDS derivatives: the official validator finds no error (extra ``bids``)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medrev.prediction import Inference, Request, find_entries, infer_file, infer_many

from .conftest import SOURCE, oblique, save_ramp
from .contrasts import head, save_head, square_model

VALIDATOR = Path(sys.executable).with_name("bids-validator-deno")
pytestmark = pytest.mark.skipif(
    not VALIDATOR.is_file(), reason="bids-validator-deno is not installed (extra bids)"
)


def errors_of(folder: Path) -> list[str]:
    command = [str(VALIDATOR), str(folder), "--json"]
    path = f"{VALIDATOR.parent}{os.pathsep}{os.environ['PATH']}"  # where its deno is
    run = subprocess.run(
        command,
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PATH": path},
        timeout=120,
    )
    found = json.loads(run.stdout)["issues"]["issues"]
    return [
        f"{issue['code']} {issue.get('location')}"
        for issue in found
        if issue["severity"] == "error"
    ]


@pytest.mark.parametrize("format", ["nifti", "nrrd"])
def test_a_cohort(residual_model, tmp_path, format):
    for name in ("sub-01", "sub-02"):
        (tmp_path / "cohort" / name).mkdir(parents=True)
        save_ramp(tmp_path / "cohort" / name / "tensor.nii.gz", (6, 5, 7), oblique())
    request = Request(format=format, ensemble=2, cycle_residual=True)
    out = tmp_path / "out"
    entries = find_entries(SOURCE, [tmp_path / "cohort"], out)
    report = infer_many(entries, (residual_model(),), request)
    assert report.failed == {}
    assert errors_of(out) == []
    (out / "dataset_description.json").unlink()
    assert errors_of(out) != []  # the validator does look


def test_files_side_by_side(residual_model, tensor_file, tmp_path):
    infer_file(tensor_file, model=residual_model(), output=tmp_path / "out")
    assert errors_of(tmp_path / "out") == []


@pytest.mark.parametrize("format", ["nifti", "nrrd"])
def test_synthetic_contrasts(tmp_path, format):
    request = Request(format=format, ensemble=2, cycle_residual=True)
    for source, target in (("t1", "t1ce"), ("t1ce", "flair")):
        root = tmp_path / source
        save_head(root / "HGG_1" / f"HGG_1_{source}.nii.gz", head(), oblique())
        model = square_model(source=source, target=target)
        entries = find_entries(Inference((model,), Request()).source, [root], tmp_path / "out")
        assert len(infer_many(entries, (model,), request).done) == 1
    assert len(list((tmp_path / "out").rglob("*_ce-gadolinium_*"))) == 7
    assert errors_of(tmp_path / "out") == []


def test_a_synthetic_contrast_among_other_entities(tmp_path):
    folder = tmp_path / "bids" / "sub-01" / "ses-1" / "anat"
    name = "sub-01_ses-1_acq-mprage_run-2_space-other_desc-preproc_T1w"
    save_head(folder / f"{name}.nii.gz", head(), oblique())
    (folder / f"{name}.json").write_text('{"SpatialReference": "https://example.org/other"}')
    model = square_model(target="t1ce")
    entries = find_entries(
        Inference((model,), Request()).source, [tmp_path / "bids"], tmp_path / "out"
    )
    (files,) = infer_many(entries, (model,), Request()).done.values()
    stem = "sub-01_ses-1_acq-mprage_ce-gadolinium_run-2_space-other_desc-synth_T1w"
    assert files[0] == tmp_path / "out" / "sub-01" / "ses-1" / "anat" / f"{stem}.nii.gz"
    assert errors_of(tmp_path / "out") == []
