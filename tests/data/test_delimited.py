"""Tables as spreadsheets of all countries save them, and what only looks like one."""

import csv
import gzip
import io
import warnings

import pytest
from refusals import refuses

from dermsim.core.refused import Phrase
from dermsim.data.tables import read_rows

ROWS = [
    {"image_id": "I1", "dx": "mel", "localization": "Rücken"},
    {"image_id": "I2", "dx": "nv", "localization": "cuero, cabelludo; ñ"},
]


def written(separator=",", end="\r\n", rows=ROWS, quoting=csv.QUOTE_MINIMAL) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(
        text, list(rows[0]), delimiter=separator, lineterminator=end, quoting=quoting
    )
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def table(folder, data):
    path = folder / "t.csv"
    path.write_bytes(data if isinstance(data, bytes) else data.encode("utf-8"))
    return path


@pytest.fixture(autouse=True)
def _every_warning_is_meant():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        yield


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32"],
)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_unicode_with_any_separator(tmp_path, encoding, separator):
    assert read_rows(table(tmp_path, written(separator).encode(encoding))) == ROWS


def test_utf_16_big_endian_with_its_mark(tmp_path):
    assert read_rows(table(tmp_path, b"\xfe\xff" + written().encode("utf-16-be"))) == ROWS


@pytest.mark.parametrize("separator", [",", ";"])
def test_windows_1252_is_read_and_named(tmp_path, separator):
    path = table(tmp_path, written(separator).encode("cp1252"))
    with pytest.warns(UserWarning, match=r"not UTF-8 and was read as Windows-1252, .* 'ü'"):
        assert read_rows(path) == ROWS


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_line_ends_of_all_systems(tmp_path, end):
    assert read_rows(table(tmp_path, written(end=end))) == ROWS


@pytest.mark.parametrize("line", ["sep=;\r\n", '"sep=;"\n', "SEP=;\n", "sep=;\r"])
def test_a_line_that_names_the_separator(tmp_path, line):
    assert read_rows(table(tmp_path, line + written(";"))) == ROWS


def test_the_named_separator_goes_before_what_the_header_looks_like(tmp_path):
    text = "sep=|\nimage_id|dx|a,b;c,d\nI1|mel|x\n"
    assert read_rows(table(tmp_path, text)) == [{"image_id": "I1", "dx": "mel", "a,b;c,d": "x"}]


def test_separators_inside_quotes_do_not_count(tmp_path):
    text = '"a;b;c;d",dx\nI1,mel\n'
    assert read_rows(table(tmp_path, text)) == [{"a;b;c;d": "I1", "dx": "mel"}]


@pytest.mark.parametrize("blank", [",,", "", "  ", " , ,\t", '"","",""'])
def test_blank_rows_anywhere_are_passed_over(tmp_path, blank):
    lines = written(end="\n").splitlines()
    text = "\n".join([blank, lines[0], blank, lines[1], blank, lines[2], blank, blank])
    assert read_rows(table(tmp_path, text)) == ROWS


def test_columns_that_were_deleted_leave_nothing_behind(tmp_path):
    assert read_rows(table(tmp_path, "image_id,dx,,\nI1,mel,,\nI2,nv,,,,\n")) == [
        {"image_id": "I1", "dx": "mel"},
        {"image_id": "I2", "dx": "nv"},
    ]


def test_the_numbers_of_rows_that_pandas_writes_are_left_out(tmp_path):
    assert read_rows(table(tmp_path, ",image_id,dx\n0,I1,mel\n")) == [
        {"image_id": "I1", "dx": "mel"}
    ]


def test_what_has_no_width_is_stripped(tmp_path):
    text = "\ufeff\ufeffimage_id,dx\u200b\n\u00a0I1\u00a0, mel \n"
    assert read_rows(table(tmp_path, text)) == [{"image_id": "I1", "dx": "mel"}]


def test_quotes_are_kept_together(tmp_path):
    rows = [{"image_id": "I1", "note": 'a "b", c\nd'}]
    assert read_rows(table(tmp_path, written(rows=rows, quoting=csv.QUOTE_ALL))) == rows


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\xd0\xcf\x11\xe0\xa1\xb1" + bytes(90), "delimited.old_workbook"),
        (b"PK\x03\x04" + bytes(90), "delimited.zip"),
        (b"PAR1" + bytes(90), "delimited.parquet"),
        (gzip.compress(b"a,b", mtime=0), "delimited.gzip"),
        (b"\x89PNG\r\n\x1a\n", "delimited.picture"),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:ab\n", "delimited.lfs_pointer"),
    ],
)
def test_what_is_no_text_is_named(tmp_path, data, words):
    with refuses(words, name="t.csv"):
        read_rows(table(tmp_path, data))


def test_text_of_no_known_encoding_is_refused(tmp_path):
    with refuses("delimited.encoding"):
        read_rows(table(tmp_path, "image_id,dx\nI1,né\x81".encode("latin-1")))


@pytest.mark.parametrize("data", [b"image_id,dx\nI\x001,mel\n", b"a,b\n\x1b[0m,c\n"])
def test_control_characters_are_refused(tmp_path, data):
    with refuses("delimited.control_character"):
        read_rows(table(tmp_path, data))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("a,b\n1,2,3\n", Phrase("delimited.cells", row=0, name="t.csv", count=3, width=2)),
        ("a,b\n1,2\n1\n", Phrase("delimited.cells", row=1, name="t.csv", count=1, width=2)),
        ("a,b\n1,\n,2,\n1,2,3", Phrase("delimited.cells", row=2, name="t.csv", count=3, width=2)),
        ('a,b\n"1,2\n', Phrase("delimited.separator", separator="delimited.commas")),
        ("a,b,a\n1,2,3\n", Phrase("tables.two_columns", twice="a")),
    ],
)
def test_broken_tables(tmp_path, text, words):
    with refuses(words):
        read_rows(table(tmp_path, text))


def test_a_table_of_nothing_has_no_rows(tmp_path):
    assert read_rows(table(tmp_path, "")) == read_rows(table(tmp_path, "\n,,\n")) == []


def test_lines_of_json(tmp_path):
    path = tmp_path / "metadata.jsonl"
    path.write_text('{"file_name": "0007.png", "dx": "mel", "age": 40}\n\n{"file_name": null}\n')
    assert read_rows(path) == [
        {"file_name": "0007.png", "dx": "mel", "age": "40"},
        {"file_name": None},
    ]
    for line, words in (
        ("{", Phrase("tables.line_not_json", number=1, name="metadata.jsonl")),
        ("[1]", "tables.line_not_object"),
    ):
        path.write_text(line)
        with refuses(words):
            read_rows(path)
