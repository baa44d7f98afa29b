"""CSV files of spreadsheets and other systems are read, or named."""

import pytest

from agem_tf.errors import UserError
from agem_tf.files.csv_tables import csv_columns, csv_header, csv_rows


def write(tmp_path, text, encoding="utf-8"):
    path = tmp_path / "table.csv"
    path.write_bytes(text.encode(encoding))
    return path


@pytest.mark.parametrize("mark", ["", "\ufeff"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_rows_are_the_same_for_every_system(tmp_path, mark, end):
    lines = ["id,landmark", "", ' a ,"x, y" ', ",", "b,z"]
    path = write(tmp_path, mark + end.join(lines))
    assert list(csv_rows(path)) == [
        (1, ["id", "landmark"]),
        (3, ["a", "x, y"]),
        (5, ["b", "z"]),
    ]
    assert csv_header(path) == ["id", "landmark"]


def test_columns_come_in_the_order_asked_for(tmp_path):
    path = write(tmp_path, "id,url,label\na,u,1\nb,,2\n")
    assert list(csv_columns(path, ["label", "id"])) == [["1", "a"], ["2", "b"]]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "columns id, label. Received: an empty file"),
        ("id\n", "columns id, label. Received: id"),
        ("id,label\na\n", "a row of 1 instead of 2 cells, 'a', in line 2"),
        ("id;label\na;1\n", "separates its cells by semicolons"),
        ("id\tlabel\n", "separates its cells by tabs"),
        ('id,label\n"a', "a row of 1 instead of 2 cells"),
    ],
)
def test_a_faulty_table_is_named(tmp_path, text, message):
    path = write(tmp_path, text)
    with pytest.raises(UserError, match=rf"table\.csv.*{message}"):
        list(csv_columns(path, ["id", "label"]))


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be"])
def test_utf_16_is_named(tmp_path, encoding):
    path = write(tmp_path, "a,b\n1,2\n", encoding)
    with pytest.raises(UserError, match="save it as UTF-8"):
        list(csv_rows(path))


def test_other_encodings_and_missing_files_are_named(tmp_path):
    path = write(tmp_path, "id,label\ncaf\u00e9,1\n", "latin-1")
    with pytest.raises(UserError, match="not a CSV in UTF-8"):
        list(csv_rows(path))
    with pytest.raises(UserError, match=r"gone\.csv cannot be read: No such"):
        list(csv_rows(tmp_path / "gone.csv"))
    path.write_bytes(b"")
    with pytest.raises(UserError, match="is empty"):
        csv_header(path)
