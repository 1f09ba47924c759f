"""The page of a training run, made from what lies in its folder."""

import json
import shutil
import sys
from pathlib import Path

import pytest

from medrev.config import Pipeline
from medrev.errors import InputError
from medrev.report import write_run_report
from medrev.training import train

from ..training.conftest import make_pipeline, write_cohort
from .browser import Page, find_chromium
from .conftest import Skeleton

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

from image_data import Counts, write_set


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained for four steps on simulated tensors."""
    folder = tmp_path_factory.mktemp("run")
    pipeline = make_pipeline(write_cohort(folder / "cohort"), folder / "cache")
    return train(pipeline, folder / "small", device="cpu", quiet=True).path


@pytest.fixture(scope="module")
def page(run: Path) -> Path:
    return write_run_report(run, peak_memory=1.25)


def test_the_page_is_whole_and_its_links_lead_somewhere(run, page):
    found = Skeleton(page.read_text(encoding="utf-8"))
    assert len(set(found.ids)) == len(found.ids)
    for link in found.links:
        if link.startswith("#"):
            assert link[1:] in found.ids
        elif not link.startswith("data:"):
            assert (run / link).is_file(), link
    assert all(source.startswith("data:image/png") for source in found.sources)
    assert page.stat().st_size < 3_000_000


def test_the_numbers_are_those_of_the_run(run, page):
    text = " ".join(Skeleton(page.read_text(encoding="utf-8")).text)
    table = json.loads((run / "heldout.json").read_text())
    for method, scores in table["summary"].items():
        assert method in text
        assert f"{scores['rmse']['mean']:.2f}" in text
    assert "1.25 GiB" in text
    assert "2 train, 1 validation, 1 test" in text
    assert "step 4 of 4" in text
    assert "seed 3" in text
    assert "not finished" not in text


def test_the_table_has_a_best_method_but_not_the_noise_floor(page):
    html = page.read_text(encoding="utf-8")
    body = html[html.index("<tbody>") : html.index("</tbody>")]
    rows = {row.split("</th>")[0].rpartition(">")[2]: row for row in body.split("<tr")[1:]}
    assert "best" not in rows["noise floor"]
    assert any("best" in row for name, row in rows.items() if name != "noise floor")


def test_an_unfinished_run_without_a_table_has_a_page_too(run, tmp_path):
    part = tmp_path / "part"
    shutil.copytree(run, part)
    for name in ("heldout.json", "validation.csv", "environment.json", "metrics.csv"):
        (part / name).unlink()
    shutil.rmtree(part / "samples", ignore_errors=True)
    (part / "run.json").write_text('{"status": "interrupted"}')
    html = write_run_report(part).read_text(encoding="utf-8")
    assert "This run is not finished: interrupted." in html
    Skeleton(html)


def test_a_damaged_log_does_not_keep_the_page_from_being_written(run, tmp_path):
    part = tmp_path / "part"
    shutil.copytree(run, part)
    (part / "metrics.csv").write_text("step,loss\n1,0.5\n2,nan\n3,\nx,inf\n4,0")
    Skeleton(write_run_report(part).read_text(encoding="utf-8"))


def test_another_folder_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"is no run folder: it has no pipeline\.yaml"):
        write_run_report(tmp_path)


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium")
@pytest.mark.parametrize("width", [1200, 390])
def test_a_browser_shows_it_without_errors(page, tmp_path, width):
    browser = Page(tmp_path)
    try:
        browser.open(page, width=width, height=844, phone=width < 500)
        assert browser.messages == []
        assert browser.run("document.documentElement.scrollWidth") <= width
        assert browser.run("document.querySelectorAll('svg.chart').length") >= 3
    finally:
        browser.close()


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model trained for two steps on circles and squares, which are no pairs."""
    folder = tmp_path_factory.mktemp("images")
    write_set("shapes", folder / "shapes", Counts(40, 2), size=16, seed=0)
    document = {
        "name": "shapes",
        "data": {
            "kind": "images", "root": folder / "shapes", "load_size": None, "crop_size": 16,
            "channels_a": 1, "channels_b": 1,
        },
        "model": {"kind": "unet", "spatial_dims": 2, "width": 2, "levels": 2},
        "method": {"kind": "unpaired", "discriminator": {"width": 2, "strided_layers": 1}},
        "training": {"steps": 2, "validate_every": 2},
    }  # fmt: skip
    pipeline = Pipeline.model_validate(document)
    return train(pipeline, folder / "run", device="cpu", quiet=True).path


def test_a_run_on_images_speaks_of_images(images):
    html = write_run_report(images).read_text(encoding="utf-8")
    text = " ".join(Skeleton(html).text)
    assert "Results on held-out images" in text
    assert "cycle error x→y→x" in text
    assert "A unet network (width 2, two U-Nets of 2 levels, batch normalisation)" in text
    assert "to translate images, A to B and back (unpaired training" in text
    assert "Images: 36 for training, 4 for validation, 2 for testing" not in text  # no pairs
    assert "Images: 72 for training, 8 for validation, 4 for testing" in text
    assert "The weights of step 2 were kept." in text
    assert "the first 60, environment.json names all" in text
    assert "low-resolution" not in text
