"""The sources beside the weights are the package's, but for the lines that import one another."""

import ast
import difflib
import sys

from refusals import refuses

from dermsim.models.shipped_sources import PACKAGE, shipped_sources, shipped_text

ALL = shipped_sources("modeling_dermsim_ensemble", "image_processing_dermsim")
ELSEWHERE = {"PIL", "httpx", "numpy", "timm", "torch", "transformers"}
PLACES = {path.name: path for path in PACKAGE.glob("*/*_dermsim*.py")}


def test_they_are_the_packages_but_for_imports():
    for name, text in ALL.items():
        lines = difflib.ndiff(
            PLACES[name].read_text(encoding="utf-8").splitlines(), text.splitlines()
        )
        changed = [line for line in lines if line[0] in "+-"]
        old = [line[2:] for line in changed if line[0] == "-"]
        new = [line[2:] for line in changed if line[0] == "+"]
        assert all(line.lstrip().startswith("from dermsim.") for line in old), name
        assert [line.replace(f"dermsim.{line.split('.')[1]}", "") for line in old] == new, name


def test_they_import_one_another_and_nothing_else_of_dermsim():
    for name, text in ALL.items():
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Import):
                tops = {alias.name.partition(".")[0] for alias in node.names}
                assert tops <= ELSEWHERE | set(sys.stdlib_module_names), name
            elif isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1 and f"{node.module}.py" in ALL, name
            elif isinstance(node, ast.ImportFrom):
                top = node.module.partition(".")[0]
                assert top in ELSEWHERE | set(sys.stdlib_module_names), name


def test_an_ensemble_needs_what_one_encoder_needs_and_more():
    single = shipped_sources("modeling_dermsim", "image_processing_dermsim")
    more = ALL.keys() - single.keys()
    assert single.items() <= ALL.items()
    assert more == {
        f"{kind}_dermsim_ensemble.py" for kind in ("configuration", "modeling", "network")
    }


def test_only_imports_from_another_folder_are_rewritten():
    source = (
        '"""See `dermsim.data.depth_dermsim`."""\n'
        "from dermsim.data.depth_dermsim import to_8_bits\n"
        "    from dermsim.models.network_dermsim_ensemble import (\n"
        "from .configuration_dermsim import DermSimConfig\n"
        "from dermsim.core.labels import CODES\n"
    )
    assert shipped_text(source).splitlines() == [
        '"""See `dermsim.data.depth_dermsim`."""',
        "from .depth_dermsim import to_8_bits",
        "    from .network_dermsim_ensemble import (",
        "from .configuration_dermsim import DermSimConfig",
        "from dermsim.core.labels import CODES",
    ]


def test_a_module_that_is_not_there_is_named():
    with refuses("shipped_sources.no_module", FileNotFoundError, name="surprise_dermsim"):
        shipped_sources("surprise_dermsim")
