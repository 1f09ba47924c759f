"""A cohort of ready tensors without a table."""


def tensors_only(source, target):
    target.mkdir()
    for file in source.glob("*_tensor.nii.gz"):
        (target / file.name).symlink_to(file)


def without_table(pipeline, target, *, test, **sections):
    """A pipeline of the cohort's tensors alone, without validation subjects."""
    tensors_only(pipeline().data.root, target)
    split = {"validation": 0, "test": test}
    return pipeline(data={"root": str(target), "table": None, "split": split}, **sections)
