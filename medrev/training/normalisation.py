"""The statistics of batch normalisation, gathered for the weights that are validated and saved."""

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from medrev.data import EpochBatches
from medrev.nets import RevGAN, evaluating

#: Batches that statistics are gathered from, at most.
MOST = 64


def gather_statistics(translator: nn.Module, batches: EpochBatches) -> int:
    """Gather the statistics of a RevGAN's batch normalisation anew, for its present weights.

    What steps gather is a moving average over the last ten batches or so, while the weights change:
    through the normalisations of a core, one behind the other, its noise can undo what was learnt.
    Here means and variances are those of the first batches of the first epoch, each direction's
    own, as in precise batch normalisation. No random numbers are drawn: dropout does not drop, and
    noise is 0.

    Args:
        translator: The network; one that is no RevGAN, or has no such layers, is left as it is.
        batches: Of training, in network range.

    Returns:
        From how many batches.

    References:
        Wu and Johnson, *Rethinking "Batch" in BatchNorm* (arXiv:2105.07576), section 3.
    """
    norms = [
        part
        for part in translator.modules()
        if isinstance(part, _BatchNorm) and part.track_running_stats
    ]
    if not norms or not isinstance(translator, RevGAN):
        return 0
    device = next(translator.parameters()).device
    usual = [norm.momentum for norm in norms]
    counted = [None if (n := norm.num_batches_tracked) is None else n.clone() for norm in norms]
    count = min(MOST, len(batches))
    try:
        with evaluating(translator):
            for norm in norms:
                norm.training = True
            for number in range(count):
                for norm in norms:
                    norm.momentum = 1 / (number + 1)  # the mean of all so far
                batch = batches.batch(0, number)
                translator(batch["x"].to(device))
                if translator.learns_inverse:
                    translator.inverse(batch["y"].to(device))
    finally:
        for norm, momentum, number_seen in zip(norms, usual, counted, strict=True):
            norm.momentum = momentum
            if norm.num_batches_tracked is not None and number_seen is not None:
                norm.num_batches_tracked.copy_(number_seen)  # of steps alone
    return count
