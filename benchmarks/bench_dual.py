"""What the text half of a text-image encoder costs who asks about pictures alone: it should be 0.

A CLIP with random weights and the shape of ViT-B/32 is converted and fitted to drawn lesions. Its
checkpoint is loaded with and without its text encoder, each in a fresh process and in turns, and
one picture is classified. Then texts are searched for among 10,000 made-up cases, over searching
for a picture, the vectors of both given; and the first prompt is timed over loading the text
encoder alone. Seconds are of the processor, so that others who use it do not count.

    python benchmarks/bench_dual.py [--repetitions 7]
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")  # before torch is imported
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import numpy as np
import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers

from dermsim import DermSim
from dermsim.data.splits import grouped_splits
from dermsim.data.synthetic import draw_lesion, synthetic_ham10000
from dermsim.models.conversion import convert
from dermsim.models.text import TextTower
from dermsim.tasks.prompt import own_wording
from dermsim.tasks.retrieve import Gallery
from dermsim.training.converted import fit_converted

CASES = 10_000
CHILD = """
import json, resource, sys, time
from PIL import Image
from dermsim import DermSim
started = time.process_time()
engine = DermSim.from_pretrained(sys.argv[1])
engine.predict(Image.open(sys.argv[2]))
done = time.process_time()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
print(json.dumps({"seconds": done - started, "peak": peak}))
"""


def main() -> None:
    """Print the ratios as a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--repetitions", type=int, default=7, help="of each side")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        whole = make_checkpoint(Path(scratch))
        pictures = shutil.copytree(whole, Path(scratch) / "pictures")
        shutil.rmtree(pictures / "text")
        draw_lesion("mel", seed=1).save(Path(scratch) / "lesion.png")
        print("| ratio | aim | median | quartiles |\n|---|---|---|---|", flush=True)
        show(searching(whole, options.repetitions))
        for row in first_prompt(whole, options.repetitions):
            show(row)
        for row in loading(whole, pictures, Path(scratch) / "lesion.png", options.repetitions):
            show(row)


def show(row: tuple[str, float | None, list[float]]) -> None:
    """Print a row of the table."""
    name, aim, ratios = row
    low, middle, high = statistics.quantiles(ratios, n=4)
    bound = f"at most {aim}" if aim else ""
    print(f"| {name} | {bound} | {middle:.3f} | {low:.3f} to {high:.3f} |", flush=True)


def make_checkpoint(scratch: Path) -> Path:
    """Write a checkpoint of a CLIP with random weights, and return its folder."""
    from transformers import CLIPConfig, CLIPModel

    torch.random.manual_seed(0)
    words = vocabulary()
    end = words.token_to_id("<|endoftext|>")
    tokens = {"bos_token_id": end - 1, "eos_token_id": end, "pad_token_id": end}
    text = {"hidden_act": "quick_gelu", **tokens}
    config = CLIPConfig(text_config=text, vision_config={"hidden_act": "quick_gelu"})
    CLIPModel(config).save_pretrained(scratch / "source")
    words.save(str(scratch / "source" / "tokenizer.json"))
    shown = {
        "size": {"shortest_edge": 224},
        "do_center_crop": True,
        "crop_size": {"height": 224, "width": 224},
        "image_mean": [0.48, 0.46, 0.41],
        "image_std": [0.27, 0.26, 0.28],
    }
    (scratch / "source" / "preprocessor_config.json").write_text(json.dumps(shown))
    convert(str(scratch / "source"), scratch / "encoder")
    splits = grouped_splits(synthetic_ham10000(140, seed=0))
    fit_converted(scratch / "encoder", splits).save_pretrained(scratch / "whole")
    return scratch / "whole"


def vocabulary() -> Tokenizer:
    """Make a token of each letter, as no real vocabulary is at hand."""
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    names = [*letters, *(f"{letter}</w>" for letter in letters), "<|startoftext|>"]
    numbers = {name: place for place, name in enumerate([*names, "<|endoftext|>"])}
    made = Tokenizer(models.BPE(vocab=numbers, merges=[], end_of_word_suffix="</w>"))
    made.normalizer = normalizers.Lowercase()
    made.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False)]
    )
    return made


def loading(
    whole: Path, pictures: Path, picture: Path, repetitions: int
) -> list[tuple[str, float | None, list[float]]]:
    """Load and classify with and without the text encoder in the folder, in turns."""
    child(pictures, picture)  # the first reads the libraries from the disk
    pairs = [(child(whole, picture), child(pictures, picture)) for _ in range(repetitions)]
    return [
        (name, 1.05, [one[key] / other[key] for one, other in pairs])
        for name, key in (
            ("loading and one answer, the text encoder in the folder over without", "seconds"),
            ("peak memory of that", "peak"),
        )
    ]


def child(folder: Path, picture: Path) -> dict[str, float]:
    """Return seconds and peak memory of a fresh process."""
    line = [sys.executable, "-c", CHILD, str(folder), str(picture)]
    done = subprocess.run(line, check=True, capture_output=True, text=True)
    return json.loads(done.stdout.splitlines()[-1])


def searching(whole: Path, repetitions: int) -> tuple[str, float | None, list[float]]:
    """Search for a text and for a picture among made-up cases, in turns, their vectors given."""
    engine = DermSim.from_pretrained(whole)
    draws = np.random.default_rng(0)
    rows = draws.normal(size=(CASES, engine.gallery.dim))
    facts = [{"image_id": f"case {n}", "dx": "nv", "lesion_id": f"{n}"} for n in range(CASES)]
    facts[0]["dx"] = "mel"
    engine.gallery = Gallery.build(rows, facts, fingerprint=engine.fingerprint)
    text, picture = "melanoma on the skin", rows[:1].astype(np.float32)
    for _ in range(3):  # what is made once for a gallery is made
        engine.search_text(text), engine.search(picture)
    ratios = []
    for _ in range(20 * repetitions):
        started = time.process_time()
        engine.search_text(text)
        between = time.process_time()
        engine.search(picture)
        ratios.append((between - started) / (time.process_time() - between))
    return "search by a text over by a picture, 10,000 cases, vectors given", 1.3, ratios


def first_prompt(whole: Path, repetitions: int) -> list[tuple[str, float | None, list[float]]]:
    """Ask the first text, and a name in eight templates, over loading the text encoder alone."""
    asked: list[list[float]] = [[], []]
    for _ in range(repetitions):
        for place, found in enumerate(asked):
            engine = DermSim.from_pretrained(whole)
            started = time.process_time()
            if place == 0:
                engine.search_text("melanoma on the skin")
            else:
                engine.zero_shot(engine.gallery.embeddings[:1], own_wording(["melanoma"]))
            between = time.process_time()
            TextTower.load(whole / "text")
            found.append((between - started) / (time.process_time() - between))
    return [
        ("the first text searched for over loading the text encoder", 1.5, asked[0]),
        ("the first name in eight templates over the same", None, asked[1]),
    ]


if __name__ == "__main__":
    main()
