"""Speech to text by CTC: padding counts nowhere, what cannot be aligned is left out, tones are learned, files transcribed."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile
from ml_collections import ConfigDict

from configs.an4_ctc import get_config
from dl.data.ragged import RaggedArrays, ragged
from dl.data.sources.dial_tones import RATE, dial
from dl.dataset import Feature, Info, Kind, Resources
from dl.errors import UserError
from dl.generation.transcription import transcribe
from dl.models.deep_blstm import DeepBLSTM
from dl.tasks.transcription import Settings, Transcriber, build, check_alignable
from dl.training.assembly import assemble
from dl.training.loop import train
from dl.training.progress import Progress
from dl.vocabulary import Vocabulary

KEY = jax.random.key(0)
VOCABULARY = Vocabulary("ab", words=False)


def transcriber(join=1):
    return Transcriber(DeepBLSTM(3, hidden=6, layers=1, cell="lstm", join=join), VOCABULARY, 4, Settings())


def batch(rows, length=9, symbols=3):
    frames, text, sizes, spelled = [], [], [], []
    for seed, (size, symbols_of) in enumerate(rows):
        values = np.random.default_rng(seed).standard_normal((length, 4)).astype(np.float32)
        frames.append(np.where(np.arange(length)[:, None] < size, values, 0))
        text.append(list(symbols_of) + [0] * (symbols - len(symbols_of)))
        sizes.append(size)
        spelled.append(len(symbols_of))
    return {
        "frames": jnp.asarray(np.stack(frames)),
        "frames_length": jnp.array(sizes, jnp.int32),
        "text": jnp.array(text, jnp.int32),
        "text_length": jnp.array(spelled, jnp.int32),
    }


def test_the_loss_is_the_mean_over_the_rows_that_count_and_can_be_aligned():
    task = transcriber()
    params, _ = task.init(KEY)
    rows = [(9, (0, 1)), (4, (1, 1, 0)), (2, (0, 0))]  # the last needs three frames
    loss = jax.jit(task.loss)
    (total, count), _ = loss(params, {}, batch(rows), KEY)
    alone = [loss(params, {}, batch([row]), KEY)[0] for row in rows[:1]]
    assert count == 2
    assert float(alone[0][1]) == 1
    masked = {**batch(rows), "mask": jnp.array([True, False, True])}
    (only, one), _ = loss(params, {}, masked, KEY)
    assert one == 1 and float(only) == pytest.approx(float(alone[0][0]), rel=1e-5)
    assert float(total) > float(only)


def test_padding_changes_neither_loss_nor_what_is_heard():
    task = transcriber(join=2)
    params, _ = task.init(KEY)
    short, long = batch([(6, (0, 1))], 6, 2), batch([(6, (0, 1))], 9, 3)
    long["frames"] = long["frames"].at[:, :6].set(short["frames"]).at[:, 6:].set(7.0)
    found = [jax.jit(task.evaluate)(params, {}, {**b, "mask": jnp.array([True])}, KEY) for b in (short, long)]
    assert float(found[0][0]["loss"][0]) == pytest.approx(float(found[1][0]["loss"][0]), rel=1e-5)
    assert found[0][1]["heard_length"] == found[1][1]["heard_length"]


def test_transcripts_that_are_too_long_are_told_before_the_training():
    source = RaggedArrays(
        {
            "frames": ragged([np.zeros((n, 4), np.float32) for n in (6, 5, 9)]),
            "text": ragged([np.array(t, np.int32) for t in ([0, 1], [0, 0], [1])]),
        }
    )
    check_alignable("test", source, lambda n: -(-n // 2))
    with pytest.raises(UserError, match=r"'test': 1 of 3 transcripts .* utterance 1 needs 3 frames, and the network gives 2"):
        check_alignable("test", source, lambda n: n // 2)


def test_what_does_not_fit():
    config = get_config("smoke")
    pictures = Resources(Info("digits", {"image": Feature(Kind.IMAGE, (8, 8, 1))}))
    with pytest.raises(UserError, match="needs utterances with their transcripts, and the dataset digits has image"):
        build(config, pictures, 1)
    config.task.beam = -1
    with pytest.raises(UserError, match="task.beam=-1 must be 1 or more"):
        build(config, pictures, 1)
    config.task = ConfigDict({"name": "transcription", "width": 3})
    with pytest.raises(UserError, match="unknown setting of the task transcription 'width'"):
        build(config, pictures, 1)


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    config = get_config("smoke")
    config.update(steps=240, batch_size=16, steps_per_dispatch=20, log_every=60, eval_every=240, checkpoint_every=240)
    config.dataset.update(examples=240, buckets=1, splits={"train": "train", "test": "test"})
    config.model.update(hidden=32, dropout=0.1)
    config.optimizer.learning_rate = 1e-2
    config.best.metric = ""
    config.augmentation = ConfigDict()
    folder = tmp_path_factory.mktemp("ctc") / "run"
    folder.mkdir()
    experiment = assemble(config)
    return experiment, train(experiment, folder, Progress(config.steps, enabled=False))


def test_tones_are_learned(trained):
    found = trained[1].evaluated["test"].metrics
    assert found["character_error"][0] < 0.1 and found["word_error"][0] < 0.4
    assert found["character_error_beam"][0] <= found["character_error"][0] + 0.02


def test_files_are_transcribed(trained, tmp_path):
    experiment, ended = trained
    params = jax.tree.map(lambda x: jnp.asarray(np.asarray(x)[0]), ended.state.params)
    paths, said = [], []
    for number in range(6):
        samples, keys = dial(np.random.default_rng([9, number]))
        paths.append(tmp_path / f"{number}.wav")
        said.append(keys)
        soundfile.write(paths[-1], samples, RATE)
    found = transcribe(experiment, params, {}, paths)
    assert sum(a == b for a, b in zip(found, said, strict=True)) >= 4
    assert transcribe(experiment, params, {}, paths[2:3]) == found[2:3]
    soundfile.write(paths[0], np.stack([np.repeat(dial(np.random.default_rng([9, 1]))[0], 2)] * 2, 1), 2 * RATE)
    assert transcribe(experiment, params, {}, paths[:1])[0] == found[1]
