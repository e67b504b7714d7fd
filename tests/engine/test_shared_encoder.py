"""Threads that share an encoder, against the same images encoded alone."""

import copy
import gc
import threading
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from refusals import refuses

from dermsim.core.labels import CODES
from dermsim.data.synthetic import draw_lesion
from dermsim.engine import DermSim
from dermsim.engine.shared_encoder import WAITING, SharedEncoder
from dermsim.engine.shared_runs import Overloaded, patience

FIELDS = ("embeddings", "logits", "pooled_features")
PATIENCE = 60


class Watched(torch.nn.Module):
    """A model that notes how many images it is given, and can be held up."""

    def __init__(self, model):
        super().__init__()
        self.inner, self.sizes = model, []
        self.entered, self.open = threading.Semaphore(0), threading.Event()
        self.open.set()

    device = property(lambda self: self.inner.device)
    config = property(lambda self: self.inner.config)
    members = property(lambda self: self.inner.members)

    def forward(self, pixel_values, **options):
        self.sizes.append(len(pixel_values))
        self.entered.release()
        assert self.open.wait(PATIENCE)
        return self.inner(pixel_values, **options)


@pytest.fixture(scope="module")
def images():
    return [draw_lesion(code, seed=seed, size=(90, 70)) for seed in range(4) for code in CODES]


@pytest.fixture
def watched(engine):
    return Watched(engine.model)


@pytest.fixture
def encode(engine, watched):
    return SharedEncoder(watched, engine.processor)


def meanwhile(watched, encode, images, pool, ask):
    """Hold up a pass of one image until every other was asked for; return the answers."""
    watched.open.clear()
    answers = [pool.submit(ask, images[0])]
    assert watched.entered.acquire(timeout=PATIENCE)
    for count, image in enumerate(images[1:], start=1):
        answers.append(pool.submit(ask, image))
        while encode.passes.queued < count and not answers[-1].done():
            threading.Event().wait(0.001)
    watched.open.set()
    return [answer.result(PATIENCE) for answer in answers]


def test_threads_share_a_pass_and_each_gets_its_own_answer(engine, watched, encode, images):
    with ThreadPoolExecutor(len(images)) as pool:
        found = meanwhile(watched, encode, images, pool, lambda image: encode([image]))
    assert watched.sizes == [1, len(images) - 1]
    for image, answer in zip(images, found, strict=True):
        alone = SharedEncoder(engine.model, engine.processor)([image])
        for name in FIELDS:
            array = getattr(answer, name)
            assert array.shape == getattr(alone, name).shape and array.dtype == np.float32
            np.testing.assert_allclose(array, getattr(alone, name), atol=1e-6, rtol=1e-5)


def test_a_lone_caller_gets_the_passes_it_asks_for_bit_for_bit(engine, watched, encode, images):
    from dermsim.models.encode import encode as alone

    shared = encode(images, batch_size=5)
    assert watched.sizes == [5, 5, 5, 5, 5, 3]
    expected = alone(engine.model, engine.processor, images, batch_size=5)
    for name in FIELDS:
        assert np.array_equal(getattr(shared, name), getattr(expected, name))


def test_every_verb_of_the_engine_shares(engine, images):
    own = copy.copy(engine)
    watched = Watched(engine.model)
    own._encode = SharedEncoder(watched, engine.processor)
    verbs = [
        lambda image: own.predict(image)[0].probabilities,
        lambda image: own.embed(image)[0].tolist(),
        lambda image: [case.image_id for case in own.search(image, 3)[0]],
        lambda image: own.analyze(image, explain=None).prediction.probabilities,
    ]
    work = list(zip(images, verbs * 7, strict=True))
    with ThreadPoolExecutor(len(images)) as pool:
        found = meanwhile(watched, own._encode, work, pool, lambda pair: pair[1](pair[0]))
    assert watched.sizes == [1, len(images) - 1]
    for (image, verb), answer in zip(work, found, strict=True):
        expected = verb(image)
        if isinstance(answer, dict):
            assert answer == pytest.approx(expected, abs=1e-5)
        elif isinstance(answer[0], float):
            np.testing.assert_allclose(answer, expected, atol=1e-6)
        else:
            assert answer == expected


def test_facts_are_told_of_their_own_image_only(informed_engine, images):
    from dermsim.data.facts import Facts

    known = [Facts(70, "male", "face"), None, Facts(age=20), Facts(sex="female")] * 7
    watched = Watched(informed_engine.model)
    encode = SharedEncoder(watched, informed_engine.processor)
    work = list(zip(images, known, strict=True))

    def ask(pair):
        image, facts = pair
        return encode([image], facts=None if facts is None else [facts]).informed_logits

    with ThreadPoolExecutor(len(images)) as pool:
        found = meanwhile(watched, encode, work, pool, ask)
    assert sorted(watched.sizes) == [1, 27]  # a pass is of pictures, whoever they are of
    for pair, logits in zip(work, found, strict=True):
        np.testing.assert_allclose(logits, ask(pair), atol=1e-5)


def test_a_bad_picture_is_refused_to_its_owner_before_any_pass(watched, encode, images):
    asked = [images[0], b"no picture", images[1], images[2]]

    def ask(image):
        try:
            return encode([image])
        except ValueError as error:
            return str(error)

    with ThreadPoolExecutor(len(asked)) as pool:
        found = meanwhile(watched, encode, [asked[0]], pool, ask)
        found += [pool.submit(ask, image).result(PATIENCE) for image in asked[1:]]
    assert "is not an image" in found[1]
    assert [len(answer.embeddings) for answer in (found[0], *found[2:])] == [1, 1, 1]
    assert sum(watched.sizes) == 3


def test_beyond_what_may_wait_there_is_a_sentence_at_once(watched, encode, images):
    watched.open.clear()
    many = images[:8] * (WAITING // 8)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(encode, images[:1])
        assert watched.entered.acquire(timeout=PATIENCE)
        rest = pool.submit(encode, many, batch_size=WAITING)
        while encode.passes.queued < WAITING:
            threading.Event().wait(0.001)
        with refuses("shared_runs.overloaded", Overloaded, queued=256):
            encode(images[:1])
        with pytest.raises(TimeoutError), patience(0.01):
            encode.passes.waiting += 1
            encode(images[:1])
        watched.open.set()
        assert len(first.result(PATIENCE).embeddings) == 1
        assert len(rest.result(PATIENCE).embeddings) == WAITING


def test_an_engine_that_is_dropped_is_collected_and_leaves_no_thread(checkpoint, images):
    before = threading.active_count()
    engine = DermSim.from_pretrained(checkpoint)
    engine.predict(images[0])
    twin = copy.deepcopy(engine)
    assert np.array_equal(twin.embed(images[0]), engine.embed(images[0]))
    assert twin._encode.passes is not engine._encode.passes
    references = [weakref.ref(engine), weakref.ref(engine.model), weakref.ref(twin._encode.passes)]
    del engine, twin
    gc.collect()
    assert [reference() for reference in references] == [None, None, None]
    assert threading.active_count() == before
