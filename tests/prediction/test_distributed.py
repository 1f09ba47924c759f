"""Cohorts in several processes: the results of one process, whoever computes them."""

import nibabel
import numpy as np
import pytest

from medrev.errors import InputError
from medrev.parallel import Pool
from medrev.prediction import Request, find_entries, infer_distributed, infer_many

from .conftest import SOURCE, save_subjects

REQUEST = Request(quick_look=False, engine="torch", precision="float32")


@pytest.fixture
def cohort(tmp_path):
    root = save_subjects(tmp_path / "cohort", "ABC")
    (root / "sub-D").mkdir()
    (root / "sub-D" / "tensor.nii.gz").write_bytes(b"no image")
    return root


def test_workers_of_a_scheduler_give_what_one_process_gives(
    saved_models, cohort, tmp_path, scheduler
):
    here = infer_many(find_entries(SOURCE, [cohort], tmp_path / "here"), saved_models, REQUEST)
    entries = find_entries(SOURCE, [cohort], tmp_path / "there")
    seen = []
    with Pool(scheduler=scheduler) as pool:
        there = infer_distributed(
            entries,
            saved_models,
            REQUEST,
            pool=pool,
            on_done=lambda entry, files, new: seen.append((entry.name, new)),
            show_progress=False,
        )
        again = infer_distributed(entries, saved_models, REQUEST, pool=pool, show_progress=False)
    assert set(there.done) == set(here.done) == {"sub-A", "sub-B", "sub-C"}
    assert set(there.failed) == set(here.failed) == {"sub-D"}
    assert sorted(seen) == [("sub-A", True), ("sub-B", True), ("sub-C", True)]
    assert set(again.kept) == {"sub-A", "sub-B", "sub-C"}
    for name, files in here.done.items():
        others = there.done[name]
        assert [path.name for path in files] == [path.name for path in others]
        one, other = (nibabel.load(paths[0]) for paths in (files, others))
        assert np.array_equal(one.affine, other.affine)
        np.testing.assert_allclose(one.get_fdata(), other.get_fdata(), rtol=0, atol=1e-9)


def test_a_model_without_a_file_cannot_be_sent(residual_model, cohort, tmp_path):
    with pytest.raises(InputError, match="loaded from files"):
        infer_distributed(
            find_entries(SOURCE, [cohort], tmp_path), (residual_model(),), REQUEST, pool=Pool()
        )
