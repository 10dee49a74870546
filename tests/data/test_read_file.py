"""Table files: every cell is what the file spells."""

import json

import pandas as pd
import pytest

from keras_mm.data import to_table


def write(path, content, encoding="utf-8"):
    path.write_bytes(content.encode(encoding))
    return path


def test_text_files_hold_text(tmp_path):
    path = write(
        tmp_path / "t.csv", "zip,flag,name,n,empty\n01234,true,NA,1.0,\n1,,null,2,\n"
    )
    table = to_table(path)
    assert table.iloc[0].tolist()[:4] == ["01234", "true", "NA", "1.0"]
    assert table["empty"].isna().all() and pd.isna(table["flag"][1])
    assert table["name"].tolist() == ["NA", "null"]
    given = to_table(path, missing=["NA", "?"])
    assert given["name"].tolist() == [None, "null"] and given["zip"][0] == "01234"


def test_json_keeps_its_types(tmp_path):
    rows = [
        {"zip": "01234", "span": "18_19", "date": "2024-01-01", "big": 2**70, "id": 2**53 + 1, "f": 1.5, "b": True},
        {"zip": "NA", "span": "2", "date": None, "big": 1, "id": None, "f": None, "b": None},
    ]  # fmt: skip
    lines = write(tmp_path / "t.jsonl", "\n".join(map(json.dumps, rows)) + "\n\n")
    array = write(tmp_path / "t.json", json.dumps(rows, indent=1), "utf-8-sig")
    for path in (lines, array):
        table = to_table(path)
        assert table.columns.tolist() == list(rows[0])
        for name in rows[0]:
            cells = [None if pd.isna(cell) else cell for cell in table[name]]
            assert cells == [row[name] for row in rows], name
            assert type(cells[0]) is type(rows[0][name])


@pytest.mark.parametrize("content, encoding", [
    ("a;b\n1,5;é\n2,5;y\n", "utf-8"), ("a\tb\n1,5\té\n", "utf-8"), ("a|b\n1,5|é\n", "utf-8"),
    ("sep=;\na;b\n1,5;é\n", "utf-8"), ('a,b\n"1,5",é\n', "utf-16"), ('a,b\n"1,5",é\n', "utf-8-sig"),
])  # fmt: skip
def test_forms_that_are_certain(content, encoding, tmp_path):
    table = to_table(write(tmp_path / "t.csv", content, encoding))
    assert table.iloc[0].to_dict() == {"a": "1,5", "b": "é"}


def test_integers_of_parquet_stay_integers(tmp_path):
    table = pd.DataFrame({"id": pd.array([2**53 + 1, None], "Int64"), "n": [1.5, None]})
    for frame in (table, table.convert_dtypes(dtype_backend="pyarrow")):
        frame.to_parquet(tmp_path / "t.parquet")
        read = to_table(tmp_path / "t.parquet")
        assert int(read["id"][0]) == 2**53 + 1 and pd.isna(read["id"][1])


def test_one_column_needs_no_separator(tmp_path):
    table = to_table(write(tmp_path / "t.csv", "text\nhello; you\nbye\n"))
    assert table["text"].tolist() == ["hello; you", "bye"]
    long = "x" * 200_000
    assert to_table(write(tmp_path / "t.csv", f"a,b\n1,{long}\n"))["b"][0] == long


@pytest.mark.parametrize("name, content, message", [
    ("t.csv", "a;b\n1\n2;3\n", "the separator of its columns.*sep=';'"),
    ("t.csv", "id;Name, Vorname;l\n1;Meier, Hans;a\n", "',' or ';'. Write sep=;"),
    ("t.csv", "a,b\n1,2,3\n", "Expected 2 fields in line 2, saw 3. Received"),
    ("t.csv", "a,a\n1,2\n", "same name"),
    ("t.json", '{"x": {"0": 1, "1": 2}}', "columns instead of rows.*orient='records'"),
    ("t.json", '{"x": [1,\n2]}', "line 1.*one object a line.*orient='records'"),
    ("t.json", '{"x": [1, 2], "l": ["a", "b"]}', "columns, or the cells.*array: "),
    ("t.json", '{"data": [{"x": 1}, {"x": 2}]}', "columns, or the cells"),
    ("t.json", '{"columns": ["a"], "index": [0, 1], "data": [[1], [2]]}', "columns, or"),
    ("t.json", "[1, 2]", "row 0 is not an object"),
    ("t.jsonl", "[1, 2]\n[3, 4]\n", "line 2: Extra data. JSON tables hold"),
    ("t.jsonl", '{"a": 1}\n{"a": 1, "a": 2}\n', "twice in one object"),
])  # fmt: skip
def test_what_is_uncertain_is_refused(name, content, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        to_table(write(tmp_path / name, content))


def test_blank_lines_are_rows_within_a_file(tmp_path):
    for end in ("", "\n", "\n\n  \n"):
        path = write(tmp_path / "t.csv", "\nt\nred\n\nblue" + end)
        assert to_table(path)["t"].fillna("").tolist() == ["red", "", "blue"]
    # A row of missing cells is no blank line.
    table = to_table(write(tmp_path / "t.csv", "a,b\n1,2\n\n3,4\n,\n\n"))
    assert table["a"].fillna("").tolist() == ["1", "", "3", ""]


def test_utf16_without_a_mark_is_refused(tmp_path):
    for encoding in ("utf-16-le", "utf-16-be"):
        path = write(tmp_path / "t.csv", "a,b\nx,y\n", encoding)
        with pytest.raises(ValueError, match="UTF-16.*encoding='utf-16-le'.*Received"):
            to_table(path)


def test_one_row_of_lists(tmp_path):
    path = write(tmp_path / "t.json", '[{"x": [1, 2], "y": [3, 4]}]')
    assert to_table(path)["x"].tolist() == [[1, 2]]
    path = write(tmp_path / "t.json", '{"x": [1, 2], "y": "a"}')
    assert to_table(path)["x"].tolist() == [[1, 2]]


def test_missing_values_in_any_form(tmp_path):
    frame = pd.DataFrame({"n": [-999, 1], "f": [-999.0, 1.5], "t": [" ?", "a"]})
    frame.to_csv(tmp_path / "t.csv", index=False)
    frame.to_parquet(tmp_path / "t.parquet")
    frame.to_json(tmp_path / "t.jsonl", orient="records", lines=True)
    names = ("t.csv", "t.parquet", "t.jsonl")
    for source in (frame, *(tmp_path / name for name in names)):
        for missing in (["-999", "?"], [-999, "?"], (-999.0, b"?")):
            table = to_table(source, missing)
            assert table.isna().values.tolist() == [[True] * 3, [False] * 3]
    assert to_table(frame, -999)["n"].tolist() == [None, 1]
    kept = to_table({"x": [b"\xff?", b"?", "? no", [1]]}, "?")["x"].tolist()
    assert kept == [b"\xff?", None, "? no", [1]]
    assert to_table({"x": ["  ", "a"]}, [" "])["x"].tolist() == [None, "a"]
