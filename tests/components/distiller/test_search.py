"""Lists in a distillation's settings become variants."""

import pydantic
import pytest

from components.distiller.methods.kd import Kd
from components.distiller.search import MOST_VARIANTS, Search

ADAPTER = pydantic.TypeAdapter(Search)


def read(**entry: object) -> Search:
    return ADAPTER.validate_python({"name": "s", "method": "kd", **entry})


def test_without_lists_an_entry_is_its_only_variant() -> None:
    search = read(temperature=2)

    assert search.name == "s"
    assert search.variants == (Kd(name="s", method="kd", temperature=2.0),)
    assert search.searched == ()
    assert search.apart() == (search,)


def test_lists_multiply_to_variants_that_are_named_by_their_own_values() -> None:
    search = read(student_loss_weight=[0, 0.25], temperature=[1, 2.5, 1e-5])

    found = {each.name: (each.temperature, each.student_loss_weight) for each in search.variants}  # type: ignore[attr-defined]
    assert found == {
        "s-T1-w0": (1.0, 0.0),
        "s-T1-w0-25": (1.0, 0.25),
        "s-T2-5-w0": (2.5, 0.0),
        "s-T2-5-w0-25": (2.5, 0.25),
        "s-T1e-05-w0": (1e-5, 0.0),
        "s-T1e-05-w0-25": (1e-5, 0.25),
    }
    assert search.values(search.variants[3]) == {"temperature": 2.5, "student_loss_weight": 0.25}


def test_a_further_value_leaves_the_other_variants_as_they_were() -> None:
    few, more = read(temperature=[2, 4]), read(temperature=[8, 4, 3, 2])

    assert set(few.variants) < set(more.variants)


def test_switches_and_whole_numbers_can_be_listed_too() -> None:
    entry = {"name": "s", "method": "dkd", "warmup_epochs": [0, 5], "standardise_logits": [True, False]}

    search = ADAPTER.validate_python(entry)

    assert [each.name for each in search.variants] == [
        "s-warmup_epochs-0-standardise_logits-true",
        "s-warmup_epochs-0-standardise_logits-false",
        "s-warmup_epochs-5-standardise_logits-true",
        "s-warmup_epochs-5-standardise_logits-false",
    ]


def test_it_is_written_as_it_was_given_with_all_defaults() -> None:
    search = read(temperature=[4, 2], student_loss_weight=0.5)

    written = ADAPTER.dump_python(search, mode="json")

    assert written == {
        "name": "s",
        "method": "kd",
        "temperature": [4.0, 2.0],
        "student_loss_weight": 0.5,
        "standardise_logits": False,
    }
    assert ADAPTER.validate_python(written) == search


def test_as_many_variants_as_are_allowed_are_read() -> None:
    assert len(read(temperature=list(range(1, MOST_VARIANTS + 1))).variants) == MOST_VARIANTS


def test_what_multiplies_beyond_the_bound_is_never_made() -> None:
    with pytest.raises(pydantic.ValidationError, match=r"100000 x 100000 = 10000000000 variants"):
        read(temperature=list(range(1, 100_001)), student_loss_weight=list(range(100_000)))
