"""The report of runs on images: it speaks of images, and shows them on a desk and on a phone."""

import io
import re
from pathlib import Path

import html5lib
import numpy as np
import pytest
from matplotlib.image import imread
from PIL import Image

from medrev.evaluation import EvaluationConfig, Sources, find_cases
from medrev.prediction import weight_file
from medrev.report import Evaluation, evaluate
from medrev.report.preview import make_preview

from ..evaluation.untrained import EDGE, FCN, UNET, images, make_images, make_run
from .browser import Page, find_chromium


@pytest.fixture(scope="module")
def evaluation(tmp_path_factory: pytest.TempPathFactory) -> Evaluation:
    """Labels → photographs, as a segmentation network sees them, with a baseline."""
    folder = tmp_path_factory.mktemp("images")
    data = images(make_images(folder / "city", count=4))
    for seed, name in enumerate(("pix2pix", "other")):
        make_run(folder / name, data, model=UNET | {"final_activation": "tanh"}, seed=seed)
    make_run(folder / "fcn", data, model=FCN, method="segmentation")
    return evaluate(
        Sources(inputs=(str(folder / "pix2pix"), str(folder / "other"))),
        output=folder / "out",
        choices={
            "direction": "inverse",
            "sensitivity": "pix2pix",
            "segmenter": weight_file(folder / "fcn"),
            "device": "cpu",
        },
        paper_tables=["one2one-1", "one2one-3"],
        embed=3,
        show_progress=False,
    )


def text_of(page: Path) -> str:
    html = re.sub(r"<(script|style).*?</\1>", "", page.read_text(encoding="utf-8"), flags=re.S)
    return " ".join(re.sub(r"<[^>]*>", " ", html).split())


def test_it_speaks_of_images_and_pixels(evaluation):
    text = text_of(evaluation.report)
    for words in (
        "4 images · 2 models",
        "Mean ± standard deviation over 4 images, in the whole image",
        "Worst images first",
        "Every image and method",
        "PSNR and SSIM use 255 as data range",
        "Photographs were segmented by a network (FCN score",
        "replaced by what pix2pix makes of the reference",
        "parameters, B to A, paired training",
        "what the segmentation network sees in the real photographs",
        "By class",
        "Sensitivity",
    ):
        assert words in text, words
    rest = text.replace("not enough subjects", "").replace("a line per subject", "")
    others = re.findall(r"[^ ]*(?:voxel|volume|[Ss]ubject|slice)[^ ]*", rest)
    assert set(others) == {"tables/subjects.csv"}
    assert "ground truth 0" not in text


def test_a_strict_parser_finds_no_error(evaluation):
    html5lib.HTMLParser(strict=True).parse(evaluation.report.read_text(encoding="utf-8"))


def test_papers_tables_name_the_direction(evaluation):
    table = (evaluation.folder / "tables/paper_one2one-1.md").read_text()
    assert "| B→A | pix2pix |" in table


def test_the_input_is_shown_as_it_is_where_channels_differ(tmp_path):
    """Grey → colour: the grey input beside colours, each as stored."""
    for part in ("train", "test"):
        for side, mode in (("A", "L"), ("B", "RGB")):
            (tmp_path / "set" / part / side).mkdir(parents=True)
            rows = np.linspace(0, 200, EDGE * EDGE).reshape(EDGE, EDGE).astype(np.uint8)
            image = Image.fromarray(rows).convert(mode)
            image.save(tmp_path / "set" / part / side / "one.png")
    data = images(tmp_path / "set", channels_a=1)
    run = make_run(tmp_path / "run", data)
    (case,) = find_cases(Sources(inputs=(f"model={run}",))).cases
    preview = make_preview(case, EvaluationConfig(device="cpu"))
    tiles = preview.strips[0].tiles
    shown = {tile.name: imread(io.BytesIO(tile.png), format="png") for tile in tiles}
    assert list(shown) == ["input", "model", "reference", "error"]
    grey = shown["input"] if shown["input"].ndim == 2 else shown["input"][..., 0]
    assert grey.shape == (EDGE, EDGE)
    assert grey[0, 0] == pytest.approx(0, abs=0.01)
    assert grey[-1, -1] == pytest.approx(200 / 255, abs=0.01)
    assert shown["reference"][-1, -1, :3] == pytest.approx([200 / 255] * 3, abs=0.01)
    assert "grey levels" in preview.strips[0].label


@pytest.mark.skipif(find_chromium() is None, reason="no Chromium")
@pytest.mark.parametrize(("width", "phone"), [(1200, False), (390, True)])
def test_a_browser_shows_it_without_errors_or_network(evaluation, tmp_path, width, phone):
    browser = Page(tmp_path)
    try:
        browser.open(evaluation.report, width=width, height=844, phone=phone)
        assert browser.messages == []
        addresses = [r for r in browser.requests if not r.startswith(("file:", "data:", "blob:"))]
        assert addresses == []
        assert browser.run("document.documentElement.scrollWidth") <= width
        images = "[...document.querySelectorAll('.strip img')]"
        assert browser.run(f"{images}.length") == 3 * 6
        loaded = f"{images}.every(i => i.complete && i.naturalWidth === {EDGE})"
        assert browser.run(loaded)
        assert browser.run(f"{images}.every(i => i.getBoundingClientRect().width >= 100)")
    finally:
        browser.close()
