"""A cohort that is evaluated once, and its page."""

from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from medrev.evaluation import Sources
from medrev.report import Evaluation, evaluate

from ..evaluation.conftest import SHAPE, make_cohort, save

SUBJECTS = 7


@pytest.fixture(scope="session")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two models on seven subjects of two groups, one of which cannot be read."""
    folder = make_cohort(tmp_path_factory.mktemp("study"), SUBJECTS, ("revgan", "unet"))
    for n in range(1, SUBJECTS + 1):
        save(folder / f"revgan/sub-{n:02d}_desc-sr_std_T1w.nii.gz", np.full(SHAPE, 1.5))
    rows = [f"sub-{n:02d}\t{'<A>' if n % 2 else 'B'}" for n in range(1, SUBJECTS + 1)]
    (folder / "ref/participants.tsv").write_text("\n".join(["participant_id\tsite", *rows]))
    broken = folder / "unet/sub-04_desc-sr_T1w.nii.gz"
    broken.write_bytes(broken.read_bytes()[:2000])
    return folder


def sources(root: Path, *models: str) -> Sources:
    return Sources(
        inputs=tuple(f"{model}={root / model}" for model in models or ("revgan", "unet")),
        reference=root / "ref",
        low=root / "low",
        mask=root / "mask",
    )


@pytest.fixture(scope="session")
def evaluation(root: Path) -> Evaluation:
    return evaluate(
        sources(root),
        output=root / "out",
        choices={"baselines": ("nearest", "cubic")},
        group="site",
        embed=4,
        show_progress=False,
    )


@pytest.fixture(scope="session")
def html(evaluation: Evaluation) -> str:
    return evaluation.report.read_text(encoding="utf-8")


class Skeleton(HTMLParser):
    """Text, identifiers, links and embedded files of a page; unclosed elements are an error."""

    EMPTY = frozenset({"meta", "link", "img", "input", "br"})

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.sources: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        given = dict(attrs)
        self.ids += [given["id"]] if "id" in given else []
        self.links += [given["href"]] if "href" in given else []
        self.sources += [given["src"]] if "src" in given else []
        if tag not in self.EMPTY:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.EMPTY:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if not {"script", "style"} & set(self.open):
            self.text.append(data)


@pytest.fixture(scope="session")
def skeleton(html: str) -> Skeleton:
    return Skeleton(html)
