import pytest
import torch

from medrev.errors import ConfigError
from medrev.methods import build_method
from medrev.nets import build_translator

ADVERSARIAL = [
    {"kind": "paired"},
    {"kind": "paired", "discriminator": {"conditional": True}, "pool_size": 3},
    {"kind": "paired", "adversarial_loss": "least_squares", "cycle_weight": 1},
    {"kind": "unpaired"},
]


def run(method, batch):
    """All phases once; the losses and the cache."""
    cache: dict[str, torch.Tensor] = {}
    return {name: phase(batch, cache) for name, phase in method.phases.items()}, cache


def test_without_adversary_no_discriminator_is_built(method):
    assert list(method({"kind": "paired", "adversarial_weight": 0}).phases) == ["translator"]


@pytest.mark.parametrize("config", ADVERSARIAL)
@pytest.mark.parametrize("grid", ["low", "target"])
def test_a_phase_optimises_its_own_parameters_only(method, batch, config, grid):
    built = method(dict(config), grid=grid)
    translator, discriminator = built.phases.values()
    assert list(built.phases) == ["translator", "discriminator"]
    assert {id(p) for p in translator.parameters()} == {
        id(p) for p in built.translator.parameters()
    }
    own = {id(p) for p in discriminator.parameters()}
    assert not own & {id(p) for p in translator.parameters()}

    cache: dict[str, torch.Tensor] = {}
    sample = batch(2 if grid == "low" else 1)
    translator(sample, cache)[0].backward()
    assert all(p.grad is not None for p in translator.parameters())
    assert all(p.grad is None and p.requires_grad for p in discriminator.parameters())
    before = [p.grad.clone() for p in translator.parameters()]
    discriminator(sample, cache)[0].backward()
    assert all(p.grad is not None for p in discriminator.parameters())
    after = [p.grad for p in translator.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_adversary_moves_the_translator(method, batch):
    gradients = []
    for weight in (0, 1):
        built = method({"kind": "paired", "adversarial_weight": weight})
        built.phases["translator"](batch(), {})[0].backward()
        gradients.append([p.grad for p in built.translator.parameters()])
    assert not all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_conditional_discriminators_see_both_domains_on_the_fine_grid(method, batch):
    built = method({"kind": "paired", "discriminator": {"conditional": True}})
    seen = {}
    for name, judge in built.phases["discriminator"].discriminators.items():
        judge.register_forward_pre_hook(lambda _, args, name=name: seen.update({name: args[0]}))
    sample = batch()
    run(built, sample)
    assert seen["x"].shape == seen["y"].shape == (2, 12, 12, 12, 12)
    assert torch.equal(seen["x"][:, :6], sample["y"])
    nearest = sample["x"]
    for axis in (2, 3, 4):
        nearest = nearest.repeat_interleave(2, axis)
    assert torch.equal(seen["y"][:, :6], nearest)


def test_the_pool_shows_earlier_translations_and_its_memory_can_be_restored(method, batch):
    config = {"kind": "paired", "pool_size": 2}
    first = method(dict(config))
    for _ in range(5):
        run(first, batch())
    second = method(dict(config))
    second.load_memory(first.memory())
    sample = batch()
    sample["x"] = sample["x"] + 1
    for _ in range(4):
        a, b = run(first, sample)[0], run(second, sample)[0]
        assert torch.equal(a["discriminator"][0], b["discriminator"][0])
    assert len(first.phases["discriminator"].pools["x"]) == 2


def test_logged_terms_carry_no_graph(method, batch):
    results, cache = run(method({"kind": "unpaired"}), batch())
    for _, logs in results.values():
        assert not any(value.requires_grad for value in logs.values())
    assert not any(value.requires_grad for value in cache.values())


def test_losses_are_computed_in_full_precision_under_autocast(method, batch):
    built = method({"kind": "paired"})
    with torch.autocast("cpu", dtype=torch.bfloat16):
        results, _ = run(built, batch())
    assert {loss.dtype for loss, _ in results.values()} == {torch.float32}


def test_contradictions_are_named(method):
    nothing = {"kind": "paired", "adversarial_weight": 0, "pixel_weight": 0}
    with pytest.raises(ConfigError, match="one of pixel_weight, adversarial_weight, cycle_weight"):
        method(nothing)
    with pytest.raises(ConfigError, match=r"patches of at least 12 voxels .* got 6"):
        method({"kind": "paired", "discriminator": {"strided_layers": 2}})
    section = {"strided_layers": 4, "head": "pointwise"}  # section 7.2 on patches of 12³
    with pytest.raises(ConfigError, match=r"patches of at least 32 voxels .* got 12"):
        method({"kind": "paired", "discriminator": section}, grid="target")
    with pytest.raises(ConfigError, match=r"patches of at least 16 voxels .* got 12"):
        method({"kind": "paired", "discriminator": section | {"norm": "none"}}, grid="target")
    with pytest.raises(ConfigError, match=r"patches.size must be a multiple of 8 .*unet\), got 12"):
        method({"kind": "paired"}, grid="target", model={"kind": "unet", "width": 2, "levels": 3})
    with pytest.raises(ConfigError, match=r"patches.size must be a multiple of 8 .*revgan\), got"):
        method({"kind": "paired"}, model={"width": 2, "downsamplings": 2})


def order_of(pool):
    """Which of ten images a full pool of two gives back."""
    return pool.query(torch.arange(10.0).reshape(10, 1)).flatten().tolist()


@pytest.mark.parametrize(
    ("kind", "model"),
    [("paired", None), ("self_inverse", {"kind": "self_inverse_unet", "width": 2, "levels": 1})],
)
def test_pools_choose_apart_in_every_domain_process_and_seed(pipeline, kind, model):
    chosen = pipeline({"kind": kind, "pool_size": 2}, grid="target", model=model)
    translator = build_translator(
        chosen.model, in_channels=6, out_channels=6, scale_factor=chosen.data.grid_factor
    )

    def orders(seed: int, rank: int) -> list[list[float]]:
        seeded = chosen.model_copy(update={"seed": seed})
        phase = build_method(seeded, translator, rank=rank).phases["discriminator"]
        pools = phase.pools.values() if kind == "paired" else [phase.pool]
        return [order_of(pool) for pool in pools]

    found = [order for seed in (0, 1) for rank in (0, 1, 2) for order in orders(seed, rank)]
    assert len(set(map(tuple, found))) == len(found)
    assert orders(1, 2) == orders(1, 2)
