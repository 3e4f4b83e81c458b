import shutil
from pathlib import Path

import jax
import numpy as np
import pytest

from dl.errors import UserError
from dl.training import checkpoint, manifest
from tests.training.tasks import classifier, curve, experiment, hashes, run, settings


def numbers(state):
    """The state as arrays that can be compared: keys as their data."""
    return jax.device_get(state._replace(key=jax.random.key_data(state.key)))


def same(a, b) -> None:
    jax.tree.map(np.testing.assert_array_equal, numbers(a), numbers(b))


def saved(workdir, steps, values=None, mode="lower", best=False):
    """Checkpoints of a state whose step counts up."""
    chosen = experiment("classifier", settings(ema=0.9, replicas=2))
    state = chosen.initial_state()
    writer = checkpoint.Writer(workdir, best, mode)
    for i, step in enumerate(steps):
        writer.save(step, state._replace(step=state.step + step), values[i] if values else None)
    writer.close()
    return chosen, state


def test_a_state_comes_back_bit_for_bit_with_its_keys(workdir):
    chosen, state = saved(workdir, [3])
    step, restored = checkpoint.restore_latest(workdir, chosen.target())
    assert step == 3 and restored.key.dtype == state.key.dtype
    same(restored, state._replace(step=state.step + 3))


def test_what_happens_after_a_save_does_not_reach_it(workdir):
    chosen = experiment("classifier")
    state = chosen.initial_state()
    before = numbers(state)
    writer = checkpoint.Writer(workdir, False, "lower")
    writer.save(1, state, None)
    spoil = jax.jit(lambda s: jax.tree.map(lambda p: p * 0 + 7, s.params), donate_argnums=0)
    spoil(state)  # takes the buffers, as the next dispatch does
    writer.close()
    _, restored = checkpoint.restore_latest(workdir, chosen.target())
    jax.tree.map(np.testing.assert_array_equal, before, numbers(restored))


@pytest.mark.parametrize(
    ("values", "mode", "kept"),
    [
        (None, "lower", [4, 5]),
        ([0.3, 0.1, 0.2, 0.4, 0.5], "lower", [2, 4, 5]),
        ([0.3, 0.1, 0.2, 0.4, 0.35], "higher", [4, 5]),
        ([0.9, None, 0.2, None, 0.5], "higher", [1, 4, 5]),
    ],
)
def test_the_latest_two_and_the_best_are_kept(values, mode, kept, workdir):
    saved(workdir, [1, 2, 3, 4, 5], values, mode, best=values is not None)
    assert checkpoint.steps(workdir) == kept
    if values:
        measured = {i + 1: v for i, v in enumerate(values) if v is not None}
        assert checkpoint.best_step(workdir, mode) == (min if mode == "lower" else max)(measured, key=measured.__getitem__)
    else:
        assert checkpoint.best_step(workdir, mode) is None


def test_a_step_is_saved_once(workdir):
    chosen, state = saved(workdir, [1])
    writer = checkpoint.Writer(workdir, False, "lower")
    writer.save(1, state._replace(step=state.step + 99), None)
    writer.close()
    assert int(checkpoint.restore_latest(workdir, chosen.target())[1].step[0]) == 1


def test_nothing_saved_is_no_error(workdir):
    assert checkpoint.restore_latest(workdir, experiment("painting").target()) is None
    assert checkpoint.steps(workdir) == []


def largest(folder):
    return max((p for p in folder.rglob("*") if p.is_file()), key=lambda p: p.stat().st_size)


def truncate(folder):
    path = largest(folder)
    path.write_bytes(path.read_bytes()[:-100])


def flip(folder):
    path = largest(folder)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


def empty(folder):
    shutil.rmtree(folder)
    folder.mkdir()


def no_manifest(folder):
    (folder / "sha256.json").unlink()


def half_a_manifest(folder):
    (folder / "sha256.json").write_text((folder / "sha256.json").read_text()[:50])


def lose(folder):
    largest(folder).unlink()


DAMAGES = {
    truncate: "has changed since it was written",
    flip: "has changed since it was written",
    empty: "sha256.json is missing",
    no_manifest: "sha256.json is missing",
    half_a_manifest: "sha256.json is not readable",
    lose: "is missing since it was written",
}


@pytest.mark.parametrize(("damage", "named"), DAMAGES.items(), ids=lambda x: getattr(x, "__name__", ""))
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(damage, named, workdir, capsys):
    chosen, state = saved(workdir, [4, 8])
    folder = workdir / "checkpoints" / "8"
    damage(folder)
    step, restored = checkpoint.restore_latest(workdir, chosen.target())
    said = capsys.readouterr().err
    assert said.startswith(f"warning: the checkpoint {folder} is damaged (") and named in said and said.count("\n") == 1
    assert step == 4
    same(restored, state._replace(step=state.step + 4))
    assert checkpoint.steps(workdir) == [4] and (workdir / "damaged" / "8").is_dir()


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    """A finished run, with checkpoints of step 8 and 12."""
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    return folder, hashes(run(experiment("classifier"), folder))


@pytest.mark.parametrize("damage", [truncate, flip, empty])
def test_training_goes_on_from_the_one_before_to_the_same_end(damage, undisturbed, workdir):
    shutil.copytree(undisturbed[0], workdir)
    damage(workdir / "checkpoints" / "12")
    again = run(experiment("classifier"), workdir)
    assert again.step == 12 and hashes(again) == undisturbed[1]
    assert checkpoint.steps(workdir) == [8, 12]
    assert checkpoint.restore_latest(workdir, experiment("classifier").target())[0] == 12  # saved again, and whole
    steps = curve(workdir, "loss")
    np.testing.assert_array_equal(steps, curve(undisturbed[0], "loss"))


def test_where_all_are_damaged_nothing_is_overwritten(undisturbed, workdir):
    shutil.copytree(undisturbed[0], workdir)
    for step in checkpoint.steps(workdir):
        flip(workdir / "checkpoints" / str(step))
    with pytest.raises(UserError, match="every checkpoint in .* is damaged"):
        run(experiment("classifier"), workdir)


def test_what_a_kill_left_half_written_is_cleared_away(undisturbed, workdir):
    shutil.copytree(undisturbed[0], workdir)
    left = workdir / "checkpoints" / "12.orbax-checkpoint-tmp"
    shutil.move(workdir / "checkpoints" / "12", left)
    (left / "commit_success.txt").unlink(missing_ok=True)
    again = run(experiment("classifier"), workdir)
    assert hashes(again) == undisturbed[1]
    assert sorted(p.name for p in (workdir / "checkpoints").iterdir()) == ["12", "8"]


@pytest.mark.parametrize("given", [{"data": 8}, {"data": 1, "fsdp": 8}, {"data": 2, "fsdp": 2, "model": 2}])
def test_a_checkpoint_can_be_restored_onto_another_mesh(given, undisturbed, workdir):
    config = settings()
    config.mesh.update(given)
    chosen = experiment("classifier", config, devices=8)
    target = chosen.target()
    one = checkpoint.restore(undisturbed[0], 8, experiment("classifier").target())
    many = checkpoint.restore(undisturbed[0], 8, target)
    same(one, many)
    jax.tree.map(lambda x, t: np.testing.assert_(x.sharding.is_equivalent_to(t.sharding, x.ndim)), many, target)
    shutil.copytree(undisturbed[0], workdir)
    shutil.rmtree(workdir / "checkpoints" / "12")
    run(chosen, workdir)
    np.testing.assert_allclose(curve(workdir, "loss"), curve(undisturbed[0], "loss"), rtol=2e-5)


def test_a_checkpoint_of_another_model_does_not_fit(undisturbed):
    import optax

    other = experiment(classifier(optimizer=optax.adam(0.1)))
    with pytest.raises(UserError, match="does not fit this configuration"):
        checkpoint.restore(undisturbed[0], 8, other.target())
    with pytest.raises(UserError, match="does not fit this configuration"):
        checkpoint.restore(undisturbed[0], 8, experiment("stack").target())
    replicas = experiment("classifier", settings(replicas=2))
    with pytest.raises(UserError, match="does not fit this configuration"):
        checkpoint.restore(undisturbed[0], 8, replicas.target())


def test_one_step_is_checked_before_it_is_restored(undisturbed, workdir):
    shutil.copytree(undisturbed[0], workdir)
    target = experiment("classifier").target()
    assert int(checkpoint.restore_step(workdir, 8, target).step[0]) == 8
    flip(workdir / "checkpoints" / "8")
    with pytest.raises(UserError, match=r"the checkpoint .*8 is damaged \(.* has changed"):
        checkpoint.restore_step(workdir, 8, target)


def test_a_folder_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"could not write a checkpoint in .*no checkpoint was saved yet"):
        checkpoint.Writer(tmp_path / "file" / "run", False, "lower").close()


def test_a_relative_workdir_is_as_good_as_any(workdir, monkeypatch):
    monkeypatch.chdir(workdir.parent)
    chosen, state = saved(Path("run"), [1, 2], [0.1, 0.2], best=True)
    assert checkpoint.steps(workdir) == [1, 2]
    for restored in (
        checkpoint.restore_latest(Path("run"), chosen.target()),
        (2, checkpoint.restore_step(Path("run"), 2, chosen.target())),
        (2, checkpoint.restore_best(Path("run"), "higher", chosen.target())[1]),
    ):
        assert restored[0] == 2
        same(restored[1], state._replace(step=state.step + 2))


@pytest.mark.parametrize("damage", [truncate, flip, empty, lose])
def test_of_damaged_best_checkpoints_the_next_best_counts(damage, workdir, capsys):
    chosen, state = saved(workdir, [1, 2, 3], [0.1, 0.3, 0.2], best=True)
    folder = workdir / "checkpoints" / "1"
    damage(folder)
    step, restored = checkpoint.restore_best(workdir, "lower", chosen.target())
    assert step == 3 and (workdir / "damaged" / "1").is_dir() and checkpoint.steps(workdir) == [2, 3]
    same(restored, state._replace(step=state.step + 3))
    said = capsys.readouterr().err
    assert said.startswith(f"warning: the checkpoint {folder} is damaged (") and said.count("\n") == 1
    for other in (2, 3):
        flip(workdir / "checkpoints" / str(other))
    assert checkpoint.restore_best(workdir, "lower", chosen.target()) is None


VALUES = [b"", b"{", b"[]", b"{}", b'{"value": null}', b'{"value": "0.1"}', b'{"value": NaN}', b"\xff", b'{"value": true}']


@pytest.mark.parametrize("content", VALUES)
def test_a_checkpoint_whose_value_cannot_be_read_is_named_and_set_aside(content, workdir, capsys):
    _, state = saved(workdir, [1, 2, 3], [0.1, 0.3, 0.2], best=True)
    (workdir / "checkpoints" / "1" / "metrics" / "metrics").write_bytes(content)
    assert checkpoint.best_step(workdir, "lower") == 3
    assert f"warning: the checkpoint {workdir / 'checkpoints' / '1'} is damaged: " in capsys.readouterr().err
    writer = checkpoint.Writer(workdir, True, "lower")
    said = capsys.readouterr().err
    assert said.startswith(f"warning: the checkpoint {workdir / 'checkpoints' / '1'} is damaged and was moved to damaged/: ")
    assert str(workdir / "checkpoints" / "1" / "metrics" / "metrics") in said and said.count("\n") == 1
    writer.save(4, state, 0.05)
    writer.close()
    assert checkpoint.best_step(workdir, "lower") == 4 and (workdir / "damaged" / "1").is_dir()


@pytest.mark.parametrize("content", [b"[]", b"3", b"null", b'"x"', b"", b"\xff", b"[" * 100_000])
def test_a_manifest_that_is_none_is_damage(content, workdir):
    folder = workdir / "1"
    folder.mkdir(parents=True)
    (folder / "sha256.json").write_bytes(content)
    assert manifest.damage(folder) == "sha256.json is not readable"
    (folder / "sha256.json").unlink()
    (folder / "sha256.json").mkdir()
    assert manifest.damage(folder) == "sha256.json: Is a directory"


def test_a_file_in_place_of_checkpoints_is_one_line(workdir):
    workdir.mkdir()
    (workdir / "checkpoints").write_text("")
    for use in (checkpoint.steps, lambda path: checkpoint.Writer(path, True, "lower")):
        with pytest.raises(UserError, match=r"cannot read the checkpoints in .*checkpoints: Not a directory"):
            use(workdir)
