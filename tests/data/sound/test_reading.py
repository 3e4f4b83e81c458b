"""Sound from files: channels, rates, and files that are none."""

import numpy as np
import pytest
import soundfile

from dl.data.sound.reading import Sound, as_int16, clipped, read_sound, resampled
from dl.errors import UserError


def tone(frequency, rate, seconds=0.5):
    return np.sin(2 * np.pi * frequency * np.arange(round(rate * seconds)) / rate).astype(np.float32) / 2


@pytest.mark.parametrize("suffix", ["wav", "flac"])
def test_files_are_read_and_channels_averaged(tmp_path, suffix):
    left, right = tone(440, 8000), tone(880, 8000)
    soundfile.write(tmp_path / f"a.{suffix}", np.stack([left, right], 1), 8000)
    found = read_sound(tmp_path / f"a.{suffix}")
    assert found.rate == 8000 and found.samples.dtype == np.float32
    np.testing.assert_allclose(found.samples, (left + right) / 2, atol=1e-4)


def test_another_rate_keeps_the_tone_and_drops_what_would_alias():
    found = resampled(Sound(tone(440, 44100), 44100), 16000)
    assert found.rate == 16000 and len(found.samples) == 8000
    np.testing.assert_allclose(found.samples[500:-500], tone(440, 16000)[500:-500], atol=5e-3)
    above = resampled(Sound(tone(7000, 16000), 16000), 8000)
    assert np.abs(above.samples[200:-200]).max() < 0.01


def test_clipped_samples_are_counted_in_runs():
    assert clipped(tone(440, 8000)) == 0
    loud = np.clip(tone(440, 8000) * 8, -1, 1)
    assert 0.5 < clipped(loud) < 0.95
    np.testing.assert_array_equal(as_int16(np.float32([-1, 0, 0.5, 1])), [-32768, 0, 16384, 32767])


def test_what_is_no_sound(tmp_path):
    (tmp_path / "text.wav").write_text("no sound at all")
    soundfile.write(tmp_path / "empty.wav", np.zeros(0), 8000)
    soundfile.write(tmp_path / "nan.wav", np.float32([0, np.nan]), 8000, subtype="FLOAT")
    for name, message in {
        "missing.wav": "there is no such file",
        "text.wav": r"can't be read as sound: .*ormat",
        "empty.wav": "is empty: it has no samples",
        "nan.wav": "NaN or infinite",
    }.items():
        with pytest.raises(UserError, match=message) as caught:
            read_sound(tmp_path / name)
        assert "\n" not in str(caught.value) and name in str(caught.value)
