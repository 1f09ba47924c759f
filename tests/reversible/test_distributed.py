"""Two processes under DistributedDataParallel find the gradients of one on the joint batch."""

import os
import subprocess
import sys
from pathlib import Path

import medrev

WORKER = """
import sys
import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from medrev.nets import RevGAN

rank, store = int(sys.argv[1]), sys.argv[2]
torch.set_num_threads(1)
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
torch.manual_seed(0)
net = RevGAN(in_channels=2, out_channels=2, spatial_dims=2, width=4, depth=2, zero_init=False)
net = net.double()


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


def test_gradients_of_a_cycle_equal_those_of_the_joint_batch(tmp_path: Path) -> None:
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    root = str(Path(medrev.__file__).parents[1])
    environment = os.environ | {"PYTHONPATH": root, "OMP_NUM_THREADS": "1"}
    processes = [
        subprocess.Popen(
            [sys.executable, str(script), str(rank), str(tmp_path / "store")],
            env=environment,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in (0, 1)
    ]
    errors = [process.communicate(timeout=100)[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], errors
