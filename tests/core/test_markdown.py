from refusals import refuses

from dermsim.core.markdown import markdown_table


def test_a_table_has_a_header_a_rule_and_a_line_for_each_row():
    assert markdown_table(["a", "b"], [["1", "x"], ["2", ""]]) == [
        "| a | b |",
        "|---|---|",
        "| 1 | x |",
        "| 2 |  |",
    ]


def test_a_row_of_another_length_is_refused():
    with refuses("markdown.cells", row_count=1, header_count=2):
        markdown_table(["a", "b"], [["1"]])
