"""What the scripts that make data add to medrev's simulated heads.

- :mod:`phantom.cohort`: the subjects of the sample cohort;
- :mod:`phantom.subject`: a subject of a given spec, and its true tensors;
- :mod:`phantom.contrasts`: T1, T2 and FLAIR images of such a head instead of its diffusion;
- :mod:`phantom.files`: writing volumes.
"""
