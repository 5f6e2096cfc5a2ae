from __future__ import annotations

import pytest

from adapters_registry.errors import BadName
from adapters_registry.ref import Ref, check_alias, check_name


@pytest.mark.parametrize(
    ("text", "ref"),
    [
        ("mail", Ref(task="mail")),
        ("mail@7", Ref(task="mail", version=7)),
        ("mail@canary", Ref(task="mail", alias="canary")),
        ("a.b-c_d@v2", Ref(task="a.b-c_d", alias="v2")),
    ],
)
def test_a_ref_is_a_task_with_a_version_or_an_alias(text: str, ref: Ref) -> None:
    assert Ref.parse(text) == ref
    assert str(ref) == text


HOSTILE = [
    "", ".", "..", "../../x", "%252e", "..\\x", "a/b", "a b", " a", "a\n", "a\x00", "A",
    "é", "ａ", "e\u0301",
    "\u2024\u2024", "😀", "-a", "a-", "_a", "a.", "x" * 65, "x" * 10_000,
]  # fmt: skip


@pytest.mark.survival("A18")
@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused(name: str) -> None:
    with pytest.raises(BadName):
        check_name(name)


@pytest.mark.survival("A18")
@pytest.mark.parametrize("suffix", ["", "0", "007", "1234567890", "²", "１", "a@b", "../x", "Prod"])
def test_a_hostile_version_or_alias_is_refused(suffix: str) -> None:
    with pytest.raises(BadName):
        Ref.parse(f"mail@{suffix}")


def test_an_alias_cannot_be_a_number() -> None:
    with pytest.raises(BadName, match="version number"):
        check_alias("7")


def test_a_name_has_up_to_64_characters() -> None:
    assert check_name("x" * 64) == "x" * 64


def test_the_error_echoes_at_most_the_start_of_a_long_name() -> None:
    with pytest.raises(BadName) as caught:
        check_name("x" * 10_000)
    assert len(str(caught.value)) < 200
