"""Two processes under DistributedDataParallel find the gradients of one on the joint batch."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

import medrev

WORKER = """
import sys
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from medrev.config.schema import RevGANModel
from medrev.nets import RevGAN

rank, store = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
torch.manual_seed(0)
model = RevGANModel(spatial_dims=2, width=4, depth=2, zero_init=False)
net = RevGAN(model, in_channels=2, out_channels=2).double()


class Cycle(nn.Module):
    def __init__(self, net):
        super().__init__()
        self.net = net

    def forward(self, x):
        return (self.net.inverse(self.net(x)) - x).abs().mean()


batch = torch.randn(2, 2, 8, 8, dtype=torch.float64)
Cycle(net)(batch).backward()
expected = [p.grad.clone() for p in net.parameters()]
net.zero_grad()
wrapped = DistributedDataParallel(Cycle(net))
wrapped(batch[rank : rank + 1]).backward()
for p, e in zip(net.parameters(), expected, strict=True):
    torch.testing.assert_close(p.grad, e, rtol=1e-10, atol=1e-12)
dist.destroy_process_group()
"""


SHARDED = """
import sys
import torch
import torch.distributed as dist
from sequences import sequence
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import fully_shard

rank, store = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
mesh = init_device_mesh("cpu", (2,))
for coupling in ("additive", "affine"):
    torch.manual_seed(0)
    seq = sequence(3, 2, coupling).double()
    batch = torch.randn(2, 6, 6, 6, dtype=torch.float64)
    x = batch.clone().requires_grad_()
    seq.inverse(torch.tanh(seq(x))).square().mean().backward()
    expected = [p.grad.clone() for p in seq.parameters()]
    seq.zero_grad()
    for block in seq.blocks:
        fully_shard(block.f, mesh=mesh)
        fully_shard(block.g, mesh=mesh)
    fully_shard(seq, mesh=mesh)
    own = batch[rank : rank + 1].clone().requires_grad_()
    seq.inverse(torch.tanh(seq(own))).square().mean().backward()
    torch.testing.assert_close(own.grad / 2, x.grad[rank : rank + 1])
    for p, e in zip(seq.parameters(), expected, strict=True):
        torch.testing.assert_close(p.grad.full_tensor(), e, rtol=1e-10, atol=1e-12)
dist.destroy_process_group()
"""


# The first batch sets the normalisations: that of all processes.
FLOW = """
import copy
import sys
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel
from medrev.config.schema import FlowModel
from medrev.nets import multiscale_flow

rank, store = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
torch.manual_seed(0)
stages = [{"couplings": 2, "hidden": 4, "condition_width": 2}]
model = FlowModel(stages=stages, actnorm=True, mixing="plu", clamp_form="unit-slope")
flow = multiscale_flow(model, shape=(1, 4, 4), condition_shape=(1, 4, 4)).double()
for module in flow.modules():
    if isinstance(module, torch.nn.BatchNorm2d):
        module.eval()  # statistics of a process are its own
flow.layers[1].blocks[2].f.last_conv.weight.data += 0.1
alone = copy.deepcopy(flow)
y, c = 3 + 2 * torch.randn(2, 4, 1, 4, 4, dtype=torch.float64)
(-alone(y, c).mean()).backward()
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
own = slice(2 * rank, 2 * rank + 2)
wrapped = DistributedDataParallel(flow, broadcast_buffers=False)
(-wrapped(y[own], c[own]).mean()).backward()
for (name, p), q in zip(flow.named_parameters(), alone.parameters(), strict=True):
    torch.testing.assert_close(p, q, rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(p.grad, q.grad, rtol=1e-9, atol=1e-10)
dist.destroy_process_group()
"""


@pytest.mark.parametrize(
    "worker", [WORKER, SHARDED, FLOW], ids=["replicated", "sharded", "likelihood"]
)
def test_gradients_equal_those_of_the_joint_batch(tmp_path: Path, worker: str) -> None:
    script = tmp_path / "worker.py"
    script.write_text(worker)
    root = str(Path(medrev.__file__).parents[1])
    path = os.pathsep.join([root, str(Path(__file__).parent)])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(tmp_path / "store")],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    try:
        errors = [process.communicate(timeout=100)[1] for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert [process.returncode for process in processes] == [0, 0], errors
