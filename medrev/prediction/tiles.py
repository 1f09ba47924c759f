"""Carrying out a plan: cut, translate, put together."""

from collections.abc import Callable

import torch

from medrev.prediction.plan import Plan, Shape

Function = Callable[[torch.Tensor], torch.Tensor]


def run_plan(
    plan: Plan,
    function: Function,
    volume: torch.Tensor,
    *,
    cell_in: Shape,
    cell_out: Shape,
    wanted: torch.Tensor | None = None,
) -> torch.Tensor:
    """Apply a network to a volume as planned.

    Args:
        plan: Plan for the volume's shape in cells.
        function: ``(1, C, *in) → (1, C', *out)`` with out = in · cell_out / cell_in.
        volume: ``(1, C, I, J, K)`` with I = cell_in[0] · plan.shape[0], and so on.
        cell_in: Voxels per cell in the input, along i, j, k.
        cell_out: Voxels per cell in the output, along i, j, k.
        wanted: Boolean, of the plan's shape: cells whose result is wanted. Tiles and windows
            without any are left out, which changes nothing in the others.

    Returns:
        ``(1, C', I·cell_out/cell_in, …)`` on the device of the input volume; zero where tiles or
        windows were left out.
    """
    if plan.kind == "whole":
        return function(volume)
    run = _run_windows if plan.kind == "windows" else _run_tiles
    return run(plan, function, volume, (cell_in, cell_out), wanted_parts(plan, wanted))


def wanted_parts(plan: Plan, wanted: torch.Tensor | None) -> list[Shape]:
    """First cells of the tiles or windows of a plan that hold any cell that is wanted."""
    parts = plan.parts
    if wanted is None or plan.kind == "whole":
        return parts
    chosen = []
    for part in parts:
        i, j, k = (slice(a, a + t) for a, t in zip(part, plan.tile, strict=True))
        if bool(wanted[i, j, k].any()):
            chosen.append(part)
    return chosen or parts[:1]  # the network says what its result looks like


def _run_tiles(
    plan: Plan,
    function: Function,
    volume: torch.Tensor,
    cells: tuple[Shape, Shape],
    parts: list[Shape],
) -> torch.Tensor:
    """Disjoint tiles with a halo. At the edge of the volume a tile ends with the volume."""
    cell_in, cell_out = cells
    result: torch.Tensor | None = None
    for starts in parts:
        cut, keep, place = [], [], []
        along = zip(starts, plan.tile, plan.shape, cell_in, cell_out, strict=True)
        for start, tile, length, x, y in along:
            stop = min(start + tile, length)
            low, high = max(0, start - plan.halo), min(length, stop + plan.halo)
            cut.append(slice(low * x, high * x))
            keep.append(slice((start - low) * y, (stop - low) * y))
            place.append(slice(start * y, stop * y))
        piece = function(volume[..., cut[0], cut[1], cut[2]])
        if result is None:
            size = (n * y for n, y in zip(plan.shape, cell_out, strict=True))
            result = piece.new_zeros((*piece.shape[:2], *size))
        result[..., place[0], place[1], place[2]] = piece[..., keep[0], keep[1], keep[2]]
    assert result is not None  # a plan has at least one tile
    return result


def _run_windows(
    plan: Plan,
    function: Function,
    volume: torch.Tensor,
    cells: tuple[Shape, Shape],
    parts: list[Shape],
) -> torch.Tensor:
    """Overlapping windows, averaged with Gaussian weights as in MONAI's sliding window."""
    cell_out = cells[1]
    total: torch.Tensor | None = None
    tile = [n * y for n, y in zip(plan.tile, cell_out, strict=True)]
    weights = _importance(tile).to(volume.device)
    shape = [n * y for n, y in zip(plan.shape, cell_out, strict=True)]
    weight_sum = torch.zeros(shape, device=volume.device)
    for starts in parts:
        cut, place = (
            [
                slice(start * voxels, (start + n) * voxels)
                for start, n, voxels in zip(starts, plan.tile, cell, strict=True)
            ]
            for cell in cells
        )
        piece = function(volume[..., cut[0], cut[1], cut[2]])
        if total is None:
            total = piece.new_zeros((*piece.shape[:2], *weight_sum.shape))
        total[..., place[0], place[1], place[2]].addcmul_(piece, weights)
        weight_sum[place[0], place[1], place[2]] += weights
    assert total is not None  # a plan has at least one window
    return total.div_(weight_sum.clamp_(min=1e-12))


def _importance(size: list[int]) -> torch.Tensor:
    """Gaussian weights of a window, sigma 1/8 of its edge, never below 1/1000."""
    weights = torch.ones(())
    for length in size:
        grid = torch.arange(length, dtype=torch.float32) - (length - 1) / 2
        weights = weights[..., None] * torch.exp(-0.5 * (grid / (0.125 * length)) ** 2)
    return weights.clamp(min=1e-3)
