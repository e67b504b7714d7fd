"""The names the README promises, and what importing them costs."""

import subprocess
import sys

import pytest

import dermsim


@pytest.mark.parametrize("name", dermsim.__all__)
def test_every_public_name_is_there_and_documented(name):
    value = getattr(dermsim, name)
    if name not in ("LABELS", "__version__"):
        assert value.__doc__
        assert value.__name__ == name


def test_dir_lists_the_public_names():
    assert dir(dermsim) == sorted(dermsim.__all__)


def test_an_unknown_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="has no attribute 'nonsense'"):
        _ = dermsim.nonsense


def test_importing_dermsim_imports_nothing_heavy():
    code = (
        "import dermsim, sys; "
        "print([m for m in ('torch', 'gradio', 'transformers', 'numpy') if m in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert printed.stdout.strip() == "[]"


LOOK = """
import sys
{load}
engine = load(sys.argv[1])
from dermsim.data.synthetic import draw_lesion
print(len(engine.predict(draw_lesion("mel", seed=0))[0].probabilities))
HEAVY = ("timm", "transformers.modeling_utils", "transformers.processing_utils", "torch._dynamo")
print([name for name in (*HEAVY, "scipy", "dermsim.models.compiler") if name in sys.modules])
"""


def look(load: str, checkpoint) -> list[str]:
    """Have a fresh process load a checkpoint and answer; return what it prints."""
    command = [sys.executable, "-c", LOOK.format(load=load), str(checkpoint)]
    printed = subprocess.run(command, capture_output=True, text=True)
    assert printed.returncode == 0, printed.stderr
    return printed.stdout.splitlines()


def test_a_library_user_gets_timm_as_it_is_and_needs_no_models_of_transformers(checkpoint):
    load = "from dermsim import DermSim; load = DermSim.from_pretrained"
    assert look(load, checkpoint) == ["7", "['timm', 'torch._dynamo']"]


@pytest.mark.parametrize(
    "load",
    [
        "from dermsim.cli.command import load_engine as load",
        "from dermsim.serve.page_server import load_checkpoint as load",
    ],
)
def test_our_own_programs_answer_without_torchs_compiler(load, checkpoint):
    assert look(load, checkpoint) == ["7", "['timm', 'dermsim.models.compiler']"]


AUTO = """
import sys
import dermsim
{first}
from transformers import AutoModel
model = AutoModel.from_pretrained(sys.argv[1])
print(type(model).__module__)
"""


@pytest.mark.parametrize(
    "first",
    [
        "dermsim.DermSimModel",
        "dermsim.DermSimConfig",
        "from dermsim.models import DermSimImageProcessor",
    ],
)
def test_transformers_knows_dermsim_once_one_of_its_classes_is_named(checkpoint, first):
    command = [sys.executable, "-c", AUTO.format(first=first), str(checkpoint)]
    printed = subprocess.run(command, capture_output=True, text=True)
    assert printed.stdout.strip() == "dermsim.models.modeling_dermsim", printed.stderr


def test_loading_an_engine_leaves_the_heaviest_alone(checkpoint):
    code = (
        "import sys; from dermsim import DermSim; DermSim.from_pretrained(sys.argv[1]); "
        "print([m for m in ('umap', 'faiss', 'datasets', 'sklearn', 'gradio') if m in sys.modules])"
    )
    command = [sys.executable, "-c", code, str(checkpoint)]
    printed = subprocess.run(command, capture_output=True, text=True)
    assert printed.stdout.strip() == "[]", printed.stderr
