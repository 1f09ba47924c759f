"""The errors a user can cause. Their message is one line: what, allowed, received, what to do."""

from collections.abc import Iterator
from contextlib import contextmanager

__all__ = [
    "CheckpointError",
    "ClusterError",
    "ConfigError",
    "GeometryError",
    "GradientError",
    "InputError",
    "MedrevError",
    "OutputError",
    "naming",
]


class MedrevError(ValueError):
    """Base of all errors that a command prints as one line and answers with exit code 2."""


class ConfigError(MedrevError):
    """A pipeline file or an override is wrong; the message may list several errors, one a line."""


class InputError(MedrevError):
    """A volume, mask or cohort cannot be used: missing, truncated, wrong shape, NaN, empty."""


class GeometryError(InputError):
    """An affine is singular, sheared or does not fit its partner volume."""


class GradientError(InputError):
    """b-values or b-vectors are missing, of the wrong number, or not unit vectors."""


class CheckpointError(MedrevError):
    """A weight file or run folder is of another version or kind, damaged, or not safetensors."""


class OutputError(MedrevError):
    """An output exists already, or its folder cannot be written."""


class ClusterError(MedrevError):
    """A scheduler does not answer, or has no usable workers."""


@contextmanager
def naming(name: str) -> Iterator[None]:
    """Put a name before the message of an error in the block, where it is not in it already."""
    try:
        yield
    except MedrevError as error:
        if name in str(error):
            raise
        raise type(error)(f"{name}: {error}") from error
