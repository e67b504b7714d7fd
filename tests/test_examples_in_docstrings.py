"""Every public name has a docstring, types and an example; every example runs.

An example may use ``engine`` and ``picture``, which the docstring of `DermSim` makes. A property
counts as shown where an example of its class uses it; a method has an example of its own.

Docstrings of all other modules are read too: a function says what it raises, and the shape of each
array that it takes.
"""

import ast
import doctest
import inspect
import re
from dataclasses import fields, is_dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

import pytest

import dermsim

PACKAGE = Path(dermsim.__file__).parent
LINES = 6
"""Lines of code that an example has at most; what is printed is not counted."""

VALUES = {"LABELS": "core/labels.py", "__version__": "core/version.py"}
"""Public names that are no class or function: where the docstring stands below them."""

INNER = {
    name
    for names in (
        "check_temperatures custom_pipelines",  # transformers asks a configuration for them
        "fetch_images process_image resize",  # and an image processor for these
        # whoever uses a model calls it, as the example of its class does
        "build decode encode encode_stages feature_map feature_width forward weigh_facts",
        "device dtype members",
    )
    for name in names.split()
}
"""Members of the classes in `dermsim.models` that no reader calls."""

# --- what is public ------------------------------------------------------------------------------


def function_of(member):
    """The function of a method or property as a class holds it; None of anything else."""
    if isinstance(member, property):
        return member.fget
    if isinstance(member, cached_property):
        return member.func
    if isinstance(member, classmethod | staticmethod):
        return member.__func__
    return member if inspect.isfunction(member) else None


def members(cls):
    """The public methods and properties of a class that are ours, by name."""
    for name in dir(cls):
        function = function_of(inspect.getattr_static(cls, name))
        if function is None or name.startswith("_"):
            continue
        home = function.__module__
        if home.startswith("dermsim.models.") and name in INNER:
            continue
        if home.startswith("dermsim.") or home == __name__:
            yield name, inspect.getattr_static(cls, name)


def text_below(name):
    """The docstring below a value of a module."""
    body = ast.parse((PACKAGE / VALUES[name]).read_text(encoding="utf-8")).body
    for value, below in pairwise(body):
        if isinstance(value, ast.Assign | ast.AnnAssign) and isinstance(below, ast.Expr):
            target = value.targets[0] if isinstance(value, ast.Assign) else value.target
            if ast.unparse(target) == name:
                return inspect.cleandoc(ast.literal_eval(below.value))
    return ""


def docstrings(name, value):
    """By name the docstrings of a public name and of its members; "" where there is none."""
    if name in VALUES:
        return {name: text_below(name)}
    found = {name: vars(value).get("__doc__") if inspect.isclass(value) else value.__doc__}
    if inspect.isclass(value):
        found |= {f"{name}.{own}": function_of(m).__doc__ for own, m in members(value)}
    return {own: inspect.cleandoc(text or "") for own, text in found.items()}


def examples(text):
    return doctest.DocTestParser().get_examples(text)


def lacks(name, value):
    """Say what a public name and its members lack."""
    texts = docstrings(name, value)
    code = "\n".join(example.source for text in texts.values() for example in examples(text))
    kinds = dict(members(value)) if inspect.isclass(value) else {}
    found = []
    for own, text in texts.items():
        member = kinds.get(own.partition(".")[2])
        used = isinstance(member, property | cached_property) and re.search(
            rf"\.{own.partition('.')[2]}\b", code
        )
        if not text:
            found.append(f"{own} has no docstring")
        if not (examples(text) or used):
            found.append(f"{own} has no example")
        if sum(example.source.count("\n") for example in examples(text)) > LINES:
            found.append(f"{own} has an example of more than {LINES} lines")
        if "+SKIP" in text:
            found.append(f"{own} has an example that does not run")
        if re.search(r"\d\.\d{5}", "".join(example.want for example in examples(text))):
            found.append(f"{own} prints a number with many digits")
    functions = {f"{name}.{own}": function_of(member) for own, member in kinds.items()}
    if inspect.isfunction(value):
        functions[name] = value
    elif inspect.isclass(value) and inspect.isfunction(vars(value).get("__init__")):
        functions[f"{name}.__init__"] = vars(value)["__init__"]
    for own, function in functions.items():
        if untyped(function):
            found.append(f"{own} lacks types")
        if own in texts and (missing := undescribed(names_of(function), texts[own])):
            found.append(f"{own} does not describe {', '.join(missing)}")
    if is_dataclass(value) and (missing := undescribed(own_fields(value), texts[name])):
        found.append(f"{name} does not describe {', '.join(missing)}")
    return found


def parameters(function):
    found = inspect.signature(function).parameters.values()
    return [parameter for parameter in found if parameter.name not in ("self", "cls")]


def names_of(function):
    return [parameter.name for parameter in parameters(function)]


def own_fields(cls):
    """Fields of a dataclass that it does not inherit, as ours do from those of transformers."""
    return [field.name for field in fields(cls) if field.name in vars(cls)["__annotations__"]]


def untyped(function):
    """Whether a parameter or what is returned has no type."""
    types = [parameter.annotation for parameter in parameters(function)]
    if function.__name__ != "__init__":
        types.append(inspect.signature(function).return_annotation)
    return inspect.Signature.empty in types


def undescribed(names, text):
    """The names that a docstring has no entry for; a single one needs none."""
    named = [name for name in names if re.search(rf"^ *{name}: ", text, flags=re.MULTILINE)]
    return [name for name in names if name not in named] if len(names) > 1 else []


@pytest.mark.parametrize("name", dermsim.__all__)
def test_it_has_docstring_types_and_example(name):
    assert lacks(name, getattr(dermsim, name)) == []


class Bare:
    def __init__(self, size):
        self.size = size

    def method(self, value: int, other: int) -> int:
        """Return a value."""
        return value + other

    @property
    def shown(self) -> int:
        """A value."""
        return 1

    def long(self) -> None:
        """Do much.

        Examples:
            >>> 1
            >>> 2
            >>> 3
            >>> 4
            >>> 5
            >>> 6
            >>> bare.shown  # doctest: +SKIP
            0.123456
        """


def test_what_lacks_something_is_named():
    assert lacks("Bare", Bare) == [
        "Bare has no docstring",
        "Bare has no example",
        "Bare.long has an example of more than 6 lines",
        "Bare.long has an example that does not run",
        "Bare.long prints a number with many digits",
        "Bare.method has no example",
        "Bare.method does not describe value, other",
        "Bare.__init__ lacks types",
    ]


# --- what is shown runs --------------------------------------------------------------------------


@pytest.fixture(scope="module")
def names():
    """What examples may use beside what they make."""
    from dermsim.data.synthetic import draw_lesion

    released = PACKAGE.parent / "hub" / "dermsim-ham10000"
    return {
        "engine": dermsim.DermSim.from_pretrained(released),
        "picture": draw_lesion("mel", seed=1),
    }


def run(text, names, *, name):
    """Run the examples of a docstring; return what differs from what it says."""
    test = doctest.DocTestParser().get_doctest(text, dict(names), name, None, None)
    said = []
    doctest.DocTestRunner(verbose=False).run(test, out=said.append)
    return "".join(said)


@pytest.mark.parametrize("name", dermsim.__all__)
def test_its_examples_run(name, names, tmp_path, monkeypatch, request):
    monkeypatch.chdir(tmp_path)
    if name == "build_ensemble":  # its example speaks of two runs
        Path("runs").mkdir()
        for run_name, fixture in (("first", "checkpoint"), ("second", "sibling_checkpoint")):
            Path("runs", run_name).symlink_to(request.getfixturevalue(fixture))
    told = [run(t, names, name=n) for n, t in docstrings(name, getattr(dermsim, name)).items()]
    assert "\n".join(filter(None, told)) == ""


def test_an_example_that_is_wrong_is_shown():
    assert "Got:\n    2" in run(">>> 1 + one\n3", {"one": 1}, name="sum")
    assert run(">>> 1 + one\n2", {"one": 1}, name="sum") == ""


# --- what functions say of arrays and refusals ---------------------------------------------------

REFUSAL = re.compile(r"(Refused\w*|ValueError)")
ARRAY = re.compile(r"\b(NDArray|ArrayLike|Tensor|ndarray|Vectors|IntArray|FloatArray)\b")
SHAPE = re.compile(
    r"\([\w *+.]{1,12},[^()]*\)"  # (N,) or (2 B, D), and no paper with its year
    r"|\b[Aa]s (for|in|from|there|`)|\b[Ll]ikewise|\bof (any|the same|that) shape"
)


def public_functions(body, inside=""):
    """Functions and methods without an underscore, by name."""
    for node in body:
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node.body, f"{inside}{node.name}.")
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name[0] != "_":
            yield f"{inside}{node.name}", node


def raised(node):
    """Names of what the body of a function raises, functions within it left out."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        if isinstance(child, ast.Raise) and child.exc is not None:
            called = child.exc.func if isinstance(child.exc, ast.Call) else child.exc
            yield getattr(called, "id", "")
        yield from raised(child)


def told_of(argument, text):
    """What a docstring says of an argument under ``Args``; of all of it where that has no entry."""
    entry = re.search(rf"^( +){argument}: .*(\n\1 +.*)*", text, flags=re.MULTILINE)
    return entry[0] if entry else text


def silent(source):
    """Say which functions of a module are silent about a refusal or about a shape."""
    module = ast.parse(source)
    about = ast.get_docstring(module) or ""
    for name, node in public_functions(module.body):
        text = ast.get_docstring(node) or ""
        if "Raises:" not in text and any(REFUSAL.fullmatch(kind) for kind in raised(node)):
            yield f"{name} does not say what it raises"
        arguments = node.args
        for argument in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs):
            kind = ast.unparse(argument.annotation) if argument.annotation else ""
            told = told_of(argument.arg, text)
            if re.search(rf"\b{argument.arg}\b", about):  # as where all functions take the same
                told += about
            if ARRAY.search(kind) and not SHAPE.search(told):
                yield f"{name} does not say the shape of {argument.arg}"


MODULES = [
    path.relative_to(PACKAGE).as_posix()
    for path in sorted(PACKAGE.rglob("*.py"))
    if path.parent.name != "cli"  # docstrings of commands are what --help prints
]


@pytest.mark.parametrize("module", MODULES)
def test_functions_say_what_they_raise_and_which_shapes_they_take(module):
    assert list(silent((PACKAGE / module).read_text(encoding="utf-8"))) == []


SILENT = '''
def scale(values: npt.NDArray[np.float32], by: float, other: ArrayLike) -> None:
    """Scale.

    Args:
        values: Numbers,
            many of them.
        by: A factor (or two, or three).
        other: ``(N, D)``.
    """
    if by < 0:
        raise Refused("scale.by")

def _hidden(values: npt.ArrayLike) -> None:
    raise ValueError

class Scale:
    def outer(self) -> None:
        """Make a function."""
        def inner() -> None:
            raise ValueError
'''


def test_a_silent_function_is_named():
    assert list(silent(SILENT)) == [
        "scale does not say what it raises",
        "scale does not say the shape of values",
    ]
