"""The tab Batch and the case report as a program and as a visitor meet them, network cut off."""

import csv
import json
import re
import threading
import time
import zipfile
from io import BytesIO
from urllib.parse import urlsplit

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from dermsim.core.labels import CODES
from dermsim.core.language import LANGUAGES
from dermsim.data.archives import ArchiveLimits
from dermsim.data.census import explore
from dermsim.data.synthetic import draw_lesion, synthetic_ham10000
from dermsim.ui import batch_callbacks, operating_slider
from dermsim.ui.case_page import case_html
from dermsim.ui.case_report import examine
from dermsim.ui.explore_page import explore_html
from dermsim.ui.tabs.batch import RUNS
from dermsim.ui.uploads import upload_folder


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """Seven drawings, what is no picture, and what is passed over."""
    path = tmp_path_factory.mktemp("archive") / "clinic.zip"
    with zipfile.ZipFile(path, "w") as packed:
        for seed, code in enumerate(CODES):
            buffer = BytesIO()
            draw_lesion(code, seed=seed, size=(120, 90)).save(buffer, "PNG")
            packed.writestr(f"{code}.png", buffer.getvalue())
        packed.writestr("<b>letter.png", "Dear doctor")
        packed.writestr("__MACOSX/._a.png", "x")
    return str(path)


@pytest.fixture(scope="module")
def client(address):
    return Client(address, verbose=False)


class TestPrograms:
    def test_an_archive_is_answered_row_by_row(self, client, archive, engine):
        found = client.predict([handle_file(archive)], "balanced", api_name="/batch")
        assert len(found["results"]) == 8
        assert [row["picture"] for row in found["results"] if "error" in row] == [
            "clinic.zip/<b>letter.png"
        ]
        assert found == json.loads(json.dumps(batch_callbacks.data(engine, [archive])))

    @pytest.mark.parametrize(
        ("files", "point", "sentence"),
        [
            ([], "balanced", "There are no pictures yet"),
            (["archive"], "best", "best"),
        ],
    )
    def test_bad_values_are_refused(self, client, archive, files, point, sentence):
        given = [handle_file(archive) for _ in files]
        with pytest.raises(AppError, match=sentence):
            client.predict(given, point, api_name="/batch")

    def test_a_report_is_a_document(self, client, tmp_path):
        draw_lesion("nv", seed=1).save(tmp_path / "a.png")
        picture = handle_file(str(tmp_path / "a.png"))
        html = client.predict(picture, "es", api_name="/report")
        assert html.startswith("<!DOCTYPE html>") and '<html lang="es">' in html
        with pytest.raises(AppError, match="unknown language 'xx'"):
            client.predict(picture, "xx", api_name="/report")

    def test_a_path_on_the_server_is_not_read(self, address, archive):
        marked = {"path": archive, "meta": {"_type": "gradio.FileData"}}
        for name, values in (("batch", [[marked], "balanced"]), ("report", [marked, "en"])):
            call = httpx.post(f"{address}gradio_api/call/{name}", json={"data": values}).json()
            stream = f"{address}gradio_api/call/{name}/{call['event_id']}"
            answer = httpx.get(stream, timeout=30).text
            assert "event: error" in answer and "event: complete" not in answer


@pytest.fixture
def open_page(browser):
    """Open an address; afterwards, check that the page kept quiet and to itself."""
    contexts, outside, complaints = [], [], []

    def guard(route):
        if urlsplit(route.request.url).hostname in ("127.0.0.1", None, ""):
            return route.continue_()
        outside.append(route.request.url)
        return route.abort()

    def visit(address, width=1280):
        context = browser.new_context(
            locale="en-US", viewport={"width": width, "height": 900}, reduced_motion="reduce"
        )
        contexts.append(context)
        context.route("**/*", guard)
        page = context.new_page()
        page.set_default_timeout(30_000)
        page.on("console", lambda said: said.type == "error" and complaints.append(said.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(address, wait_until="domcontentloaded")
        return page

    yield visit
    for context in contexts:
        context.close()
    assert outside == []
    assert complaints == []


@pytest.fixture
def batch(open_page, address):
    """The tab Batch, open."""
    page = open_page(address)
    page.locator("#examples button img").first.wait_for()
    page.get_by_role("tab", name="Batch").click()
    return page


def saved(page, folder) -> list[dict[str, str]]:
    with page.expect_download() as download:
        page.locator("#batch-csv").click()
    assert download.value.suggested_filename == "dermsim-batch.csv"
    download.value.save_as(folder / "rows.csv")
    with (folder / "rows.csv").open(encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def hand_over(page, path):
    page.locator("#batch-files input[type=file]").set_input_files(path)
    page.locator("#batch-files").get_by_text("clinic").first.wait_for()


def test_an_archive_becomes_a_table_and_a_file(batch, archive, tmp_path):
    hand_over(batch, archive)
    batch.locator("#batch-told").get_by_text("Done: 8 of 8 pictures.").wait_for()
    batch.locator("#batch-stop").wait_for(state="hidden")
    rows = saved(batch, tmp_path)
    assert len(rows) == 8 and sum(bool(row["error"]) for row in rows) == 1

    # a letter cannot be read, so it comes first; then by falling malignancy
    listed = batch.locator("#batch-table tr[data-row]")
    assert "letter.png" in listed.first.inner_text()
    shares = batch.locator("#batch-table tr[data-malignancy]").evaluate_all(
        "rows => rows.map(row => Number(row.dataset.malignancy))"
    )
    assert shares == sorted(shares, reverse=True) and len(shares) > 1
    assert listed.locator("img").count() == 7

    listed.filter(has_text="clinic.zip/mel.png").click()
    picture = batch.locator("#batch-row img")
    picture.wait_for()
    assert picture.get_attribute("alt") == "Small picture of clinic.zip/mel.png"
    assert batch.locator("#batch-row .ds-bars li").count() == 7
    table, row = (batch.locator(place).bounding_box() for place in ("#batch-table", "#batch-row"))
    assert row["x"] >= table["x"] + table["width"]  # beside it
    assert table["width"] + row["width"] > 1000  # of 1280

    # sorted by another column, a row is still the picture that it names
    head = batch.locator("#batch-table th", has_text="File")
    head.get_by_role("button").click()
    assert head.get_attribute("aria-sort") == "ascending"
    names = batch.locator("#batch-table .ds-pick").all_inner_texts()
    assert names == sorted(names, key=str.casefold)
    head.get_by_role("button").click()
    assert batch.locator("#batch-table .ds-pick").all_inner_texts() == names[::-1]
    listed.filter(has_text="letter").get_by_role("button").press("Enter")
    batch.locator("#batch-row").get_by_text("is not an image").wait_for()
    assert batch.locator("#batch-row b", has_text="letter").count() == 0
    assert batch.locator("#batch-table tr[aria-current=true]").count() == 1


def test_the_threshold_moves_the_verdicts_and_those_of_the_file(batch, archive, engine, tmp_path):
    hand_over(batch, archive)
    batch.locator("#batch-told").get_by_text("Done:").wait_for()
    asked = []
    batch.on("request", lambda request: asked.append(request.url))
    slider = batch.locator("#point input[type=range]")
    assert slider.count() == 1  # the page has one threshold
    shares = batch.locator("#batch-table tr[data-malignancy]").evaluate_all(
        "rows => rows.map(row => Number(row.dataset.malignancy))"
    )
    points = operating_slider.stops(engine.calibration)
    for key, stop in (("Home", 0), ("End", len(points) - 1)):
        slider.press(key)
        count = sum(share >= points[stop].threshold for share in shares)
        batch.wait_for_function(
            "n => document.querySelector('#batch-told [data-counted]').innerText === String(n)"
            " && document.querySelectorAll('#batch-table tr.is-malignant').length === n",
            arg=count,
        )
    assert [url for url in asked if "queue" in url] == []
    batch.locator("#point-sensitivity_95").click()
    batch.wait_for_timeout(500)
    assert {row["operating_point"] for row in saved(batch, tmp_path)} == {"sensitivity_95"}


def test_the_batch_is_saved_as_a_workbook(batch, archive, tmp_path):
    openpyxl = pytest.importorskip("openpyxl", reason="openpyxl is not installed")
    hand_over(batch, archive)
    batch.locator("#batch-told").get_by_text("Done:").wait_for()
    with batch.expect_download() as download:
        batch.locator("#batch-xlsx").click()
    download.value.save_as(tmp_path / "rows.xlsx")
    assert openpyxl.load_workbook(tmp_path / "rows.xlsx").active.max_row == 9


def test_a_stop_keeps_what_was_found(batch, archive, engine, monkeypatch, tmp_path):
    asked, go_on = [], threading.Event()
    ask = type(engine).predict_and_vote

    def waiting(self, images, **options):
        asked.append(len(images))
        if len(asked) > 2:
            assert go_on.wait(30)
        return ask(self, images, **options)

    monkeypatch.setattr("dermsim.engine.batch.BATCH", 2)
    monkeypatch.setattr(type(engine), "predict_and_vote", waiting)
    hand_over(batch, archive)
    try:
        batch.locator("#batch-told").get_by_text("4 of 8 pictures").wait_for()
        # another visitor's picture does not wait for the batch
        batch.get_by_role("tab", name="Classify").click()
        batch.locator("#examples button img").first.click()
        batch.locator("#verdict .ds-verdict").wait_for()
        batch.get_by_role("tab", name="Batch").click()
        batch.locator("#batch-stop").click()
        batch.locator("#batch-told").get_by_text("Stopped: 4 pictures are kept.").wait_for()
    finally:
        go_on.set()
    batch.locator("#batch-stop").wait_for(state="hidden")
    assert len(saved(batch, tmp_path)) == 4
    assert "Stopped" in batch.locator("#batch-told").inner_text()
    assert len(asked) == 3  # nothing is asked after the stop


def test_a_batch_that_waits_for_others_keeps_its_files(
    batch, client, archive, engine, monkeypatch, tmp_path
):
    turns, go_on = threading.Semaphore(0), threading.Event()
    ask = type(engine).predict_and_vote

    def waiting(self, images, **options):
        turns.release()
        assert go_on.wait(60)
        return ask(self, images, **options)

    monkeypatch.setattr(type(engine), "predict_and_vote", waiting)
    others = [
        client.submit([handle_file(archive)], "balanced", api_name="/batch")
        for _ in range(RUNS["concurrency_limit"])
    ]
    try:
        for _ in others:
            assert turns.acquire(timeout=30)
        hand_over(batch, archive)
        batch.locator("#batch-stop").wait_for()
        time.sleep(1.1)
        upload_folder().sweep(age=1)
    finally:
        go_on.set()
    batch.locator("#batch-told").get_by_text("Done: 8 of 8 pictures.").wait_for()
    assert sum(bool(row["error"]) for row in saved(batch, tmp_path)) == 1  # the letter
    for other in others:
        other.result(timeout=30)


def test_too_many_are_a_sentence_and_the_button_goes(batch, archive, monkeypatch):
    monkeypatch.setattr(batch_callbacks, "LIMITS", ArchiveLimits(pictures=3))
    hand_over(batch, archive)
    batch.get_by_test_id("toast-text").get_by_text("8 pictures are too many at once").wait_for()
    batch.locator("#batch-stop").wait_for(state="hidden")


def test_a_folder_is_taken_without_what_is_no_picture(batch, tmp_path):
    folder = tmp_path / "clinic"
    folder.mkdir()
    for name in ("a.png", "b.png"):
        draw_lesion("nv", seed=ord(name[0]), size=(60, 60)).save(folder / name)
    (folder / "notes.txt").write_text("no picture")
    batch.get_by_test_id("Add a folder-upload-button").set_input_files(str(folder))
    # Gradio sets a name and its ending apart
    listed = "document.querySelector('#batch-files').innerText.replace(/\\s/g, '')"
    batch.wait_for_function(f"{listed}.includes('b.png')")
    assert "notes" not in batch.evaluate(listed)
    batch.locator("#batch-told").get_by_text("Done: 2 of 2 pictures.").wait_for()


def test_a_report_is_downloaded_and_opens_by_itself(open_page, address, tmp_path):
    page = open_page(address)
    page.locator("#examples button img").nth(4).click()
    page.locator("#verdict .ds-verdict").wait_for()
    page.locator("#write-report").click()
    with page.expect_download() as download:
        page.locator("#report-link a").click()
    assert download.value.suggested_filename == "dermsim-synthetic-mel.html"
    download.value.save_as(tmp_path / "case.html")
    opened = open_page((tmp_path / "case.html").as_uri())
    assert opened.get_by_role("heading", level=1).inner_text() == "Case report"
    assert opened.get_by_role("img").count() >= 2
    # another picture, another report
    page.locator("#examples button img").nth(1).click()
    page.locator("#report-link a").wait_for(state="detached")


@pytest.fixture(scope="module")
def documents(engine, tmp_path_factory):
    """A case report and a look into a data set, in both languages."""
    folder = tmp_path_factory.mktemp("documents")
    report = examine(engine, draw_lesion("mel", seed=1, size=(300, 220)), name="lesion.png")
    found = explore(synthetic_ham10000(14, seed=0), name="synthetic")
    paths = []
    for language in LANGUAGES:
        for name, html in (
            ("case", case_html(report, language=language)),
            ("explore", explore_html(found, language=language)),
        ):
            paths.append(folder / f"{name}-{language}.html")
            paths[-1].write_text(html, encoding="utf-8")
    return paths


@pytest.mark.parametrize("width", [360, 800, 1920])
def test_documents_fit_their_window_and_ask_nobody(open_page, documents, width):
    for path in documents:
        page = open_page(path.as_uri(), width)
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        assert page.evaluate("performance.getEntriesByType('resource').length") == 0
        assert page.evaluate("[...document.images].every(i => i.complete && i.naturalWidth > 0)")


def test_documents_print_on_a4(open_page, documents):
    for path in documents:
        printed = open_page(path.as_uri(), 800).pdf(prefer_css_page_size=True)
        boxes = re.findall(rb"/MediaBox\s*\[\s*0 0 ([\d.]+) ([\d.]+)\s*\]", printed)
        assert 1 <= len(boxes) <= 3
        for box in boxes:
            assert [float(side) for side in box] == pytest.approx([595, 842], abs=2)
