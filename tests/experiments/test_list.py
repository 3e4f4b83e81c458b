"""The index of experiments says what is there."""

import json

from dl import config_file
from dl.report import index
from experiments import list as program
from tests.conftest import REPOSITORY

CONFIGS, DOCS = REPOSITORY / "configs", REPOSITORY / "docs"


def test_the_page_is_up_to_date():
    counted = index.counted(DOCS)
    assert program.stale(CONFIGS, counted) == [], "python -m experiments.list --write"
    assert (DOCS / index.PAGE).read_text() == index.page(program.entries(CONFIGS, counted), DOCS)


def test_what_is_counted_is_what_the_papers_say():
    found = {entry.name: entry for entry in program.entries(CONFIGS, index.counted(DOCS))}
    assert found["mnist_lenet5"].parameters == 60_000  # LeCun et al. 1998, section II.B
    assert found["imagenet_vgg16"].parameters == 138_357_544  # Simonyan & Zisserman 2015, table 2: 138 million
    assert found["ptb_lstm_small"].files == ["ptb/simple-examples.tgz"]
    assert "smoke" in found["mnist_lenet5"].variants and "0.95 % test error" in found["mnist_lenet5"].title
    assert index.published(found["mnist_lenet5"]) == "error 0.95 % (test)"


def test_parameters_and_files_are_counted_without_data():
    found = program.count(str(CONFIGS / "mnist_mlp.py"))
    assert found["parameters"] == 784 * 500 + 500 + 500 * 10 + 10
    assert "mnist/train-images-idx3-ubyte.gz" in found["files"] and found["places"][0].startswith(
        "https://storage.googleapis.com"
    )
    assert program.needed(config_file.load(str(CONFIGS / "digits_mlp.py"))) == ([], [])
    files, places = program.needed(config_file.load(str(CONFIGS / "usps_adaptation.py")))
    assert {file.partition("/")[0] for file in files} == {"mnist", "usps"} and len(places) == 2


def test_a_config_that_changed_or_went_is_stale(tmp_path):
    (tmp_path / "digits_mlp.py").write_text((CONFIGS / "digits_mlp.py").read_text())
    counted = {"digits_mlp": index.counted(DOCS)["digits_mlp"], "gone": {}}
    assert program.stale(tmp_path, counted) == ["gone"]
    counted["digits_mlp"]["config_hash"] = "0"
    assert program.stale(tmp_path, counted) == ["digits_mlp", "gone"]


def test_reached_are_results_of_a_setting_that_has_a_name(tmp_path):
    folder = tmp_path / "results"
    folder.mkdir()
    result = json.loads((DOCS / "results" / "mnist_lenet5.json").read_text())
    (folder / "a.json").write_text(json.dumps(result))
    result["reference"]["setting"] = "quick, optimizer.learning_rate=0.1"
    (folder / "b.json").write_text(json.dumps(result))
    (one,) = index.reached(tmp_path)["mnist_lenet5"]
    assert one.variant == "" and one.reference is True
    assert index.config_of("python -m experiments.train --config=configs/a.py:quick --workdir=b") == "a:quick"


def test_words_choose_experiments():
    entries = program.entries(CONFIGS, {})
    chosen = [entry.name for entry in entries if program.matches(entry, ["LSTM", "penn"])]
    assert {"ptb_lstm_small", "ptb_lstm_large"} <= set(chosen) and "mnist_lenet5" not in chosen
