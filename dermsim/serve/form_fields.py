"""The fields of the forms that several REST routes take, checked and described."""

from __future__ import annotations

from typing import Annotated

from fastapi import File, Form, UploadFile
from pydantic import Field

Pictures = Annotated[
    list[UploadFile],
    File(description="One or several pictures: JPEG, PNG, WebP, TIFF, BMP or GIF."),
]
Bank = Annotated[
    UploadFile | None, File(description="File of enrolled classes, as `/v1/enroll` returns it.")
]
Words = Annotated[list[str], Form(max_length=20)]
Lesions = Annotated[
    list[str],
    Form(
        max_length=20,
        description="Lesions to leave out of the past cases; may come several times. That of a "
        "picture which is itself a past case is left out without being named.",
    ),
]
Conditions = Annotated[
    list[str],
    Form(
        max_length=20,
        description="Keep only cases of which a concept is said to be present or absent, such as "
        "`streaks=present`; may come several times: of one concept any state will do, and every "
        "concept must hold.",
    ),
]
Age = Annotated[float | None, Form(ge=0, le=120, allow_inf_nan=False)]
Threshold = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
Word = Annotated[str | None, Form(max_length=80)]
