"""The page in a browser after every upload was deleted from disk: all of it goes on working."""

import shutil

import pytest

from dermsim.data.synthetic import draw_lesion
from dermsim.ui.uploads import upload_folder

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on the path")

LOADED = """selector => {
  const images = [...document.querySelectorAll(selector)];
  return images.length > 0 && images.every(image => image.complete && image.naturalWidth > 0);
}"""


@pytest.fixture(scope="module")
def address(engine, close):
    from dermsim.ui.app import build_app, launch

    app = build_app(lambda: engine)
    yield launch(app, port=None)
    close(app)


@pytest.fixture
def page(address):
    complaints = []
    with playwright.sync_playwright() as driver:
        browser = driver.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        page = browser.new_context(locale="en-US", reduced_motion="reduce").new_page()
        page.set_default_timeout(60_000)
        page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
        page.on("response", lambda got: got.status >= 400 and complaints.append(got.url))
        page.goto(address, wait_until="domcontentloaded")
        page.locator("#examples button img").first.wait_for()
        yield page
        browser.close()
    assert complaints == []


@pytest.fixture
def pictures(tmp_path):
    paths = [tmp_path / f"{seed}.png" for seed in range(3)]
    for seed, path in enumerate(paths):
        draw_lesion("vasc", seed=seed, size=(120, 90)).save(path)
    return [str(path) for path in paths]


def swept():
    """Delete all uploads, as happens within a minute, and check that there is none."""
    upload_folder().sweep(age=-1)
    files = {path for path in upload_folder().path.rglob("*") if path.is_file()}
    assert files == upload_folder().kept & files


def tab(page, name):
    page.get_by_role("tab", name=name).click()


def test_a_picture_is_studied_long_after_its_file_is_gone(page, pictures):
    page.locator("#picture input[type=file]").set_input_files(pictures[0])
    page.locator("#verdict .ds-verdict").wait_for()
    page.locator("#picture img").wait_for()
    page.wait_for_function(LOADED, arg="#picture img")
    swept()
    tab(page, "Explain")
    page.locator("#evidence img").nth(1).wait_for()
    page.wait_for_function(LOADED, arg="#evidence img")
    before = page.locator("#evidence img").nth(1).get_attribute("src")
    page.locator("#opacity input[type=number]").fill("0.2")
    page.locator("#opacity input[type=number]").press("Enter")
    page.wait_for_function(
        "old => document.querySelectorAll('#evidence img')[1].src !== old", arg=before
    )
    tab(page, "Similar cases")
    page.locator("#how-many input[type=number]").fill("2")
    page.get_by_role("heading", name="The 2 most similar").wait_for()
    tab(page, "Atlas")
    page.locator("#atlas-plot .legend").get_by_text("Your picture").wait_for()
    tab(page, "Classify")
    page.wait_for_function(LOADED, arg="#picture img")
    assert page.get_by_test_id("toast-text").count() == 0


def test_a_class_is_taught_and_saved_from_pictures_whose_files_are_gone(page, pictures, tmp_path):
    tab(page, "Enrol a class")
    page.locator("#class-pictures input[type=file]").set_input_files(pictures[:2])
    page.locator("#class-pictures img[src^='data:']").nth(1).wait_for()
    swept()
    page.locator("#class-name textarea, #class-name input").fill("clover")
    page.locator("#enrol").click()
    page.locator("#bank li", has_text="clover").wait_for()
    swept()
    with page.expect_download() as download:
        page.locator("#save-bank").click()
    download.value.save_as(tmp_path / "bank.safetensors")
    assert (tmp_path / "bank.safetensors").stat().st_size > 1000


def test_a_refused_picture_is_followed_by_the_last_good_one_whose_file_is_gone(
    page, pictures, tmp_path
):
    page.locator("#picture input[type=file]").set_input_files(pictures[0])
    page.locator("#verdict .ds-verdict").wait_for()
    verdict = page.locator("#verdict .ds-verdict").inner_text()
    page.wait_for_function(LOADED, arg="#picture img")
    swept()
    (tmp_path / "letter.jpg").write_text("Dear doctor")
    page.locator("#picture .source-selection button").first.click()
    page.locator("#verdict").get_by_text("Seven things").wait_for()
    page.locator("#picture input[type=file]").last.set_input_files(str(tmp_path / "letter.jpg"))
    page.get_by_test_id("toast-text").get_by_text("letter.jpg is not an image").wait_for()
    page.locator("#picture img[src^='data:image/jpeg']").wait_for()
    page.wait_for_function(LOADED, arg="#picture img")
    page.locator("#verdict .ds-verdict").wait_for()
    assert page.locator("#verdict .ds-verdict").inner_text() == verdict
