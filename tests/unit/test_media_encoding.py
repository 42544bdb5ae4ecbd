"""The encoded picture: rising, without kinks, and undone exactly."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from penumbra_engine.media import decode, encode, srgb_encode

values = st.floats(-6e4, 6e4, width=32)
exposures = st.floats(1 / 64, 64, width=32)


@given(values, exposures)
def test_decode_undoes_encode(value: float, exposure: float) -> None:
    encoded = encode(np.array([value], np.float32), exposure)
    assert encoded.dtype == np.float32
    np.testing.assert_allclose(decode(encoded, exposure), [value], rtol=1e-5, atol=1e-7)


@given(st.lists(values, min_size=2, max_size=50), exposures)
def test_brighter_stays_brighter(unsorted: list[float], exposure: float) -> None:
    encoded = encode(np.array(sorted(unsorted), np.float32), exposure)
    assert (np.diff(encoded) >= 0).all()


def test_it_is_srgb_up_to_one_and_gentle_above() -> None:
    known = {0.0: 0.0, 0.0031308: 0.04045, 0.18: 0.46136, 0.5: 0.73536, 1.0: 1.0}
    np.testing.assert_allclose(encode(np.array(list(known), np.float32)), list(known.values()), atol=2e-5)
    np.testing.assert_array_less(encode(np.array([1e4, 6e4], np.float32)), 4)
    below, at, above = encode(np.array([0.998, 1.0, 1.002], np.float32))
    np.testing.assert_allclose(above - at, at - below, rtol=0.01)


def test_a_negative_value_is_its_positive_turned() -> None:
    ramp = np.geomspace(1e-6, 1e4, 100, dtype=np.float32)
    np.testing.assert_array_equal(encode(-ramp), -encode(ramp))


def test_a_preview_is_cut_to_the_screen() -> None:
    np.testing.assert_allclose(
        srgb_encode(np.array([-1, 0, 0.18, 1, 1000], np.float32)), [0, 0, 0.46136, 1, 1], atol=2e-5
    )
