import threading

import pytest

from components.sharding.ahead import map_ahead


def test_results_come_in_the_order_of_the_items() -> None:
    assert list(map_ahead(lambda each: each**2, range(7), threads=3)) == [0, 1, 4, 9, 16, 25, 36]
    assert list(map_ahead(str, [], threads=2)) == []


def test_the_next_is_at_work_while_a_result_is_used() -> None:
    began = {number: threading.Event() for number in range(3)}

    def note(number: int) -> int:
        began[number].set()
        return number

    results = map_ahead(note, range(3), threads=1)
    assert next(results) == 0
    assert began[1].wait(timeout=60)
    assert not began[2].is_set()


def test_an_error_comes_in_the_place_of_its_result() -> None:
    results = map_ahead(lambda each: 1 / each, [1, 0, 2], threads=2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
