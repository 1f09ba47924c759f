"""The benchmark of reversible layers behind `scripts/benchmark_reversible.py`.

The pieces, from the ground up:

- :mod:`reversible_benchmark.trial`: the network of the trials, and its twin of torch's modules;
- :mod:`reversible_benchmark.cores`: the ways to run its blocks, other libraries' among them;
- :mod:`reversible_benchmark.variants`: what is compared, a core on a kind of layers;
- :mod:`reversible_benchmark.memory`: bytes of a step, from the allocator;
- :mod:`reversible_benchmark.timing`: interleaved rounds within a budget;
- :mod:`reversible_benchmark.results`: the numbers;
- :mod:`reversible_benchmark.steps`: time and memory of the trial network;
- :mod:`reversible_benchmark.gan`: the same of a whole RevGAN step;
- :mod:`reversible_benchmark.correctness`: gradients, inverses, dropout, statistics;
- :mod:`reversible_benchmark.cyclegan`, :mod:`reversible_benchmark.table5`: the paper's Table 5;
- :mod:`reversible_benchmark.plan`: presets, and what options make of them;
- :mod:`reversible_benchmark.targets`, :mod:`reversible_benchmark.report`,
  :mod:`reversible_benchmark.figures`: what is written.
"""
