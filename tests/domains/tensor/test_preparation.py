"""Prepared subjects: the cache hits, misses and heals; processes change nothing."""

import dataclasses
import pickle
import re

import nibabel
import numpy as np
import pytest
import torch

from medrev.data import Subject
from medrev.domains.tensor import find_cohort, prepare
from medrev.domains.tensor.preparation import cache_folder
from medrev.errors import InputError, OutputError

ARTEFACTS = {"anisotropy": 1, "motion": 1, "bias_field": 1, "noise": 1, "copies": 2}


@pytest.fixture
def cohort(make_phantom, config, tmp_path):
    for n, shape in enumerate([(13, 12, 12), (12, 14, 12)]):
        make_phantom(shape).save_hcp(tmp_path / "hcp", f"S{n}")
    return find_cohort(config(tmp_path / "hcp")).subjects


def same(first, second):
    names = [f.name for f in dataclasses.fields(first)]
    for name in names:
        a, b = getattr(first, name), getattr(second, name)
        if isinstance(a, torch.Tensor):
            assert torch.equal(a, b), name
            assert a.dtype == b.dtype, name
        elif name == "copies":
            assert len(a) == len(b)
            assert all(map(torch.equal, a, b))
        else:
            assert a == b, name
    return True


def entries(data):
    return sorted(cache_folder(data).glob("*.safetensors"))


def test_a_second_call_reads_the_cache(cohort, config, monkeypatch):
    first = prepare(cohort, config(), progress=False)
    assert len(entries(config())) == 2
    monkeypatch.setattr(
        "medrev.domains.tensor.preparation.load_subject", lambda *_: pytest.fail("not cached")
    )
    second = prepare(cohort, config(), progress=False)
    assert all(map(same, first, second))
    assert [p.id for p in second] == ["S0", "S1"]
    assert first[0].y.dtype == torch.float32
    assert first[0].affine.dtype == torch.float64


def test_settings_and_contents_that_matter_change_the_key(cohort, config, make_phantom, tmp_path):
    key = prepare(cohort[:1], config(), progress=False)[0].key
    again = prepare(cohort[:1], config(batch_size=2, scale=1e-3), progress=False)[0].key
    assert again == key
    changed = [
        prepare(cohort[:1], config(**change), progress=False)[0].key
        for change in ({"fit": {"method": "OLS"}}, {"degradation": {"kind": "mixed"}})
    ]
    make_phantom((13, 12, 12), noise=1).save_hcp(tmp_path / "hcp", "S0")  # same names
    changed.append(prepare(cohort[:1], config(), progress=False)[0].key)
    assert len({key, *changed}) == 4


@pytest.mark.parametrize("damage", ["truncate", "garbage", "flip"])
def test_damaged_entries_are_made_again(cohort, config, damage):
    first = prepare(cohort[:1], config(), progress=False)[0]
    (path,) = entries(config())
    content = bytearray(path.read_bytes())
    if damage == "truncate":
        content = content[: len(content) // 2]
    elif damage == "garbage":
        content[:100] = b"x" * 100
    else:
        content[-50] ^= 1
    path.write_bytes(content)
    assert same(prepare(cohort[:1], config(), progress=False)[0], first)
    assert path.read_bytes() != bytes(content)


def test_two_processes_give_what_one_gives(cohort, config, tmp_path):
    one = prepare(cohort, config(workers=1), progress=False)
    two = prepare(cohort, config(workers=2, cache_dir=tmp_path / "other"), progress=False)
    assert all(map(same, one, two))


def test_an_error_names_the_subject_in_one_line_and_survives_processes(cohort, config, tmp_path):
    bad = tmp_path / "hcp/S1/T1w/Diffusion/nodif_brain_mask.nii.gz"
    bad.write_bytes(b"no volume")
    with pytest.raises(InputError, match=r"S1.*nodif_brain_mask") as error:
        prepare(cohort, config(), progress=False)
    assert len(str(error.value).splitlines()) == 1
    assert str(pickle.loads(pickle.dumps(error.value))) == str(error.value)
    assert len(entries(config())) == 1  # what came before is not lost


def test_training_subjects_get_artefact_copies(cohort, config):
    data = config(augmentation={"artefacts": ARTEFACTS})
    subject = dataclasses.replace(cohort[0], split="train")
    first = prepare([subject], data, progress=False)[0]
    second = prepare(
        [subject],
        config(augmentation={"artefacts": ARTEFACTS}, cache_dir=data.cache_dir / "b"),
        progress=False,
    )[0]
    assert same(first, second)
    assert len(first.copies) == 2
    for copy in first.copies:
        assert copy.shape == first.x.shape
        assert torch.isfinite(copy).all()
        assert not torch.equal(copy, first.x)
        assert ((copy != 0).any(0) <= (first.x != 0).any(0)).all()
    assert not torch.equal(*first.copies)
    held_out = dataclasses.replace(cohort[0], split="test")
    assert prepare([held_out], data, progress=False)[0].copies == ()


def test_the_cache_is_in_the_users_folder_by_default(config, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert cache_folder(config(cache_dir=None)) == tmp_path / "xdg/medrev"
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"set data\.cache_dir"):
        cache_folder(config(cache_dir=tmp_path / "file"))


def test_truth_goes_along_and_nothing_else_reads_it(phantom, config, tmp_path):
    tensor = phantom.save_tensor(tmp_path / "t.nii.gz")
    subject = Subject("A", {"tensor": tensor, "truth": tensor})
    prepared = prepare([subject], config(), progress=False)[0]
    np.testing.assert_array_equal(prepared.truth.numpy(), prepared.y.numpy())
    assert prepare([Subject("A", {"tensor": tensor})], config(), progress=False)[0].truth is None


def test_no_subjects_prepare_to_nothing(config):
    assert prepare([], config()) == []


def test_everything_amiss_is_told_at_once(cohort, config):
    """Gradients before any voxel is read; what only reading shows when all were read."""
    bvals = [subject.files["bval"] for subject in cohort]
    before = [path.read_text() for path in bvals]
    for path in bvals:
        path.write_text("0 1000 1000 1000 1000\n")
    with pytest.raises(InputError) as caught:
        prepare(cohort, config(), progress=False)
    first, *lines = str(caught.value).splitlines()
    assert first == "2 subjects cannot be used"
    assert all(re.search(r"S\d.*14 b-values are needed \(volumes\), got 5", line) for line in lines)
    assert len(lines) == 2
    for path, text in zip(bvals, before, strict=True):
        path.write_text(text)
    for subject in cohort:
        whole = nibabel.load(subject.files["dwi"])
        nibabel.save(
            nibabel.Nifti1Image(whole.get_fdata() * np.nan, whole.affine), whole.get_filename()
        )
    with pytest.raises(InputError, match=r"2 subjects cannot be used\n  .*S0.*\n  .*S1"):
        prepare(cohort, config(), progress=False)
    assert entries(config()) == []
