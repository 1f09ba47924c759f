"""Image files of two dimensions: read as they are stored, measured as the papers measure them."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from medrev.errors import InputError
from medrev.evaluation import EvaluationConfig, Pair, Sources, evaluate_cohort, find_cases, measure
from medrev.evaluation.placed import Placed
from medrev.metrics import Key
from medrev.report import evaluate
from medrev.volumes import CITYSCAPES, write_pixels

RNG = np.random.default_rng(0)
COLOUR = RNG.integers(0, 256, (20, 30, 3), dtype=np.uint8)


def read_picture(path: Path, *, indexed: bool = False):
    placed = Placed.of_numbers(path, indexed=indexed)
    return placed.values, placed.largest


def test_an_image_is_read_with_x_to_the_right_and_y_upwards(tmp_path):
    Image.fromarray(COLOUR).save(tmp_path / "a.png")
    values, largest = read_picture(tmp_path / "a.png")
    assert values.shape == (3, 30, 20, 1)
    assert largest == 255
    for row, column in ((0, 0), (19, 0), (3, 7)):
        assert np.array_equal(values[:, column, 19 - row, 0], COLOUR[row, column])


@pytest.mark.parametrize(
    ("array", "mode", "channels", "largest"),
    [
        (COLOUR[..., 0], None, 1, 255),
        (COLOUR[..., 0].astype(np.uint16) * 257, None, 1, 65535),
        (COLOUR, "P", 3, 255),
        (COLOUR, "RGBA", 3, 255),
        (COLOUR, "LA", 1, 255),
        (COLOUR, "1", 1, 255),
    ],
)
def test_kinds_of_images(tmp_path, array, mode, channels, largest):
    image = Image.fromarray(array)
    (image.convert(mode) if mode else image).save(tmp_path / "a.png")
    values, top = read_picture(tmp_path / "a.png")
    assert (values.shape[0], top) == (channels, largest)
    if mode is None:
        assert np.array_equal(values.numpy()[0, :, ::-1, 0].T, array)


def test_label_images_keep_the_numbers_of_their_palette(tmp_path):
    labels = Image.fromarray((COLOUR[..., 0] % 5).astype(np.uint8), "P")
    labels.putpalette([0, 0, 0] + [255, 0, 0] * 255)
    labels.save(tmp_path / "a.png")
    values, _ = read_picture(tmp_path / "a.png", indexed=True)
    assert set(np.unique(values)) == {0, 1, 2, 3, 4}


def test_what_is_no_image_is_a_clear_error(tmp_path):
    (tmp_path / "a.png").write_bytes(b"\x89PNG\r\n\x1a\nnothing")
    with pytest.raises(InputError, match="cannot be read as an image"):
        read_picture(tmp_path / "a.png")
    with pytest.raises(InputError, match="no such file"):
        read_picture(tmp_path / "b.png")
    Image.fromarray(RNG.random((4, 4)).astype(np.float32)).save(tmp_path / "c.tiff")
    with pytest.raises(InputError, match="8 or 16 bits without sign, got float32"):
        read_picture(tmp_path / "c.tiff")


@pytest.fixture
def maps(tmp_path: Path) -> Path:
    """Three pairs of images; the predictions are off by noise."""
    for n in range(3):
        reference = np.random.default_rng(n).integers(0, 256, (40, 40, 3), dtype=np.uint8)
        noise = np.random.default_rng(9 + n).normal(0, 12, reference.shape)
        prediction = np.clip(reference + noise, 0, 255).round().astype(np.uint8)
        for kind, image in (("ref", reference), ("model", prediction)):
            (tmp_path / kind).mkdir(exist_ok=True)
            Image.fromarray(image).save(tmp_path / kind / f"{n}.png")
    return tmp_path


def test_images_are_measured_in_grey_levels_with_a_range_of_255(maps):
    sources = Sources(inputs=(str(maps / "model"),), reference=maps / "ref")
    done = evaluate_cohort(
        find_cases(sources).cases, EvaluationConfig(), maps / "out", show_progress=False
    )
    one, two = (np.asarray(Image.open(maps / kind / "1.png")) for kind in ("ref", "model"))
    expected = peak_signal_noise_ratio(one, two, data_range=255)
    assert done.results.values("model", Key("psnr", "whole"))["1"] == pytest.approx(expected)
    mae = np.abs(one.astype(float) - two).mean()
    assert done.results.values("model", Key("mae", "whole"))["1"] == pytest.approx(mae)
    assert done.results.unit(Key("mae", "whole")) == "grey levels"


def test_images_have_a_report_with_their_colours(maps):
    sources = Sources(inputs=(str(maps / "model"),), reference=maps / "ref")
    done = evaluate(sources, output=maps / "out", show_progress=False)
    html = done.report.read_text()
    assert html.count('alt="reference"') == 3
    assert "viewer-canvas" not in html


def test_label_images_are_scored_by_the_nearest_colour_over_all_images(tmp_path):
    """Exact colours but for one pixel in ten, which gets that of the next class."""
    colours = np.array(list(CITYSCAPES.values()), dtype=np.uint8)
    right = total = 0
    for n in range(2):
        true = np.random.default_rng(n).integers(0, 4, (20, 10 + 10 * n))
        wrong = np.random.default_rng(5 + n).random(true.shape) < 0.1
        given = np.where(wrong, true + 1, true)
        right, total = right + (~wrong).sum(), total + true.size
        for kind, labels in (("ref", true), ("model", given)):
            (tmp_path / kind).mkdir(exist_ok=True)
            noise = np.random.default_rng(n).integers(-3, 4, (*true.shape, 3)) * (kind == "model")
            image = np.clip(colours[labels].astype(int) + noise, 0, 255).astype(np.uint8)
            Image.fromarray(image).save(tmp_path / kind / f"{n}.png")
    sources = Sources(inputs=(str(tmp_path / "model"),), reference=tmp_path / "ref")
    done = evaluate(
        sources,
        output=tmp_path / "out",
        choices={"colours": "cityscapes"},
        paper_tables=["revgan-2"],
        show_progress=False,
    )
    totals = {record.metric: record.value for record in done.evaluated.totals}
    assert totals["pixel_accuracy"] == pytest.approx(right / total)
    row = (tmp_path / "out/tables/paper_revgan-2.csv").read_text().splitlines()[1].split(",")
    assert float(row[3]) == pytest.approx(right / total)


@pytest.mark.parametrize("size", [(30, 20), (40, 39)])
def test_an_image_of_another_size_is_refused(maps, size):
    """Also where it is a row smaller: which row is lacking, nobody knows."""
    Image.fromarray(COLOUR).resize(size).save(maps / "model/1.png")
    case = Pair(id="1", reference=maps / "ref/1.png", predictions={"m": maps / "model/1.png"})
    wanted = rf"{size[0]}x{size[1]}x1 voxels, the reference .* has 40x40x1: images.* of one size"
    with pytest.raises(InputError, match=wanted):
        measure(case, EvaluationConfig())
    with pytest.raises(InputError, match="--resample-reference is of volumes, got images"):
        measure(case, EvaluationConfig(resample_reference=True))


def test_images_of_16_bits_are_not_compared_with_8(maps):
    """The same picture would differ by 32 000 grey levels."""
    rows = np.asarray(Image.open(maps / "ref/1.png")).astype(np.uint16) * 257
    (maps / "model16").mkdir()
    write_pixels(maps / "model16/1.png", rows)
    case = Pair(id="1", reference=maps / "ref/1.png", predictions={"m": maps / "model16/1.png"})
    with pytest.raises(InputError, match=r"1.png has 16 bits, the reference 8 bits: their grey"):
        measure(case, EvaluationConfig())
