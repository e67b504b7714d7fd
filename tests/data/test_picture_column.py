"""What comes out of a data set has passed through `read_image`, whatever its format."""

import copy
import io

import numpy as np
import pillow_heif
import pytest
import tifffile
from datasets import Dataset, Features, Image
from dicom_files import as_file, elements
from refusals import refuses

from dermsim import load_dataset
from dermsim.data.picture_column import Photograph
from dermsim.data.synthetic import draw_lesion


def written(dx: str, seed: int, kind: str) -> bytes:
    pillow_heif.register_heif_opener()
    image = draw_lesion(dx, seed=seed, size=(64, 48))
    values, stream = np.asarray(image), io.BytesIO()
    if kind == "dcm":
        return as_file(elements(values))
    if kind == "tif":  # a preview first, then 16 bits
        with tifffile.TiffWriter(stream) as writer:
            writer.write(values[::3, ::3], photometric="rgb", subfiletype=1)
            writer.write(values.astype(np.uint16) * 257, photometric="rgb")
    else:
        image.save(stream, "HEIF", quality=-1, chroma=444, matrix_coefficients=0)
    return stream.getvalue()


@pytest.fixture
def folder(tmp_path):
    for number, dx in enumerate(("mel", "nv")):
        (tmp_path / dx).mkdir()
        for seed, kind in enumerate(("dcm", "tif", "heic")):
            data = written(dx, 10 * number + seed, kind)
            (tmp_path / dx / f"{number}{seed}.{kind}").write_bytes(data)
    return tmp_path


@pytest.mark.filterwarnings("ignore:.*lesion of its own:UserWarning")
def test_a_folder_of_hospital_and_phone_pictures_is_a_data_set(folder):
    rows = load_dataset(folder)
    assert len(rows) == 6
    for row in rows.select([5, 0, 1, 2, 3, 4]):
        name = row["image_id"]
        expected = np.asarray(
            draw_lesion(
                ("mel", "nv")[int(name[0])], seed=10 * int(name[0]) + int(name[1]), size=(64, 48)
            )
        ).astype(int)
        assert row["image"].mode == "RGB"
        assert np.abs(np.asarray(row["image"]) - expected).max() <= 1
    assert isinstance(rows.features["image"], Photograph)
    assert isinstance(copy.deepcopy(rows.features)["image"], Photograph)


def test_files_describe_it_as_any_column_of_pictures():
    features = Features({"image": Photograph(mode="RGB")})
    assert features.to_dict() == Features({"image": Image(mode="RGB")}).to_dict()
    assert Features.from_dict(features.to_dict())["image"] == Image(mode="RGB")


def test_what_cannot_be_read_is_one_sentence():
    rows = Dataset.from_dict(
        {"image": [{"bytes": b"Dear doctor", "path": None}]},
        features=Features({"image": Photograph(mode="RGB")}),
    )
    with refuses("images.not_an_image", name="images.the_image"):
        rows[0]
    assert (
        Photograph(mode="RGB").decode_example(draw_lesion("nv", seed=1)).size
    )  # one that is decoded already
