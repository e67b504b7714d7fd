"""What users do with a model on the Hub, as functions that run in a process of their own.

Nothing is imported here that reads its environment once; see `loopback_hub.process`.
"""

import hashlib
from pathlib import Path


def push(url, token, name, folder, **options):
    """Make a repository if need be and commit a folder to it; return the commit."""
    from huggingface_hub import HfApi

    client = HfApi(endpoint=url, token=token)
    kind = options.setdefault("repo_type", "model")
    client.create_repo(name, repo_type=kind, exist_ok=True)
    options.setdefault("commit_message", "Push")
    return client.upload_folder(repo_id=name, folder_path=folder, **options).oid


def by_xet(function, *args, **options):
    """Call a function with uploads by Xet, as they are where nothing is said against it."""
    from huggingface_hub import constants

    constants.HF_HUB_DISABLE_XET = False
    try:
        return function(*args, **options)
    finally:
        constants.HF_HUB_DISABLE_XET = True


def load_dermsim(name, photograph, **options):
    """Load with dermsim, look at a photograph, and say what was seen."""
    from dermsim import DermSim

    engine = DermSim.from_pretrained(name, **options)
    return {
        "fingerprint": engine.fingerprint,
        "embedding": engine.embed(photograph).tobytes(),
        "label": engine.predict(photograph)[0].label_name,
        "neighbors": [n.image_id for n in engine.search(photograph, 3)[0]],
    }


def load_auto(name, photograph, **options):
    """Load with the Auto classes of transformers, by the code that is kept beside the weights."""
    import sys

    import torch
    from PIL import Image
    from transformers import AutoImageProcessor, AutoModel, AutoModelForImageClassification

    options = {"trust_remote_code": True, **options}
    image = Image.open(photograph)
    pixels = AutoImageProcessor.from_pretrained(name, **options)(image, return_tensors="pt")
    model = AutoModel.from_pretrained(name, **options)
    classifier = AutoModelForImageClassification.from_pretrained(name, **options)
    with torch.inference_mode():
        seen = model(**pixels)
        logits = classifier(**pixels).logits
    assert not sys.modules["dermsim"], "dermsim was imported"
    temperature = model.config.calibration_temperature or 1.0
    torch.testing.assert_close(seen.logits / temperature, logits)
    return {
        "embedding": seen.embeddings.numpy().tobytes(),
        "label": classifier.config.id2label[int(logits.argmax())],
        "class": type(model).__module__,
    }


def load_pipeline(name, photograph, **options):
    """Load with nothing but a name and a task; return the probability of each label."""
    from transformers import pipeline

    classify = pipeline("image-classification", model=name, trust_remote_code=True, **options)
    return {found["label"]: found["score"] for found in classify(str(photograph), top_k=7)}


def load_ham(name):
    """Load a data set with dermsim; return what it holds."""
    from dermsim import load_ham10000

    return [(row["image_id"], row["image"].tobytes()) for row in load_ham10000(name)]


def audit(cache: Path) -> list[str]:
    """Say what is wrong with a cache of huggingface_hub: half-written or damaged files.

    A file in ``blobs`` is named by the hash of what it must hold, and every file of a snapshot
    links to one.
    """
    wrong = [f"half-written: {path.name}" for path in cache.rglob("*.incomplete")]
    for path in cache.glob("*/blobs/*"):
        data = path.read_bytes()
        git = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
        if path.suffix != ".incomplete" and path.name not in (
            git,
            hashlib.sha256(data).hexdigest(),
        ):
            wrong.append(f"damaged: {path.name}")
    links = [path for path in cache.glob("*/snapshots/**/*") if path.is_symlink()]
    return wrong + [f"dangling: {path.name}" for path in links if not path.exists()]


def converted(source, out, *options):
    """Run `dermsim convert`; return status, stdout and stderr."""
    import io
    from contextlib import redirect_stderr, redirect_stdout

    from dermsim.cli.main import main

    said, wrong = io.StringIO(), io.StringIO()
    with redirect_stdout(said), redirect_stderr(wrong):
        status = main(["convert", source, str(out), *options])
    return status, said.getvalue(), wrong.getvalue()
