"""timm comes without torch's compiler, and the compiler is all there once somebody wants it."""

import subprocess
import sys


def run(code: str, *, cwd) -> str:
    """Run code in a fresh interpreter, and return what it prints."""
    path = cwd / "script.py"
    path.write_text(code)
    answer = subprocess.run([sys.executable, path], capture_output=True, text=True, cwd=cwd)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout.strip()


BEFORE = """
import sys
from dermsim.models.compiler import import_without_compiler
"""


def test_timm_alone_needs_no_compiler_and_what_it_took_is_the_compilers_own_once_called(tmp_path):
    code = (
        f"{BEFORE}timm = import_without_compiler('timm')\n"
        "assert timm.list_models('test_resnet*') and timm is sys.modules['timm']\n"
        "assert timm.layers._fx.has_fx_feature_extraction\n"
        "print([m for m in sys.modules if m.startswith('torch._dynamo')])\n"
        "import torch\n"
        "print('_dynamo' in vars(torch))\n"
        "from timm.models.naflexvit import NaFlexEmbeds, create_attention_mask\n"
        "from torchvision.ops import roi_align as module\n"
        "from torchvision.ops.roi_align import is_compile_supported\n"
        "supported = is_compile_supported('cpu')  # asks the compiler\n"
        "import torch._dynamo.utils\n"
        "assert supported == torch._dynamo.utils.is_compile_supported('cpu')\n"
        "assert torch._dynamo.utils.counters is not None\n"
        "assert not hasattr(torch._dynamo, '__dermsim_stand_in__')\n"
        "assert torch.compiler.disable(abs)(-1) == 1\n"
        "print('the same')\n"
    )
    assert run(code, cwd=tmp_path).splitlines() == ["[]", "False", "the same"]


def test_a_network_that_timm_keeps_from_being_compiled_still_answers(tmp_path):
    ask = (
        "import timm, torch\n"
        "SMALL = {'embed_dim': 32, 'depth': 1, 'num_heads': 2}\n"
        "torch.random.default_generator.manual_seed(0)\n"
        "net = timm.create_model('naflexvit_base_patch16_gap', num_classes=3, **SMALL).eval()\n"
        "pixels = torch.linspace(-1, 1, 3 * 96 * 64).reshape(1, 3, 96, 64)\n"
        "with torch.inference_mode(): print(net(pixels).tolist())\n"
    )
    without = run(f"{BEFORE}import_without_compiler('timm')\n{ask}", cwd=tmp_path)
    assert without.startswith("[[") and without == run(ask, cwd=tmp_path)


def test_who_wants_more_of_the_compiler_gets_it(tmp_path):
    (tmp_path / "wanting.py").write_text(
        "from torch._dynamo.utils import counters, is_compile_supported\n"
        "import torch\n"
        "limit = torch._dynamo.config.recompile_limit\n"
    )
    code = (
        f"{BEFORE}wanting = import_without_compiler('wanting')\n"
        "import torch._dynamo.utils\n"
        "assert wanting.counters is torch._dynamo.utils.counters\n"
        "assert wanting.limit == torch._dynamo.config.recompile_limit\n"
        "print(hasattr(torch._dynamo.utils, '__dermsim_stand_in__'))\n"
    )
    assert run(code, cwd=tmp_path) == "False"


def test_an_import_that_fails_leaves_nothing_behind(tmp_path):
    (tmp_path / "dividing.py").write_text("1 / 0")
    (tmp_path / "wanting.py").write_text("from torch._dynamo.utils import no_such_thing")
    code = (
        f"{BEFORE}"
        "for name in ('dividing', 'wanting'):\n"
        "    try:\n"
        "        import_without_compiler(name)\n"
        "    except (ZeroDivisionError, ImportError) as error:\n"
        "        print(type(error).__name__)\n"
        "    print([m for m in sys.modules.values() if '__dermsim_stand_in__' in vars(m)])\n"
    )
    lines = run(code, cwd=tmp_path).splitlines()
    assert lines == ["ZeroDivisionError", "[]", "ImportError", "[]"]
