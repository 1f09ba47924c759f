"""JSON and tables as editors and spreadsheets leave them, and one line for what is no text."""

import codecs
import json
import os

import pytest

from medrev.errors import InputError
from medrev.files import check_file, is_present
from medrev.texts import read_json, read_table, read_text

CONTENT = {"TensorOrder": "mrtrix", "Name": "Müller 日本"}
TEXT = json.dumps(CONTENT, ensure_ascii=False)


@pytest.mark.parametrize(
    "encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"]
)
def test_json_in_the_encodings_of_editors(tmp_path, encoding):
    mark = {"utf-16-le": codecs.BOM_UTF16_LE, "utf-16-be": codecs.BOM_UTF16_BE}.get(encoding, b"")
    (tmp_path / "a.json").write_bytes(mark + TEXT.encode(encoding))
    assert read_json(tmp_path / "a.json") == CONTENT


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b'{"a": 1,\n"b": 2,}', r"a\.json:2: not valid JSON, column \d+: "),
        (b"[1, 2]", r"a\.json: must be a JSON object, got list"),
        (b'{"a": ' + b"[" * 100_000, r"a\.json: not valid JSON: nested too deeply"),
        (b'{"a": ' + b"9" * 10_000 + b"}", r"a\.json: not valid JSON: Exceeds the limit"),
        ('{"a":\n"Müller"}'.encode("latin-1"), r"a\.json:2: not UTF-8 text \(byte 0xfc\)"),
        (b"", r"a\.json: the file is empty"),
        (b'{"a": 1, "a": 2}', r"a\.json: the key 'a' is there twice, with 1 and 2: keep the one"),
        (b'{"b": [{"a": "x", "a": null}]}', r"""the key 'a' is there twice, with "x" and null"""),
        (b"/annex/objects/MD5E-s1--0.json\n", r"a\.json: holds no data but a pointer of git-annex"),
    ],
)
def test_what_is_no_json_is_said_in_one_line(tmp_path, content, words):
    (tmp_path / "a.json").write_bytes(content)
    with pytest.raises(InputError, match=words) as caught:
        read_json(tmp_path / "a.json")
    assert "\n" not in str(caught.value)


def test_a_key_that_stands_twice_with_one_value_is_harmless(tmp_path):
    (tmp_path / "a.json").write_text('{"a": [1, {"b": 2}], "c": 3, "a": [1, {"b": 2}]}')
    assert read_json(tmp_path / "a.json") == {"a": [1, {"b": 2}], "c": 3}


@pytest.mark.parametrize("delimiter", ["\t", ",", ";"])
@pytest.mark.parametrize("newline", ["\n", "\r\n"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "cp1252"])
def test_tables_of_spreadsheets(tmp_path, delimiter, newline, encoding):
    rows = [
        ["participant_id", "name ", "age"],
        [" 01", "Müller", "3"],
        [],
        ["02", "", "", ""],
        ["03"],
    ]
    text = newline.join(delimiter.join(row) for row in rows)
    (tmp_path / "a.tsv").write_bytes(text.encode(encoding))
    table = read_table(tmp_path / "a.tsv")
    assert table.columns == ("participant_id", "name", "age")
    assert [row["participant_id"] for row in table.rows] == ["01", "02", "03"]
    assert table.rows[0] == {"participant_id": "01", "name": "Müller", "age": "3"}
    assert table.rows[2] == {"participant_id": "03", "name": "", "age": ""}
    assert table.lines == (2, 4, 5)


def test_cells_in_quotes_and_comments(tmp_path):
    (tmp_path / "a.csv").write_text('# made by hand\nid,dwi\n"a,b","x\ny"\n#c,d\n')
    table = read_table(tmp_path / "a.csv")
    assert table.rows == ({"id": "a,b", "dwi": "x\ny"},)


def test_commas_in_the_columns_of_tabs_and_columns_named_twice(tmp_path):
    text = 'id\tage, in years, months\n1\t2\nid\tage, in years, months\n3\t5" tall\n'
    (tmp_path / "a.tsv").write_text(text)
    table = read_table(tmp_path / "a.tsv")
    assert table.columns == ("id", "age, in years, months")
    assert [tuple(row.values()) for row in table.rows] == [("1", "2"), ("3", '5" tall')]
    assert table.lines == (2, 4)


def test_marks_of_no_width_around_cells(tmp_path):
    (tmp_path / "a.csv").write_text("id,\u200bsplit\n\u200bsub-01\u00a0,\ufefftrain\u2060\n")
    assert read_table(tmp_path / "a.csv").rows == ({"id": "sub-01", "split": "train"},)


def test_what_excel_writes_before_the_columns(tmp_path):
    (tmp_path / "a.csv").write_text('sep=;\nid;dwi\n1; "x;y"\n')
    assert read_table(tmp_path / "a.csv").rows == ({"id": "1", "dwi": "x;y"},)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("id,id\n1,2\n", "more than one column named 'id'"),
        ("id,age\n1,2,3\n", r"a\.csv:2: the row has 3 cells, there are 2 columns \(id, age\)"),
        ('id,note\n1,"a\n2,b\n3,c\n', r"a\.csv:2: .*is a quotation mark in this row not closed"),
        ("\n \n", "the table is empty"),
        ("", "the file is empty"),
    ],
)
def test_what_is_no_table(tmp_path, text, words):
    (tmp_path / "a.csv").write_text(text)
    with pytest.raises(InputError, match=words):
        read_table(tmp_path / "a.csv")


@pytest.mark.parametrize("content", ["id\n1".encode("utf-16-le"), b"\1\2\0\0", b"id\n1\0"])
def test_null_characters_are_no_text(tmp_path, content):
    (tmp_path / "a.tsv").write_bytes(content)
    with pytest.raises(InputError, match="no text, or UTF-16 without its mark"):
        read_table(tmp_path / "a.tsv")


@pytest.mark.parametrize("start", [b"PK\x03\x04\x14\x00", b"\xd0\xcf\x11\xe0\xa1\xb1"])
def test_workbooks_are_no_tables(tmp_path, start):
    (tmp_path / "participants.tsv").write_bytes(start + bytes(99))
    with pytest.raises(InputError, match=r"a workbook .*save it as text"):
        read_table(tmp_path / "participants.tsv")


def test_binary_files_are_no_text(tmp_path):
    (tmp_path / "a.txt").write_bytes(bytes(range(256)))
    with pytest.raises(InputError, match=r"a\.txt:2: not UTF-8 text"):
        read_text(tmp_path / "a.txt", western=True)


class TestFilesThatAreThereByNameOnly:
    @pytest.mark.parametrize(
        ("target", "words"),
        [
            ("../.git/annex/objects/zz/MD5E-s1--0.nii.gz", "its content was not fetched"),
            ("/nowhere/x.nii.gz", "correct the link"),
        ],
    )
    def test_broken_links(self, tmp_path, target, words):
        os.symlink(target, tmp_path / "x.nii.gz")
        for check in (check_file, is_present):
            with pytest.raises(
                InputError, match=f"x.nii.gz: is a broken link, to {target}: {words}"
            ):
                check(tmp_path / "x.nii.gz")

    @pytest.mark.parametrize(
        ("content", "words"),
        [
            ("/annex/objects/MD5E-s120--0123456789abcdef.nii.gz\n", "datalad get"),
            ("../../../.git/annex/objects/zz/MD5E-s120--0.nii.gz", "datalad get"),
            ("version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 120\n", "lfs pull"),
        ],
    )
    def test_pointers(self, tmp_path, content, words):
        (tmp_path / "x.nii.gz").write_text(content)
        for check in (check_file, is_present):
            with pytest.raises(InputError, match=f"holds no data but a pointer of .*{words}"):
                check(tmp_path / "x.nii.gz")

    def test_what_is_missing_may_be_missing(self, tmp_path):
        assert not is_present(tmp_path / "none")
        assert not is_present(tmp_path)
        (tmp_path / "x").write_text("here")
        assert is_present(tmp_path / "x")
        with pytest.raises(
            InputError, match=r"xy_mask.nii: no such file; did you mean xyz_mask.nii"
        ):
            (tmp_path / "x").rename(tmp_path / "xyz_mask.nii")
            check_file(tmp_path / "xy_mask.nii")
