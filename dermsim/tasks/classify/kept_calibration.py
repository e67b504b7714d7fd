"""How a calibration is kept, apart from the rest of `Calibration`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import Field, asdict, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from dermsim.core.storage import check_keys, load_json, save_json
from dermsim.tasks.classify.cross_fit import CrossFit
from dermsim.tasks.classify.operating import POINTS, MalignancyCurve, OperatingPoint


class KeptCalibration:
    """The part of `Calibration` that writes and reads it."""

    if TYPE_CHECKING:
        __dataclass_fields__: ClassVar[dict[str, Field[Any]]]
        levels: dict[str, dict[str, float]]
        malignancy_curve: MalignancyCurve | None
        cross_fit: CrossFit | None

    def to_dict(self) -> dict[str, object]:
        """Return the fields as plain Python values.

        Examples:
            >>> engine.calibration.to_dict()["alpha"]
            0.1
        """
        plain = asdict(self)
        if not self.levels:
            del plain["levels"]
        if self.malignancy_curve is None:
            del plain["malignancy_curve"]
        else:
            plain["malignancy_curve"] = self.malignancy_curve.to_dict()
        if self.cross_fit is None:
            del plain["cross_fit"]
        return plain

    @classmethod
    def from_dict(cls, values: Mapping[str, object]) -> Self:
        """Rebuild what `to_dict` gave.

        Raises:
            ValueError: If a key is unknown or missing, or a value has the wrong type or range.

        Examples:
            >>> from dermsim import Calibration
            >>> Calibration.from_dict(engine.calibration.to_dict()) == engine.calibration
            True
        """
        keys = {part.name for part in fields(cls)}
        absent: dict[str, object] = {"levels": {}, "malignancy_curve": None, "cross_fit": None}
        check_keys({**absent, **values}, keys, name="calibration")
        points = check_keys(values["operating_points"], set(POINTS), name="operating_points")
        names = {part.name for part in fields(OperatingPoint)}
        rebuilt = {
            name: OperatingPoint(**check_keys(point, names, name=f"operating point {name}"))  # type: ignore[arg-type]
            for name, point in points.items()
        }
        parts = {**values, "operating_points": rebuilt}
        if "malignancy_curve" in values:
            parts["malignancy_curve"] = MalignancyCurve.from_dict(values["malignancy_curve"])  # type: ignore[arg-type]
        if "cross_fit" in values:
            parts["cross_fit"] = CrossFit.from_dict(values["cross_fit"])
        return cls(**parts)

    def save(self, path: str | Path) -> None:
        """Write the calibration as JSON, atomically.

        Examples:
            >>> from pathlib import Path
            >>> engine.calibration.save("calibration.json")
            >>> '"temperature"' in Path("calibration.json").read_text(encoding="utf-8")
            True
        """
        save_json(path, self.to_dict())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what `save` wrote.

        Raises:
            FileNotFoundError: If there is no such file.
            ValueError: If the file is not JSON, or does not hold exactly a calibration.

        Examples:
            >>> from dermsim import Calibration
            >>> engine.calibration.save("calibration.json")
            >>> Calibration.load("calibration.json") == engine.calibration
            True
        """
        keys = {part.name for part in fields(cls)}
        optional = {"levels", "malignancy_curve", "cross_fit"}
        return cls.from_dict(load_json(path, keys=keys - optional, optional=optional))
