"""Spectra of sound: values of the HTK Book worked by hand, and an implementation by NumPy and SciPy alone."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.fft
import scipy.signal

from dl.data.sound import extraction, spectrum
from dl.errors import UserError

RATE = 8000
RNG = np.random.default_rng(0)
NOISE = (0.1 * RNG.standard_normal(4000)).astype(np.float32)


def independent(samples, rate, bands, coefficients=0, length=200, shift=80, k=0.97):
    """Log-mel bands or liftered cepstra, frame after frame and band after band, in float64."""
    size, rows = 256, []
    edges = 700 * (10 ** (np.linspace(0, 2595 * np.log10(1 + rate / 2 / 700), bands + 2) / 2595) - 1)
    for start in range(0, len(samples) - length + 1, shift):
        s = samples[start : start + length].astype(np.float64) * 32768
        emphasised = np.concatenate([[s[0] * (1 - k)], scipy.signal.lfilter([1, -k], 1, s)[1:]])
        magnitude = np.abs(np.fft.rfft(emphasised * scipy.signal.get_window("hamming", length, fftbins=False), size))
        row = []
        for lower, centre, upper in zip(edges, edges[1:], edges[2:], strict=False):
            mels = [2595 * np.log10(1 + f / 700) for f in (lower, centre, upper)]
            weight = np.interp(2595 * np.log10(1 + np.arange(size // 2 + 1) * rate / size / 700), mels, [0, 1, 0])
            row.append(np.log(max(weight @ magnitude, 1)))
        rows.append(row)
    found = np.array(rows)
    if not coefficients:
        return found
    c = scipy.fft.dct(found, type=2, norm="ortho", axis=1)[:, :coefficients]
    c[:, 0] *= np.sqrt(2)  # HTK's c_0 has the factor of the others
    return c * (1 + 11 * np.sin(np.pi * np.arange(coefficients) / 22))


def plain(**changes):
    return extraction.Settings(bands=24, normalise=False, **changes)


def test_worked_values_of_the_mel_scale_and_the_window():
    assert spectrum.mel(1000.0) == pytest.approx(1000, abs=0.05)
    assert spectrum.mel(700.0) == pytest.approx(2595 * np.log10(2), rel=1e-3)
    assert spectrum.fft_size(400) == 512 and spectrum.fft_size(256) == 256
    assert [spectrum.count_frames(n, 200, 80) for n in (199, 200, 279, 280)] == [0, 1, 1, 2]


def test_triangles_share_every_frequency_between_two_filters():
    weights = spectrum.filter_bank(20, 512, 16000, 130, 6800)
    hertz = np.arange(257) * 16000 / 512
    centres = np.linspace(spectrum.mel(130), spectrum.mel(6800), 22)[1:-1]
    between = (spectrum.mel(hertz) > centres[0]) & (spectrum.mel(hertz) < centres[-1])
    np.testing.assert_allclose(weights[between].sum(1), 1)
    assert not weights[(hertz < 130) | (hertz > 6800)].any() and ((weights > 0).sum(1) <= 2).all()


def test_pre_emphasis_by_hand():
    np.testing.assert_allclose(spectrum.emphasised(jnp.array([[1.0, 2.0, 4.0]]), 0.5), [[0.5, 1.5, 3.0]])


@pytest.mark.parametrize("coefficients", [0, 13])
def test_frames_are_those_of_an_independent_implementation(coefficients):
    settings = plain(features="mfcc" if coefficients else "log_mel")
    (frames,) = extraction.extract([NOISE], RATE, settings)
    expected = independent(NOISE, RATE, 24, coefficients)
    assert frames.shape == expected.shape == (48, coefficients or 24)
    np.testing.assert_allclose(frames, expected, atol=2e-3)


def test_a_tone_is_loudest_in_the_band_of_its_frequency_and_silence_is_zero():
    tone = np.sin(2 * np.pi * 1000 * np.arange(2000) / RATE).astype(np.float32)
    loud, silent = extraction.extract([tone, np.zeros(2000, np.float32)], RATE, plain())
    centres = np.linspace(0, spectrum.mel(RATE / 2), 26)[1:-1]
    assert (loud.argmax(1) == np.abs(centres - spectrum.mel(1000)).argmin()).all()
    assert not silent.any()


def test_slopes_are_those_of_straight_lines_fitted_to_five_frames():
    x = RNG.standard_normal((30, 3)).astype(np.float32)
    expected = scipy.signal.savgol_filter(x, 5, 1, deriv=1, axis=0, mode="nearest")
    np.testing.assert_allclose(spectrum.deltas(jnp.asarray(x), 30), expected, atol=1e-5)
    padded = np.concatenate([x, np.full((7, 3), 99, np.float32)])
    np.testing.assert_allclose(spectrum.deltas(jnp.asarray(padded), 30)[:30], expected, atol=1e-5)
    assert spectrum.with_deltas(jnp.asarray(x), 30, 2).shape == (30, 9)


def test_padding_is_not_counted_in_mean_and_deviation():
    x = RNG.standard_normal((20, 4)).astype(np.float32) * 3 + 5
    padded = np.concatenate([x, np.full((5, 4), 1e3, np.float32)])
    found = np.asarray(spectrum.normalised(jnp.asarray(padded), 20))
    np.testing.assert_allclose(found[:20], (x - x.mean(0)) / x.std(0), rtol=1e-4, atol=1e-5)
    assert not found[20:].any()


def test_sounds_of_other_lengths_beside_it_change_nothing():
    settings = extraction.Settings(features="mfcc", deltas=2)
    (alone,) = extraction.extract([NOISE[:3000]], RATE, settings)
    beside = extraction.extract([NOISE[:400], NOISE[:3000], NOISE], RATE, settings)
    np.testing.assert_allclose(beside[1], alone, atol=1e-5)
    assert [len(frames) for frames in beside] == [3, 36, 48] and settings.depth == 39


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": "plp"}, "unknown value of dataset.sound.features 'plp'"),
        ({"bands": 0}, "dataset.sound.bands must be above 0"),
        ({"deltas": -1}, "dataset.sound.deltas must not be negative"),
        ({"features": "mfcc", "coefficients": 50}, "coefficients=50 are at most dataset.sound.bands=40"),
    ],
)
def test_settings_that_make_no_sense(change, message):
    with pytest.raises(UserError, match=message):
        extraction.check(extraction.Settings(**change))


def test_a_sound_that_is_shorter_than_a_frame_and_bands_beyond_the_rate():
    with pytest.raises(UserError, match=r"x\.wav has 150 samples, fewer than a frame of 200"):
        extraction.extract([NOISE[:150]], RATE, plain(), ["x.wav"])
    with pytest.raises(UserError, match="do not fit sound of 8,000 samples a second"):
        extraction.extract([NOISE], RATE, plain(high=6800))
