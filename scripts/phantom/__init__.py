"""A numerical brain phantom for diffusion MRI, built on the ICBM-152 tissue maps.

The pieces, in the order in which a subject is made:

- :mod:`phantom.spec`: what a subject is (:class:`SubjectSpec`) and the shipped cohort;
- :mod:`phantom.atlas`: the ICBM-152 maps;
- :mod:`phantom.fields`: band-limited random fields;
- :mod:`phantom.anatomy`: the deformed, individual tissue fractions on a fine grid;
- :mod:`phantom.bundles`: fibre bundles and their directions;
- :mod:`phantom.microstructure`: diffusion compartments of every fine voxel;
- :mod:`phantom.acquisition`: gradient tables, signals, point spread, noise, masks, tensor fit;
- :mod:`phantom.subject`: :func:`simulate_subject`, all of it for one subject;
- :mod:`phantom.contrasts`: T1, T2 and FLAIR images of such a head instead of its diffusion;
- :mod:`phantom.files`: writing volumes.
"""

from phantom.spec import COHORT, SubjectSpec
from phantom.subject import Subject, simulate_subject

__all__ = ["COHORT", "Subject", "SubjectSpec", "simulate_subject"]
