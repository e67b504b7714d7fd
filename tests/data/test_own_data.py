"""What people bring: a folder per class, their own tables, Parquet files, and what lies beside."""

import csv
import shutil
import sys
import unicodedata
import warnings

import pytest
from PIL import Image
from refusals import refuses

from dermsim import load_dataset
from dermsim.core.labels import CODES
from dermsim.core.refused import Phrase
from dermsim.data.dataset import open_source
from dermsim.data.new_classes import read_classes
from dermsim.data.synthetic import draw_lesion, draw_outline
from dermsim.data.tables import COLUMNS, MORE_COLUMNS, schema

pytestmark = pytest.mark.filterwarnings("ignore:.*lesion of its own:UserWarning")


def draw(folder, *names, dx="nv"):
    for number, name in enumerate(names):
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_lesion(dx, seed=hash(name) % 1000 + number, size=(40, 30)).save(path)
    return folder


def write(path, rows, delimiter=","):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, list(rows[0]), delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path.parent


def told(opened, *columns):
    return [
        tuple(CODES[fact[c]] if c == "dx" else fact[c] for c in columns)
        for fact in (opened.facts[row] for row in opened.kept)
    ]


# ---------------------------------------------------------------- a folder per class


@pytest.fixture
def classes(tmp_path):
    return draw(
        tmp_path / "own", "melanoma/a.png", "melanoma/deep/b.jpg", "Nevus/c.png", "Nevus/d.JPG"
    )


def test_a_folder_per_class(classes):
    reports = []
    rows = load_dataset(classes, report=reports.append)
    assert rows.features == schema(more=True)
    assert list(rows["image_id"]) == ["a", "b", "c", "d"]
    assert [CODES[dx] for dx in rows["dx"]] == ["mel", "mel", "nv", "nv"]
    assert list(rows["original_label"]) == ["melanoma", "melanoma", "Nevus", "Nevus"]
    assert set(rows["source"]) == {"own"} and set(rows["patient_id"]) == {None}
    assert reports[0].lines() == [
        "Nevus     is read as nv  (2 pictures)",
        "melanoma  is read as mel  (2 pictures)",
    ]
    assert open_source(classes).load(more=False).column_names == list(COLUMNS)


def test_its_splits_are_noted_and_not_trusted(tmp_path):
    folder = draw(tmp_path / "own", "Train/mel/a.png", "val/mel/b.png", "test/nv/c.png")
    assert told(open_source(folder), "image_id", "dx", "split") == [
        ("a", "mel", "train"),
        ("b", "mel", "validation"),
        ("c", "nv", "test"),
    ]


def test_names_with_test_or_val_in_them_are_names(tmp_path):
    folder = draw(tmp_path / "own", "mel/patch-test_a.png", "mel/val_b.png", "nv/train.png")
    assert told(open_source(folder), "image_id", "split") == [
        ("patch-test_a", None),
        ("train", None),
        ("val_b", None),
    ]


def test_one_folder_around_the_classes_is_looked_through(tmp_path):
    folder = draw(tmp_path / "own", "images/melanoma/a.png", "images/nevus/b.png")
    assert told(open_source(folder), "image_id", "dx") == [("a", "mel"), ("b", "nv")]
    alone = draw(tmp_path / "alone", "melanoma/patient 1/a.png", "melanoma/patient 2/b.png")
    assert told(open_source(alone), "dx") == [("mel",), ("mel",)]


def test_pictures_of_one_name_keep_their_folders(tmp_path):
    folder = draw(tmp_path / "own", "melanoma/1.png", "nevus/1.png", "nevus/2.png")
    assert told(open_source(folder), "image_id", "dx") == [
        ("2", "nv"),
        ("melanoma/1", "mel"),
        ("nevus/1", "nv"),
    ]


def test_a_picture_in_two_classes_is_refused_and_a_copy_left_out(tmp_path):
    folder = draw(tmp_path / "own", "train/melanoma/a.png", "train/nevus/b.png")
    (folder / "test" / "melanoma").mkdir(parents=True)
    shutil.copy(folder / "train/melanoma/a.png", folder / "test/melanoma/a.png")
    with pytest.warns(UserWarning, match=r"1 pictures, such as .*a.png, are copies of others"):
        assert len(open_source(folder).kept) == 2
    shutil.copy(folder / "train/melanoma/a.png", folder / "train/nevus/a.png")
    with refuses("class_folder.two_classes"):
        open_source(folder)


@pytest.mark.parametrize("outline", ["a.png", "a_mask.png", "a_segmentation.png"])
def test_outlines_among_the_photographs_are_left_out(tmp_path, outline):
    folder = draw(tmp_path / "own", "mel/a.jpg", "nv/b.jpg")
    draw_outline("mel", seed=1, size=(40, 30)).save(folder / "mel" / outline)
    with pytest.warns(UserWarning, match=f"1 outlines, such as {outline}, lie among the photogr"):
        assert told(open_source(folder), "image_id") == [("a",), ("b",)]


def test_outlines_alone_are_refused(tmp_path):
    folder = tmp_path / "own"
    for number, dx in enumerate(("mel", "nv", "nv")):
        path = folder / dx / f"{number}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        draw_outline(dx, seed=number, size=(40, 30)).save(path)
    with refuses(
        "opened_source.outlines", outlines_count=3, dataset_count=3, first=["0", "1", "2"]
    ):
        load_dataset(folder)


def test_folders_that_nobody_knows_need_a_mapping(tmp_path):
    folder = draw(tmp_path / "own", "0_mel/a.png", "1 Moles/b.png", "scc/c.png")
    with refuses(
        "tables.row",
        reason=Phrase("label_mapping.several_unknown", label="0_mel", more=["1 Moles", "scc"]),
    ):
        open_source(folder)
    mapping = {"0_mel": "mel", "1 moles": "nv", "SCC": "other"}
    with pytest.warns(UserWarning, match=r"1 photographs of other diagnoses are left out: scc"):
        rows = load_dataset(folder, mapping=mapping)
    assert list(rows["image_id"]) == ["a", "b"]
    kept = load_dataset(folder, mapping=mapping, keep_other=True)
    assert list(kept["dx"]) == [CODES.index("mel"), CODES.index("nv"), None]


def test_pictures_beside_the_classes_folders_are_named(classes):
    draw(classes, "loose.png")
    with refuses("class_folder.loose", name="loose.png"):
        open_source(classes)


def test_links_to_classes_are_followed(tmp_path):
    draw(tmp_path, "elsewhere/a.png", "own/nevus/b.png")
    (tmp_path / "own" / "melanoma").symlink_to(tmp_path / "elsewhere")
    assert told(open_source(tmp_path / "own"), "dx") == [("mel",), ("nv",)]


def test_a_folder_of_pictures_alone_says_nothing(tmp_path):
    with refuses("layouts.unknown", layouts="layouts.known"):
        open_source(draw(tmp_path / "own", "a.png", "b.png"))


# ---------------------------------------------------------------- their own tables


@pytest.fixture
def own(tmp_path):
    """Pictures in a folder, and a table that calls everything by other names."""
    folder = draw(tmp_path / "own", "pics/a.png", "pics/b.jpg", "pics/c.png")
    rows = [
        {"Filename": "a.png", "Diagnosis": "Melanom", "Gender": "W", "Patient": "P1"},
        {"Filename": "B.JPG", "Diagnosis": "Nävus", "Gender": "M", "Patient": "P1"},
        {"Filename": "pics\\c", "Diagnosis": "wart", "Gender": "", "Patient": "P2"},
    ]
    return write(folder / "labels.csv", rows, delimiter=";")


def test_a_table_of_ones_own(own):
    mapping = {"wart": "other"}
    opened = open_source(own, label_column="diagnosis", mapping=mapping)
    assert opened.name == "own"
    rows = opened.load(keep_other=True)
    assert rows.remove_columns(["image"]).to_list() == [
        {
            **dict.fromkeys((*COLUMNS[1:], *MORE_COLUMNS)),
            **{"image_id": name, "lesion_id": name, "dx": dx, "sex": sex, "patient_id": patient},
            **{"original_label": word, "source": "own"},
        }
        for name, dx, sex, patient, word in (
            ("a", CODES.index("mel"), "female", "P1", "Melanom"),
            ("b", CODES.index("nv"), "male", "P1", "Nävus"),
            ("c", None, None, "P2", "wart"),
        )
    ]
    # the table stands for its folder
    table = open_source(own / "labels.csv", label_column="Diagnosis", mapping=mapping)
    assert table.facts[0]["dx"] == opened.facts[0]["dx"]


def test_patients_are_kept_together_even_without_the_other_columns(own):
    opened = open_source(own, label_column="diagnosis", mapping={"wart": "other"})
    with pytest.warns(UserWarning, match="left out: wart"):
        rows = opened.load(more=False)
    assert rows.column_names == [*COLUMNS, "patient_id"] and set(rows["patient_id"]) == {"P1"}


def test_the_column_of_the_diagnoses_is_asked_for(own):
    reason = Phrase(
        "columns.lacks_diagnoses",
        source="labels.csv",
        missing=["dx"],
        columns=["Filename", "Diagnosis", "Gender", "Patient"],
        example="Diagnosis",
    )
    with refuses(reason):
        open_source(own)
    with refuses("columns.no_column", asked="dignosis"):
        open_source(own / "labels.csv", label_column="dignosis")


@pytest.mark.parametrize(
    "header",
    [
        "Bild;Diagnose;Alter;Geschlecht;Lokalisation;Patient",
        "Dateiname;Diagnose;Alter;Geschlecht;Körperstelle;Patienten-ID",
        "imagen;diagnóstico;edad;sexo;localización;paciente",
        "archivo;diagnóstico;edad;sexo;sitio;id_paciente",
        "fichier;diagnostic;âge;sexe;site;id_patient",
        "immagine;diagnosi;età;sesso;sede;paziente",
        "imagem;diagnóstico;idade;sexo;localização;paciente",
        "file_name;label;Age years;gender;site;Subject ID",
    ],
)
@pytest.mark.parametrize("form", ["NFC", "NFD"])
def test_columns_in_other_languages(tmp_path, header, form):
    folder = draw(tmp_path / "own", "images/a.png", "images/b.png")
    text = f"{header}\na.png;nv;40;f;abdomen;P1\nb.png;mel;41;f;abdomen;P1\n"
    (folder / "labels.csv").write_text(unicodedata.normalize(form, text), encoding="utf-8")
    label = unicodedata.normalize("NFC", header).split(";")[1]
    columns = ("image_id", "dx", "age", "sex", "localization", "patient_id")
    assert told(open_source(folder, label_column=label), *columns) == [
        ("a", "nv", 40.0, "female", "abdomen", "P1"),
        ("b", "mel", 41.0, "female", "abdomen", "P1"),
    ]


def test_pictures_without_a_row_are_counted(own):
    draw(own, "pics/d.png", "pics/e.png", "pics/a_mask.png")
    with pytest.warns(UserWarning, match=r"2 of 6 pictures, such as d.png, have no row in labels"):
        open_source(own, label_column="diagnosis", mapping={"wart": "other"})


def test_rows_without_a_picture_are_named_and_counted(own):
    for name in ("a.png", "c.png"):
        (own / "pics" / name).unlink()
    reason = Phrase(
        "tables.row",
        row=0,
        image_id="a",
        reason=Phrase("dataset.no_image_file", beside=Phrase("dataset.more_rows", count=1)),
    )
    with refuses(reason):
        open_source(own, label_column="diagnosis", mapping={"wart": "other"})


def test_tables_that_say_different_things_are_both_named(own):
    shutil.copy(own / "labels.csv", own / "labels (1).csv")
    options = {"label_column": "diagnosis", "mapping": {"wart": "other"}}
    assert len(open_source(own, **options).kept) == 3
    (own / "labels (1).csv").write_text("Filename;Diagnosis\na.png;nevus\n", encoding="utf-8")
    with refuses("tables.different", name="labels (1).csv", other_name="labels.csv"):
        open_source(own, **options)


def test_of_several_tables_the_one_with_pictures_and_diagnoses(own):
    write(own / "doctors.csv", [{"name": "A"}])
    write(own / "sizes.csv", [{"filename": "a.png", "mm": "4"}])
    (own / "broken.csv").write_bytes(b"\x00\x01")
    options = {"label_column": "diagnosis", "mapping": {"wart": "other"}}
    assert len(open_source(own, **options).kept) == 3


def test_a_workbook_of_ones_own(own):
    openpyxl = pytest.importorskip("openpyxl", reason="needs dermsim[excel]")
    book = openpyxl.Workbook()
    for row in (["image", "dx"], ["a", "mel"], ["b", "nv"], ["c", "nv"]):
        book.active.append(row)
    (own / "labels.csv").unlink()
    book.save(own / "labels.xlsx")
    assert told(open_source(own), "image_id", "dx") == [("a", "mel"), ("b", "nv"), ("c", "nv")]


def test_leading_zeros_that_a_spreadsheet_lost_are_found_again(tmp_path):
    folder = draw(tmp_path / "own", "0007.png", "0012.png")
    write(folder / "t.csv", [{"image_id": "7", "dx": "mel"}, {"image_id": "12", "dx": "nv"}])
    assert told(open_source(folder), "image_id", "dx") == [("0007", "mel"), ("0012", "nv")]


# ---------------------------------------------------------------- Parquet files


def parquet(path, rows, **features):
    from datasets import Dataset, Features
    from datasets import Image as ImageFeature

    path.parent.mkdir(parents=True, exist_ok=True)
    columns = {name: [row[name] for row in rows] for name in rows[0]}
    made = Dataset.from_dict(columns)
    if features or "image" in columns:
        kinds = {**made.features, **({"image": ImageFeature()} if "image" in columns else {})}
        made = made.cast(Features({**kinds, **features}))
    made.to_parquet(path)


def packed(*names, dx="nv"):
    from io import BytesIO

    rows = []
    for name in names:
        stream = BytesIO()
        draw_lesion(dx, seed=len(name), size=(40, 30)).save(stream, "PNG")
        image = {"bytes": stream.getvalue(), "path": f"{name}.png"}
        rows.append({"image": image, "image_id": name, "dx": dx})
    return rows


def test_every_parquet_file_is_read_whatever_it_is_called(tmp_path):
    for name in ("clinic_a", "clinic_b", "patch-test_c", "deep/val"):
        parquet(tmp_path / f"{name}.parquet", packed(name.replace("/", "_")))
    rows = load_dataset(tmp_path)
    assert list(rows["image_id"]) == ["clinic_a", "clinic_b", "deep_val", "patch-test_c"]


def test_rows_that_went_missing_are_noticed(tmp_path, monkeypatch):
    parquet(tmp_path / "a.parquet", packed("a", "b"))
    opened = open_source(tmp_path)
    parquet(tmp_path / "a.parquet", packed("a"))
    with refuses("parquet_folder.stale_cache", rows=2, files_count=1, rows_count=1):
        opened.load()


def test_class_labels_and_pictures_without_a_name(tmp_path):
    from datasets import ClassLabel

    rows = [{"image": row["image"], "label": n} for n, row in enumerate(packed("x", "yy"))]
    parquet(tmp_path / "a.parquet", rows, label=ClassLabel(names=["Nevus", "Melanoma"]))
    with refuses(
        "columns.lacks_diagnoses",
        missing=["dx"],
        columns=["image", "label", "image_id"],
        example="label",
    ):
        open_source(tmp_path)
    assert told(open_source(tmp_path, label_column="label"), "image_id", "dx") == [
        ("x", "nv"),
        ("yy", "mel"),
    ]
    for row in rows:
        row["image"]["path"] = None
    parquet(tmp_path / "a.parquet", rows, label=ClassLabel(names=["Nevus", "Melanoma"]))
    opened = open_source(tmp_path, label_column="label")
    assert told(opened, "image_id") == [("row-000000",), ("row-000001",)]


@pytest.mark.parametrize("stray", ["embeddings", "gallery", "pictures"])
def test_stray_parquet_files_do_not_hijack_a_folder_per_class(classes, stray):
    rows = {
        "embeddings": [{"image_id": "a", "embedding": [0.1, 0.2]}],
        "gallery": [{"image_id": "a", "lesion_id": "L", "dx": "mel", "age": 4.0}],
        "pictures": packed("other"),
    }
    parquet(classes / "out" / "records.parquet", rows[stray])
    assert told(open_source(classes), "image_id") == [("a",), ("b",), ("c",), ("d",)]


@pytest.mark.parametrize("stray", ["embeddings", "pictures"])
def test_stray_parquet_files_do_not_hijack_a_table(own, stray):
    rows = packed("other") if stray == "pictures" else [{"image_id": "a", "x": 1.0}]
    parquet(own / "out.parquet", rows)
    opened = open_source(own, label_column="diagnosis", mapping={"wart": "other"})
    assert [fact["image_id"] for fact in opened.facts] == ["a", "b", "c"]


def test_pictures_and_tables_beside_parquet_files_do_not_hijack_them(tmp_path):
    parquet(tmp_path / "data" / "train.parquet", packed("a", "b"))
    draw(tmp_path, "assets/banner.png", "logo.png")
    write(tmp_path / "HAM10000_metadata.csv", [{"image_id": "I1", "lesion_id": "L", "dx": "mel"}])
    write(tmp_path / "files.csv", [{"file_name": "train.parquet", "sha256": "ab"}])
    assert told(open_source(tmp_path), "image_id") == [("a",), ("b",)]


def test_parquet_files_without_pictures_are_no_data_set(tmp_path):
    parquet(tmp_path / "records.parquet", [{"image_id": "a", "dx": "mel"}])
    with refuses("layouts.unknown"):
        open_source(tmp_path)


# ---------------------------------------------------------------- new classes


def test_classes_to_teach_are_the_words_that_are_none_of_the_seven(tmp_path):
    folder = draw(tmp_path / "own", "wart/a.png", "wart/b.png", "scar/c.png", "nevus/d.png")
    with pytest.warns(UserWarning, match="nevus: names of the seven diagnoses"):
        found = read_classes(str(folder))
    assert {name: len(images) for name, images in found.items()} == {"scar": 1, "wart": 2}
    assert found["scar"][0].size == (40, 30)
    assert list(read_classes(str(folder), only="WART")) == ["wart"]
    renamed = read_classes(str(folder), names={"wart": "verruca", "scar": "other", "Nevus": "spot"})
    assert list(renamed) == ["spot", "verruca"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (
            {"only": "nevus"},
            Phrase("new_classes.none_called", name="nevus", there=["nevus", "wart"]),
        ),
        (
            {"names": {"wort": "x"}},
            Phrase("new_classes.no_such_word", strange="wort", there=["nevus", "wart"]),
        ),
        ({"names": {"wart": "other"}}, "new_classes.no_new_class"),
    ],
)
def test_classes_that_are_not_there(tmp_path, options, words):
    folder = draw(tmp_path / "own", "wart/a.png", "nevus/d.png")
    with refuses(words):
        read_classes(str(folder), **options)


def test_a_bad_picture_of_a_new_class_names_its_row(tmp_path):
    folder = draw(tmp_path / "own", "wart/a.png")
    (folder / "wart" / "b.png").write_text("no picture")
    with refuses(
        "tables.row", row=1, image_id="b", reason=Phrase("images.not_an_image", name="b.png")
    ):
        read_classes(str(folder))


# ---------------------------------------------------------------- at once


def test_opening_imports_nothing_that_takes_long(own):
    import subprocess

    code = (
        "import sys; from dermsim.data.dataset import open_source\n"
        "try: open_source(sys.argv[1])\n"
        "except ValueError as error: print(error)\n"
        "print({'torch', 'datasets', 'pandas', 'transformers'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(own)], capture_output=True, text=True)
    refusal, heavy = done.stdout.splitlines()
    assert "lacks the column dx" in refusal and heavy == "set()"


def test_a_good_source_gives_no_notice(tmp_path):
    folder = draw(tmp_path / "own", "a.png", "b.png")
    rows = [{"image_id": n, "lesion_id": f"L{n}", "dx": "nv"} for n in "ab"]
    write(folder / "t.csv", rows)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        open_source(folder)


def test_a_link_to_nothing_is_named(tmp_path):
    folder = draw(tmp_path / "own", "a.png", "b.png")
    write(folder / "t.csv", [{"image_id": n, "lesion_id": n, "dx": "nv"} for n in "ab"])
    (folder / "b.png").unlink()
    (folder / "b.png").symlink_to(tmp_path / "nowhere.png")
    with refuses(
        "tables.row",
        row=1,
        image_id="b",
        reason=Phrase("images.no_file", path=tmp_path / "own" / "b.png"),
    ):
        load_dataset(folder)


def test_blank_pictures_are_loaded_unless_they_are_black_or_white(tmp_path):
    folder = tmp_path / "own"
    (folder / "nevus").mkdir(parents=True)
    Image.new("RGB", (40, 30), "brown").save(folder / "nevus" / "a.png")
    assert len(load_dataset(folder)) == 1
    Image.new("RGB", (40, 30), "white").save(folder / "nevus" / "b.png")
    with refuses("opened_source.outlines", outlines_count=1, dataset_count=2, first=["b"]):
        load_dataset(folder)


# ---------------------------------------------------------------- published data sets


PAD = (
    "patient_id,lesion_id,smoke,drink,background_father,background_mother,age,pesticide,gender,"
    "skin_cancer_history,cancer_history,has_piped_water,has_sewage_system,fitspatrick,region,"
    "diameter_1,diameter_2,diagnostic,itch,grew,hurt,changed,bleed,elevation,img_id,biopsed"
)


@pytest.fixture
def pad(tmp_path):
    """Three photographs in the layout of PAD-UFES-20."""
    folder = draw(tmp_path / "pad", "imgs_part_1/P_1_1.png", "imgs_part_1/P_1_2.png", "x/Q_2_3.png")
    lines = [
        f"{p},{lesion},,,,,55,,,,,,,,FACE,,,{dx},,,,,,,{p}_{lesion}_{n}.png,True"
        for p, lesion, n, dx in (("P", 1, 1, "NEV"), ("P", 1, 2, "NEV"), ("Q", 2, 3, "SCC"))
    ]
    (folder / "metadata.csv").write_text("\n".join([PAD, *lines]))
    return folder


def test_a_published_data_set_is_read_by_its_adapter(pad):
    reports = []
    with pytest.warns(UserWarning) as told:
        rows = load_dataset(pad, report=reports.append)
    assert list(rows["image_id"]) == ["P_1_1", "P_1_2"]
    assert set(rows["patient_id"]) == {"P"} and set(rows["modality"]) == {"clinical"}
    assert set(rows["source"]) == {"pad_ufes_20"} and set(rows["original_label"]) == {"NEV"}
    assert {item.label: item.code for item in reports[0].labels} == {"NEV": "nv", "SCC": "other"}
    sentences = [str(warning.message) for warning in told]
    assert any("1 photographs of other diagnoses are left out: SCC (1)" in s for s in sentences)
    assert any("2 of 2 pictures are clinical photographs" in s for s in sentences)
    kept = load_dataset(pad, keep_other=True)
    assert list(kept["dx"]) == [CODES.index("nv")] * 2 + [None]


@pytest.mark.filterwarnings("ignore:.*clinical photographs:UserWarning")
def test_its_diagnoses_are_in_its_own_column(pad):
    with refuses("layouts.own_columns", title="PAD-UFES-20", label_column="region"):
        open_source(pad, label_column="region")


def test_a_mapping_may_decide_otherwise(pad):
    assert len(load_dataset(pad, mapping={"SCC": "akiec"})) == 3


def test_its_missing_pictures_are_named(pad):
    (pad / "x" / "Q_2_3.png").unlink()
    with refuses("tables.row", row=2, image_id="Q_2_3", reason="dataset.no_image_file"):
        open_source(pad)
