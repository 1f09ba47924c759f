"""The whole report: what it says, and how large it is."""

import random
import re
import shutil
import subprocess

import html5lib
import numpy as np
import pytest

from medrev.errors import InputError, OutputError
from medrev.evaluation import Evaluated, Measured, Pair, Record, Results, Sources
from medrev.metrics import Key
from medrev.report import evaluate, write_cohort_report
from medrev.report.cohort import _within, choose_subjects
from medrev.report.figures import calibration_charts, calibration_words, interval_words
from medrev.report.preview import Preview, ViewerVolume
from medrev.report.tables import cohort_tables

from ..evaluation.conftest import SHAPE, save
from .conftest import SUBJECTS, sources


def test_a_broken_subject_is_listed_and_the_others_are_there(evaluation, skeleton):
    text = " ".join(skeleton.text)
    assert list(evaluation.failures) == ["sub-04"]
    assert "1 of 7 subjects could not be evaluated" in text
    assert "truncated or damaged compressed file" in text
    assert "6 subjects" in text


def test_every_identifier_is_unique_and_every_link_leads_somewhere(evaluation, skeleton):
    assert len(set(skeleton.ids)) == len(skeleton.ids)
    for link in skeleton.links:
        if link.startswith("#"):
            assert link[1:] in skeleton.ids
        elif not link.startswith("data:"):
            assert (evaluation.folder / link).exists(), link
    assert any(link.endswith("sub-01_T1w.nii.gz") for link in skeleton.links)


def test_the_page_needs_nothing_from_elsewhere(skeleton, html):
    assert all(source.startswith("data:image/png") for source in skeleton.sources)
    assert not re.search(r"<(script|link|img)[^>]+(src|href)=.?https?:", html)
    assert "@import" not in html


def test_the_numbers_of_the_table_are_those_of_the_results(evaluation, skeleton):
    values = list(evaluation.evaluated.results.values("revgan", Key("psnr")).values())
    cells = [text.strip() for text in skeleton.text]
    assert f"{np.mean(values):.2f}" in cells
    assert any(f"± {np.std(values, ddof=1):.2f}" in cell for cell in cells)


@pytest.mark.parametrize(
    "words",
    [
        "Differences between methods",
        "Wilcoxon's signed-rank test",
        "Groups by site",
        "Mann–Whitney",
        "Reliability",
        "Sparsification",
        "Bland–Altman analysis",
        "Worst subjects first",
        "uncertainty",
        "6 subjects were evaluated on the grid of the reference",
        "1 further subject could not be evaluated",
        "cubic (Keys, a = −0.5)",
        "Computed with medrev",
    ],
)
def test_the_page_says(words, skeleton):
    assert words in " ".join(skeleton.text)


def test_names_from_tables_are_text_not_markup(html):
    assert "&lt;A&gt;" in html
    assert "<A>" not in html


def test_tables_are_written_in_four_formats(evaluation):
    folder = evaluation.folder / "tables"
    for suffix in ("csv", "json", "md", "tex"):
        assert (folder / f"summary.{suffix}").stat().st_size > 100
    assert (folder / "groups_psnr_mask.md").is_file()
    assert Results.from_json((evaluation.folder / "results.json").read_text()).subjects == tuple(
        f"sub-{n:02d}" for n in (1, 2, 3, 5, 6, 7)
    )


def test_an_evaluation_is_not_replaced_by_accident(root, evaluation, tmp_path):
    before = evaluation.report.stat().st_mtime_ns
    with pytest.raises(OutputError, match="--resume goes on with it, --overwrite replaces"):
        evaluate(sources(root), output=evaluation.folder, show_progress=False)
    assert evaluation.report.stat().st_mtime_ns == before
    (tmp_path / "thesis.txt").touch()
    with pytest.raises(OutputError, match="is no evaluation"):
        evaluate(sources(root), output=tmp_path, overwrite=True, show_progress=False)
    assert (tmp_path / "thesis.txt").is_file()


def test_a_resumed_evaluation_keeps_what_is_done(root, tmp_path):
    first = evaluate(sources(root, "revgan"), output=tmp_path / "out", show_progress=False)
    again = evaluate(
        sources(root, "revgan"), output=tmp_path / "out", resume=True, show_progress=False
    )
    assert again.evaluated.reused == SUBJECTS
    assert again.evaluated.results == first.evaluated.results


def test_an_unknown_group_names_the_columns(root, tmp_path):
    with pytest.raises(InputError, match=r"column 'scanner'; columns with values: site"):
        evaluate(
            sources(root, "revgan"), output=tmp_path / "o", group="scanner", show_progress=False
        )


def test_groups_of_one_subject_are_described_not_tested(root, tmp_path):
    table = tmp_path / "participants.tsv"
    rows = [f"sub-{n:02d}\t{'alone' if n == 1 else 'rest'}" for n in range(1, SUBJECTS + 1)]
    table.write_text("\n".join(["participant_id\tsite", *rows]))
    given = Sources(inputs=(str(root / "revgan"),), reference=root / "ref", participants=table)
    done = evaluate(given, output=tmp_path / "out", group="site", show_progress=False)
    assert "not enough subjects: 1 of 2 groups have 3 subjects" in done.report.read_text()


def test_nothing_that_can_be_evaluated_is_an_error(root, tmp_path):
    given = Sources(
        inputs=(str(root / "unet/sub-04_desc-sr_T1w.nii.gz"),),
        reference=root / "ref/sub-04_T1w.nii.gz",
    )
    with pytest.raises(InputError, match=r"no subject could be evaluated\n  sub-04: .*damaged"):
        evaluate(given, output=tmp_path / "out", show_progress=False)


def values(count: int) -> Results:
    key = Key("rmse")
    return Results.of(Record(f"s{n}", "m", *key, float(n), "") for n in range(count))


@pytest.mark.parametrize(
    ("embed", "chosen"),
    [
        (0, {}),
        (1, {"s9": "worst of 10"}),
        (3, {"s9": "worst of 10", "s8": "2nd worst of 10", "s4": "median"}),
        (
            5,
            {
                "s9": "worst of 10",
                "s8": "2nd worst of 10",
                "s7": "3rd worst of 10",
                "s4": "median",
                "s0": "best of 10",
            },
        ),
    ],
)
def test_the_worst_the_median_and_the_best_are_shown(embed, chosen):
    assert choose_subjects(values(10), "m", Key("rmse"), embed) == chosen


def test_all_subjects_of_a_small_cohort_are_shown_once():
    assert list(choose_subjects(values(3), "m", Key("rmse"), 6)) == ["s2", "s1", "s0"]


@pytest.mark.parametrize(
    ("held", "words"),
    [
        (
            0.48,
            "95 % intervals hold 48 % of the errors, overconfident: its uncertainty is too small.",
        ),
        (0.94, "95 % intervals hold 94 % of the errors, about as it should."),
        (
            0.999,
            "95 % intervals hold 100 % of the errors, too cautious: its uncertainty is too large.",
        ),
    ],
)
def test_what_intervals_hold_is_said_in_words(held, words):
    key = Key("coverage", "mask", "0.95")
    results = Results.of([Record("s", "m", *key, held, "")])
    assert calibration_words(results, ["m", "other"]) == [f"m: {words}"]


def test_what_calibrated_intervals_hold_is_a_sentence_and_ranks_are_a_chart():
    level, unit = Key("interval_level", "mask"), "1e-5 mm²/s"
    records = [Record("s", "m", *level, 90.0, "%")]
    for component, held, width, of in (("FA", 91.26, 0.3, ""), ("MD", 88.0, 44.081, unit)):
        records += [
            Record("s", "m", "interval_coverage", "mask", component, held, "%"),
            Record("s", "m", "interval_coverage", "interior", component, 50.0, "%"),
            Record("s", "m", "interval_width", "mask", component, width, of),
        ]
    records += [Record("s", "m", "rank", "mask", f"{n:02d}", 1.0, "") for n in range(5)]
    results = Results.of(records)
    assert interval_words(results, ["m", "other"]) == [
        "m: its 90 % intervals, estimate ± q · std with the q of the notes, held on average over "
        "subjects 91.3 % of the voxels' FA (width 0.3000); 88.0 % of the voxels' MD (width 44.08 "
        "[1e-5 mm²/s])."
    ]
    (chart,) = calibration_charts(results, ["m"], {"m": 0})
    assert chart.title == "Rank histogram"


def test_the_page_says_it(html):
    """Errors of standard deviation 1 beside a predicted one of 1.5."""
    assert "revgan: 95 % intervals hold 100 % of the errors, too cautious" in html


def test_a_strict_parser_finds_no_error_in_the_page(html):
    """That of the WHATWG's specification: what is not nested, closed, named or escaped rightly."""
    bare = re.sub(r"(<script[^>]*>).*?(</script>)", r"\1\2", html, flags=re.S)
    assert "</table>" in bare
    html5lib.HTMLParser(strict=True).parse(bare)
    with pytest.raises(html5lib.html5parser.ParseError):
        html5lib.HTMLParser(strict=True).parse("<!DOCTYPE html><title>t</title><p></div>")


@pytest.mark.slow
@pytest.mark.skipif(
    shutil.which("npx") is None or shutil.which("java") is None, reason="no npx or no java"
)
def test_the_page_is_valid_html(evaluation, tmp_path):
    """By the W3C's validator and by html-validate, which npm fetches."""
    (tmp_path / ".htmlvalidate.json").write_text('{"extends": ["html-validate:recommended"]}')
    npm = subprocess.run(
        ["npm", "install", "--silent", "html-validate@9", "vnu-jar"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    if npm.returncode:
        pytest.skip(f"npm cannot fetch the validators: {npm.stderr[:200]}")
    jar = next(tmp_path.glob("node_modules/vnu-jar/build/dist/vnu.jar"))
    for command in (
        ["npx", "html-validate", str(evaluation.report)],
        ["java", "-jar", str(jar), str(evaluation.report)],
    ):
        run = subprocess.run(
            command, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=120
        )
        assert run.returncode == 0, run.stdout + run.stderr


def test_label_maps_give_tables_by_region(root, tmp_path):
    labels = np.zeros(SHAPE)
    labels[2:7, 2:-2, 2:-2], labels[7:12, 2:-2, 2:-2] = 1, 2
    for n in range(1, SUBJECTS + 1):
        save(tmp_path / f"labels/sub-{n:02d}_dseg.nii.gz", labels)
    given = Sources(
        inputs=(str(root / "revgan"),), reference=root / "ref", labels=tmp_path / "labels"
    )
    done = evaluate(given, output=tmp_path / "out", show_progress=False)
    text = (done.folder / "tables/regions_psnr.md").read_text()
    assert "label 1" in text
    assert "label 2" in text
    assert "By region" in done.report.read_text()


def test_pictures_beyond_the_limit_are_left_out_and_it_is_said():
    volume = ViewerVolume("v", overlay=False, nifti=bytes(9_000_000), low=0, high=1, colours="gray")
    preview = Preview((), (volume,), "")
    kept, notes = _within({f"s{n}": preview for n in range(10)})
    assert list(kept) == ["s0", "s1", "s2", "s3"]  # 12 MB each in base64
    assert notes == ["pictures of 6 more subjects would have taken more than 50 MB"]


def test_a_page_of_200_subjects_stays_below_60_mb(tmp_path):
    """The most that a page may hold: pictures and volumes at their limit, a table of all."""
    metrics = ["psnr", "ssim", "nmse", "bias", "weighted_direction_error", "frobenius"]
    methods = ("model", "other", "nearest", "trilinear", "cubic", "bspline")
    noise = random.Random(0)
    measured, previews = {}, {}
    for n in range(200):
        name = f"sub-{n:03d}_ses-1_acq-long_run-1"
        keys = [Key(m, region) for m in metrics for region in ("mask", "interior")]
        measured[name] = Measured(
            results=Results.of(
                Record(name, method, *key, noise.gauss(20, 1), "dB")
                for method in methods
                for key in keys
            ),
            histograms={m: tuple(noise.randrange(9) for _ in range(101)) for m in methods},
            unit="%",
            models=methods[:2],
            facts={"voxel_size": [1, 1, 1], "mask": "given"},
            key="",
            notes=(f"a note of {name} alone",),
        )
        volume = ViewerVolume("v", False, noise.randbytes(1 << 19), 0, 1, "gray")
        previews[name] = Preview((), (volume,) * 5, "", "worst")
    cases = {
        name: Pair(id=name, reference=tmp_path / "r.nii", predictions={"model": tmp_path / "p.nii"})
        for name in measured
    }
    evaluated = Evaluated(cases=cases, measured=measured, failures={})
    size = write_cohort_report(
        tmp_path / "report.html",
        evaluated,
        tables=cohort_tables(evaluated),
        previews=previews,
    )
    assert 50e6 < size < 60e6
    assert "would have taken more than 50 MB" in (tmp_path / "report.html").read_text()


@pytest.mark.slow
def test_200_subjects_stay_below_60_mb(tmp_path):
    """Pure noise, which cannot be compressed, in a tenth of the subjects that are shown."""
    rng = np.random.default_rng(0)
    for n in range(200):
        shape = (72, 72, 72) if n < 20 else (12, 12, 12)
        reference = rng.normal(100, 20, shape)
        name = f"sub-{n:03d}_T1w.nii"
        save(tmp_path / "ref" / name, reference)
        for model in ("a", "b"):
            noise = rng.normal(0, 10 if n < 20 else 1, shape)
            save(tmp_path / model / name, reference + noise)
    given = Sources(inputs=(str(tmp_path / "a"), str(tmp_path / "b")), reference=tmp_path / "ref")
    done = evaluate(given, output=tmp_path / "out", embed=60, show_progress=False)
    size = done.report.stat().st_size
    assert 20e6 < size < 60e6
