import pathlib

from components.pretrained.model_files import fingerprint


def test_a_fingerprint_is_that_of_the_content(tmp_path: pathlib.Path) -> None:
    model = tmp_path / "model"
    (model / "variables").mkdir(parents=True)
    (model / "variables" / "index").write_text("abc")
    # Of the text "abc", as `sha256sum` has it.
    of_file = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert fingerprint(str(model / "variables" / "index")) == of_file

    first = fingerprint(str(model))
    model.rename(tmp_path / "moved")
    assert fingerprint(str(tmp_path / "moved")) == first
    (tmp_path / "moved" / "variables" / "index").write_text("abd")
    assert fingerprint(str(tmp_path / "moved")) != first
    (tmp_path / "moved" / "variables" / "index").write_text("abc")
    (tmp_path / "moved" / "variables" / "index").rename(tmp_path / "moved" / "index")
    assert fingerprint(str(tmp_path / "moved")) != first
