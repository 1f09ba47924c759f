"""What is found of a data set is told before anything is prepared."""

import nibabel as nib
import numpy as np
import pytest
from PIL import Image

from medrev.config import Pipeline
from medrev.domains.kinds import dataset_of

METHOD = {"kind": "paired", "adversarial_weight": 0}


def found(data: dict, model: dict) -> list[str]:
    sections = {"name": "a", "data": data, "model": model, "method": METHOD}
    return list(dataset_of(Pipeline.model_validate(sections | {"training": {"steps": 1}})).found())


@pytest.fixture
def tensors(tmp_path):
    """Twelve subjects, one of them larger."""

    def lines() -> list[str]:
        split = {"validation": 1, "test": 2}
        return found({"root": tmp_path, "layout": "tensors", "split": split}, {})

    for number in range(12):
        edge = 5 if number == 0 else 4
        image = nib.Nifti1Image(np.zeros((edge, 4, 4, 6), np.float32), np.eye(4))
        nib.save(image, tmp_path / f"{number:02}_tensor.nii.gz")
    return lines


def test_layout_parts_and_sizes_are_told(tensors):
    first, train, validation, test, sizes = tensors()
    assert first.startswith("12 scans (ready tensors), tensors layout")
    assert train.startswith("train:      9 (")
    assert train.endswith(", … 1 more)")
    assert validation.startswith("validation: 1 (")
    assert test.startswith("test:       2 (")
    assert sizes == ("sizes:      11 of 4x4x4 voxels of 6 volumes, 1 of 5x4x4 voxels of 6 volumes")


def test_a_split_without_effect_is_told(tensors, tmp_path):
    rows = [f"{n:02}_tensor.nii.gz\t{n:02}\t{'test' if n > 9 else 'train'}" for n in range(12)]
    (tmp_path / "participants.tsv").write_text("\n".join(["tensor\tid\tsplit", *rows]))
    split = {"validation": 1, "test": 3}
    data = {"root": tmp_path, "layout": "table", "split": split}
    *_, test, note, _ = found(data, {})
    assert test.startswith("test:       2 (")
    assert note.endswith(
        f"the column split of {tmp_path} divides them: data.split.validation 1 and "
        "data.split.test 3 have no effect"
    )
    assert not any("no effect" in line for line in found(data | {"split": {}}, {}))


def test_many_sizes_are_summed_up(tensors, tmp_path):
    for number in range(5):
        image = nib.Nifti1Image(np.zeros((6 + number, 4, 4, 6), np.float32), np.eye(4))
        nib.save(image, tmp_path / f"{number:02}_tensor.nii.gz")
    *_, sizes = tensors()
    assert sizes.endswith(", 3 of other sizes")


def test_pairs_of_images_sizes_and_decisions_are_told(tmp_path):
    for name in ("train/a.png", "train/b.png", "train/c.png", "val/a.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.new("L", (32, 12)).save(tmp_path / name)
    data = {"kind": "images", "root": tmp_path, "crop_size": 8, "channels_b": 1}
    first, train, validation, test, sizes, *notes = found(data, {"spatial_dims": 2})
    assert first == f"8 images, aligned layout, in {tmp_path}"
    assert train.startswith("train:      2 pairs (")
    assert validation.startswith("validation: 1 pair (")
    assert test == "test:       1 pair (a)"
    assert sizes == "sizes:      8 of 16x12 pixels"
    assert [note.partition("note:       ")[2] for note in notes] == [
        "4 of 4 images of A are grey and are converted to colour (data.channels_a: 3)",
        "there is val but no test: val is the test part, as in the papers",
        "validation: 0.1 of the training images, by a hash of names",
    ]
