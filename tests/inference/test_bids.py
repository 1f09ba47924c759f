"""Results are BIDS derivatives: the official validator finds no error (extra ``bids``)."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from medrev.inference import InferenceOptions, Request, find_entries, infer_file, infer_many

from .conftest import oblique, save_ramp

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
    request = Request(format=format, options=InferenceOptions(ensemble=2, cycle_residual=True))
    out = tmp_path / "out"
    report = infer_many(find_entries([tmp_path / "cohort"], out), (residual_model(),), request)
    assert report.failed == {}
    assert errors_of(out) == []
    (out / "dataset_description.json").unlink()
    assert errors_of(out) != []  # the validator does look


def test_files_side_by_side(residual_model, tensor_file, tmp_path):
    infer_file(tensor_file, model=residual_model(), output=tmp_path / "out")
    assert errors_of(tmp_path / "out") == []
