"""A converted tower gives what its maker's own code gives; each trap gives something else."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from PIL import Image
from refusals import refuses
from tiny_duals import (
    DIM,
    OPEN_CLIP_CFG,
    Cae,
    bert_cfg,
    bert_parts,
    bert_repository,
    clip_tokenizer,
    hf_clip,
    hf_siglip,
    open_clip_folder,
    open_clip_names,
    shake,
    siglip_tokenizer,
    write_json,
)

from dermsim.models.conversion import convert
from dermsim.models.encoder import load_encoder
from dermsim.models.text import TextTower

TEXTS = ["Dermoscopy of: melanoma", "a mole", "angioma on the skin and a vascular lesion, Bowen"]


def unit(rows):
    return torch.nn.functional.normalize(rows, dim=-1).detach().numpy()


@pytest.fixture
def pixels():
    return torch.randn(3, 3, 32, 32, generator=torch.Generator().manual_seed(4))


def close(ours, theirs, tolerance=1e-5):
    np.testing.assert_allclose(np.asarray(ours), np.asarray(theirs), atol=tolerance, rtol=0)


def embedded(folder, pixels):
    model, _ = load_encoder(folder)
    with torch.inference_mode():
        return model(pixels)


def attentions(folder, pixels):
    model, _ = load_encoder(folder)
    with torch.inference_mode():
        return model(pixels, output_attentions=True).attentions


# --- transformers --------------------------------------------------------------------------------


@pytest.mark.parametrize("act", ["quick_gelu", "gelu"])
def test_clip_of_transformers(tmp_path, pixels, act):
    theirs = hf_clip(tmp_path / "source", act=act)
    theirs.set_attn_implementation("eager")
    convert(str(tmp_path / "source"), tmp_path / "out")
    ours = embedded(tmp_path / "out", pixels)
    with torch.inference_mode():
        vision = theirs.vision_model(pixels, output_attentions=True)
        close(ours.pooled_features, vision.pooler_output)
        close(ours.embeddings, unit(theirs.visual_projection(vision.pooler_output)))
        for mine, other in zip(
            attentions(tmp_path / "out", pixels), vision.attentions, strict=True
        ):
            assert mine.shape[1] == 6
            close(mine, other)
    tower = TextTower.load(tmp_path / "out" / "text")
    ids = [tower.read(text).ids for text in TEXTS]
    for row, found in zip(ids, tower.embed(TEXTS), strict=True):
        with torch.inference_mode():
            output = theirs.get_text_features(input_ids=torch.tensor([row])).pooler_output
        close(found, unit(output)[0])


def test_the_activation_is_read_from_the_file(tmp_path, pixels):
    """The same weights with the other activation are another encoder, for both halves."""
    found = {}
    for act in ("quick_gelu", "gelu"):
        hf_clip(tmp_path / act, act=act)
        convert(str(tmp_path / act), tmp_path / f"{act}-out")
        text = TextTower.load(tmp_path / f"{act}-out" / "text").embed(TEXTS)
        found[act] = embedded(tmp_path / f"{act}-out", pixels).embeddings, text
    for quick, plain in zip(*found.values(), strict=True):
        assert np.abs(np.asarray(quick) - np.asarray(plain)).max() > 1e-3


def test_the_end_of_a_text_is_where_it_is_pooled(tmp_path):
    """With the old ``eos_token_id`` of 2, the first match of that number would be no end at all."""
    theirs = hf_clip(tmp_path / "source", eos=2)
    convert(str(tmp_path / "source"), tmp_path / "out")
    tower = TextTower.load(tmp_path / "out" / "text")
    row = tower.read(TEXTS[0]).ids
    hidden = theirs.text_model(input_ids=torch.tensor([row])).last_hidden_state
    by_place = [unit(theirs.text_projection(hidden[:, place]))[0] for place in range(len(row))]
    (found,) = tower.embed(TEXTS[:1])
    gaps = [np.abs(found - other).max() for other in by_place]
    assert gaps[-1] < 1e-5 and min(gaps[:-1]) > 1e-3
    # beside a longer text it is filled up, and is pooled at its own end all the same
    close(tower.embed([TEXTS[0], " ".join(TEXTS)])[0], found, 1e-6)


def test_position_ids_are_dropped_by_name_and_nothing_else(tmp_path):
    from safetensors.torch import load_file, save_file

    hf_clip(tmp_path / "source")
    path = tmp_path / "source" / "model.safetensors"
    name = "text_model.embeddings.position_ids"
    save_file({**load_file(path), name: torch.arange(20)[None]}, path)
    converted = convert(str(tmp_path / "source"), tmp_path / "out")
    assert converted.dropped == (name,)
    assert json.loads((tmp_path / "out" / "SOURCE.json").read_text())["dropped"] == [name]
    save_file({**load_file(path), "text_model.more_ids": torch.arange(20)[None]}, path)
    with refuses("conversion.left", name="text_model.more_ids", count=1):
        convert(str(tmp_path / "source"), tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_siglip_of_transformers(tmp_path, pixels):
    theirs = hf_siglip(tmp_path / "source")
    converted = convert(str(tmp_path / "source"), tmp_path / "out")
    ours = embedded(tmp_path / "out", pixels)
    with torch.inference_mode():
        close(ours.embeddings, unit(theirs.get_image_features(pixels).pooler_output))
        tower = TextTower.load(tmp_path / "out" / "text")
        ids = torch.full((len(TEXTS), 64), 1)
        for place, text in enumerate(TEXTS):
            row = tower.read(text).ids
            ids[place, : len(row)] = torch.tensor(row)
        close(tower.embed(TEXTS), unit(theirs.get_text_features(input_ids=ids).pooler_output))
        names = torch.from_numpy(converted.prompts.directions.prototypes)
        close(ours.logits, np.exp(2.0) * ours.embeddings @ names.T - 7.0, 1e-4)


def test_siglip_reads_small_letters_and_all_64_tokens(tmp_path):
    theirs = hf_siglip(tmp_path / "source")
    convert(str(tmp_path / "source"), tmp_path / "out")
    tower = TextTower.load(tmp_path / "out" / "text")
    one, other = tower.embed(["Dermoscopy, of MELANOMA.", "dermoscopy of melanoma"])
    close(one, other, 1e-7)
    row = tower.read("dermoscopy of melanoma").ids
    assert len(row) < 64
    short = theirs.get_text_features(input_ids=torch.tensor([row])).pooler_output
    assert np.abs(unit(short)[0] - other).max() > 1e-3, "a text that is not filled up is another"


def test_siglip_sees_the_whole_frame_squashed(tmp_path):
    from transformers import SiglipImageProcessor

    hf_siglip(tmp_path / "source")
    convert(str(tmp_path / "source"), tmp_path / "out")
    _, preparation = load_encoder(tmp_path / "out")
    noise = np.random.default_rng(0).integers(0, 255, (60, 120, 3), dtype=np.uint8)
    picture = Image.fromarray(noise)
    found = preparation(picture, return_tensors="np").pixel_values
    theirs = SiglipImageProcessor.from_pretrained(tmp_path / "source")
    expected = theirs(picture, return_tensors="np").pixel_values
    # theirs may resize with torchvision, which rounds some pixels to the next level of 255
    assert np.abs(found - expected).max() < 2.5 * 2 / 255
    same = preparation.to_processor()(picture, return_tensors="np").pixel_values
    np.testing.assert_array_equal(found, same)
    cut = picture.crop((30, 0, 90, 60))
    assert np.abs(found - preparation(cut, return_tensors="np").pixel_values).max() > 0.5


# --- open_clip -----------------------------------------------------------------------------------


@pytest.mark.parametrize("pickled", [False, True])
@pytest.mark.parametrize("quick", [False, True])
def test_open_clip_s_spelling_of_the_same_network(tmp_path, pixels, quick, pickled):
    theirs = hf_clip(tmp_path / "hf", act="quick_gelu" if quick else "gelu")
    open_clip_folder(
        tmp_path / "source",
        {**OPEN_CLIP_CFG, "quick_gelu": quick},
        open_clip_names(theirs),
        tokenizer=clip_tokenizer(),
        pickled=pickled,
    )
    convert(str(tmp_path / "source"), tmp_path / "out")
    convert(str(tmp_path / "hf"), tmp_path / "same")
    one, other = (embedded(tmp_path / name, pixels) for name in ("out", "same"))
    close(one.embeddings, other.embeddings, 1e-6)
    close(one.logits, other.logits, 1e-4)


def test_quick_gelu_is_yes_or_no(tmp_path):
    theirs = hf_clip(tmp_path / "hf")
    for value in ("yes", None, 1):
        open_clip_folder(
            tmp_path / "source",
            {**OPEN_CLIP_CFG, "quick_gelu": value},
            open_clip_names(theirs),
            tokenizer=clip_tokenizer(),
        )
        with refuses("conversion.quick_gelu", value=value):
            convert(str(tmp_path / "source"), tmp_path / "out")


def test_two_configurations_must_name_one_activation(tmp_path):
    theirs = hf_clip(tmp_path / "source", act="quick_gelu")
    cfg = {**OPEN_CLIP_CFG, "quick_gelu": False}
    open_clip_folder(tmp_path / "source", cfg, open_clip_names(theirs))
    with refuses("conversion.two_activations", quick_gelu=False, hidden_act="quick_gelu"):
        convert(str(tmp_path / "source"), tmp_path / "out")
    open_clip_folder(tmp_path / "source", {**cfg, "quick_gelu": True}, open_clip_names(theirs))
    convert(str(tmp_path / "source"), tmp_path / "out")


def test_a_folder_that_is_there_is_left_alone(tmp_path):
    (tmp_path / "out").mkdir()
    with refuses("conversion.exists", FileExistsError):
        convert(str(tmp_path), tmp_path / "out")


def test_what_is_no_text_image_encoder(tmp_path):
    (tmp_path / "source").mkdir()
    with refuses("conversion.no_layout"):
        convert(str(tmp_path / "source"), tmp_path / "out")
    write_json(tmp_path / "source" / "config.json", {"model_type": "resnet"})
    write_json(tmp_path / "source" / "preprocessor_config.json", {})
    with refuses("conversion.no_weights", FileNotFoundError):
        convert(str(tmp_path / "source"), tmp_path / "out")


def test_dim(tmp_path, pixels):
    hf_clip(tmp_path / "source")
    convert(str(tmp_path / "source"), tmp_path / "out")
    assert embedded(tmp_path / "out", pixels).embeddings.shape == (3, DIM)


# --- a text encoder of transformers', its vocabulary in a second repository ----------------------


def pooled(body, tower, texts, pooler):
    rows = []
    for text in texts:
        ids = torch.tensor([tower.read(text).ids])
        hidden = body(input_ids=ids).last_hidden_state
        rows.append(hidden[:, 0] if pooler.startswith("cls") else hidden.mean(dim=1))
    return torch.cat(rows)


@pytest.mark.parametrize("pooler", ["cls_last_hidden_state_pooler", "mean_pooler"])
@pytest.mark.parametrize("projection", ["mlp", "linear"])
def test_a_bert_beside_a_tower_of_timm_s(tmp_path, pooler, projection):
    second = bert_repository(tmp_path / "second")
    trunk, image, body, head, state = bert_parts(projection=projection)
    state["text.transformer.embeddings.position_ids"] = torch.arange(64)[None]
    cfg = bert_cfg(second, pooler=pooler, projection=projection)
    open_clip_folder(tmp_path / "source", cfg, state, pickled=True, size=160)
    converted = convert(str(tmp_path / "source"), tmp_path / "out")
    assert converted.dropped == ("text.transformer.embeddings.position_ids",)
    assert converted.words.name == "second" and "vocab.txt" in converted.words.sha256
    pixels = torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        close(embedded(tmp_path / "out", pixels).embeddings, unit(image(trunk(pixels))))
        tower = TextTower.load(tmp_path / "out" / "text")
        # of several lengths at once: what fills up is neither attended to nor averaged
        close(tower.embed(TEXTS), unit(head(pooled(body, tower, TEXTS, pooler))))
    first, last = tower.read(TEXTS[0]).ids[0], tower.read(TEXTS[0]).ids[-1]
    known = tower.tokenizer
    assert (first, last) == (known.token_to_id("[CLS]"), known.token_to_id("[SEP]"))


def test_a_pooling_that_no_class_here_has(tmp_path):
    second = bert_repository(tmp_path / "second")
    *_, state = bert_parts()
    cfg = bert_cfg(second, pooler="cls_pooler")
    open_clip_folder(tmp_path / "source", cfg, state, size=160)
    with refuses("conversion.text_head", pooler="cls_pooler"):
        convert(str(tmp_path / "source"), tmp_path / "out")


def test_without_the_second_repository_it_is_asked_for(tmp_path):
    *_, state = bert_parts()
    open_clip_folder(tmp_path / "source", bert_cfg(tmp_path / "gone"), state, size=160)
    with refuses("downloads.no_hub_name", FileNotFoundError, name=tmp_path / "gone"):
        convert(str(tmp_path / "source"), tmp_path / "out")
    second = bert_repository(tmp_path / "second")
    convert(str(tmp_path / "source"), tmp_path / "out", tokenizer=str(second))


# --- PanDerm -------------------------------------------------------------------------------------


def cae_folder(tmp_path):
    second = bert_repository(tmp_path / "second")
    *_, state = bert_parts()
    tower = shake(Cae())
    state = {name: value for name, value in state.items() if not name.startswith("visual.")}
    state |= {f"visual.{name}": value for name, value in tower.state_dict().items()}
    cfg = bert_cfg(second, pooler="mean_pooler")
    cfg["vision_cfg"] = {"image_size": 32, "head_width": 8}
    open_clip_folder(tmp_path / "source", cfg, state, licence="cc-by-nc-nd-4.0")
    return tower


def test_the_tower_of_panderm_normalises_twice(tmp_path, pixels):
    tower = cae_folder(tmp_path)
    convert(str(tmp_path / "source"), tmp_path / "out")
    ours = embedded(tmp_path / "out", pixels).embeddings
    with torch.inference_mode():
        close(ours, unit(tower(pixels)))
        assert np.abs(ours.numpy() - unit(tower(pixels, norms=1))).max() > 1e-3


# --- open_clip's own code, where it is installed -------------------------------------------------


def test_open_clip_itself_clip(tmp_path, pixels):
    open_clip = pytest.importorskip("open_clip", reason="open_clip_torch is a reference only")
    cfg = {**OPEN_CLIP_CFG, "quick_gelu": True}
    words = clip_tokenizer()
    cfg["text_cfg"] = {**cfg["text_cfg"], "vocab_size": words.get_vocab_size()}
    theirs = shake(open_clip.CLIP(**cfg))
    open_clip_folder(tmp_path / "source", cfg, theirs.state_dict(), tokenizer=words)
    convert(str(tmp_path / "source"), tmp_path / "out")
    tower = TextTower.load(tmp_path / "out" / "text")
    ids = torch.zeros(len(TEXTS), 48, dtype=torch.long)
    for place, text in enumerate(TEXTS):
        row = tower.read(text).ids
        ids[place, : len(row)] = torch.tensor(row)
    with torch.inference_mode():
        close(embedded(tmp_path / "out", pixels).embeddings, unit(theirs.encode_image(pixels)))
        close(tower.embed(TEXTS), unit(theirs.encode_text(ids)))


def test_open_clip_itself_siglip(tmp_path):
    open_clip = pytest.importorskip("open_clip", reason="open_clip_torch is a reference only")
    cfg = {
        "embed_dim": 64,
        "init_logit_bias": -10,
        "vision_cfg": {
            **{"timm_model_name": "test_vit", "timm_model_pretrained": False},
            **{"timm_pool": "map", "timm_proj": "none", "image_size": 160},
        },
        "text_cfg": {
            **{"context_length": 64, "vocab_size": 200, "width": 32, "heads": 4, "layers": 2},
            **{"no_causal_mask": True, "proj_bias": True, "pool_type": "last"},
            "norm_kwargs": {"eps": 1e-6},
        },
    }
    theirs = shake(open_clip.CustomTextCLIP(**cfg))
    options = {"resize_mode": "squash", "size": 160}
    words = siglip_tokenizer()
    open_clip_folder(tmp_path / "source", cfg, theirs.state_dict(), tokenizer=words, **options)
    convert(str(tmp_path / "source"), tmp_path / "out")
    model, preparation = load_encoder(tmp_path / "out")
    assert preparation.size == {"height": 160, "width": 160}
    tower = TextTower.load(tmp_path / "out" / "text")
    ids = torch.full((len(TEXTS), 64), 1)
    for place, text in enumerate(TEXTS):
        row = tower.read(text).ids
        ids[place, : len(row)] = torch.tensor(row)
    pixels = torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        close(model(pixels).embeddings, unit(theirs.encode_image(pixels)))
        close(tower.embed(TEXTS), unit(theirs.encode_text(ids)))


def test_open_clip_itself_with_a_bert(tmp_path):
    open_clip = pytest.importorskip("open_clip", reason="open_clip_torch is a reference only")
    second = bert_repository(tmp_path / "second")
    cfg = bert_cfg(second)
    cfg["text_cfg"]["hf_model_pretrained"] = False
    theirs = shake(open_clip.CustomTextCLIP(**cfg))
    open_clip_folder(tmp_path / "source", cfg, theirs.state_dict(), size=160)
    convert(str(tmp_path / "source"), tmp_path / "out")
    tower = TextTower.load(tmp_path / "out" / "text")
    ids = torch.zeros(len(TEXTS), 64, dtype=torch.long)
    for place, text in enumerate(TEXTS):
        row = tower.read(text).ids
        ids[place, : len(row)] = torch.tensor(row)
    pixels = torch.randn(2, 3, 160, 160, generator=torch.Generator().manual_seed(4))
    with torch.inference_mode():
        close(embedded(tmp_path / "out", pixels).embeddings, unit(theirs.encode_image(pixels)))
        close(tower.embed(TEXTS), unit(theirs.encode_text(ids)))


def test_the_tokens_of_open_clip_s_real_vocabulary(tmp_path):
    """The tokens of known sentences, and the end of a text last even where it is cut."""
    open_clip = pytest.importorskip("open_clip", reason="open_clip_torch is a reference only")
    from transformers import CLIPTokenizer

    simple = open_clip.SimpleTokenizer()
    pairs = list(simple.bpe_ranks)
    own = CLIPTokenizer(vocab=dict(simple.encoder), merges=[tuple(pair) for pair in pairs])
    hf_clip(tmp_path / "source")
    convert(str(tmp_path / "source"), tmp_path / "out")
    tower = TextTower.load(tmp_path / "out" / "text")
    settings = dataclasses.replace(tower.settings, start=49406, end=49407, context=77)
    real = object.__new__(TextTower)
    torch.nn.Module.__init__(real)
    real.settings, real.tokenizer = settings, own.backend_tokenizer
    assert real.read("a photo of a cat").ids == (49406, 320, 1125, 539, 320, 2368, 49407)
    long = "melanoma with a blue-white veil " * 40
    ids = real.read(long).ids
    expected = simple([long])[0].tolist()
    assert list(ids) == expected and len(ids) == 77 and ids[-1] == 49407
    assert real.read(long).lost
