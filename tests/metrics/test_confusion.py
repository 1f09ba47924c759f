import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, balanced_accuracy_score, jaccard_score

from medrev.errors import InputError
from medrev.evaluation import segmentation_scores
from medrev.metrics import confusion, labels_of_colours
from medrev.volumes import CITYSCAPES


@pytest.fixture
def labels() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    true = rng.integers(0, 5, (20, 30))
    given_ = np.where(rng.random(true.shape) < 0.7, true, rng.integers(0, 5, true.shape))
    return given_, true


def test_scores_are_those_of_scikit_learn(labels):
    prediction, reference = labels
    found = confusion(prediction, reference, classes=5)
    flat = reference.ravel(), prediction.ravel()
    assert found.pixel_accuracy == pytest.approx(accuracy_score(*flat))
    assert found.class_accuracy() == pytest.approx(balanced_accuracy_score(*flat))
    assert found.class_iou() == pytest.approx(jaccard_score(*flat, average="macro"))


def test_ignored_pixels_do_not_count(labels):
    prediction, reference = labels
    marked = np.where(reference == 3, 255, reference)
    found = confusion(prediction, marked, classes=5)
    kept = reference != 3
    expected = confusion(prediction[kept], reference[kept], classes=5)
    assert np.array_equal(found.counts, expected.counts)
    assert found.accuracies[3] is None


def test_images_are_counted_together(labels):
    prediction, reference = labels
    parts = [confusion(prediction[r], reference[r], classes=5) for r in range(20)]
    total = sum(parts[1:], parts[0])
    assert np.array_equal(total.counts, confusion(prediction, reference, classes=5).counts)


def test_absent_classes_are_left_out_or_zero():
    found = confusion(np.array([0, 0, 1, 1]), np.array([0, 0, 0, 1]), classes=4)
    assert found.accuracies == (2 / 3, 1, None, None)
    assert found.ious == (2 / 3, 1 / 2, None, None)
    assert found.class_accuracy() == pytest.approx(5 / 6)
    assert found.class_accuracy("zero") == pytest.approx(5 / 12)
    assert found.class_iou("zero") == pytest.approx((2 / 3 + 1 / 2) / 4)


def test_a_given_class_that_is_none_counts_as_wrong():
    found = confusion(np.array([0, 99, -1, 1]), np.array([0, 0, 1, 1]), classes=2)
    assert found.pixel_accuracy == 0.5
    assert found.accuracies == (0.5, 0.5)
    assert found.ious == (0.5, 0.5)


def test_a_true_class_that_is_none_is_refused(labels):
    prediction, reference = labels
    with pytest.raises(InputError, match=r"0 to 2 or ignored \(255\), got 3, 4"):
        confusion(prediction, reference, classes=3)
    with pytest.raises(InputError, match="same shape"):
        confusion(prediction[1:], reference, classes=5)
    with pytest.raises(InputError, match="got none"):
        _ = confusion(prediction, np.full_like(reference, 255), classes=5).pixel_accuracy


@given(st.integers(0, 99), st.permutations(range(4)))
def test_names_of_classes_and_order_of_pixels_have_no_influence(seed, names):
    rng = np.random.default_rng(seed)
    one, two = rng.integers(0, 4, (2, 40))
    order = rng.permutation(40)
    names = np.array(names)
    before = confusion(one, two, classes=4)
    after = confusion(names[one][order], names[two][order], classes=4)
    assert after.pixel_accuracy == before.pixel_accuracy
    assert after.class_iou() == pytest.approx(before.class_iou())
    assert confusion(two, one, classes=4).class_iou() == pytest.approx(before.class_iou())


def test_labels_survive_noisy_colours():
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 19, (16, 20))
    palette = np.array(list(CITYSCAPES.values()))
    assert len({tuple(colour) for colour in palette.tolist()}) == 19
    image = np.moveaxis(palette[labels], -1, 0) + rng.normal(0, 3, (3, 16, 20))
    assert np.array_equal(labels_of_colours(image), labels)
    for wrong in (image[:2], image * np.nan):
        with pytest.raises(InputError):
            labels_of_colours(wrong)


def test_scores_become_a_table(labels):
    counts = confusion(*labels, classes=5)
    other = confusion(labels[1], labels[1], classes=5)
    results = segmentation_scores(
        {"pix2pix": counts}, changed={"pix2pix": other}, classes=list("abcde")
    )
    found = {(r.metric, r.component): r.value for r in results}
    assert results.subjects == ("all images",)
    assert found["class_iou", None] == counts.class_iou()
    assert found["class_accuracy", "c"] == counts.accuracies[2]
    assert found["d_iou", None] == 1 - counts.class_iou()
