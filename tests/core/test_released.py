"""The released checkpoint is found from anywhere."""

from dermsim import DermSim
from dermsim.core import released


def test_it_is_the_checkouts_own_or_the_hubs(monkeypatch, tmp_path):
    module = tmp_path / "dermsim" / "core" / "released.py"
    monkeypatch.setattr(released, "__file__", str(module))
    assert released.default_model() == released.HUB_MODEL
    folder = tmp_path / "hub" / "dermsim-ham10000"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    assert released.default_model() == str(folder)


def test_an_engine_without_a_name_is_the_released_one(monkeypatch, tmp_path, checkpoint):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("dermsim.engine.dermsim.default_model", lambda: str(checkpoint))
    engine = DermSim.from_pretrained()
    assert engine.fingerprint == DermSim.from_pretrained(checkpoint).fingerprint
