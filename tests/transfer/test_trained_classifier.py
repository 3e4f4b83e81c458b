"""A classifier of this project extracts features as it classifies them; what it is asked must fit it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ml_collections import ConfigDict

from dl.data.resizing import fit_images
from dl.dataset import Feature, Info, Kind, labelled_images
from dl.errors import UserError
from dl.evaluation import feature_extractor
from dl.training import workdir as folder
from dl.training.assembly import assemble
from dl.training.restored import restore
from dl.transfer import trained_classifier
from tests.tasks.test_adversarial import images
from tests.training.tasks import run, settings


@pytest.fixture(scope="module")
def classifier(tmp_path_factory):
    """The workdir of an MLP, trained for a few steps on the embedded digits."""
    path = tmp_path_factory.mktemp("classifier")
    config = settings(steps=60, log_every=30, checkpoint_every=0)
    config.model = ConfigDict({"name": "mlp", "hidden": (12,)})
    lock = folder.open_for_writing(path, config, False)
    run(assemble(config), path)
    lock.close()
    return path


def test_features_and_probabilities_are_the_classifiers(classifier):
    run_ = restore(folder.read_config(classifier), classifier)
    info = run_.experiment.dataset.info
    digits = run_.experiment.dataset.splits["test"].gather(np.arange(40))
    pixels = jnp.float32(digits["image"] / 255)
    features, probabilities = trained_classifier.feature_extractor(str(classifier), info).extract(pixels)
    params = run_.replica(0)[0]["model"]
    x = (np.asarray(pixels).reshape(40, -1) - 0.5) @ params["dense1"]["kernel"] + params["dense1"]["bias"]
    np.testing.assert_allclose(features, np.maximum(x, 0), atol=1e-5)
    scores = np.maximum(x, 0) @ params["dense2"]["kernel"] + params["dense2"]["bias"]
    np.testing.assert_allclose(probabilities, jax.nn.softmax(scores), atol=1e-5)


def test_a_game_is_measured_by_it(classifier, tmp_path):
    config = images()
    config.task.update(classifier=str(classifier), confident=0.3)
    metrics = run(assemble(config), tmp_path / "run").evaluated["test"].metrics
    assert {"frechet", "confident", "confident_real", "coverage", "class_error"} <= set(metrics)
    assert metrics["frechet"][0] > 0 and metrics["confident_real"][0] > metrics["confident"][0]


def test_what_does_not_fit_is_a_clear_line(classifier, tmp_path):
    with pytest.raises(UserError, match="knows 10 classes of images with 1 channels, but faces has 0 classes"):
        trained_classifier.feature_extractor(str(classifier), Info("faces", {"image": Feature(Kind.IMAGE, (64, 64, 3))}))
    with pytest.raises(UserError, match=r"config.task.classifier=.*: .*holds no run"):
        trained_classifier.feature_extractor(str(tmp_path), labelled_images("digits", (8, 8, 1), 10))


def test_images_are_brought_to_size_as_the_data_were():
    x = np.random.default_rng(0).random((2, 28, 28, 1), np.float32)
    np.testing.assert_array_equal(trained_classifier.fit(jnp.asarray(x), (32, 32), "pad"), fit_images(x, (32, 32), "pad"))
    assert trained_classifier.fit(jnp.asarray(x), (16, 16), "pad").shape == (2, 16, 16, 1)  # larger sides are resized


def test_random_features_are_always_the_same_and_differ_with_the_images():
    look = feature_extractor.random().extract
    x = jax.random.uniform(jax.random.key(0), (3, 28, 28, 1))
    features, probabilities = look(x)
    assert features.shape == (3, 64) and probabilities is None
    np.testing.assert_array_equal(features, look(x)[0])
    assert not np.allclose(features[0], features[1])
