"""Runs of image models: held-out pairs translated, both ways; sensitivity; classes of pixels."""

import csv
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio, structural_similarity
from sklearn.metrics import accuracy_score, jaccard_score

from medrev.errors import InputError
from medrev.evaluation import GROUND_TRUTH, EvaluationConfig, Sources, evaluate_cohort, find_cases
from medrev.evaluation.classes import class_scores
from medrev.metrics import Key, confusion, labels_of_colours
from medrev.prediction import load_model, weight_file
from medrev.report import combine, evaluate
from medrev.volumes import CITYSCAPES

from .untrained import EDGE, FCN, ONE, images, make_images, make_run

NAMES = ["0", "1", "2"]
#: By how much scores of one image may differ where it is computed in two ways. Outputs are float32,
#: and files hold whole grey levels: a value that lies between two of them may be rounded to either
#: side, by the order in which a processor adds (with AVX-512 another one than without). Three of
#: 3 · 32 · 32 values do; one of them moves the mean error by a grey level over their number, the
#: PSNR of some 10 dB by 1e-4 dB at most, and the SSIM by less than 1e-5.
ROUNDING = {"nmae": 3 / (3 * EDGE**2 * 255), "psnr": 3e-4, "ssim": 3e-5}


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photographs with labels; a pix2pix pair, a one2one network, an FCN."""
    folder = tmp_path_factory.mktemp("images")
    data = images(make_images(folder / "city"))
    make_run(folder / "pix2pix", data, seed=1)
    make_run(folder / "one2one", data, model=ONE, method="self_inverse", seed=2)
    make_run(folder / "fcn", data, model=FCN, method="segmentation", seed=3)
    return folder


def halves(root: Path, name: str) -> list[np.ndarray]:
    """Photograph and labels, ``(H, W, 3)`` of 8 bits."""
    both = np.asarray(Image.open(root / "city/test" / f"{name}.png"))
    return [both[:, :EDGE], both[:, EDGE:]]


def network(pixels: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(pixels.transpose(2, 0, 1)[None] / 127.5 - 1).float()


def pixels(output: torch.Tensor) -> np.ndarray:
    values = (output[0].double().numpy().transpose(1, 2, 0) + 1) * 127.5
    return np.rint(values.clip(0, 255)).astype(np.uint8)


def scores(image: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """By scikit-image and numpy."""
    similarity = structural_similarity(
        reference,
        image,
        data_range=255,
        channel_axis=-1,
        gaussian_weights=True,
        use_sample_covariance=False,
    )
    return {
        "psnr": peak_signal_noise_ratio(reference, image, data_range=255),
        "ssim": similarity,
        "nmae": np.abs(reference.astype(float) - image).mean() / 255,
    }


@pytest.mark.parametrize("direction", ["forward", "inverse"])
def test_sensitivity_of_runs_follows_the_four_steps_of_the_paper(root, tmp_path, direction):
    """Everything again with the networks themselves and scikit-image."""
    sources = Sources(inputs=(str(root / "pix2pix"), str(root / "one2one")))
    found = find_cases(sources)
    assert [case.id for case in found.cases] == NAMES
    choices = EvaluationConfig(direction=direction, sensitivity="pix2pix", device="cpu")
    found.check(choices)
    done = evaluate_cohort(found.cases, choices, tmp_path, show_progress=False)
    back = direction == "inverse"
    nets = {name: load_model(root / name, "cpu").translator for name in ("pix2pix", "one2one")}
    for name in NAMES:
        x, y = halves(root, name)[:: -1 if back else 1]

        def value(method: str, metric: str, name: str = name) -> float:
            return done.results.values(method, Key(metric, "whole"))[name]

        assert value("input", "psnr") == pytest.approx(scores(x, y)["psnr"])
        with torch.no_grad():
            changed = nets["pix2pix"](network(y), inverse=not back)
            for method, net in nets.items():
                before = scores(pixels(net(network(x), inverse=back)), y)
                after = scores(pixels(net(changed, inverse=back)), y)
                for metric in before:
                    near = ROUNDING[metric]
                    assert value(method, metric) == pytest.approx(before[metric], abs=near)
                    change = abs(after[metric] - before[metric])
                    assert value(method, f"d_{metric}") == pytest.approx(change, abs=2 * near)
                    assert change > 10 * near
                round_trip = net(net(network(x), inverse=back), inverse=not back) - network(x)
                residual = 127.5 * round_trip.abs().mean().item()
                assert value(method, "cycle_mean") == pytest.approx(residual, rel=1e-4)
    assert done.results.unit(Key("cycle_mean", "whole")) == "grey levels"


def test_photographs_are_scored_by_what_a_segmentation_network_sees(root, tmp_path):
    """Labels → photographs; the void corner of the true labels does not count."""
    done = evaluate(
        Sources(inputs=(f"model={root / 'pix2pix'}",)),
        output=tmp_path / "out",
        choices={
            "direction": "inverse",
            "segmenter": root / "fcn",
            "sensitivity": "model",
            "device": "cpu",
        },
        paper_tables=["one2one-1", "one2one-3", "revgan-2"],
        show_progress=False,
    )
    fcn = load_model(root / "fcn", "cpu").translator
    net = load_model(root / "pix2pix", "cpu").translator
    true, seen = [], {"model": [], "changed": [], GROUND_TRUTH: []}
    for name in NAMES:
        photo, labels = halves(root, name)
        classes = labels_of_colours(labels.transpose(2, 0, 1))
        keep = labels.any(axis=-1)
        assert not keep[:4, :4].any()
        with torch.no_grad():
            made = {
                "model": pixels(net(network(labels), inverse=True)),
                "changed": pixels(net(net(network(photo)), inverse=True)),
                GROUND_TRUTH: photo,
            }
            for method, image in made.items():
                seen[method].append(fcn.logits(network(image)).argmax(1)[0].numpy()[keep])
        true.append(classes[keep])
    true, seen = np.concatenate(true), {name: np.concatenate(v) for name, v in seen.items()}
    totals = {(r.method, r.metric): r.value for r in done.evaluated.totals if r.component is None}

    def iou(given: np.ndarray) -> float:
        met = sorted(set(true) | set(given))
        return jaccard_score(true, given, labels=met, average=None).mean()

    for method in ("model", GROUND_TRUTH):
        expected = accuracy_score(true, seen[method])
        assert totals[method, "pixel_accuracy"] == pytest.approx(expected)
        assert totals[method, "class_iou"] == pytest.approx(iou(seen[method]))
    change = abs(iou(seen["changed"]) - iou(seen["model"]))
    assert totals["model", "d_iou"] == pytest.approx(change)
    rows = list(csv.reader((tmp_path / "out/tables/paper_one2one-3.csv").open()))
    assert rows[1][1] == "model"
    assert float(rows[1][2]) == pytest.approx(change)
    rows = list(csv.reader((tmp_path / "out/tables/paper_revgan-2.csv").open()))
    assert float(rows[1][3]) == pytest.approx(totals["model", "pixel_accuracy"])
    assert len(rows) == 2  # the real photographs are no model
    combined = combine({"label→photo": done.folder}, ["one2one-3"], tmp_path / "tables")
    rows = list(csv.reader(combined[0].open()))
    assert float(rows[1][2]) == pytest.approx(change)
    table = (tmp_path / "out/tables/classes.md").read_text()
    assert "road" in table
    assert GROUND_TRUTH in done.report.read_text()


def test_folders_of_photographs_are_scored_with_their_labels(root, tmp_path):
    """The same photographs as files give the same scores as the run."""
    choices = {"segmenter": str(root / "fcn"), "colours": "cityscapes", "device": "cpu"}
    found = find_cases(Sources(inputs=(f"model={root / 'pix2pix'}",)))
    there = evaluate_cohort(
        found.cases,
        EvaluationConfig(direction="inverse", **choices),
        tmp_path / "a",
        show_progress=False,
    )
    net = load_model(root / "pix2pix", "cpu").translator
    for name in NAMES:
        photo, labels = halves(root, name)
        with torch.no_grad():
            made = pixels(net(network(labels), inverse=True))
        for kind, image in {"photo": photo, "labels": labels, "made": made}.items():
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(image).save(tmp_path / kind / f"{name}.png")
    sources = Sources(
        inputs=(str(tmp_path / "made"),), reference=tmp_path / "photo", labels=tmp_path / "labels"
    )
    here = evaluate_cohort(
        find_cases(sources).cases, EvaluationConfig(**choices), tmp_path / "b", show_progress=False
    )
    assert here.totals == there.totals
    key = Key("psnr", "whole")
    assert here.results.values("model", key) == there.results.values("model", key)


def test_labels_made_of_photographs_are_scored_by_colour(root, tmp_path):
    found = find_cases(Sources(inputs=(f"model={root / 'fcn'}",)))
    choices = EvaluationConfig(colours="cityscapes", device="cpu")
    done = evaluate_cohort(found.cases, choices, tmp_path, show_progress=False)
    fcn = load_model(root / "fcn", "cpu").translator
    right, count = 0, 0
    for name in NAMES:
        photo, labels = halves(root, name)
        keep = labels.any(axis=-1)
        true = labels_of_colours(labels.transpose(2, 0, 1))[keep]
        with torch.no_grad():
            given = fcn.logits(network(photo)).argmax(1)[0].numpy()[keep]
        right, count = right + (given == true).sum(), count + keep.sum()
    totals = {(r.method, r.metric): r.value for r in done.totals if r.component is None}
    assert totals["model", "pixel_accuracy"] == pytest.approx(right / count)
    assert {r.component for r in done.totals} <= {None, *CITYSCAPES}


@pytest.mark.parametrize(
    ("inputs", "choices", "message"),
    [
        (["pix2pix"], {"sensitivity": "cyclegan"}, r"one of the runs' names \(model\), got"),
        (["pix2pix"], {"ensemble": 4}, "--ensemble is for models of tensors"),
        (["fcn"], {"direction": "inverse"}, "model has no trained inverse direction"),
    ],
)
def test_choices_that_make_no_sense_are_refused_at_once(root, inputs, choices, message):
    found = find_cases(Sources(inputs=tuple(f"model={root / name}" for name in inputs)))
    with pytest.raises(InputError, match=message):
        found.check(EvaluationConfig(device="cpu", **choices))


def test_what_does_not_segment_is_refused_at_once(root, tmp_path):
    sources = Sources(inputs=(str(root / "pix2pix"),))
    choices = {"segmenter": weight_file(root / "one2one"), "device": "cpu"}
    with pytest.raises(InputError, match="one2one does not segment"):
        evaluate(sources, output=tmp_path / "out", choices=choices)
    assert not (tmp_path / "out").exists()


def test_models_must_be_there_to_be_applied(tmp_path):
    image = Image.fromarray(np.zeros((16, 16, 3), np.uint8))
    for kind in ("a", "ref"):
        (tmp_path / kind).mkdir()
        image.save(tmp_path / kind / "1.png")
    found = find_cases(Sources(inputs=(str(tmp_path / "a"),), reference=tmp_path / "ref"))
    with pytest.raises(InputError, match="they go with run folders"):
        found.check(EvaluationConfig(sensitivity="model"))


def test_runs_that_hold_out_other_images_are_not_compared(root, tmp_path):
    other = make_run(tmp_path / "other", images(root / "city", resampling="nearest"))
    with pytest.raises(InputError, match=r"differ in data\.resampling"):
        find_cases(Sources(inputs=(str(root / "pix2pix"), str(other))))
    swapped = make_run(tmp_path / "swapped", images(root / "city", source="B"))
    with pytest.raises(InputError, match=r"differ in data\.source"):
        find_cases(Sources(inputs=(str(root / "pix2pix"), str(swapped))))


def test_images_without_partners_cannot_be_evaluated(tmp_path):
    for side, name in (("A", "one"), ("B", "two")):
        for part in ("train", "test"):
            (tmp_path / f"set/{part}{side}").mkdir(parents=True)
            image = Image.fromarray(np.zeros((EDGE, EDGE, 3), np.uint8))
            image.save(tmp_path / f"set/{part}{side}/{name}.png")
    run = make_run(tmp_path / "run", images(tmp_path / "set"), method="unpaired")
    with pytest.raises(InputError, match="are no pairs: without references"):
        find_cases(Sources(inputs=(str(run),)))


def test_the_mae_of_wrapped_bytes_is_a_column_of_table_4_where_it_is_asked_for(root, tmp_path):
    """RevGAN's Table 4: differences of bytes, in which −1 is 255."""
    done = evaluate(
        Sources(inputs=(f"model={root / 'pix2pix'}",)),
        output=tmp_path / "out",
        choices={"wrapped": True, "device": "cpu"},
        paper_tables=["revgan-4"],
        show_progress=False,
    )
    net = load_model(root / "pix2pix", "cpu").translator
    values = []
    for name in NAMES:
        x, y = halves(root, name)
        with torch.no_grad():
            values.append((pixels(net(network(x))) - y).mean())  # uint8
    found = done.evaluated.results.values("model", Key("wrapped_mae", "whole"))
    assert list(found.values()) == pytest.approx(values, abs=0.5)
    header = (done.folder / "tables/paper_revgan-4.csv").read_text().splitlines()[0]
    assert "MAE, wrapped" in header


@pytest.mark.parametrize(("absent", "iou"), [("skip", 0.5), ("zero", 0.25)])
def test_classes_without_pixels_count_as_zero_where_it_is_asked_for(absent, iou):
    """As pix2pix's evaluation does: a mean over all classes, whether they occur or not."""
    given = confusion(np.array([0, 1, 1]), np.array([0, 0, 1]), classes=4)  # IoU 1/2, 1/2, –, –
    counts = {"model": given.counts.tolist()}
    one = {"classes": list("abcd"), "confusions": counts, "changed": counts, "absent": absent}
    key = Key("class_iou", "whole")
    assert class_scores([one], subject="A").values("model", key) == {"A": iou}
    total = class_scores([one, one])
    assert list(total.values("model", key).values()) == [iou]
    assert list(total.values("model", Key("d_iou", "whole")).values()) == [0]
