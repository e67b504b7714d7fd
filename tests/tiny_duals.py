"""Tiny text-image encoders with random weights, written as their makers write them.

Head counts differ between halves and are above one everywhere, so that a mistake with heads shows.
"""

import functools
import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

SENTENCES = [
    "a dermatoscopic photograph of melanoma",
    "dermoscopy of melanocytic nevus, mole, benign nevus",
    "a dermoscopic image that shows basal cell carcinoma or basalioma",
    "a close-up photograph of skin with actinic keratosis, intraepithelial carcinoma",
    "Bowen disease",
    "a skin lesion: seborrheic keratosis solar lentigo lichen planus-like benign keratosis",
    "dermatofibroma fibrous histiocytoma seen under a dermatoscope",
    "vascular lesion hemangioma angioma on the skin the diagnosis is malignant melanoma",
]

VISION = {
    **{"hidden_size": 48, "intermediate_size": 100, "num_hidden_layers": 3},
    **{"num_attention_heads": 6, "image_size": 32, "patch_size": 8},
}
TEXT = {
    **{"hidden_size": 32, "intermediate_size": 72, "num_hidden_layers": 2},
    **{"num_attention_heads": 4},
}
CLIP_WORDS, SIGLIP_WORDS, BERT_WORDS = 600, 200, 200
DIM = 24


def _drawn_once(make):
    """Train a tokenizer once: ties are broken by chance, so that another is another."""
    text = functools.cache(lambda: make().to_str())
    return lambda: Tokenizer.from_str(text())


def shake(module, seed=0):
    """Give every tensor of a module random numbers: what is 0 or 1 at first hides mistakes."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, value in sorted(module.state_dict().items()):
            if value.is_floating_point():
                shift = 1.0 if value.ndim == 1 and name.endswith("weight") else 0.0
                noise = torch.randn(value.shape, generator=generator) * 0.15
                value.copy_(noise + shift)
    return module.eval()


@_drawn_once
def clip_tokenizer() -> Tokenizer:
    """Byte pairs as CLIP's, of a few sentences; each byte is a token, at the end of a word, too."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    made = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    made.normalizer = normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=CLIP_WORDS,
        end_of_word_suffix="</w>",
        initial_alphabet=letters,
        show_progress=False,
    )
    made.train_from_iterator(SENTENCES, trainer)
    values = json.loads(made.to_str())
    words = values["model"]["vocab"]
    for word in [f"{letter}</w>" for letter in letters]:
        words.setdefault(word, len(words))
    # as in the real one they come last, so that the end of a text has the highest number
    for word in ("<|startoftext|>", "<|endoftext|>"):
        words[word] = len(words)
    values["model"]["unk_token"] = "<|endoftext|>"
    return Tokenizer.from_str(json.dumps(values))


@_drawn_once
def siglip_tokenizer() -> Tokenizer:
    """Pieces as SentencePiece makes them."""
    made = Tokenizer(models.Unigram())
    made.pre_tokenizer = pre_tokenizers.Metaspace()
    trainer = trainers.UnigramTrainer(
        vocab_size=SIGLIP_WORDS - 2,
        special_tokens=["<unk>", "</s>"],
        unk_token="<unk>",
        show_progress=False,
    )
    made.train_from_iterator([s.lower().replace(":", "") for s in SENTENCES], trainer)
    return made


@_drawn_once
def bert_tokenizer() -> Tokenizer:
    """Word pieces as BERT's."""
    made = Tokenizer(models.WordPiece(unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.WordPieceTrainer(
        vocab_size=BERT_WORDS - 2,
        special_tokens=["[PAD]", "[UNK]", "[CLS]", "[SEP]"],
        show_progress=False,
    )
    made.train_from_iterator(SENTENCES, trainer)
    return made


def card(folder: Path, licence: str | None) -> None:
    if licence is not None:
        (folder / "README.md").write_text(f"---\nlicense: {licence}\n---\n\nTiny.\n")


def write_json(path: Path, values) -> None:
    path.write_text(json.dumps(values))


CUT = {
    **{"do_resize": True, "size": {"shortest_edge": 32}, "do_center_crop": True},
    **{"crop_size": {"height": 32, "width": 32}, "resample": 3},
    **{"image_mean": [0.48, 0.46, 0.41], "image_std": [0.27, 0.26, 0.28]},
}
SQUASHED = {
    **{"do_resize": True, "size": {"height": 32, "width": 32}, "resample": 3},
    **{"image_mean": [0.5, 0.5, 0.5], "image_std": [0.5, 0.5, 0.5]},
}


def hf_clip(folder: Path, *, act="quick_gelu", eos=2, licence="mit", seed=0, **vision):
    """Write a CLIP of transformers and return it."""
    from transformers import CLIPConfig, CLIPModel

    tokenizer = clip_tokenizer()
    end = tokenizer.token_to_id("<|endoftext|>")
    text = {
        **TEXT,
        "vocab_size": tokenizer.get_vocab_size(),
        "max_position_embeddings": 20,
        "hidden_act": act,
    }
    text |= {"projection_dim": DIM, "eos_token_id": eos, "bos_token_id": end - 1}
    text |= {"pad_token_id": end}
    own = {**VISION, "hidden_act": act, "projection_dim": DIM, **vision}
    config = CLIPConfig(text_config=text, vision_config=own, projection_dim=DIM)
    model = shake(CLIPModel(config), seed)
    with torch.no_grad():
        model.logit_scale.fill_(3.5)
    model.save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", CUT)
    tokenizer.save(str(folder / "tokenizer.json"))
    card(folder, licence)
    return model


def hf_siglip(folder: Path, *, licence="apache-2.0", act="gelu_pytorch_tanh"):
    """Write a SigLIP of transformers and return it."""
    from transformers import SiglipConfig, SiglipModel

    text = {**TEXT, "vocab_size": SIGLIP_WORDS, "max_position_embeddings": 64}
    text |= {"projection_size": VISION["hidden_size"], "hidden_act": act}
    text |= {"bos_token_id": None, "eos_token_id": 1, "pad_token_id": 1}
    config = SiglipConfig(text_config=text, vision_config={**VISION, "hidden_act": act})
    model = shake(SiglipModel(config))
    with torch.no_grad():
        model.logit_scale.fill_(2.0)
        model.logit_bias.fill_(-7.0)
    model.save_pretrained(folder)
    write_json(folder / "preprocessor_config.json", SQUASHED)
    siglip_tokenizer().save(str(folder / "tokenizer.json"))
    card(folder, licence)
    return model


def open_clip_folder(folder: Path, model_cfg, state, *, tokenizer=None, licence="mit", **options):
    """Write what open_clip writes of a model: a configuration and one file."""
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    pictures = {"mean": [0.48, 0.46, 0.41], "std": [0.27, 0.26, 0.28], "size": 32}
    pictures |= {"interpolation": "bicubic", "resize_mode": options.get("resize_mode", "shortest")}
    pictures["size"] = options.get("size", 32)
    write_json(
        folder / "open_clip_config.json", {"model_cfg": model_cfg, "preprocess_cfg": pictures}
    )
    state = {name: value.clone().contiguous() for name, value in state.items()}
    if options.get("pickled"):
        torch.save(state, folder / "open_clip_pytorch_model.bin")
    else:
        save_file(state, folder / "open_clip_model.safetensors")
    if tokenizer is not None:
        tokenizer.save(str(folder / "tokenizer.json"))
    card(folder, licence)
    return folder


OPEN_CLIP_CFG = {
    "embed_dim": DIM,
    "vision_cfg": {
        **{"image_size": 32, "layers": 3, "width": 48, "head_width": 8, "patch_size": 8},
    },
    "text_cfg": {
        **{"context_length": 48, "width": 32, "heads": 4, "layers": 2},
    },
}


def open_clip_names(model) -> dict[str, torch.Tensor]:
    """Spell the weights of transformers' CLIP as open_clip does: the same network."""
    own = model.state_dict()
    found = {
        "logit_scale": own["logit_scale"],
        "text_projection": own["text_projection.weight"].T,
        "token_embedding.weight": own["text_model.embeddings.token_embedding.weight"],
        "positional_embedding": own["text_model.embeddings.position_embedding.weight"],
        "visual.proj": own["visual_projection.weight"].T,
        "visual.class_embedding": own["vision_model.embeddings.class_embedding"],
        "visual.positional_embedding": own["vision_model.embeddings.position_embedding.weight"],
        "visual.conv1.weight": own["vision_model.embeddings.patch_embedding.weight"],
    }
    for ours, theirs in (
        ("visual.ln_pre", "vision_model.pre_layrnorm"),
        ("visual.ln_post", "vision_model.post_layernorm"),
        ("ln_final", "text_model.final_layer_norm"),
    ):
        found |= {f"{ours}.{part}": own[f"{theirs}.{part}"] for part in ("weight", "bias")}
    for half, prefix in (("vision_model", "visual."), ("text_model", "")):
        for number in range(len(getattr(model, half).encoder.layers)):
            theirs = f"{half}.encoder.layers.{number}."
            ours = f"{prefix}transformer.resblocks.{number}."
            for part in ("weight", "bias"):
                three = [own[f"{theirs}self_attn.{n}_proj.{part}"] for n in "qkv"]
                found[f"{ours}attn.in_proj_{part}"] = torch.cat(three)
                for a, b in (
                    *(("ln_1", "layer_norm1"), ("ln_2", "layer_norm2")),
                    *(("attn.out_proj", "self_attn.out_proj"), ("mlp.c_fc", "mlp.fc1")),
                    ("mlp.c_proj", "mlp.fc2"),
                ):
                    found[f"{ours}{a}.{part}"] = own[f"{theirs}{b}.{part}"]
    return found


BERT = {
    **{"vocab_size": BERT_WORDS, "hidden_size": 40, "num_hidden_layers": 2},
    **{"num_attention_heads": 5, "intermediate_size": 90, "max_position_embeddings": 64},
}


def bert_repository(folder: Path) -> Path:
    """Write what the second repository of a BERT holds: a configuration and a vocabulary."""
    folder.mkdir(parents=True)
    write_json(folder / "config.json", {**BERT, "model_type": "bert", "hidden_act": "gelu"})
    words = bert_tokenizer().get_vocab()
    lines = [""] * BERT_WORDS
    for word, place in words.items():
        lines[place] = word
    (folder / "vocab.txt").write_text("\n".join(line or "[unused]" for line in lines))
    write_json(folder / "tokenizer_config.json", {"do_lower_case": True})
    return folder


def bert_cfg(name, *, pooler="cls_last_hidden_state_pooler", projection="mlp"):
    """The configuration of a model like BiomedCLIP."""
    return {
        "embed_dim": DIM,
        "vision_cfg": {
            **{"timm_model_name": "test_vit", "timm_model_pretrained": False, "timm_pool": ""},
            **{"timm_proj": "linear", "image_size": 160},
        },
        "text_cfg": {
            **{"hf_model_name": str(name), "hf_tokenizer_name": str(name)},
            **{"hf_proj_type": projection, "hf_pooler_type": pooler, "context_length": 64},
        },
    }


def bert_parts(*, projection="mlp", seed=1):
    """A vision tower of timm and a BERT with random weights, and open_clip's names of them."""
    import timm
    from transformers import BertConfig, BertModel

    trunk = shake(timm.create_model("test_vit", num_classes=0), seed)
    body = shake(BertModel(BertConfig(**BERT), add_pooling_layer=False), seed)
    hidden = (BERT["hidden_size"] + DIM) // 2
    if projection == "mlp":
        head = torch.nn.Sequential(
            torch.nn.Linear(BERT["hidden_size"], hidden, bias=False),
            torch.nn.GELU(),
            torch.nn.Linear(hidden, DIM, bias=False),
        )
    else:
        head = torch.nn.Linear(BERT["hidden_size"], DIM, bias=False)
    shake(head, seed)
    image = shake(torch.nn.Linear(trunk.num_features, DIM, bias=False), seed)
    state = {f"visual.trunk.{name}": value for name, value in trunk.state_dict().items()}
    state |= {f"text.transformer.{name}": value for name, value in body.state_dict().items()}
    state |= {f"text.proj.{name}": value for name, value in head.state_dict().items()}
    state["visual.head.proj.weight"] = image.weight
    state["logit_scale"] = torch.tensor(3.0)
    return trunk, image, body, head, {name: value.detach() for name, value in state.items()}


class Cae(torch.nn.Module):
    """PanDerm's tower written out: biases of q and v alone, layer scale, two norms, patch mean."""

    def __init__(self, *, width=48, heads=6, depth=2, patch=8, grid=4, dim=DIM):
        super().__init__()
        nn = torch.nn
        self.cls_token = nn.Parameter(torch.zeros(1, 1, width))
        self.pos_embed = nn.Parameter(torch.zeros(1, grid * grid + 1, width))
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, width, patch, patch)
        self.blocks = nn.ModuleList(self._block(width) for _ in range(depth))
        self.norm = nn.LayerNorm(width, eps=1e-6)
        self.head = nn.Linear(width, dim)
        self.heads = heads

    @staticmethod
    def _block(width):
        nn = torch.nn
        block = nn.Module()
        block.norm1, block.norm2 = nn.LayerNorm(width, eps=1e-6), nn.LayerNorm(width, eps=1e-6)
        block.attn = nn.Module()
        block.attn.qkv = nn.Linear(width, 3 * width, bias=False)
        block.attn.q_bias = nn.Parameter(torch.zeros(width))
        block.attn.v_bias = nn.Parameter(torch.zeros(width))
        block.attn.proj = nn.Linear(width, width)
        block.mlp = nn.Module()
        block.mlp.fc1, block.mlp.fc2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        block.gamma_1 = nn.Parameter(torch.zeros(width))
        block.gamma_2 = nn.Parameter(torch.zeros(width))
        return block

    def forward(self, pixels, *, norms=2):
        patches = self.patch_embed.proj(pixels).flatten(2).transpose(1, 2)
        x = torch.cat([self.cls_token.expand(len(pixels), -1, -1), patches], dim=1)
        x = x + self.pos_embed
        for block in self.blocks:
            x = x + block.gamma_1 * self._attend(block.attn, block.norm1(x))
            inner = torch.nn.functional.gelu(block.mlp.fc1(block.norm2(x)))
            x = x + block.gamma_2 * block.mlp.fc2(inner)
        if norms == 2:
            x = self.norm(x)
        return self.head(self.norm(x[:, 1:].mean(dim=1)))

    def _attend(self, attn, x):
        width = x.shape[-1]
        bias = torch.cat([attn.q_bias, torch.zeros(width), attn.v_bias])
        q, k, v = (x @ attn.qkv.weight.T + bias).chunk(3, dim=-1)
        q, k, v = (part.unflatten(-1, (self.heads, -1)).transpose(1, 2) for part in (q, k, v))
        weights = (q @ k.transpose(-1, -2) * q.shape[-1] ** -0.5).softmax(dim=-1)
        return attn.proj((weights @ v).transpose(1, 2).flatten(2))
