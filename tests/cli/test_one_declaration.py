"""Commands and Python functions have the same options, with the same names and defaults."""

import inspect
from dataclasses import MISSING, fields

import pytest

from medrev.cli import export, slicer, slicer_module
from medrev.cli.options import field_docs
from medrev.export import export_model
from medrev.slicer import bundle_from_results, install_modules
from medrev.slicer.module import run_module

PAIRS = [
    (export.Options, export_model),
    (slicer.Scene, bundle_from_results),
    (slicer.Install, install_modules),
    (slicer_module.Options, run_module),
]


@pytest.mark.parametrize(("options", "function"), PAIRS, ids=lambda value: value.__name__)
def test_a_command_passes_on_what_its_function_takes(options, function):
    known = inspect.signature(function).parameters
    for field in fields(options):
        default = inspect.Parameter.empty if field.default is MISSING else field.default
        assert known[field.name].default == default, field.name


@pytest.mark.parametrize("options", [pair[0] for pair in PAIRS], ids=lambda value: value.__name__)
def test_every_option_is_explained(options):
    assert set(field_docs(options)) == {field.name for field in fields(options)}
