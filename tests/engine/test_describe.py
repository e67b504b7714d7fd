"""A picture's concepts, its outline and its description, from a tiny checkpoint really fitted."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from refusals import refuses

from dermsim.core.language import LANGUAGES
from dermsim.core.refused import Phrase
from dermsim.data.concepts import load_schema
from dermsim.data.images import read_image
from dermsim.data.synthetic import draw_lesion
from dermsim.engine import DermSim
from dermsim.engine.descriptions import box_of
from dermsim.tasks.caption import ASYMMETRY, BORDER, COLOURS, DISAGREEMENT, Grammar, disagrees
from dermsim.tasks.concepts.lesion import dice


@pytest.fixture(scope="module")
def pictures(concept_splits):
    return [read_image(image) for image in concept_splits["test"]["image"][:12]]


@pytest.fixture
def familiar(concept_engine, monkeypatch):
    """The engine, to which no picture is unfamiliar."""
    detector = dataclasses.replace(concept_engine.detector, threshold=np.inf)
    monkeypatch.setattr(concept_engine, "detector", detector)
    return concept_engine


@pytest.fixture
def stranger(concept_engine, monkeypatch):
    """The engine, to which every picture is unfamiliar."""
    detector = dataclasses.replace(concept_engine.detector, threshold=-np.inf)
    monkeypatch.setattr(concept_engine, "detector", detector)
    return concept_engine


def test_a_checkpoint_keeps_what_it_knows_of_concepts(concept_engine, tmp_path, pictures):
    concept_engine.save_pretrained(tmp_path / "again")
    again = DermSim.from_pretrained(tmp_path / "again")
    one, other = (e.concepts(pictures[0])[0].to_dict() for e in (concept_engine, again))
    assert one == other
    for language in LANGUAGES:
        one, other = (e.describe(pictures[0], language=language) for e in (concept_engine, again))
        assert one.to_dict() == other.to_dict()


def test_reading_concepts_changes_no_prediction(concept_engine, engine, pictures):
    # the same encoder and data but for the splits: logits are the encoder's alone
    plain = DermSim(
        concept_engine.model,
        concept_engine.processor,
        calibration=concept_engine.calibration,
        detector=concept_engine.detector,
        gallery=concept_engine.gallery,
        classes=concept_engine.classes,
        atlas=concept_engine.atlas,
    )
    np.testing.assert_array_equal(plain.embed(pictures), concept_engine.embed(pictures))
    assert [p.to_dict() for p in plain.predict(pictures)] == [
        p.to_dict() for p in concept_engine.predict(pictures)
    ]


def test_concepts_are_of_usable_heads_only(concept_engine, pictures):
    part = concept_engine.concepts_part()
    usable = {part.name_of(head) for head in part.usable.heads}
    assert usable
    for reading in concept_engine.concepts(pictures):
        assert set(reading.findings) == usable
        for finding in reading.findings.values():
            assert 0 <= finding.probability <= 1
            said = finding.state == "present" and finding.probability >= finding.threshold
            said |= finding.state == "absent" and finding.probability < finding.threshold
            assert said or finding.state is None


def test_concepts_and_prediction_in_one_pass(concept_engine, pictures, monkeypatch):
    asked = []
    encode = concept_engine._encode

    def watched(*args, **options):
        asked.append(args)
        return encode(*args, **options)

    monkeypatch.setattr(concept_engine, "_encode", watched)
    both = concept_engine.predict_with_concepts(pictures)
    assert len(asked) == 1
    monkeypatch.undo()
    assert [p.label for p, _ in both] == [p.label for p in concept_engine.predict(pictures)]


def test_an_intervention_changes_the_score(concept_engine, pictures):
    analysis = concept_engine.analyze(pictures[0], explain=None)
    name = next(iter(analysis.concepts.findings))
    there, gone = (analysis.with_concept(name, absent=absent) for absent in (False, True))
    assert there != gone
    assert analysis.concepts.melanoma is not None
    told = analysis.to_dict()["concepts"]
    assert told["interventions"][name] == {"present": there, "absent": gone}
    json.dumps(told, allow_nan=False)
    with refuses("reading.no_concept", name="clover"):
        analysis.with_concept("clover")


def test_without_concepts_there_is_nothing_to_change(engine, pictures):
    analysis = engine.analyze(pictures[0], explain=None)
    assert "concepts" not in analysis.to_dict()
    with refuses("results.no_concepts"):
        analysis.with_concept("streaks")
    for ask in (engine.concepts, engine.describe, engine.outline):
        with refuses("describe.no_concepts"):
            ask(pictures[0])


def test_the_outline_is_near_the_drawn_one(concept_engine, concept_splits, drawn_outlines):
    rows = concept_splits["test"]
    found = []
    for image, image_id in zip(rows["image"][:20], rows["image_id"][:20], strict=True):
        outline = concept_engine.outline(image)
        truth = np.asarray(drawn_outlines[image_id])
        assert outline is None or outline.shape == truth.shape
        # the encoder does not see the sides of the photograph
        seen = np.zeros_like(truth)
        seen[:, 25:175] = True
        found.append(0.0 if outline is None else dice(outline & seen, truth & seen))
    assert np.mean(found) > 0.6
    assert concept_engine.concepts_part().outline.dice.value > 0.6


def test_a_photograph_of_bare_skin_has_no_outline_and_no_shape(familiar, monkeypatch):
    part = familiar.concepts_part()
    head = dataclasses.replace(part.outline.head, output_bias=part.outline.head.output_bias - 1e3)
    blind = dataclasses.replace(part, outline=dataclasses.replace(part.outline, head=head))
    monkeypatch.setattr(familiar, "concept_part", blind)
    picture = draw_lesion("nv", seed=1)
    assert familiar.outline(picture) is None
    described = familiar.describe(picture)
    assert described.outline is None
    assert not {ASYMMETRY, BORDER, COLOURS} & {fact.concept for fact in described.facts}


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_description_parses_back_to_its_facts(familiar, pictures, language):
    grammar = Grammar.of(load_schema(), language)
    for picture in pictures:
        found = familiar.describe(picture, language=language)
        assert found.notice is None
        assert found.sentences
        assert tuple(grammar.parse_all(found.text)) == found.facts
        json.dumps(found.to_dict(), allow_nan=False)


def test_every_sentence_has_its_evidence(familiar, pictures):
    for picture in pictures:
        found = familiar.describe(picture)
        findings = {own.concept: own for own in found.reading.findings.values()}
        for sentence in found.sentences:
            fact, evidence = sentence.fact, sentence.evidence
            if fact.concept in findings:
                own = findings[fact.concept]
                assert fact.state == own.state
                assert evidence.source == own.source
                assert evidence.precision >= 0.9
            assert (sentence.region is None) == (fact.place is None)
            if fact.place is not None:
                assert evidence.fall > evidence.fall_elsewhere
                assert sentence.region.shape == (picture.height, picture.width)


def test_descriptions_differ_from_picture_to_picture(familiar, pictures):
    assert len({familiar.describe(picture).text for picture in pictures}) > len(pictures) / 2


def test_a_contradiction_is_never_left_unsaid(familiar, pictures):
    for picture in pictures:
        facts = familiar.describe(picture).facts
        label = familiar.predict(picture)[0].label_name
        wrong = disagrees(facts, label, load_schema())
        assert wrong == (facts[-1].concept == DISAGREEMENT)


def test_an_unfamiliar_picture_gets_no_description(stranger, pictures):
    found = stranger.describe(pictures[0])
    assert (found.notice, found.text, found.reading) == (
        "unlike anything in training; from a model trained on drawings",
        "",
        None,
    )


def test_a_place_that_carries_nothing_is_withheld(familiar, pictures, monkeypatch):
    monkeypatch.setattr(
        type(familiar), "_region", lambda self, part, look, head: (None, "left", 0.0, 1.0)
    )
    told = [familiar.describe(picture) for picture in pictures]
    assert all(fact.place is None for own in told for fact in own.facts)


def test_places_are_said_where_a_head_may_point(familiar, pictures, monkeypatch):
    part = familiar.concepts_part()
    assert any(own.figures for own in part.structures.values())
    network = "pigment_network"
    monkeypatch.setattr(type(part), "may_point", lambda self, head: head.concept == network)
    told = [familiar.describe(picture) for picture in pictures]
    spoken = [s for own in told for s in own.sentences if s.fact.place is not None]
    withheld = [name for own in told for name in own.withheld]
    shown = [
        own
        for own in told
        if own.outline is not None
        and own.reading.findings.get("pigment_network") is not None
        and own.reading.findings["pigment_network"].state == "present"
    ]
    assert len(spoken) + len(withheld) == len(shown)
    assert {s.fact.concept for s in spoken} <= {"pigment_network"}


def test_without_regions_only_heads_are_heard(familiar, pictures):
    found = familiar.describe(pictures[0], regions=False)
    assert found.outline is None
    assert not {ASYMMETRY, BORDER, COLOURS} & {fact.concept for fact in found.facts}


def test_cases_are_found_by_concept(concept_engine, pictures):
    part = concept_engine.concepts_part()
    head = next(head for head in part.usable.heads if head.present and head.absent)
    where = {f"concept.{head.concept}": "present"}
    allowed = set(part.cases.matching(head, "present"))
    assert allowed
    (found,) = concept_engine.search(pictures[0], 50, where=where)
    assert {case.image_id for case in found} <= allowed
    assert len(found) == min(50, len(allowed))
    assert set(concept_engine.vote(pictures[0], where=where)[0])


@pytest.mark.parametrize(
    ("where", "message"),
    [
        ({"concept.clover": "present"}, Phrase("concept_schema.no_concept", word="clover")),
        ({"concept.arborizing_vessels": "present"}, "part.no_head"),
        (
            {"concept.pigment_network": "perhaps"},
            Phrase("cases.state", states=["present", "absent"]),
        ),
    ],
)
def test_a_condition_that_cannot_be_met_is_refused(concept_engine, pictures, where, message):
    with refuses(message):
        concept_engine.search(pictures[0], where=where)


def test_a_checkpoint_that_looked_through_no_cases_says_so(engine, pictures):
    with refuses("concept_answers.not_looked_through"):
        engine.search(pictures[0], where={"concept.streaks": "present"})


def test_regions_need_no_outline_given(concept_engine, pictures):
    found = concept_engine.embed_regions(pictures[:3])
    given = [concept_engine.outline(picture) for picture in pictures[:3]]
    if all(own is not None for own in given):
        np.testing.assert_allclose(
            found, concept_engine.embed_regions(pictures[:3], given), atol=1e-5
        )


def test_parts_of_another_encoder_are_refused(concept_checkpoint, sibling_checkpoint, tmp_path):
    folder = shutil.copytree(sibling_checkpoint, tmp_path / "mixed")
    for name in ("concepts.json", "concepts.safetensors"):
        shutil.copy(concept_checkpoint / name, folder / name)
    with refuses("load.unusable", error=Phrase("part.other_encoder", name="concepts.json")):
        DermSim.from_pretrained(folder)


@pytest.mark.parametrize("name", ["concepts.json", "concepts.safetensors"])
def test_one_of_the_two_files_alone_is_refused(concept_checkpoint, tmp_path, name):
    folder = shutil.copytree(concept_checkpoint, tmp_path / "half")
    (folder / name).unlink()
    with refuses("storage.no_file", FileNotFoundError, source=folder / name):
        DermSim.from_pretrained(folder)


def test_damaged_files_are_refused(concept_checkpoint, tmp_path):
    folder = shutil.copytree(concept_checkpoint, tmp_path / "bad")
    values = json.loads((folder / "concepts.json").read_text())
    values["heads"][0]["auc"]["low"] = 0.0
    (folder / "concepts.json").write_text(json.dumps(values))
    with refuses("load.unusable", error=Phrase("concepts_heads.usable", usable=True)):
        DermSim.from_pretrained(folder)
    del values["heads"]
    (folder / "concepts.json").write_text(json.dumps(values))
    with refuses("load.unusable", error=Phrase("storage.keys", name="concepts.json")):
        DermSim.from_pretrained(folder)


def test_the_box_around_a_region():
    region = np.zeros((10, 20), dtype=bool)
    assert box_of(region) is None
    region[2:4, 5:10] = True
    assert box_of(region) == {"left": 0.25, "top": 0.2, "right": 0.5, "bottom": 0.4}
