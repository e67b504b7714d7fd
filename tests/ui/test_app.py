import importlib.util
import shutil
import subprocess
import sys
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from dermsim.core.labels import CODES
from dermsim.data.synthetic import draw_lesion

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def page(engine, close):
    """The address of a served page."""
    from dermsim.ui.app import build_app, launch

    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # how Gradio says that a wiring does not fit
        app = build_app(lambda: engine)
    yield launch(app, port=None)
    close(app)


@pytest.fixture
def visit(page):
    """Open sessions of the page; each call is another visitor."""
    return lambda: Client(page, verbose=False)


@pytest.fixture(scope="module")
def lesion(tmp_path_factory):
    path = tmp_path_factory.mktemp("pictures") / "lesion.png"
    draw_lesion("vasc", seed=3, size=(200, 150)).save(path)
    return handle_file(str(path))


def test_the_endpoints_are_these_and_no_more(visit):
    named = visit().view_api(return_format="dict", print_info=False)["named_endpoints"]
    assert set(named) == {
        "/classify",
        "/explain",
        "/similar",
        "/likeness",
        "/enroll",
        "/compare",
        "/batch",
        "/describe",
        "/report",
    }


def test_classify_answers_with_probabilities(visit, lesion, engine):
    answer = visit().predict(lesion, api_name="/classify")
    assert set(answer["probabilities"]) == set(CODES)
    assert sum(answer["probabilities"].values()) == pytest.approx(1)
    expected = engine.predict([lesion["path"]])[0]
    assert answer["label_name"] == expected.label_name
    assert answer["probabilities"] == pytest.approx(expected.probabilities)


def test_classify_takes_an_operating_point(visit, lesion):
    assert visit().predict(lesion, "0", api_name="/classify")["is_malignant"]
    assert not visit().predict(lesion, "1", api_name="/classify")["is_malignant"]


def called(page, endpoint, data):
    """Ask without Gradio's client, which fills in defaults; return how the answer ends."""
    call = httpx.post(f"{page}gradio_api/call/{endpoint}", json={"data": data}).json()
    stream = f"{page}gradio_api/call/{endpoint}/{call['event_id']}"
    return httpx.get(stream, timeout=30).text.strip().split("\n\n")[-1]


@pytest.mark.parametrize("endpoint", ["classify", "similar", "explain", "report", "compare"])
def test_values_left_out_at_the_end_are_the_defaults(page, lesion, endpoint):
    with open(lesion["path"], "rb") as file:
        (path,) = httpx.post(f"{page}gradio_api/upload", files={"files": file}).json()
    answer = called(page, endpoint, [{"path": path, "meta": {"_type": "gradio.FileData"}}])
    assert answer.startswith("event: complete")


@pytest.mark.parametrize("endpoint", ["classify", "enroll", "likeness"])
def test_values_without_a_default_are_asked_for_in_a_sentence(page, endpoint):
    answer = called(page, endpoint, [])
    assert answer.startswith("event: error")
    assert "0 values came, and these are needed: " in answer


def test_likeness_answers_with_two_pictures_and_facts(visit, lesion, engine):
    first, second, facts = visit().predict(lesion, lesion, "", api_name="/likeness")
    assert Path(first).suffix == Path(second).suffix == ".png"
    assert facts["likeness"] == pytest.approx(1, abs=1e-5)
    assert [found["label_name"] for found in facts["predictions"]] == [
        engine.predict([lesion["path"]])[0].label_name
    ] * 2


def test_explain_answers_with_a_picture_and_its_facts(visit, lesion):
    picture, facts = visit().predict(lesion, "df", 0.5, api_name="/explain")
    assert Path(picture).suffix == ".png"
    assert facts["target"] == "df"


def test_similar_answers_with_cases(visit, lesion):
    cases = visit().predict(lesion, 3, api_name="/similar")
    similarity = [case["similarity"] for case in cases]
    assert len(cases) == 3
    assert similarity == sorted(similarity, reverse=True)


def test_two_visitors_do_not_see_each_others_classes(visit, lesion):
    one, other = visit(), visit()
    known = one.predict("clover", [lesion], api_name="/enroll")
    assert known["enrolled"] == {"clover": 1}
    assert "clover" in one.predict(lesion, api_name="/compare")
    assert "clover" not in other.predict(lesion, api_name="/compare")
    other.predict("clover", [lesion], api_name="/enroll")  # the name is free for each of them


@pytest.mark.parametrize(
    ("endpoint", "values", "sentence"),
    [
        ("/classify", [None], "There is no picture yet: add one first."),
        ("/explain", ["lesion", "clover", 0.5], "unknown dx 'clover': expected one of akiec"),
        ("/explain", ["lesion", "mel", 7], "Asked for an opacity of 7: choose 0 to 1."),
        ("/classify", ["lesion", "strict"], "unknown operating point 'strict'"),
        ("/likeness", ["lesion", None, ""], "There is no second picture yet: add one, or choose"),
        ("/likeness", ["lesion", None, "ISIC_x"], "There is no past case 'ISIC_x'"),
        ("/similar", ["lesion", 99], "Asked for 99 similar cases: choose 1 to 24."),
        ("/enroll", ["", ["lesion"]], "The new class has no name yet"),
        ("/enroll", ["clover", []], "There are no pictures of 'clover' yet"),
    ],
)
def test_bad_values_are_refused_with_a_sentence(visit, lesion, endpoint, values, sentence):
    fill = {"lesion": lesion}
    values = [[lesion] if value == ["lesion"] else fill.get(str(value), value) for value in values]
    with pytest.raises(AppError, match=sentence):
        visit().predict(*values, api_name=endpoint)


def test_a_refused_picture_leaves_the_server_up(visit, lesion, tmp_path):
    path = tmp_path / "letter.jpg"
    path.write_text("Dear doctor")
    session = visit()
    with pytest.raises(AppError, match=r"letter\.jpg is not an image"):
        session.predict(handle_file(str(path)), api_name="/classify")
    assert session.predict(lesion, api_name="/classify")["label_name"] in CODES


def test_a_path_on_the_server_is_not_read(page, tmp_path):
    path = tmp_path / "private.png"
    draw_lesion("nv", seed=0).save(path)
    marked = {"path": str(path), "meta": {"_type": "gradio.FileData"}}
    for image in (marked, {"path": str(path)}, {"url": str(path)}, str(path)):
        asked = {"classify": [image, "balanced"], "enroll": ["clover", [image]]}
        for endpoint, data in asked.items():
            assert called(page, endpoint, data).startswith("event: error")


def test_visitors_at_the_same_time_get_their_own_answers(visit, engine, tmp_path):
    paths = [tmp_path / f"{code}.png" for code in CODES]
    for code, path in zip(CODES, paths, strict=True):
        draw_lesion(code, seed=1, size=(120, 90)).save(path)
    clients = [visit() for _ in paths]
    with ThreadPoolExecutor(len(paths)) as pool:
        answers = pool.map(
            lambda client, path: client.predict(handle_file(str(path)), api_name="/classify"),
            clients,
            paths,
        )
        found = [answer["probabilities"] for answer in answers]
    for answer, path in zip(found, paths, strict=True):
        assert answer == pytest.approx(engine.predict([str(path)])[0].probabilities)


# The command.


@pytest.fixture
def command():
    spec = importlib.util.spec_from_file_location("app", ROOT / "app.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_command_serves_a_checkpoint(command, checkpoint, monkeypatch, free_port):
    served = {}
    monkeypatch.setattr("dermsim.ui.app.launch", lambda app, **options: served.update(options))
    assert command.main(["--model", str(checkpoint), "--port", str(free_port)]) == 0
    rest = served.pop("server")["routes"][0]
    assert (rest.path, served.pop("entrance").token) == ("/api", None)
    assert not served.pop("work").stopping
    assert served == {"host": "127.0.0.1", "port": free_port, "share": False}


def test_the_command_stops_when_the_weights_turn_out_damaged(
    command, checkpoint, tmp_path, monkeypatch, capsys, free_port
):
    monkeypatch.setattr("dermsim.ui.app.launch", lambda app, **options: None)
    damaged = shutil.copytree(checkpoint, tmp_path / "damaged")
    (damaged / "model.safetensors").write_bytes(b"nonsense")
    assert command.main(["--model", str(damaged), "--port", str(free_port)]) == 2
    assert "cannot be read" in capsys.readouterr().err


@pytest.mark.parametrize("option", ["--model", "--dataset"])
def test_the_command_refuses_with_one_sentence(
    command, checkpoint, option, tmp_path, capsys, free_port
):
    arguments = ["--model", str(checkpoint), option, str(tmp_path / "nowhere" / "at" / "all")]
    arguments += ["--port", str(free_port)]
    assert command.main(arguments) == 2
    told = capsys.readouterr().err.strip()
    assert "nowhere" in told
    assert "\n" not in told


def test_the_page_loads_nothing_heavy_at_start():
    code = (
        "import sys, dermsim.ui.app\n"
        "heavy = ('umap', 'faiss', 'datasets', 'sklearn', 'torch', 'transformers')\n"
        "print([name for name in heavy if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_gradio_wrote_nothing_beside_the_sources():
    assert not list((ROOT / "dermsim").rglob("*.pyi"))


def test_programs_are_told_the_names_of_all_values_and_no_empty_choice(page):
    told = httpx.get(f"{page}gradio_api/info").json()["named_endpoints"]
    assert {"/classify", "/explain", "/similar", "/likeness", "/enroll", "/batch"} <= set(told)
    for endpoint, facts in told.items():
        for parameter in facts["parameters"]:
            assert not parameter["parameter_name"].startswith("param_"), endpoint
            shape = str(parameter["type"])
            assert "'enum': []" not in shape and "'enum': ['']" not in shape, endpoint
            assert "Literal[]" not in parameter["python_type"]["type"], endpoint
    similar = [each["parameter_name"] for each in told["/similar"]["parameters"]]
    assert similar == ["image", "k", "one_per_lesion", "dx", "localization", "sex", "dx_type",
                       "youngest", "oldest", "concepts", "exclude_lesion"]  # fmt: skip
