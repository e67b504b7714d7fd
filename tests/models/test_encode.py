"""From photographs, and what is known of whose they are, to NumPy arrays."""

import numpy as np
import pytest
import torch
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.data.facts import FACTS_DIM, Facts, encode_facts
from dermsim.data.synthetic import draw_lesion
from dermsim.models import DermSimConfig, DermSimImageProcessor, DermSimModel
from dermsim.models.encode import encode, weigh_facts

FACTS = [Facts(70, "male", "face"), None, Facts(age=20), Facts(), Facts(sex="female")]


@pytest.fixture(scope="module")
def processor() -> DermSimImageProcessor:
    side = {"height": 32, "width": 32}
    return DermSimImageProcessor(size={"shortest_edge": 32}, crop_size=side)


def tiny(**options) -> DermSimModel:
    config = DermSimConfig(backbone="test_resnet", embed_dim=8, image_size=32, **options)
    return DermSimModel(config).eval()


@pytest.fixture(scope="module")
def plain() -> DermSimModel:
    return tiny()


@pytest.fixture(scope="module")
def informed() -> DermSimModel:
    """A model whose facts matter: a fresh one does not heed them yet."""
    model = tiny(facts_dim=FACTS_DIM)
    weight = model.facts_head.output.weight
    with torch.no_grad():
        weight.copy_(torch.randn(weight.shape, generator=torch.Generator().manual_seed(0)))
    return model


@pytest.fixture(scope="module")
def images():
    return [draw_lesion(code, seed=0, size=(48, 36)) for code in CODES[:5]]


def test_the_batch_size_changes_nothing(plain, processor, images):
    whole, pieces = encode(plain, processor, images), encode(plain, processor, images, batch_size=2)
    for name in ("embeddings", "logits", "pooled_features"):
        first, second = getattr(whole, name), getattr(pieces, name)
        assert first.dtype == np.float32 and len(first) == 5
        np.testing.assert_allclose(first, second, atol=1e-5)


@pytest.mark.parametrize("batch_size", [1, 2, 5, 32])
def test_each_image_gets_its_own_facts(informed, processor, images, batch_size):
    def read(facts):
        return encode(informed, processor, images, batch_size=batch_size, facts=facts)

    without, told = read(None), read(FACTS)
    added = weigh_facts(informed, FACTS)
    np.testing.assert_array_equal(told.facts_logits, added)
    np.testing.assert_array_equal(told.informed_logits, without.logits + added)
    assert without.facts_logits is None and without.informed_logits is without.logits
    with torch.inference_mode():
        pixels = processor(images, return_tensors="pt").pixel_values
        whole = informed(pixels, facts=torch.from_numpy(encode_facts(FACTS))).logits
    np.testing.assert_allclose(told.informed_logits, whole, atol=1e-5)
    np.testing.assert_array_equal(told.logits, without.logits)
    assert (added != 0).any(axis=1).tolist() == [True, False, True, False, True]
    np.testing.assert_array_equal(told.embeddings, without.embeddings)
    np.testing.assert_array_equal(told.pooled_features, without.pooled_features)


def test_nothing_known_is_bit_for_bit_no_facts(informed, processor, images):
    without = encode(informed, processor, images)
    told = encode(informed, processor, images, facts=[None, Facts()] * 2 + [None])
    np.testing.assert_array_equal(told.informed_logits, without.logits)


def test_what_facts_add_is_what_the_head_makes_of_their_columns(informed):
    columns = torch.from_numpy(encode_facts(FACTS))
    added = weigh_facts(informed, FACTS)
    assert added.dtype == np.float32
    np.testing.assert_array_equal(added, informed.facts_head(columns).detach().numpy())


def test_a_stream_is_read_a_batch_at_a_time(informed, processor, images):
    read = []

    def stream():
        for number, image in enumerate(images):
            read.append(number)
            yield image

    told = encode(informed, processor, stream(), batch_size=2, facts=FACTS)
    assert read == [0, 1, 2, 3, 4]
    expected = encode(informed, processor, images, batch_size=2, facts=FACTS)
    np.testing.assert_array_equal(told.informed_logits, expected.informed_logits)
    read.clear()
    with refuses("encode.few_facts", count=1):
        encode(informed, processor, stream(), batch_size=2, facts=FACTS[:1])
    assert read == [0, 1]  # it stops where it knows


def test_a_model_of_other_columns_is_read_by_its_own(processor, images):
    model = tiny(facts_dim=1, facts_columns=["sex:male"])
    torch.nn.init.ones_(model.facts_head.hidden.weight)
    torch.nn.init.ones_(model.facts_head.output.weight)
    added = weigh_facts(model, FACTS)
    assert (added != 0).any(axis=1).tolist() == [True, False, False, False, False]


@pytest.mark.parametrize("batch_size", [2, 32])
@pytest.mark.parametrize("count", [4, 0])
def test_fewer_facts_than_images_are_refused(informed, processor, images, batch_size, count):
    with refuses("encode.few_facts", count=count):
        encode(informed, processor, images, batch_size=batch_size, facts=FACTS[:count])


def test_more_facts_than_images_are_refused(informed, processor, images):
    with refuses("encode.facts_count", count=5, done=3):
        encode(informed, processor, images[:3], facts=FACTS)


@pytest.mark.parametrize("facts", [FACTS, [None] * 5])
def test_facts_for_a_model_that_takes_none_are_refused(plain, processor, images, facts):
    with refuses("encode.no_facts"):
        encode(plain, processor, images, facts=facts)
    with refuses("encode.no_facts"):
        weigh_facts(plain, facts)


def test_no_image_is_refused(plain, processor):
    with refuses("engine_explain.no_image"):
        encode(plain, processor, [])
