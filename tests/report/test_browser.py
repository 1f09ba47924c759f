"""The report of a cohort in a browser: its viewer, its figures, on a phone and on paper."""

import io
import re
from xml.etree import ElementTree

import numpy as np
import pytest
from matplotlib.image import imread

from medrev.report import Evaluation

from .browser import Page, find_chromium

pytestmark = pytest.mark.skipif(find_chromium() is None, reason="no Chromium")


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory):
    page = Page(tmp_path_factory.mktemp("profile"))
    yield page
    page.close()


def open_viewer(browser: Page, evaluation: Evaluation, **window) -> None:
    browser.messages.clear()
    browser.requests.clear()
    browser.open(evaluation.report, **window)
    browser.run("document.getElementById('viewer-canvas').scrollIntoView({block: 'center'})")
    browser.wait_for("document.getElementById('viewer-canvas').dataset.ready === 'yes'")


def picture(browser: Page) -> np.ndarray:
    pixels = imread(io.BytesIO(browser.screenshot("#viewer-canvas")), format="png")
    return pixels[..., :3]


@pytest.mark.parametrize(("width", "phone"), [(1200, False), (390, True)])
def test_the_viewer_shows_a_volume_without_errors_or_network(browser, evaluation, width, phone):
    open_viewer(browser, evaluation, width=width, height=844, phone=phone)
    shown = picture(browser)
    assert shown.std() > 0.05
    assert (shown.max(axis=-1) > 0.2).mean() > 0.05
    problems = [m for m in browser.messages if "GL Driver Message" not in m]
    assert problems == []
    assert [r for r in browser.requests if not r.startswith(("file:", "data:", "blob:"))] == []
    assert browser.run("document.documentElement.scrollWidth") <= width


def test_overlay_and_subject_can_be_chosen(browser, evaluation):
    open_viewer(browser, evaluation)
    canvas = "document.getElementById('viewer-canvas').dataset.shown"
    assert browser.run(canvas) == "reference"
    bare = picture(browser)
    browser.run(
        "(() => { const s = document.querySelector('[name=overlay]'); s.selectedIndex = 1;"
        " s.dispatchEvent(new Event('change')); })()"
    )
    browser.wait_for(f"{canvas} === 'reference + error revgan'")
    before = picture(browser)
    assert np.abs(bare - before).max() > 0.1
    # A grey volume alone: no colour but that of the crosshair.
    coloured = np.ptp(bare, axis=-1) > 0.1
    assert coloured.mean() < 0.06 < (np.ptp(before, axis=-1) > 0.1).mean()
    x, y = browser.run(
        "(() => { const r = document.querySelector('#viewer-canvas').getBoundingClientRect();"
        " return [r.x + r.width / 5, r.y + r.height / 3]; })()"
    )
    for kind in ("mousePressed", "mouseReleased"):
        browser.call("Input.dispatchMouseEvent", type=kind, x=x, y=y, button="left", clickCount=1)
    browser.wait_for("document.getElementById('viewer-place').textContent.includes('mm')")
    told = browser.run("document.getElementById('viewer-place').textContent")
    assert re.fullmatch(
        r"x \S+, y \S+, z \S+ mm · reference \S+( \S.*)? · error revgan \S+( \S.*)?", told
    )
    browser.run("document.querySelectorAll('[data-open-subject]')[1].click()")
    subject = browser.run("document.querySelector('[name=subject]').selectedOptions[0].textContent")
    heading = "document.querySelectorAll('h3')[1].firstChild.textContent.trim()"
    assert subject == browser.run(heading)


def test_every_figure_can_be_saved_as_a_vector_file(browser, evaluation):
    browser.open(evaluation.report)
    text = browser.run(
        "(async () => { let found; URL.createObjectURL = blob => { found = blob; return '#'; };"
        " document.querySelector('.charts figure button').click(); return found.text(); })()"
    )
    drawn = ElementTree.fromstring(text)
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    assert "var(--" not in text
    count = "document.querySelectorAll('.charts figure button').length"
    assert browser.run(count) == browser.run("document.querySelectorAll('svg.chart').length") > 5


def test_a_table_that_goes_on_beyond_the_edge_of_a_phone_shows_it(browser, evaluation):
    browser.open(evaluation.report, width=360, height=740, phone=True)
    assert browser.run("document.documentElement.scrollWidth") <= 360
    box = "document.querySelector('.scroll')"
    assert browser.run(f"{box}.scrollWidth > {box}.clientWidth")
    assert browser.run(f"getComputedStyle({box}).backgroundAttachment").count("local") == 2
    assert "scroll sideways" in browser.run(f"getComputedStyle({box}, '::before').content")
    browser.open(evaluation.report, width=1440, height=900)
    assert browser.run(f"getComputedStyle({box}, '::before').content") == "none"


def test_without_webgl_the_pictures_remain(browser, evaluation):
    script = browser.call(
        "Page.addScriptToEvaluateOnNewDocument",
        source="HTMLCanvasElement.prototype.getContext = () => null",
    )
    browser.open(evaluation.report)
    browser.run("document.getElementById('viewer-canvas').scrollIntoView()")
    browser.wait_for("document.getElementById('viewer-message').textContent.includes('WebGL')")
    assert browser.run("document.querySelectorAll('.strip img').length") >= 6
    browser.call("Page.removeScriptToEvaluateOnNewDocument", identifier=script["identifier"])


def test_on_paper_there_are_pictures_but_no_viewer(browser, evaluation):
    browser.open(evaluation.report)
    browser.call("Emulation.setEmulatedMedia", media="print")
    hidden = "getComputedStyle(document.querySelector('.viewer')).display"
    assert browser.run(hidden) == "none"
    assert browser.run("getComputedStyle(document.querySelector('.strip img')).display") != "none"
    browser.run("document.querySelectorAll('details').forEach(d => { d.open = true; })")
    wide = (
        "[...document.querySelectorAll('table')].filter("
        "t => t.getBoundingClientRect().right > innerWidth + 1).length"
    )
    browser.call(
        "Emulation.setDeviceMetricsOverride",
        width=688,
        height=1017,
        deviceScaleFactor=1,
        mobile=False,
    )  # A4 without margins of 14 mm
    assert browser.run(wide) == 0
    browser.call("Emulation.setEmulatedMedia", media="")
    assert browser.pdf().startswith(b"%PDF")
