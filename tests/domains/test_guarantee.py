"""How wide samples lie, by the noise of the scan."""

import numpy as np
import pytest

from medrev.domains.guarantee import Width


def test_a_power_of_the_noise_is_found_again():
    noise = [0.02, 0.03, 0.05, 0.08]
    needed = [1.2815515655446004 * (n / 0.04) ** 0.9 for n in noise]
    width = Width.fit(noise, needed)
    assert (width.slope, width.one, width.least) == pytest.approx((0.9, 0.04, 0.02))
    assert width.at(0.08) == pytest.approx(2**0.9)


def test_less_noise_than_that_of_the_calibration_counts_as_its_least():
    width = Width(slope=1.0, one=0.04, least=0.02)
    assert width.at(0.0) == width.at(0.02) == 0.5
    assert width.at(None) == 1.0


def test_a_weight_file_hands_it_on():
    width = Width(slope=0.9, one=0.04, least=0.02)
    assert Width.of(width.header()) == width
    assert Width.of({}) == Width()
    assert Width.of({**width.header(), **Width().header()}) == Width()
    assert Width.of({}).at(123.0) == 1.0


def test_widths_grow_at_most_in_proportion_to_the_noise():
    noise = [0.02, 0.04, 0.08]
    width = Width.fit(noise, [1.2815515655446004 * (n / 0.04) ** 3 for n in noise])
    assert (width.slope, width.one) == pytest.approx((1.0, 0.04))


def test_subjects_of_one_noise_tell_no_width():
    assert Width.fit([0.05] * 9, np.linspace(1, 2, 9)) == Width()


def test_needs_that_do_not_grow_with_the_noise_are_no_width():
    assert Width.fit([0.02, 0.04, 0.08], np.array([3.0, 2.0, 1.0])) == Width()
