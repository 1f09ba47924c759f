import pytest

from medrev.errors import InputError
from medrev.evaluation import Sources, find_cases

ROWS = """\
participant_id\treference\tprediction_revgan\tprediction_unet\tmask\tuncertainty_unet\tsite
{0}\tref/{0}_T1w.nii.gz\ta/{0}_desc-sr_T1w.nii.gz\tref/{0}_T1w.nii.gz\tn/a\tref/{0}_T1w.nii.gz\tA
{1}\tref/{1}_T1w.nii.gz\ta/{1}_desc-sr_T1w.nii.gz\tref/{1}_T1w.nii.gz\tmask/{1}_mask.nii.gz\t\tB
"""


def read(cohort, text, suffix=".tsv"):
    path = cohort / f"table{suffix}"
    path.write_text(text)
    return find_cases(Sources(inputs=(str(path),)))


def test_a_table_has_a_row_per_subject_and_a_column_per_model(cohort):
    found = read(cohort, ROWS.format("sub-02", "sub-01"))
    assert found.models == ("revgan", "unet")
    one, two = found.cases
    assert (one.id, two.id) == ("sub-01", "sub-02")
    assert one.files["mask"] == cohort / "mask/sub-01_mask.nii.gz"
    assert "mask" not in two.files
    assert two.files["uncertainty unet"] == cohort / "ref/sub-02_T1w.nii.gz"
    assert dict(two.columns) == {"site": "A"}


def test_a_csv_with_one_model(cohort):
    found = read(
        cohort, "id, reference, prediction\nx, ref/sub-01_T1w.nii.gz, a/b.nii.gz\n", ".csv"
    )
    assert found.models == ("model",)
    assert found.cases[0].files["prediction model"] == cohort / "a/b.nii.gz"


def test_a_row_without_a_path_is_named_and_does_not_stop_the_others(cohort):
    text = "id,reference,prediction\nx,,p.nii\ny,r.nii,p.nii\nz,r.nii,n/a\n"
    found = read(cohort, text, ".csv")
    assert [case.id for case in found.cases] == ["y"]
    assert found.failures == {"x": "no reference in table.csv", "z": "no prediction in table.csv"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("id,reference,prediction\nx,r,p\ny,r,p\nx,r,q\n", "listed more than once: x"),
        ("name,reference,prediction\nx,r,p\n", "needs an identifier column"),
        ("id,prediction\nx,p\n", "needs the column reference; it has prediction"),
        ("id,reference\nx,r\n", "needs a column prediction, or prediction_NAME"),
        ("id,reference,prediction\n,r,p\n", "row 2: the identifier is empty"),
        ("", "the file is empty"),
        ("id,reference,prediction\n", "no subject can be evaluated"),
    ],
)
def test_tables_that_cannot_be_used(cohort, text, message):
    with pytest.raises(InputError, match=message):
        read(cohort, text, ".csv")


def test_a_table_names_all_files_itself(cohort):
    path = cohort / "table.csv"
    path.write_text("id,reference,prediction\nx,r,p\n")
    with pytest.raises(InputError, match="--reference, --input cannot be given with a table"):
        find_cases(Sources(inputs=(str(path),), reference=cohort, low=cohort))
