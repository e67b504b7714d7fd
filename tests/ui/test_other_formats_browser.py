"""DICOM and HEIC through the page in a real browser, which knows neither."""

from base64 import b64encode
from pathlib import Path

import numpy as np
import pillow_heif
import pytest
from dicom_files import as_file, elements

from dermsim.data.synthetic import draw_lesion

DROP = """(place, [data, name]) => {
  const files = new DataTransfer();
  const bytes = Uint8Array.from(atob(data), (letter) => letter.charCodeAt(0));
  files.items.add(new File([bytes], name));
  const options = { bubbles: true, cancelable: true, dataTransfer: files };
  place.dispatchEvent(new DragEvent("drop", options));
}"""


@pytest.fixture(scope="module")
def files(tmp_path_factory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("clinic")
    image = draw_lesion("mel", seed=1, size=(120, 90))
    (folder / "lesion.dcm").write_bytes(as_file(elements(np.asarray(image), PatientName="Zaphod")))
    (folder / "IM0001").write_bytes(as_file(elements(np.asarray(image))))
    pillow_heif.from_pillow(image).save(folder / "phone.heic")
    (folder / "letter.dcm").write_text("Dear doctor")
    return {path.name: str(path) for path in folder.iterdir()}


@pytest.mark.parametrize("name", ["lesion.dcm", "IM0001", "phone.heic"])
def test_it_is_classified_and_a_copy_is_in_sight(visit, files, name):
    page = visit()
    page.locator("#picture input[type=file]").set_input_files(files[name])
    page.locator("#verdict .ds-verdict").wait_for()
    page.locator("#picture img[src^='data:image/jpeg']").wait_for()
    assert page.locator("#verdict .is-stale").count() == 0
    width = "image => image.complete && image.naturalWidth"
    assert page.locator("#picture img").evaluate(width) == 120
    assert "Zaphod" not in page.content()


def test_it_may_be_dropped(visit, files):
    page = visit()
    data = b64encode(Path(files["lesion.dcm"]).read_bytes()).decode()
    page.locator("#picture button").first.evaluate(DROP, [data, "lesion.dcm"])
    page.locator("#verdict .ds-verdict").wait_for()
    assert page.get_by_test_id("toast-text").count() == 0


def test_what_is_none_is_refused_by_the_library_and_not_by_its_ending(visit, files):
    page = visit()
    page.locator("#picture input[type=file]").set_input_files(files["letter.dcm"])
    page.get_by_test_id("toast-text").get_by_text("letter.dcm is not an image").wait_for()


def test_the_picker_offers_them(visit):
    page = visit()
    with page.expect_file_chooser():
        page.locator("#picture button").first.click()
    accepted = page.locator("#picture input[type=file]").first.get_attribute("accept")
    assert accepted.startswith("image/*") and ".dcm" in accepted


def test_they_teach_a_class(visit, files):
    page = visit()
    page.get_by_role("tab", name="Enrol a class").click()
    chosen = [files["lesion.dcm"], files["phone.heic"]]
    page.locator("#class-pictures input[type=file]").set_input_files(chosen)
    page.locator("#class-pictures img[src^='data:image/jpeg']").nth(1).wait_for()
