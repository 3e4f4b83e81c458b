"""Sounds as HTML: a player each, the sound within the page as a WAV file."""

import base64
import io
import wave
from html import escape

import numpy as np

from dl.artifacts import Audio


def players(artifact: Audio) -> str:
    """A player for each sound, its caption beside it."""
    lines = []
    for number, sound in enumerate(artifact.sounds):
        caption = artifact.captions[number] if number < len(artifact.captions) else ""
        data = base64.b64encode(wav(np.asarray(sound), artifact.rate)).decode()
        player = f'<audio controls preload="metadata" src="data:audio/wav;base64,{data}"></audio>'
        lines.append(f"<figure>{player}<figcaption>{escape(str(caption))}</figcaption></figure>")
    return f'<div class="sounds">{"".join(lines)}</div>'


def wav(sound: np.ndarray, rate: int) -> bytes:
    """A WAV file of one channel and 16 bits; floats are cut off at -1 and 1, NaN is silence."""
    if sound.dtype.kind == "f":
        sound = np.clip(np.round(np.nan_to_num(sound) * 2**15), -(2**15), 2**15 - 1)
    file = io.BytesIO()
    with wave.open(file, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(rate)
        out.writeframes(sound.astype("<i2").tobytes())
    return file.getvalue()
