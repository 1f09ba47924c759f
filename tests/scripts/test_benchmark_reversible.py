"""The benchmark of reversible layers: equal variants, honest bytes, and its files."""

import csv
import sys
import time
from functools import partial
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))

import benchmark_reversible
from reversible_benchmark import variants as variants_module
from reversible_benchmark.cyclegan import cyclegan, revgan_2d
from reversible_benchmark.gan import measure_gan
from reversible_benchmark.memory import measure_memory
from reversible_benchmark.plan import PRESETS, Plan
from reversible_benchmark.results import Results, Run
from reversible_benchmark.table5 import Setup, measure_footprints
from reversible_benchmark.targets import check_targets
from reversible_benchmark.timing import Budget, interleave
from reversible_benchmark.trial import Case, stock_twin, trial_network
from reversible_benchmark.variants import VARIANTS, available

from medrev.progress import progress

CPU = torch.device("cpu")
TINY = Case((6, 5, 6), 2)
MIB = 2**20


def silent(units=1):
    return progress("", units, enabled=False)


@pytest.fixture(scope="module")
def network():
    return trial_network(TINY).double()


def test_the_stock_twin_holds_only_layers_of_torch_and_the_same_parameters(network):
    twin = stock_twin(network, 3)
    for part in (twin.lift_x, twin.core.blocks, twin.project_y):
        leaves = [module for module in part.modules() if not list(module.children())]
        assert {type(leaf).__module__.split(".")[0] for leaf in leaves} == {"torch"}
    assert {id(p) for p in twin.parameters()} == {id(p) for p in network.parameters()}


@pytest.mark.parametrize("key", VARIANTS)
def test_every_variant_computes_what_the_network_computes(network, key):
    (variant,), missing = available([key]) if available([key])[0] else ((None,), [key])
    if missing:
        pytest.skip(f"{key} is not installed")
    x, target = (part.double() for part in TINY.batch())
    tolerance = 2**-variant.fraction_bits if variant.fraction_bits else 1e-12
    found = []
    for net in (network, variant.of(network)):
        network.zero_grad()
        y = net(x)
        (y - target).square().mean().backward()
        gradients = [p.grad.flatten() for p in network.core.parameters()]
        found.append((y.detach(), torch.cat(gradients)))
    (y, gradient), (own_y, own_gradient) = found
    assert (own_y - y).abs().max() < 20 * tolerance
    assert (own_gradient - gradient).norm() < 20 * tolerance * gradient.norm()


def test_bytes_are_those_allocated():
    weight = torch.zeros(1000, requires_grad=True)

    def step(mark):
        kept = torch.empty(2 * MIB, dtype=torch.uint8)
        freed = torch.empty(MIB, dtype=torch.uint8)
        freed.untyped_storage().resize_(0)
        mark()
        torch.empty(5 * MIB, dtype=torch.uint8)
        del kept
        (3 * weight).sum().backward()

    use = measure_memory(step, [weight], CPU)
    assert use.retained == 2 * MIB
    assert use.peak == use.peak_without_gradients == 7 * MIB


def test_gradients_that_stay_are_told_apart():
    weight = torch.zeros(MIB, requires_grad=True)

    def step(mark):
        mark()
        (3 * weight).sum().backward()  # its product, then its gradient
        torch.empty(5 * MIB, dtype=torch.uint8)

    use = measure_memory(step, [weight], CPU)
    assert use.peak - use.peak_without_gradients == 4 * MIB


def test_rounds_are_interleaved_and_turned():
    order = []
    steps = {key: lambda key=key: partial(order.append, key) for key in "abc"}
    times = interleave(steps, 2, CPU)
    assert "".join(order) == "abcbca"
    assert [len(times[key]) for key in "abc"] == [2, 2, 2]


def test_rounds_that_would_pass_the_deadline_are_left_out_but_not_the_first():
    steps = {"a": lambda: partial(time.sleep, 0.02)}
    past = interleave(steps, 5, CPU, deadline=time.monotonic() - 1)
    assert len(past["a"]) == 1
    soon = interleave(steps, 50, CPU, deadline=time.monotonic() + 0.1)
    assert len(soon["a"]) < 6


def test_a_budget_is_shared_by_work_and_passes_on_what_is_left():
    budget = Budget(1, 10)
    assert budget.share(4) == pytest.approx(24, abs=1)
    assert budget.share(3) == pytest.approx(30, abs=1)
    assert Budget(None, 1).share(1) == float("inf")


def filled(seconds, retained):
    results = Results()
    runs = {key: Run("trial", "24³", 8, "fp32", key) for key in ("plain", "memcnn", "medrev")}
    results.add_times(
        {run: [1.0, 1.0, 2.0] if key != "medrev" else seconds for key, run in runs.items()}
    )
    results.add(runs["medrev"], "retained_bytes", retained)
    results.add(runs["memcnn"], "retained_bytes", 100)
    return results


def test_targets_compare_round_by_round():
    targets = {t.what: t for t in check_targets(filled([0.1, 0.5, 0.2], 101))}
    step = targets["step ÷ plain, 24³, R ≥ 8"]
    assert (step.measured, step.verdict) == (pytest.approx(0.1), "met")
    retained = targets["retained bytes ÷ memcnn, fp32"]
    assert (retained.measured, retained.verdict) == (1.01, "**not met**")
    assert targets["peak ÷ plain, 48³, R = 32"].verdict == "not measured"


def test_a_package_that_is_missing_is_named_with_its_command(monkeypatch):
    monkeypatch.setattr(variants_module, "find_spec", lambda name: None)
    found, missing = available(["plain", "memcnn"])
    assert [variant.key for variant in found] == ["plain"]
    assert missing[0].endswith("pip install --no-deps memcnn")


def test_presets_cover_what_the_targets_need():
    for name in ("quick", "standard", "full"):
        groups = {(g.case.label, g.case.depth): g for g in Plan.of(PRESETS[name]).groups}
        large = {(v.key, dtype) for v, dtype in groups["48³", 32].members}
        assert {("plain", "fp32"), ("medrev", "fp32"), ("medrev", "bf16")} <= large
        assert {case for case in groups if case[0] == "24³"} >= {
            ("24³", depth) for depth in (1, 2, 4, 8, 16, 64)
        }


def test_plain_takes_part_whatever_is_chosen():
    plan = Plan.of(PRESETS["quick"], patches=[(8, 8)], variants=["medrev"], dtypes=["bf16"])
    members = [(variant.key, dtype) for variant, dtype in plan.groups[0].members]
    assert members == [("plain", "fp32"), ("plain", "bf16"), ("medrev", "bf16")]


def test_files_are_written_whole_and_read_back(tmp_path, capsys):
    command = ["--output", str(tmp_path), "--patches", "8", "--depths", "1", "--rounds", "1"]
    command += ["--variants", "medrev-stock", "medrev", "--parts", "trial", "correctness"]
    assert benchmark_reversible.main(command) == 0
    printed = capsys.readouterr().out
    assert (tmp_path / "benchmark.md").read_text() in printed
    assert (tmp_path / "benchmark.png").read_bytes()[:4] == b"\x89PNG"
    rows = list(csv.DictReader((tmp_path / "benchmark.csv").open()))
    numbers = {
        (row["variant"], row["dtype"], row["measure"]): float(row["value"])
        for row in rows
        if row["patch"] == "8³"
    }
    assert numbers["plain", "fp32", "ratio_to_plain_fp32"] == 1
    assert numbers["medrev", "bf16", "step_ms"] > 0
    kept = "retained_bytes"
    assert 0 < numbers["medrev", "fp32", kept] < numbers["plain", "fp32", kept]
    assert numbers["medrev", "fp64", "gradient_error"] < 1e-12
    assert numbers["medrev", "fp64", "gradient_error_dropout"] < 1e-6
    table = printed.split("## Time of a step")[1].split("\n## ")[0]
    lines = [line.split("|")[1:-1] for line in table.splitlines() if line.startswith("|")]
    assert {len(line) for line in lines} == {3}
    assert [line[0].strip() for line in lines[3:]] == [
        VARIANTS[key].title for key in ("plain", "medrev-stock", "medrev")
    ]
    assert benchmark_reversible.main(command) == 2
    assert "--overwrite" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "value"), [("--patches", "2"), ("--depths", "0"), ("--budget", "-1")]
)
def test_wrong_options_are_refused_by_name(option, value, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        benchmark_reversible.main(["--output", str(tmp_path), option, value])
    assert stop.value.code == 2
    assert option in capsys.readouterr().err


def test_the_command_line_knows_every_variant():
    assert set(VARIANTS) <= set(benchmark_reversible._VARIANTS)


def test_a_whole_revgan_step_is_timed_in_every_variant():
    variants = available(["plain", "medrev"])[0]
    results = Results()
    with silent() as bar:
        measure_gan(
            variants, size=12, rounds=1, results=results, budget=Budget(None, 1), device=CPU,
            bar=bar, overrides=["method.discriminator.width=4"],
        )  # fmt: skip
    plain, own = (Run("gan", "12³", 4, "fp32", variant.key) for variant in variants)
    assert results.ratio(own, plain) > 0
    assert results.get(own, "retained_bytes") < results.get(plain, "retained_bytes")


@pytest.mark.parametrize(("build", "millions"), [(cyclegan, 3.93), (revgan_2d, 3.875)])
def test_generators_of_table_5_have_the_papers_3_9_million_parameters(build, millions):
    with torch.device("meta"):
        net = build({cyclegan: 32, revgan_2d: 56}[build], 6)
    count = sum(p.numel() for p in net.parameters())
    assert count == pytest.approx(1e6 * millions, rel=1e-3)


def test_activations_grow_with_depth_in_cyclegan_only():
    builds = {"cyclegan": partial(cyclegan, 4), "revgan": partial(revgan_2d, 4)}
    setups = [Setup(name, "", build, 48, judge_width=2) for name, build in builds.items()]
    with silent() as bar:
        found = measure_footprints(setups, (2, 8), CPU, bar)
    shallow, deep, small, large = (f.activations for f in found)
    assert deep > 1.2 * shallow
    assert large < 1.02 * small
