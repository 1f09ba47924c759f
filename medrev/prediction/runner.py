"""One direction of a model on volumes in physical units; `medrev.prediction.Predictor` follows."""

from collections.abc import Callable

from torch import Tensor

from medrev.config.schema import Pipeline
from medrev.nets import Translator
from medrev.prediction.engines import Engine
from medrev.prediction.geometry import MIN_VOXELS
from medrev.prediction.plan import Plan
from medrev.prediction.volume_direction import VolumeDirection

__all__ = ["MIN_VOXELS", "Runner"]


class Runner:
    """What applies one direction of a translator to whole volumes."""

    def __init__(
        self,
        translator: Translator,
        pipeline: Pipeline,
        scale: float,
        *,
        inverse: bool,
        engine: Engine,
    ) -> None:
        self.scale = scale
        self.direction = VolumeDirection(translator, pipeline, inverse=inverse, engine=engine)
        geometry = self.direction.geometry
        self.window = None if geometry.window is None else geometry.window[0]
        self.halo = geometry.halo
        self.reach = None if geometry.reach is None else geometry.reach[0]
        self.plan = self.direction.plan
        self.timed = self.direction.timed
        self.planes = self.direction.amount

    def result_shape(self, shape: tuple[int, ...]) -> tuple[int, ...]:
        """Voxels of the result of a volume of ``shape``."""
        return self.direction.geometry.ratio.shape(shape)

    def run(
        self,
        volume: Tensor,
        chosen: Plan,
        advance: Callable[[int], None] | None = None,
        mask: Tensor | None = None,
    ) -> Tensor:
        """Translate a volume ``(C, i, j, k)``."""
        x = self.direction.enter(volume.to(self.direction.engine.device) / self.scale)
        y = self.direction.compute(x, chosen, advance, mask)
        del x
        result = self.direction.leave(y, tuple(volume.shape[1:]))
        return result.contiguous().mul_(self.scale).cpu()
