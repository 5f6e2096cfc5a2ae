"""Gradual unfreezing: the head first, then the layers from the top down."""

from __future__ import annotations

from trainer.unfreezing import frozen_below


def stages(num_stages: int, adapted: list[int], **given: bool) -> list[int | None]:
    return [frozen_below(epoch, num_stages, adapted, 12, **given) for epoch in range(6)]


def test_the_head_is_alone_first_and_all_train_in_the_end() -> None:
    assert stages(3, [6, 7, 8, 9, 10, 11]) == [12, 10, 8, None, None, None]


def test_without_stages_all_train_from_the_beginning() -> None:
    assert stages(0, [6, 7]) == [None] * 6


def test_no_layer_is_frozen_again() -> None:
    for num_stages in range(6):
        lowest = [0 if low is None else low for low in stages(num_stages, list(range(12)))]
        assert lowest == sorted(lowest, reverse=True)


def test_layers_that_are_adapted_here_and_there_open_one_by_one() -> None:
    assert stages(3, [1, 5, 9]) == [12, 9, 5, None, None, None]


def test_beside_a_head_without_weights_the_top_layers_begin() -> None:
    assert stages(2, [6, 7, 8, 9, 10, 11], bare=True) == [10, 8, None, None, None, None]


def test_one_adapted_layer_waits_for_the_head() -> None:
    assert stages(2, [11])[:3] == [12, 12, None]
