"""Checkpoint folders of strangers: none runs code, asks the network, or takes all memory or time.

A folder may load, if what is strange in it does not matter, or be refused in one sentence.
"""

from __future__ import annotations

import json
import os
import shutil
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from hostile import Count
from hostile._checkpoint import ended, engines, fork, scratch, within_limits

AT_LEAST = 30

FORBIDDEN = ("socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec")
"""What no load of a folder does, by the names of Python's audit events."""

LOADED, REFUSED, OTHER = "loaded", "refused", "something else"


def edit(name: str, **values: Any) -> Callable[[Path], None]:
    """Set fields of a JSON file."""

    def spoil(folder: Path) -> None:
        path = folder / name
        path.write_text(json.dumps({**json.loads(path.read_text()), **values}))

    return spoil


def write(name: str, data: bytes) -> Callable[[Path], None]:
    """Put other bytes in the place of a file, or beside the others."""

    def spoil(folder: Path) -> None:
        (folder / name).unlink(missing_ok=True)
        (folder / name).write_bytes(data)

    return spoil


def pipe(name: str) -> Callable[[Path], None]:
    """Put a pipe that nobody writes to in the place of a part."""

    def spoil(folder: Path) -> None:
        shutil.rmtree(folder / name) if (folder / name).is_dir() else (folder / name).unlink()
        os.mkfifo(folder / name)

    return spoil


def link(name: str, target: str) -> Callable[[Path], None]:
    """Put a link in the place of a part."""

    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return spoil


def header(name: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[Path], None]:
    """Change the header of a safetensors file, and leave the rest."""

    def spoil(folder: Path) -> None:
        data = (folder / name).read_bytes()
        end = 8 + struct.unpack("<Q", data[:8])[0]
        values = json.loads(data[8:end])
        change(values)
        text = json.dumps(values).encode()
        (folder / name).write_bytes(struct.pack("<Q", len(text)) + text + data[end:])

    return spoil


def table(name: str, **columns: Any) -> Callable[[Path], None]:
    """Write a Parquet file of the same column names, each a cell repeated."""

    def spoil(folder: Path) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        rows = columns["rows"]
        names = pq.read_schema(folder / name).names
        cell = pa.array([columns.get("cell", "x")], pa.string())
        repeated = pa.DictionaryArray.from_arrays(np.zeros(rows, np.int32), cell)
        pq.write_table(pa.table(dict.fromkeys(names, repeated)), folder / name)

    return spoil


def code(folder: Path) -> None:
    """Code that makes the canary, where transformers would look for it if it were allowed to."""
    canary = folder.parent / "canary"
    (folder / "evil.py").write_text(f"open({str(canary)!r}, 'w')\nclass Evil: pass\n")
    for name in ("config.json", "preprocessor_config.json"):
        kinds = ("AutoConfig", "AutoModel", "AutoImageProcessor")
        edit(name, auto_map=dict.fromkeys(kinds, "evil.Evil"), trust_remote_code=True)(folder)
    (folder / "modeling_dermsim.py").write_text((folder / "evil.py").read_text())


def pickled(name: str) -> Callable[[Path], None]:
    """Put a pickle that would make the canary in the place of a part."""

    def spoil(folder: Path) -> None:
        canary = os.fsencode(folder.parent / "canary")
        write(name, b"cbuiltins\nopen\n(V" + canary + b"\nVw\ntR.")(folder)

    return spoil


def weights_elsewhere(folder: Path) -> None:
    """Name a file to be opened as weights, which is a pickle."""
    pickled("weights.pth")(folder)
    edit("config.json", backbone_kwargs={"checkpoint_path": str(folder / "weights.pth")})(folder)


DEEP = b"[" * 100_000 + b"]" * 100_000
POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n"
NOTHING = {"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}

FOLDERS: dict[str, Callable[[Path], None]] = {
    "code in auto_map": code,
    "a checkpoint_path": weights_elsewhere,
    "backbone on the Hub": edit("config.json", backbone="hf-hub:someone/other"),
    "backbone in a folder": edit("config.json", backbone="local-dir:/etc"),
    "pretrained": edit("config.json", backbone_kwargs={"pretrained": True}),
    "pretrained_cfg": edit(
        "config.json", backbone_kwargs={"pretrained_cfg": {"url": "http://127.0.0.1:9/x"}}
    ),
    "overlay": edit(
        "config.json", backbone_kwargs={"pretrained_cfg_overlay": {"hf_hub_id": "a/b"}}
    ),
    "a cache folder": edit("config.json", backbone_kwargs={"cache_dir": "/etc"}),
    "a billion dimensions": edit("config.json", embed_dim=10**9),
    "wide options": edit("config.json", backbone_kwargs={"embed_dim": 10**7}),
    "a billion pixels": edit("config.json", image_size=10**9),
    "a hundred thousand classes": edit("config.json", id2label={n: str(n) for n in range(10**5)}),
    "a thousand members": edit(
        "config.json", model_type="dermsim_ensemble", members=[{"backbone": "resnet18"}] * 1000
    ),
    "kernels of strangers": edit("config.json", _attn_implementation="someone/kernels"),
    "a type that is none": edit("config.json", dtype={"a": 1}),
    "config of 40 MB": write("config.json", b"{" + b" " * 40_000_000 + b"}"),
    "config that is deep": write("config.json", DEEP),
    "config that is a pipe": pipe("config.json"),
    "config without end": link("config.json", "/dev/zero"),
    "config that is a pointer": write("config.json", POINTER),
    "weights that are a pickle": pickled("model.safetensors"),
    "weights that are a pipe": pipe("model.safetensors"),
    "weights without end": link("model.safetensors", "/dev/zero"),
    "weights with a lying header": write("model.safetensors", struct.pack("<Q", 2**62) + b"{}"),
    "weights of 200,000 names": header(
        "model.safetensors",
        lambda h: h.update({f"t{number}": NOTHING for number in range(200_000)}),
    ),
    "weights beyond the file": header(
        "model.safetensors", lambda h: h["classifier.bias"].update(data_offsets=[0, 2**50])
    ),
    "a pickle beside the weights": pickled("pytorch_model.bin"),
    "huge pictures": edit("preprocessor_config.json", size={"shortest_edge": 10**7}),
    "settings that are a pipe": pipe("preprocessor_config.json"),
    "settings that are deep": write("preprocessor_config.json", DEEP),
    "calibration that is deep": write("calibration.json", DEEP),
    "calibration at infinity": edit("calibration.json", temperature=1e400),
    "calibration of huge numbers": write("calibration.json", b'{"temperature": ' + b"9" * 5000),
    "classes that are a pickle": pickled("classes.safetensors"),
    "classes beyond the file": header(
        "classes.safetensors", lambda h: h["prototypes"].update(shape=[2**40, 2**20])
    ),
    "a detector of nothing": header("detector.safetensors", lambda h: h.clear()),
    "a gallery that is a pipe": pipe("gallery"),
    "a gallery elsewhere": edit("gallery/gallery.json", parts=[{"name": "/../../x", "rows": 1}]),
    "an index elsewhere": edit("gallery/gallery.json", index={"file": "../../config.json"}),
    "a gallery of a trillion": edit("gallery/gallery.json", rows=10**12),
    "records that unpack to much": table("gallery/records.parquet", rows=20_000_000),
    "records of endless text": table("gallery/records.parquet", rows=360, cell="x" * 50_000_000),
    "records that are a pipe": pipe("gallery/records.parquet"),
    "embeddings that are a pickle": pickled("gallery/embeddings.safetensors"),
    "an atlas that unpacks to much": table("atlas.parquet", rows=20_000_000),
    "an atlas of endless text": table("atlas.parquet", rows=360, cell="x" * 50_000_000),
    "an atlas that is a pickle": pickled("atlas.parquet"),
}


def load(folder: Path, told: Path) -> None:
    """Load a folder as a user would, in a process that ends when it does what it must not."""
    import transformers.utils.logging

    from dermsim import DermSim

    def watch(event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(FORBIDDEN) or event == "pickle.find_class":
            told.write_text(f"{event} {arguments}")
            os._exit(3)

    transformers.utils.logging.set_verbosity(50)  # it prints the whole of a strange configuration
    sys.addaudithook(watch)
    within_limits()
    try:
        DermSim.from_pretrained(folder)
        told.write_text(LOADED)
    except (ValueError, OSError) as error:
        told.write_text(REFUSED if "\n" not in str(error) else f"{OTHER}: {error}")


def run() -> list[Count]:
    """Try every folder."""
    passed, ends = 0, {LOADED: 0, REFUSED: 0}
    with scratch() as place:
        whole = place / "whole"
        engines()[0].save_pretrained(whole)
        for number, (what, spoil) in enumerate(FOLDERS.items()):
            folder, told = place / f"{number}" / "folder", place / f"{number}" / "told"
            shutil.copytree(whole, folder)
            spoil(folder)
            status = ended(fork(lambda folder=folder, told=told: load(folder, told)))
            said = told.read_text() if told.exists() else f"ended with {status}"
            ran = (folder.parent / "canary").exists()
            if ran or status or said not in ends:
                passed += 1
                print(f"{what}: {'it was run; ' if ran else ''}{said}", file=sys.stderr)
            else:
                ends[said] += 1
            shutil.rmtree(folder.parent)
    words = f"hostile checkpoint folders ({ends[REFUSED]} refused, {ends[LOADED]} loaded)"
    return [Count(words, len(FOLDERS), passed)]
