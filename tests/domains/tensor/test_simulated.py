"""Heads that are drawn: a number fixes one, parts do not move, preparation is the usual one."""

from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
import torch

from medrev.config.schema import DTIData
from medrev.domains.tensor import find_cohort
from medrev.domains.tensor.preparation import prepare
from medrev.domains.tensor.reading import load_subject
from medrev.dti import is_positive_definite

pytest.importorskip("nilearn")


def data(**changed):
    small = {"train": 2, "validation": 1, "test": 1, "edge": 16, "whole": 0}
    return DTIData(
        layout="simulated",
        simulated=small | changed,
        patches={"size": 8, "per_subject": 2},
        degradation={"kind": "mixed"},
    )


@pytest.fixture(scope="module")
def scan():
    cohort = find_cohort(data())
    return load_subject(cohort.part("test")[0], data())


def test_more_heads_to_train_on_leave_the_other_parts_as_they_were():
    few, many = find_cohort(data()), find_cohort(data(train=30))
    for part in ("test", "validation"):
        assert few.part(part) == many.part(part)
    assert [s.id for s in few.part("train")] == ["head-0002", "head-0003"]
    assert len(many.part("train")) == 30


def test_the_same_number_is_the_same_scan_and_another_seed_is_another(scan):
    subject = find_cohort(data()).part("test")[0]
    again, other = load_subject(subject, data()), load_subject(subject, data(seed=12))
    assert torch.equal(again.dwi, scan.dwi)
    np.testing.assert_array_equal(again.affine, scan.affine)
    assert again.dwi.shape != other.dwi.shape or not torch.equal(again.dwi, other.dwi)


def test_a_head_is_a_scan_with_a_mask_and_tensors_of_brain(scan, tmp_path):
    assert max(scan.dwi.shape[1:]) <= 16
    assert scan.mask_source == "given"
    assert 0.05 < float(scan.mask.float().mean()) < 1
    np.testing.assert_allclose(
        np.linalg.norm(scan.gradients.bvecs[~scan.gradients.b0], axis=1), 1, atol=1e-9
    )
    kept = data().model_copy(update={"cache_dir": tmp_path})
    subject = find_cohort(kept).part("test")[0]
    ready, again = (prepare([subject], kept, progress=False)[0] for _ in range(2))
    assert len(list(tmp_path.glob("*.safetensors"))) == 1
    assert torch.equal(ready.y, again.y)
    inside = ready.y[:, ready.mask[0] > 0]
    md = (inside[0] + inside[3] + inside[5]) / 3
    assert 0.4e-3 < float(md.median()) < 3e-3
    assert is_positive_definite(inside[..., None, None]).float().mean() > 0.9
    assert ready.facts["degradation"] == "mixed"


def test_a_head_that_is_written_is_the_one_that_is_drawn(scan, tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[3] / "scripts"))
    main = import_module("make_training_data").main
    assert main(["--output", str(tmp_path), "--first", "0", "--heads", "1", "--edge", "16"]) == 0
    written = DTIData(root=tmp_path)
    (subject,) = find_cohort(written).subjects
    read = load_subject(subject, written)
    assert torch.equal(read.dwi, scan.dwi)
    assert torch.equal(read.mask, scan.mask)
    np.testing.assert_allclose(read.affine, scan.affine, atol=1e-4)
    np.testing.assert_allclose(read.gradients.bvecs, scan.gradients.bvecs, atol=1e-5)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"root": "heads"}, "leave root out"),
        ({"subjects": ("a",)}, "leave subjects out"),
        ({"split": {"test": 3}}, "leave split out"),
        ({"patches": {"sampling": "grid"}}, "needs patches.sampling random"),
        ({"patches": {"size": 64, "per_subject": 2}}, "must not be above simulated.edge"),
        ({"layout": "bids"}, "root is missing"),
    ],
)
def test_what_makes_no_sense_of_drawn_heads_is_refused(changed, message):
    good = {"layout": "simulated", "patches": {"per_subject": 2}}
    DTIData(**good)
    with pytest.raises(ValueError, match=message):
        DTIData(**(good | changed))
