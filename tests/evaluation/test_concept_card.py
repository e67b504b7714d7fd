"""What the card says of concepts."""

from dermsim.evaluation.concept_card import concept_section


def test_every_head_is_on_the_card_with_its_figures(concept_engine):
    part = concept_engine.concepts_part()
    text = concept_section(part)
    assert text.startswith("## Concepts\n")
    for head in part.heads.heads:
        (line,) = (line for line in text.splitlines() if line.startswith(f"| `{head.concept}` "))
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        assert cells[1:5] == [
            f"{head.auc}",
            f"{head.auc.n:,}",
            f"{head.positives:,} of {head.positives + head.negatives:,}",
            "yes" if head.usable else "no",
        ]
        assert cells[-1] == ("yes" if part.may_point(head) else "no")
    assert "CC BY-NC 4.0" in text
    assert f"Dice {part.outline.dice}" in text
    assert "| as many random directions of the features (control) |" in text


def test_without_concepts_the_card_says_nothing():
    assert concept_section(None) == ""
