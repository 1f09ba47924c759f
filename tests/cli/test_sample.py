"""``medrev-sample`` and draws by ``medrev-infer``: files, what is in them, and what is refused."""

import json

import numpy as np
import pytest
from PIL import Image

from medrev.cli.evaluate import main as evaluate
from medrev.cli.infer import main as infer
from medrev.cli.sample import main as sample
from medrev.config import Pipeline
from medrev.domains.kinds import dataset_of
from medrev.evaluation import judge
from medrev.prediction import load_model
from medrev.training import train


def run_of(name, data, model, method, folder):
    document = {
        "name": name,
        "data": {"kind": "single_images", "crop_size": 8, "batch_size": 6, **data},
        "model": model,
        "method": method,
        "training": {"steps": 3, "validate_every": 3},
    }
    return train(Pipeline.model_validate(document), folder / name, quiet=True, device="cpu").path


LABELS = {"given": "label", "classes": 3, "image_channels": 1, "split": {"validation": 3}}
STAGES = [{"couplings": 2, "hidden": 4}]


@pytest.fixture(scope="module")
def runs(write_idx, tmp_path_factory):
    """Models of digits: a flow, optimal transport, a classifier, a regression; and colours."""
    folder = tmp_path_factory.mktemp("runs")
    digits = {"root": str(write_idx(folder / "mnist"))} | LABELS
    swapped = {"kind": "flow", "stages": STAGES, "coupling": "swapped", "mixing": "none"}
    found = {
        "flow": run_of(
            "flow",
            digits,
            {"kind": "flow", "stages": STAGES},
            {"kind": "maximum_likelihood"},
            folder,
        ),
        "transport": run_of(
            "transport",
            digits,
            swapped | {"prior": "classes"},
            {"kind": "optimal_transport"},
            folder,
        ),
        "classifier": run_of(
            "classifier",
            digits,
            {"kind": "classifier", "width": 2},
            {"kind": "classification"},
            folder,
        ),
    }
    photos = folder / "photos"
    for number in range(12):
        pixels = np.random.default_rng(number).integers(0, 256, (16, 20, 3), dtype=np.uint8)
        file = photos / f"kind{number % 2}" / f"{number}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(file)
    seen = {
        "root": str(photos),
        "layout": "classes",
        "crop_size": 16,
        "load_size": 16,
        "split": {"validation": 2, "test": 3},
    }
    lightness = seen | {"given": "lightness", "colour_factor": 2}
    flow = {"kind": "flow", "stages": STAGES}
    likelihood = {"kind": "maximum_likelihood"}
    found["colours"] = run_of("colours", lightness, flow, likelihood, folder)
    found["kinds"] = run_of(
        "kinds",
        seen | {"given": "label", "classes": 2},
        {"kind": "classifier", "width": 2},
        {"kind": "classification"},
        folder,
    )
    return found


def done(runs, output, *words, run="flow"):
    assert sample([str(runs[run]), *words, "--output", str(output), "--device", "cpu"]) == 0
    (file,) = [path for path in output.glob("*.json") if path.stem != "generative-1"]
    about = json.loads(file.read_text())
    array = file.with_suffix(".npy")
    return about, np.load(array) if array.exists() else None


def test_draws_share_their_codes_over_classes(runs, tmp_path):
    about, grid = done(runs, tmp_path, "--count", "4", "--seed", "3")
    assert grid.shape == (3, 4, 8, 8, 1)
    assert grid.dtype == np.uint8
    assert about["Rows"] == ["0", "1", "2"]
    picture = np.asarray(Image.open(tmp_path / "draws.png"))
    assert picture.shape == (3 * 9 - 1, 4 * 9 - 1)
    assert np.array_equal(picture[9:17, 18:26], grid[1, 2, ..., 0])
    _, again = done(runs, tmp_path / "again", "--count", "4", "--seed", "3", "--classes", "1")
    assert np.array_equal(again[0], grid[1])


def test_temperature_zero_makes_all_draws_alike(runs, tmp_path):
    _, grid = done(runs, tmp_path, "--count", "3", "--temperature", "0")
    assert np.array_equal(grid[:, 0], grid[:, 2])


def test_results_are_not_replaced_unasked(runs, tmp_path, capsys):
    done(runs, tmp_path)
    words = [str(runs["flow"]), "--output", str(tmp_path), "--device", "cpu"]
    assert sample(words) == 2
    assert "exists" in capsys.readouterr().err
    assert sample([*words, "--overwrite"]) == 0


@pytest.mark.parametrize("run", ["flow", "transport"])
def test_interpolations_begin_and_end_with_their_images(run, runs, tmp_path):
    _, grid = done(runs, tmp_path, "--interpolate", "0", "3", "--count", "5", run=run)
    _, ends = done(runs, tmp_path / "ends", "--reconstruct", "--count", "4", run=run)
    assert grid.shape[:2] == (2, 5)
    assert np.abs(grid[0, 0].astype(int) - ends[0, 0]).max() <= 1
    assert np.abs(grid[0, 4].astype(int) - ends[0, 3]).max() <= 1


def test_reconstructions_from_the_full_code_are_the_images(runs, tmp_path):
    about, grid = done(runs, tmp_path, "--reconstruct", "--count", "3", run="transport")
    assert about["Rows"] == ["the image", "restricted", "full"]
    assert np.abs(grid[2].astype(int) - grid[0]).max() <= 1
    assert about["error_full"] < 1e-5


def test_axes_have_falling_shares_of_the_variance(runs, tmp_path):
    about, grid = done(runs, tmp_path, "--axes")
    assert grid.shape[:2] == (4, 7)
    assert about["variance"] == sorted(about["variance"], reverse=True)
    assert sum(about["variance"]) <= 1


def test_transfer_to_its_own_class_is_the_image(runs, tmp_path):
    about, grid = done(runs, tmp_path, "--transfer", "1")
    assert about["Columns"] == ["the image", "0", "1", "2"]
    assert np.abs(grid[0, 2].astype(int) - grid[0, 0]).max() <= 1


def test_sweeps_have_a_row_for_each_dimension(runs, tmp_path):
    _, grid = done(runs, tmp_path, "--sweep", "0", "5", "--count", "3")
    assert grid.shape[:2] == (2, 3)
    assert not np.array_equal(grid[0, 0], grid[0, 2])


def test_a_code_is_scaled_from_the_middle_outwards(runs, tmp_path):
    about, grid = done(runs, tmp_path, "--scale", "--count", "3")
    assert about["Rows"] == ["0", "1", "2"]
    assert about["Columns"] == ["0", "1", "2"]
    _, middle = done(runs, tmp_path / "middle", "--temperature", "0", "--count", "1")
    assert np.array_equal(grid[:, 0], middle[:, 0])
    assert not np.array_equal(grid[:, 1], grid[:, 2])
    _, colours = done(runs, tmp_path / "colours", "--scale", "--count", "2", run="colours")
    assert colours.shape == (3, 2, 16, 16, 3)


def test_the_widest_dimensions_are_those_of_largest_deviation(runs, tmp_path):
    about, grid = done(runs, tmp_path, "--widest", "3", run="transport")
    assert grid.shape[:2] == (3, 7)
    assert about["deviations"] == sorted(about["deviations"], reverse=True)
    assert set(about["used_dimensions"]) == {"0", "1", "2"}
    dimensions = [row.split()[1] for row in about["Rows"]]
    _, again = done(runs, tmp_path / "again", "--sweep", *dimensions, run="transport")
    assert np.array_equal(again, grid)


@pytest.mark.parametrize(
    ("run", "number", "words"),
    [("flow", "2", "got 2 of NormalPrior"), ("transport", "0", "got 0")],
)
def test_dimensions_that_vary_alike_are_not_chosen_from(run, number, words, runs, tmp_path, capsys):
    chosen = [str(runs[run]), "--widest", number, "--output", str(tmp_path), "--device", "cpu"]
    assert sample(chosen) == 2
    assert words in capsys.readouterr().err


def test_colours_are_drawn_beside_the_truth_and_transferred(runs, tmp_path):
    about, grid = done(runs, tmp_path, "--count", "2", run="colours")
    assert grid.shape == (3, 3, 16, 16, 3)
    assert about["Columns"][-1] == "true"
    _, moved = done(runs, tmp_path / "t", "--transfer", "0", "--count", "3", run="colours")
    assert np.abs(moved[0, 1].astype(int) - moved[0, 0]).max() <= 1


def test_a_classifier_judges_draws_and_test_images(runs, tmp_path):
    words = ["--classifier", str(runs["classifier"]), "--count", "4"]
    about, _ = done(runs, tmp_path, *words)
    assert about["count"] == 12
    assert 0 <= about["accuracy"] <= 1
    assert about["frechet"] > 0
    head, _, row = (tmp_path / "generative-1.md").read_text().strip().splitlines()[-3:]
    assert [cell.strip() for cell in head.strip("|").split("|")] == [
        "Model",
        "Fréchet distance",
        "Acc.",
    ]
    assert float(row.strip("| ").split("|")[1].strip("* ")) == pytest.approx(
        about["frechet"], abs=0.005
    )


def test_a_judgement_is_refused_before_it_is_made_and_nothing_half_written(runs, tmp_path, capsys):
    (tmp_path / "generative-1.csv").write_text("mine")
    words = ["--classifier", str(runs["classifier"]), "--output", str(tmp_path)]
    assert sample([str(runs["flow"]), *words, "--device", "cpu"]) == 2
    assert "generative-1.csv exists already; give --overwrite" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["generative-1.csv"]


def test_runs_are_judged_by_the_images_that_are_evaluated(runs, tmp_path):
    models = [load_model(runs[name], "cpu") for name in ("colours", "kinds")]
    dataset = dataset_of(models[0].pipeline, scale=models[0].scale)
    test, others = dataset.members("test"), dataset.members("train")
    told = [judge(*models, dataset, 3, members=some) for some in (None, test, others[:3])]
    assert told[0] == told[1]
    assert told[2].frechet != told[0].frechet


def test_a_classifier_judges_coloured_photographs_of_classes(runs, tmp_path):
    words = ["--classifier", str(runs["kinds"])]
    about, _ = done(runs, tmp_path, *words, run="colours")
    assert about["count"] == 3
    assert about["accuracy"] in (0, pytest.approx(1 / 3), pytest.approx(2 / 3), 1)
    chosen = ["--paper-table", "cinn-9", "--paper-table", "cinn-1", "--embed", "0"]
    output = tmp_path / "evaluation"
    given = [f"a={runs['colours']}", *words, *chosen, "--output", str(output), "--device", "cpu"]
    assert evaluate(given) == 0
    totals = json.loads((output / "totals.json").read_text())
    assert "frechet" in json.dumps(totals)
    shown = {}
    for name in ("cinn-9", "cinn-1"):
        head, row = (output / "tables" / f"paper_{name}.csv").read_text().splitlines()
        cells = dict(zip(head.split(","), row.split(","), strict=True))
        shown[name] = {key.split(": ")[-1]: cell for key, cell in cells.items() if cell}
    assert list(shown["cinn-9"]) == ["Model", "MSE best of 8", "VAR", "Fréchet distance"]
    assert shown["cinn-9"].pop("Model") == "a"
    assert all(float(cell) >= 0 for cell in shown["cinn-9"].values())
    assert list(shown["cinn-1"])[-1] == "Acc."


@pytest.mark.parametrize(
    ("run", "words", "message"),
    [
        ("classifier", [], "images are drawn by a model of model.kind flow"),
        ("flow", ["--classes", "7"], "was trained on the classes 0, 1, 2, got 7"),
        ("flow", ["--temperature", "-1"], "temperature must be 0 or more, got -1"),
        ("flow", ["--temperature", "1e10"], "got 10000000000.0 (at most 100)"),
        ("flow", ["--count", "0"], "--count must be at least 1, got 0"),
        ("flow", ["--count", "100000"], "got 100000 (at most 1000)"),
        ("flow", ["--interpolate", "1"], "--interpolate needs two images, got 1"),
        ("flow", ["--interpolate", "1", "99"], "the test part has the images 0 to 8, got 99"),
        ("flow", ["--axes", "--reconstruct"], "give one of --axes and --reconstruct"),
        ("flow", ["--sweep", "64"], "the code has the dimensions 0 to 63, got 64"),
        ("flow", ["--classifier", "{flow}"], "is no classifier"),
        ("flow", ["--classifier", "{kinds}"], "got 2 classes of kinds and 3 of flow"),
        ("colours", ["--classifier", "{classifier}"], "sees images of (8, 8) with 1 channels"),
        ("colours", ["--classes", "1"], "knows no classes, got 1"),
        ("flow", ["--classes", "1", "--transfer", "0"], "--classes has no effect with --transfer"),
        ("flow", ["--temperature", "0.5", "--axes"], "--temperature has no effect with --axes"),
    ],
)
def test_what_cannot_be_sampled(run, words, message, runs, tmp_path, capsys):
    given = [word.format(**{name: str(path) for name, path in runs.items()}) for word in words]
    output = tmp_path / "out"
    assert sample([str(runs[run]), *given, "--output", str(output), "--device", "cpu"]) == 2
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not output.exists() or not any(output.iterdir())


def test_a_photograph_gets_several_colourings_of_its_own_lightness(runs, tmp_path):
    photo = tmp_path / "photo.png"
    pixels = np.random.default_rng(5).integers(40, 200, (30, 22), dtype=np.uint8)
    Image.fromarray(pixels).save(photo)
    words = [str(photo), "--model", str(runs["colours"]), "--samples", "3", "--device", "cpu"]
    assert infer([*words, "--output", str(tmp_path / "out")]) == 0
    files = sorted((tmp_path / "out").glob("*.png"))
    assert [file.name for file in files] == [f"photo_fake_colours-{n}.png" for n in (1, 2, 3)]
    made = [np.asarray(Image.open(file)) for file in files]
    assert all(image.shape == (30, 22, 3) for image in made)
    assert not np.array_equal(made[0], made[1])
    assert infer([*words, "--output", str(tmp_path / "again"), "--seed", "1"]) == 0
    other = np.asarray(Image.open(tmp_path / "again" / files[0].name))
    assert not np.array_equal(other, made[0])


def test_what_draws_cannot_do(runs, tmp_path, capsys):
    photo = tmp_path / "photo.png"
    Image.fromarray(np.zeros((16, 16), dtype=np.uint8)).save(photo)

    def refused(run, *words):
        assert infer([str(photo), "--model", str(runs[run]), "--device", "cpu", *words]) == 2
        return capsys.readouterr().err

    assert "samples must be at least 1, got 0" in refused("colours", "--samples", "0")
    assert "temperature must be 0 or more" in refused("colours", "--temperature", "-2")
    assert "no inverse direction" in refused("colours", "--direction", "inverse")
    assert "makes images from label, not from files: use medrev-sample" in refused("flow")
