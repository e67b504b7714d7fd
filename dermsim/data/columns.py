"""Which column of a table is which of the schema's: by name, and by the names that others use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dermsim.core.labels import fold
from dermsim.core.refused import Refused
from dermsim.data.tables import COLUMNS, MORE_COLUMNS, match_column

ALIASES: Mapping[str, tuple[str, ...]] = {
    "image_id": ("image id", "id_imagen", "bild_id", "id_image", "id_immagine", "id_imagem"),
    "patient_id": (
        *("patient", "patient_number", "patient_no", "subject_id", "subject", "person_id"),
        *("id_patient", "paciente", "id_paciente", "paciente_id", "patientennummer"),
        *("patienten_id", "patienten_nr", "paziente", "id_paziente", "paziente_id"),
    ),
    "lesion_id": (
        *("lesion", "lesion_number", "lesion_no", "id_lesion", "läsion", "läsions_id"),
        *("läsionsnummer", "lésion_id", "lesione", "id_lesione", "lesione_id", "lesão"),
        *("id_lesão", "lesão_id"),
    ),
    "age": (
        *(
            "age_approx",
            "age_approximate",
            "age_years",
            "years_of_age",
            "age_in_years",
            "patient_age",
            "edad",
        ),
        *("alter", "âge", "età", "idade"),
    ),
    "sex": (
        *("gender", "patient_sex", "patient_gender", "sexo", "género", "geschlecht", "sexe"),
        *("genre", "sesso", "genere", "gênero"),
    ),
    "localization": (
        *("localisation", "anatom_site_general", "anatom_site_general_challenge", "body_site"),
        *("anatomical_site", "anatomic_site", "anatom_site", "body_location", "body_part"),
        *("location", "site", "region", "localización", "ubicación", "sitio", "sitio_anatómico"),
        *("región", "zona", "lokalisation", "körperstelle", "körperregion", "localisation"),
        *("site_anatomique", "région", "localizzazione", "sede", "sede_anatomica", "regione"),
        *("localização", "local", "sítio_anatômico", "região"),
    ),
    "licence": ("license", "copyright_license"),
}
"""Other names of columns, in English, Spanish, German, French, Italian and Portuguese, the
commonest first; capitals, accents, blanks and signs never matter."""

FILE_COLUMNS = (
    *("file_name", "filename", "file", "file_path", "filepath", "path", "image_path", "img_path"),
    *("image_file", "image_name", "image", "img", "img_id", "isic_id", "picture", "photo"),
    *("archivo", "nombre_archivo", "nombre_de_archivo", "fichero", "imagen", "foto"),
    *("fotografía", "datei", "dateiname", "dateipfad", "pfad", "bild", "bilddatei", "bildname"),
    *("fichier", "nom_fichier", "nom_de_fichier", "nom_du_fichier", "chemin", "photographie"),
    *("immagine", "nome_file", "nome_del_file", "percorso", "fotografia", "arquivo"),
    *("nome_arquivo", "nome_do_arquivo", "imagem", "caminho"),
)
"""What a column may be called that names the picture's file, the surest first."""

_LABEL_COLUMNS = frozenset(
    map(
        fold,
        (
            *("label", "labels", "diagnosis", "diagnostic", "diagnóstico", "Diagnose", "class"),
            *("category", "disease", "target", "condition", "lesion_type", "type", "y"),
            *("clase", "categoría", "etiqueta", "Klasse", "Befund", "classe", "catégorie"),
            *("étiquette", "diagnosi", "etichetta", "categoria", "etiqueta", "histology"),
        ),
    )
)


def find_label_column(columns: Sequence[str], asked: str | None, *, source: str) -> str | None:
    """Find the column of the diagnoses.

    Args:
        columns: Of the table.
        asked: What the user calls it; None looks for ``dx``.
        source: What the refusal calls the table.

    Returns:
        Its name in the table; None where there is no ``dx`` and nothing was asked for.

    Raises:
        ValueError: If there is none of the name that was asked for.
    """
    found = match_column(columns, asked or "dx")
    if found is None and asked:
        raise Refused("columns.no_column", source=source, asked=asked, columns=list(columns))
    return found


def lacks(columns: Sequence[str], missing: Sequence[str], *, source: str) -> Refused:
    """Word that columns are missing, and what may hold the diagnoses where that is one of them."""
    told = {"source": source, "missing": sorted(missing), "columns": list(columns)}
    if "dx" not in missing:
        return Refused("columns.lacks", **told)
    likely = [column for column in columns if fold(column) in _LABEL_COLUMNS]
    example = likely[0] if likely else "NAME"
    return Refused("columns.lacks_diagnoses", **told, example=example)


def house_names(columns: Sequence[str], label_column: str | None) -> dict[str, str]:
    """Say under which name the schema knows each column of a table.

    Args:
        columns: Of the table.
        label_column: The one of them that holds the diagnoses, if any.

    Returns:
        The schema's name by the table's; columns that the schema does not know are left out.

    Raises:
        ValueError: If two columns go by one name of the schema.
    """
    names = {label_column: "dx"} if label_column else {}
    for wanted in (*COLUMNS[1:], *MORE_COLUMNS):
        if wanted == "dx":
            continue
        for name in (wanted, *ALIASES.get(wanted, ())):
            if (found := match_column(columns, name)) is not None and found not in names:
                names[found] = wanted
                break
    return names


def renamed(rows: Sequence[Mapping[str, Any]], names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Give rows the schema's names, and only the columns that it knows."""
    return [{new: row.get(old) for old, new in names.items()} for row in rows]


def find_file_column(columns: Sequence[str]) -> str | None:
    """Find the column that names the pictures' files; None where there is none."""
    for name in FILE_COLUMNS:
        if (found := match_column(columns, name)) is not None:
            return found
    return None
