import re

import pytest

from medrev.config import load_pipeline
from medrev.errors import ConfigError

from .conftest import MINIMAL


def errors_of(path, overrides=()) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load_pipeline(path, overrides)
    return str(caught.value).splitlines()


def changed(old: str, new: str) -> str:
    assert old in MINIMAL
    return MINIMAL.replace(old, new)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (
            "width: 8",
            "widht: 8",
            r"x.yaml:5: model.widht: unknown key; did you mean 'width'\? allowed: kind, .*width.*",
        ),
        (
            "steps: 5",
            "steps: 5\n  lr: 1",
            r"x.yaml:10: training.lr: unknown key; did you mean 'method.optimizer.lr' or .*",
        ),
        (  # a key of flows only: the place where it stands already is not proposed
            "width: 8",
            "width: 8\n  stages: 3",
            r"x.yaml:6: model.stages: unknown key; allowed: kind, .*",
        ),
        ("name: small", "name: small\nxyzzy: 1", r"x.yaml:2: xyzzy: unknown key; allowed: .*"),
        (
            "steps: 5",
            "steps: 5\n  precision: fp16",
            r"x.yaml:10: training.precision must be 'fp32', 'bf16' or 'auto', got 'fp16'",
        ),
        ("width: 8", "width: wide", "x.yaml:5: model.width must be a whole number .*, got 'wide'"),
        ("width: 8", "width: '8'", "x.yaml:5: model.width must be a whole number .*, got '8'"),
        ("width: 8", "width: 8.5", "x.yaml:5: model.width must be a whole number .*, got 8.5"),
        ("width: 8", "width: true", "x.yaml:5: model.width must be a whole number .*, got true"),
        ("width: 8", "width:", "x.yaml:5: model.width must be a whole number .*, got nothing"),
        ("width: 8", "width: [8]", r"x.yaml:5: model.width must be a whole number .*, got \[8\]"),
        ("width: 8", "width: {a: 8}", "x.yaml:5: model.width must be .*, got a section"),
        (
            "width: 8",
            "width: 1",
            "x.yaml:5: model.width must be a whole number from 2 to 8192, got 1",
        ),
        (
            "width: 8",
            "downsamplings: 5",
            "x.yaml:5: model.downsamplings must be a whole number from 0 to 4, got 5",
        ),
        (
            "width: 8",
            "lift_norm: maybe",
            "x.yaml:5: model.lift_norm must be true or false, got 'maybe'",
        ),
        (
            "root: cohort",
            "root: cohort\n  scale: big",
            "x.yaml:4: data.scale must be a number above 0 and of at most 1000000000 "
            "or 'auto', got 'big'",
        ),
        (
            "root: cohort",
            "root: cohort\n  scale: -1e-3",
            "x.yaml:4: data.scale must be a number above 0 and of at most 1000000000 "
            "or 'auto', got -1e-3",
        ),
        ("root: cohort", "root: [a]", r"x.yaml:3: data.root must be a path, got \['a'\]"),
        (
            "  root: cohort",
            "  scale: auto",
            r"x.yaml:2: data: root is missing: the cohort's folder \(or layout: simulated\)",
        ),
        (
            "  kind: paired",
            "  pool_size: 1",
            r"x.yaml:6: method.kind is missing; .* or 'classification'",
        ),
        (
            "kind: paired",
            "kind: piared",
            r"x.yaml:7: method.kind must be 'paired' or 'unpaired' or 'self_inverse' or "
            r"'segmentation' or 'maximum_likelihood' or 'latent_adversary' or 'optimal_transport' "
            r"or 'classification', got 'piared'; did you mean 'paired'\?",
        ),
        (
            "width: 8",
            "kind: unnet",
            r"x.yaml:5: model.kind must be 'revgan' or .*, got 'unnet'; did you mean 'unet'\?",
        ),
        (
            "width: 8",
            "kind: unet\n  depth: 3",
            r"x.yaml:6: model.depth: unknown key; .*allowed: .*levels.*kind",
        ),
        (
            "kind: paired",
            "kind: paired\n  optimizer: {betas: [0.5]}",
            r"x.yaml:8: method.optimizer.betas must be a list of 2 items, .*, got \[0.5\]",
        ),
        (
            "kind: paired",
            "kind: paired\n  optimizer:\n    betas:\n      - 0.5\n      - 2",
            r"x.yaml:11: method.optimizer.betas\[1\] must be a number from 0 to 1, got 2",
        ),
        ("name: small", "name: a/b", r"x.yaml:1: name must be a text of letters, .*, got 'a/b'"),
        ("\n  steps: 5", " 5", r"x.yaml:8: training must be a section with keys of .*, got 5"),
        ("  steps: 5", "  log_every: 1", "x.yaml:8: training: give either epochs or steps"),
        (
            "root: cohort",
            "root: cohort\n  patches: {min_brain: 0}\n  degradation:\n    factor: 5",
            r"x.yaml:2: data: patches.size must be a multiple of degradation.factor \(5\), got 24",
        ),
        (
            "root: cohort",
            "root: cohort\n  patches:\n    size: 25",
            r"x.yaml:5: data.patches.size must be a multiple of degradation.factor \(2\), got 25",
        ),
    ],
)
def test_what_where_allowed_and_received(write, old, new, message):
    (line,) = errors_of(write(changed(old, new)))
    assert re.fullmatch(message, line), line


def test_missing_section_names_the_file(write):
    (line,) = errors_of(write(changed("data:\n  root: cohort\n", "")))
    assert line == (
        "x.yaml: data is missing; it must be a section of the kind 'dti', 'contrast', 'scalar', "
        "'images' or 'single_images'"
    )


def test_all_errors_at_once_in_the_order_of_lines(write):
    text = changed("width: 8", "widht: 8\n  depth: -1").replace("steps: 5", "steps: 5\n  ema: 2")
    lines = errors_of(write(text + "seed: 1\nseed: 2\n"), ["model.norm=x", "nonsense"])
    assert [line.split(" ")[0] for line in lines[:5]] == [
        "x.yaml:5:",
        "x.yaml:6:",
        "x.yaml:11:",
        "x.yaml:13:",
        "override",
    ]
    assert lines[3] == "x.yaml:13: the key 'seed' is given twice (first on line 12)"
    assert lines[4:] == [
        "override 'nonsense': an override has the form key.sub=value",
        "override 'model.norm=x': model.norm must be 'instance', 'batch' or 'none', got 'x'",
    ]


def test_no_jargon_of_the_validator(write):
    text = changed("width: 8", "width: [1]\n  norm: 3").replace("kind: paired", "kind: 3")
    message = "\n".join(errors_of(write(text), ["data=1", "training.ema=x"]))
    for jargon in (
        "pydantic",
        "http",
        "type=",
        "validat",
        "union",
        "Literal",
        "constrained",
        "literal[",
    ):
        assert jargon not in message


def test_error_in_the_extended_file_names_that_file(write):
    write(changed("width: 8", "width: x"), "base/base.yaml")
    (line,) = errors_of(write("extends: base/base.yaml\nseed: 1\n"))
    assert line.startswith("base/base.yaml:5: model.width must be")


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("model.width=x", "model.width must be a whole number from 2 to 8192, got 'x'"),
        ("model.widht=3", r"model.widht: unknown key; did you mean 'width'\? allowed: .*"),
        ("data.subjects=[a", "not valid YAML: .*"),
        ("name.x=3", "name must be a text of letters, .*, got a section"),
        ("=3", "an override has the form key.sub=value"),
        ("model..width=3", "an override has the form key.sub=value"),
        ("seed=!!python/name:os.system", "the tag '!!python/name:os.system' is not allowed: .*"),
    ],
)
def test_errors_of_overrides(write, override, message):
    (line,) = errors_of(write(), [override])
    assert re.fullmatch(re.escape(f"override '{override}': ") + message, line), line
