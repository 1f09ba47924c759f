import re
from pathlib import Path

import pytest

from medrev.config import load_pipeline
from medrev.errors import ConfigError

from .conftest import MINIMAL


def error_of(path) -> str:
    with pytest.raises(ConfigError) as caught:
        load_pipeline(path)
    assert "\n" not in str(caught.value)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: a: b\n", "x.yaml:1: not valid YAML: mapping values are not allowed here"),
        ("name: a\ndata:\n\troot: x\n", "x.yaml:3: not valid YAML: a tab where spaces are needed"),
        ("name: [a\n", "x.yaml:2: not valid YAML: "),
        ("name: a\n---\nname: b\n", "x.yaml:2: not valid YAML: '---' begins a second document"),
        ("name: a\x07\n", "x.yaml:1: not valid YAML: the character U+0007 is not allowed"),
        ("name: *a\n", "x.yaml:1: not valid YAML: found undefined alias"),
        ("", "x.yaml: the file is empty"),
        ("# nothing\n", "x.yaml: the file is empty"),
        ("- a\n- b\n", "x.yaml: a pipeline is made of 'key: value' lines"),
        ("hello\n", "x.yaml: a pipeline is made of 'key: value' lines"),
        ("[" * 5000, "x.yaml: not valid YAML: nested too deeply"),
    ],
)
def test_unreadable_documents(write, text, message):
    assert error_of(write(text)).startswith(message)


@pytest.mark.parametrize(
    "value",
    [
        "!!python/object/apply:os.system ['touch evaluated']",
        "!!python/name:os.system",
        "!!binary aGk=",
        "!custom 3",
    ],
)
def test_tags_are_refused_and_not_evaluated(write, tmp_path, value):
    message = error_of(write(MINIMAL + f"description: {value}\n"))
    assert re.match(r"x.yaml:10: the tag '!.*' is not allowed: a pipeline is plain data", message)
    assert not (tmp_path / "evaluated").exists()


def test_text_that_looks_like_code_stays_text(write):
    path = write(MINIMAL + "description: $import os; @data ${HOME}\n")
    assert load_pipeline(path).description == "$import os; @data ${HOME}"


def test_alias_bomb_ends(write):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [" + ", ".join([f"*a{i - 1}"] * 9) + "]" for i in range(1, 9)]
    path = write(MINIMAL + "\n".join(lines))
    with pytest.raises(ConfigError, match="aliases"):
        load_pipeline(path)


def test_alias_of_itself_ends(write):
    path = write(MINIMAL + "evaluation: &a\n  baselines: *a\n")
    with pytest.raises(ConfigError, match=r"x\.yaml:11: aliases"):
        load_pipeline(path)


def test_not_utf8(write):
    path = write()
    path.write_bytes(MINIMAL.encode() + "description: café\n".encode("latin-1"))
    assert error_of(path) == (
        "x.yaml:10: not UTF-8 text (byte 0xe9); a pipeline file is YAML saved as UTF-8"
    )


def test_missing_file_suggests_similar_ones(write):
    write(MINIMAL, "pipelines/hcp_dti_sr.yaml")
    message = "pipelines/hcp_dti_rs.yaml: no such file; did you mean pipelines/hcp_dti_sr.yaml?"
    assert error_of("pipelines/hcp_dti_rs.yaml") == message
    assert "did you mean pipelines/hcp_dti_sr.yaml?" in error_of("hcp_dti_sr")
    write("name: [", "broken.yaml")
    assert error_of("zzz.yaml") == "zzz.yaml: no such file; there are pipelines/hcp_dti_sr.yaml"
    Path("pipelines/hcp_dti_sr.yaml").unlink()
    assert error_of("zzz.yaml") == "zzz.yaml: no such file"


def test_folder_instead_of_file(tmp_path):
    assert error_of(tmp_path).endswith("is a folder; give a pipeline file (.yaml)")


class TestExtends:
    def test_missing_base(self, write):
        write(MINIMAL, "base.yaml")
        message = error_of(write("extends: bsae.yaml\n"))
        assert message == (
            "x.yaml:1: extends bsae.yaml: bsae.yaml: no such file; did you mean base.yaml?"
        )

    @pytest.mark.parametrize("value", ["3", "[a.yaml]", "", "{a: b}"])
    def test_not_a_path(self, write, value):
        message = "x.yaml:10: extends must be the path of another pipeline file"
        assert error_of(write(MINIMAL + f"extends: {value}\n")) == message

    @pytest.mark.parametrize("length", [1, 2, 3])
    def test_circle(self, write, length):
        for i in range(length):
            write(f"extends: {(i + 1) % length}.yaml\n", f"{i}.yaml")
        circle = " → ".join([f"{i}.yaml" for i in range(length)] + ["0.yaml"])
        message = error_of("0.yaml")
        assert message.endswith(f"the files extend each other in a circle: {circle}")
