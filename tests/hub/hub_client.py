"""What the tests of `dermsim.hub` run in the process that asks the loopback Hub."""

import io
import re
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

MODEL, GALLERY = "alice/derm", "alice/derm-gallery"
KINDS = {"model": ("models", MODEL), "gallery": ("datasets", GALLERY), "space": ("spaces", MODEL)}


def command(*arguments):
    """Run `dermsim` with its output kept."""
    from dermsim.cli.main import main

    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        status = main([str(argument) for argument in arguments])
    return status, out.getvalue(), err.getvalue()


def write_raw(dataset, folder: Path) -> Path:
    """Lay a data set out as the archive does: a table, and the pictures in two folders."""
    import csv

    from datasets import Image

    parts = [folder / "HAM10000_images_part_1", folder / "HAM10000_images_part_2"]
    for part in parts:
        part.mkdir(parents=True)
    plain = dataset.cast_column("image", Image(decode=False))
    names = dataset.features["dx"].names
    columns = ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"]
    with (folder / "HAM10000_metadata.csv").open("w", newline="") as file:
        table = csv.DictWriter(file, columns)
        table.writeheader()
        for number, row in enumerate(plain):
            picture = row.pop("image")
            (parts[number % 2] / f"{row['image_id']}.jpg").write_bytes(picture["bytes"])
            table.writerow({**row, "dx": names[row["dx"]]})
    return folder


def embed(name, pictures):
    """Embed with a model of the Hub."""
    from dermsim import DermSim

    return DermSim.from_pretrained(name).embed(pictures)


def read_gallery(name):
    """Read a gallery with 🤗 datasets and with dermsim."""
    import json

    import numpy as np
    from datasets import load_dataset

    from dermsim.core.downloads import download
    from dermsim.hub.gallery_data import load_gallery

    rows = load_dataset(name, split="train")
    folder = download(name, repo_type="dataset")
    header = json.loads((folder / "gallery.json").read_text())
    gallery = load_gallery(folder, fingerprint=header["fingerprint"])
    listed = np.array(rows["embedding"], dtype=np.float32)
    return gallery, listed, rows.features["dx"].names, rows.column_names


def validate_cards(model, gallery):
    """Have huggingface_hub validate the cards on the Hub, as it does."""
    from huggingface_hub import DatasetCard, ModelCard, SpaceCard

    ModelCard.load(model).validate()
    DatasetCard.load(gallery).validate()
    SpaceCard.load(model).validate()
    try:
        ModelCard("---\npipeline_tag:\n- derm\n---\n").validate()
    except ValueError as error:
        return str(error)


def run_card(name, folder, *, kind="model"):
    """Run the code of a card as it is printed there; return what it prints."""
    import os

    from huggingface_hub import DatasetCard, ModelCard

    card = {"model": ModelCard, "dataset": DatasetCard}[kind].load(name)
    blocks = re.findall(r"```python\n(.*?)```", card.content, flags=re.DOTALL)
    out, before = io.StringIO(), os.getcwd()
    os.chdir(folder)
    try:
        with redirect_stdout(out):
            exec("\n".join(blocks), {})
    finally:
        os.chdir(before)
    return out.getvalue()
