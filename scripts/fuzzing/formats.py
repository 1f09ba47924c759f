"""The formats: valid files to begin with, how they are changed, and what reads them."""

from fuzzing.case import Files, Format
from fuzzing.dicom import dicom_seeds, mutate_dicom
from fuzzing.mutation import Rng, mutate_json, mutate_text
from fuzzing.runs import (
    mutate_run,
    mutate_safetensors,
    read_run,
    read_weights,
    run_seeds,
    safetensors_seeds,
)
from fuzzing.texts import (
    gradient_seeds,
    json_seeds,
    read_gradient_files,
    read_jsons,
    read_pipelines,
    read_tables,
    table_seeds,
    yaml_seeds,
)
from fuzzing.volumes import (
    metaimage_seeds,
    mutate_headed,
    mutate_nifti,
    nifti_seeds,
    nrrd_seeds,
    read_any_volume,
)
from medrev.volumes import read_volume

__all__ = ["FORMATS", "Files", "Format"]


def _mutate_words(rng: Rng, name: str, data: bytes) -> bytes:
    return mutate_text(rng, data)


FORMATS = {
    "nifti": Format(nifti_seeds, mutate_nifti, read_any_volume),
    "nrrd": Format(nrrd_seeds, mutate_headed, read_any_volume),
    "metaimage": Format(metaimage_seeds, mutate_headed, read_any_volume),
    "dicom": Format(dicom_seeds, mutate_dicom, read_volume),
    "gradients": Format(gradient_seeds, _mutate_words, read_gradient_files),
    "tables": Format(table_seeds, _mutate_words, read_tables),
    "json": Format(json_seeds, lambda rng, name, data: mutate_json(rng, data), read_jsons),
    "yaml": Format(yaml_seeds, _mutate_words, read_pipelines),
    "safetensors": Format(safetensors_seeds, mutate_safetensors, read_weights),
    "run": Format(run_seeds, mutate_run, read_run),
}
