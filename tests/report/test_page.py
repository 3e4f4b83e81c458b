"""The page of a run says what the run's files say, and stands alone."""

import base64
import io
import json
import re
import subprocess
import sys
import time

import numpy as np
import pytest
import soundfile

from dl import report
from dl.artifacts import Audio, Curves, Matrix, Scatter, Text
from dl.errors import UserError
from dl.report import artifacts, audio, plots


@pytest.fixture
def page(parse):
    """Writes the page of a workdir and parses it."""

    def write(folder):
        path = report.write(folder)
        assert path == folder / "report" / "index.html"
        return parse(path.read_text())

    return write


def test_the_page_says_what_the_run_reached(page, make_run):
    text = page(make_run()).text
    assert "0.00900 ± 0.00020" in text and "0.009, 0.0088, 0.0092" in text
    assert (
        "0.90 % ± 0.02 test error, reference 0.95 %" in text and "0.0095" in text and "LeCun et al. 1998, section III.B" in text
    )
    assert " reached" in text and "not reached" not in text
    for expected in ("finished", "60,000", "1 min 23 s", "ab12, cd34, ef56", "jax 0.10.2", "platform cpu, count 2", "c0ffee"):
        assert expected in text
    assert "python -m experiments.train --config=configs/x.py" in text


def test_every_key_of_the_configuration_is_there(page, make_run):
    folder = make_run()
    text = page(folder).text
    from ml_collections import ConfigDict

    from dl.config import flatten

    keys = flatten(ConfigDict(json.loads((folder / "config.json").read_text())))
    assert len(keys) > 30
    assert [key for key in keys if key not in text] == []


@pytest.mark.parametrize(
    ("metric", "value", "expected"),
    [("test/error", 0.0089, "not reached"), ("error", 0.0090, " reached"), ("test/accuracy", 0.99, "not yet known")],
)
def test_the_verdict_on_the_reference(page, make_run, metric, value, expected):
    assert expected in page(make_run(reference=(metric, value, "a paper"))).text


def test_a_higher_accuracy_is_better(page, make_run):
    folder = make_run(reference=("test/accuracy", 0.9, "a paper"))
    result = json.loads((folder / "result.json").read_text())
    result["metrics"]["test"] = {"accuracy": {"mean": 0.91, "std": 0.0, "values": [0.91]}}
    (folder / "result.json").write_text(json.dumps(result))
    assert "not reached" not in page(folder).text and " reached" in page(folder).text


def test_no_reference_no_verdict(page, make_run):
    text = page(make_run(reference=None)).text
    assert "reached" not in text and "Verdict" not in text


def test_the_page_stands_alone(page, make_run):
    folder = make_run()
    parsed = page(folder)
    assert parsed.loads and all(value.startswith(("#", "data:image/")) for value in parsed.loads)
    source = (folder / "report" / "index.html").read_text()
    assert "script" not in parsed.tags and "link" not in parsed.tags
    assert not re.search(r"url\(|@import|https?://", source)
    assert [p.name for p in (folder / "report").iterdir()] == ["index.html"]


def test_one_plot_a_metric_with_both_splits_bands_and_replicas(make_run):
    source = report.write(make_run()).read_text()
    figures = {
        re.search("<h3>(.*?)[<]", f).group(1): f for f in re.findall(r"<figure class=\"card plot\">.*?</figure>", source)
    }
    assert set(figures) == {"error", "learning rate", "gradient norm", "examples per second"}
    error = figures["error"]
    assert error.count('class="band"') == 2 and error.count('class="thin"') == 6 and error.count('class="line"') == 2
    assert "train" in error and "test" in error


def test_artifacts_are_shown_and_escaped(page, make_run):
    parsed = page(make_run())
    assert "3 as 5, 0.99" in parsed.text and "<b> as c & d, 0.75" in parsed.text
    assert "Confusion matrix" in parsed.text and "actual" in parsed.text and "predicted" in parsed.text
    assert parsed.tags.count("img") == 2


def test_rows_are_actual_and_columns_predicted(page, make_run):
    folder = make_run()
    artifacts.save(folder, "test", {"m": Matrix(np.array([[8, 2], [1, 9]]), ("r0", "r1"), ("c0", "c1"), "actual", "predicted")})
    assert "actual c0 c1 r0 8 2 r1 1 9" in page(folder).text


def test_every_type_of_artifact_is_drawn(page, make_run):
    folder = make_run()
    big = Matrix(np.arange(1600).reshape(40, 40), [str(i) for i in range(40)], [str(i) for i in range(40)])
    line = Curves({"precision": (np.linspace(0, 1, 2000), np.where(np.arange(2000) % 500, 1.0, np.nan))}, "recall", "precision")
    points = Scatter(np.random.default_rng(0).normal(size=(50, 2)), np.arange(50) % 3, ("a", "b", "c"))
    artifacts.save(folder, "train", {"attention": big, "PR": line, "t-SNE": points, "sample": Text("To be, or <not>")})
    parsed = page(folder)
    assert "40 by 40" in parsed.text and "recall" in parsed.text and "To be, or <not>" in parsed.text
    assert parsed.tags.count("svg") == 2 * (4 + 2)


def test_texts_stand_where_their_points_are(page, make_run):
    folder = make_run()
    points = np.array([[0.0, 0.0], [np.nan, 1.0], [2.0, 2.0]])
    artifacts.save(folder, "test", {"map": Scatter(points, np.zeros(3, int), ("words",), ("<film>", "lost", "movie"))})
    text = page(folder).text
    assert "<film>" in text and "movie" in text and "lost" not in text


def test_sounds_are_played_from_within_the_page(page, make_run):
    folder = make_run()
    sound = np.sin(np.arange(800) / 9)
    artifacts.save(folder, "test", {"sounds": Audio((sound, np.array([9, -9], np.int16)), 8000, ("one", "<two>"))})
    parsed = page(folder)
    assert parsed.tags.count("audio") == 2 and "one" in parsed.text and "<two>" in parsed.text
    source = re.findall(r"data:audio/wav;base64,([^\"]+)", (folder / "report" / "index.html").read_text())
    found, rate = soundfile.read(io.BytesIO(base64.b64decode(source[0])))
    assert rate == 8000
    np.testing.assert_allclose(found, sound, atol=2**-15)
    assert soundfile.read(io.BytesIO(base64.b64decode(source[1])), dtype="int16")[0].tolist() == [9, -9]
    loud = audio.wav(np.array([2.0, np.nan, -2.0]), 8000)
    assert soundfile.read(io.BytesIO(loud), dtype="int16")[0].tolist() == [32767, 0, -32768]


def test_an_unfinished_run_with_a_line_cut_short(page, make_run):
    folder = make_run(finished=False)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 500, "split": "tra')
    text = page(folder).text
    assert "unfinished" in text and "last line logged is of step 400" in text and "400 of 400" in text
    assert "metrics.jsonl: line 9 is incomplete" in text
    assert "0.00500 ± 0.00050" in text  # the last line: 0.02 / 400 * 100 * (0.9, 1, 1.1)


def test_a_result_to_come_is_not_yet_reached(page, make_run):
    assert "not yet reached" in page(make_run(finished=False, reference=("test/error", 0.004, "a paper"))).text


def test_a_step_that_was_logged_twice_counts_once(make_run):
    folder = make_run(finished=False, reference=None)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write(json.dumps({"step": 400, "split": "test", "error": 0.123}) + "\n")
    run = report.run.read(folder)
    assert run.series["error"]["test"].steps.tolist() == [100, 200, 300, 400]
    assert run.final["test"]["error"].mean == 0.123


def test_the_phases_are_listed_and_marked(page, make_run):
    folder = make_run()
    result = json.loads((folder / "result.json").read_text())
    result["phases"] = [
        {"steps": 100, "objectives": ["layer_0"], "stream": "train"},
        {"steps": 300, "objectives": ["finetune"]},
    ]
    (folder / "result.json").write_text(json.dumps(result))
    assert "1 100 layer_0 train 2 300 finetune" in page(folder).text
    assert (folder / "report" / "index.html").read_text().count('class="mark"') == 4  # one in each plot


def test_values_that_are_not_finite_leave_a_gap(make_run):
    folder = make_run(finished=False)
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"step": 500, "split": "test", "error": NaN, "bad": {"mean": null, "std": null, "values": [null]}}\n')
        file.write('{"step": 600, "split": "test", "error": Infinity}\n')
    source = report.write(folder).read_text()
    assert "no finite values" in source
    assert not re.search(r' d="[^"]*(nan|inf)', source)


def test_missing_and_empty_workdirs_are_one_line(tmp_path):
    with pytest.raises(UserError, match="no workdir"):
        report.write(tmp_path / "absent")
    with pytest.raises(UserError, match="holds no metrics yet"):
        report.write(tmp_path)


def test_it_is_small_and_quick_and_needs_no_jax(make_run):
    folder = make_run()
    values = np.random.default_rng(0).random((100, 10, 3)).tolist()
    lines = [
        {"step": i, "split": "train", **{f"m{k}": {"mean": v[0], "std": v[1], "values": v} for k, v in enumerate(row)}}
        for i, row in enumerate(values)
    ]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    code = (
        "import sys; from dl import report; path = report.write(sys.argv[1]); "
        "print([m for m in ('jax', 'flax', 'matplotlib', 'sklearn', 'tensorflow_datasets') if m in sys.modules])"
    )
    start = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", code, str(folder)], capture_output=True, text=True, check=True)
    assert time.perf_counter() - start < 5  # 0.6 s on an idle machine
    assert done.stdout.strip() == "[]"
    assert (folder / "report" / "index.html").stat().st_size < 300_000


def test_long_lines_are_thinned_but_keep_their_spikes():
    y = np.ones(100_000)
    y[54_321] = 77.0
    line = report.plots.Line("loss", np.arange(100_000), y, "red", spread=y, replicas=y[:, None])
    source = report.plots.plot([line], "loss")
    assert len(source) < 60_000
    thinned = report.plots._thinned(line)
    assert len(thinned.x) <= 502 and thinned.y.max() == 77.0 and {0, 54_321, 99_999} <= set(thinned.x.tolist())


def test_the_headline_is_what_the_experiment_is_about(page, make_run):
    def first(folder, **metrics):
        result = json.loads((folder / "result.json").read_text())
        result["metrics"] = {"test": {name: {"mean": v, "std": 0.0, "values": [v]} for name, v in metrics.items()}}
        result["described"] = {"loss": ["lower"], "bleu": ["higher", " BLEU", ".2f"]}
        result["described"] = {
            k: dict(zip(("better", "unit", "format"), v, strict=False)) for k, v in result["described"].items()
        }
        (folder / "result.json").write_text(json.dumps(result))
        source = page(folder) and (folder / "report" / "index.html").read_text()
        return re.sub(r"<[^>]+>", " ", re.search(r'class="card wide">(.*?)</div>', source)[1]).split()

    assert first(make_run("a", reference=("test/bleu", 30.0, "a paper")), loss=2.0, bleu=31.5)[:4] == [
        "31.5",
        "BLEU",
        "test",
        "bleu,",
    ]
    assert first(make_run("b", reference=None), loss=2.0, error=0.25)[:4] == ["25.00", "%", "test", "error"]
    folder = make_run("c", reference=None, best={"metric": "test/bleu"})
    assert first(folder, loss=2.0, bleu=3.0)[:3] == ["3", "BLEU", "test"]
    assert first(make_run("d", reference=None), norm=7.0, loss=2.0)[:3] == ["2", "test", "loss"]


def test_titles_say_what_was_claimed(page, make_run):
    folder = make_run()
    assert "x</h1>" not in page(folder).text and "mlp on digits" in page(folder).text  # there is no configs/x.py
    result = json.loads((folder / "result.json").read_text())
    result["command"] = "python -m experiments.train --config=configs/mnist_lenet5.py:quick"
    (folder / "result.json").write_text(json.dumps(result))
    source = page(folder) and (folder / "report" / "index.html").read_text()
    assert "<h1>LeNet-5 on MNIST <span" in source and "0.95 % test error, 0.8 % with distortions (LeCun" in source


def test_what_a_run_made_stands_before_its_curves(page, make_run):
    folder = make_run()
    artifacts.save(folder, "test", {"samples": Text("to be"), "confusion": Text("of a kind")})
    page(folder)
    source = (folder / "report" / "index.html").read_text()
    assert source.index("to be") < source.index('id="curves"') < source.index("of a kind")


def test_mistakes_are_shaded_by_their_share_of_the_row(page, make_run):
    folder = make_run()
    counts = Matrix(np.array([[99, 1], [50, 50]]), ("a", "b"), ("a", "b"))
    artifacts.save(folder, "test", {"m": counts})
    page(folder)
    shades = re.findall(r"rgb\(var\(--(\w+)\) / ([\d.]+)\)", (folder / "report" / "index.html").read_text())
    assert shades[-4:] == [("heat", "0.80"), ("miss", "0.08"), ("miss", "0.57"), ("heat", "0.57")]


def test_curves_tell_their_values_and_leave_out_what_says_nothing(page, make_run):
    folder = make_run(epochs=4.0)
    path = folder / "metrics.jsonl"
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    for i, line in enumerate(line for line in lines if line["split"] == "train"):
        line["loss"] = line["objective/classify"] = {"mean": 2.0 - i / 4, "std": 0.0, "values": [2.0 - i / 4] * 3}
        line["examples_per_second"] = 7.0 if i == 0 else 9000.0 + i
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    page(folder)
    source = (folder / "report" / "index.html").read_text()
    figures = {re.search("<h3>(.*?)[<]", f)[1]: f for f in re.findall(r"<figure class=\"card plot\">.*?</figure>", source)}
    assert "objective" not in figures
    assert "<title>step 200, train 1.75</title>" in figures["loss"] and "step (100 are an epoch)" in figures["loss"]
    told = re.findall(r"<title>(.*?)</title>", figures["examples per second"])
    assert [text.partition(",")[0] for text in told] == ["step 200", "step 300", "step 400"]


def test_the_scale_can_be_switched_where_that_shows_something_else():
    def drawn(y, **settings):
        return plots.plot([plots.Line("a", np.arange(4.0), np.array(y), "red")], "t", switch=True, **settings)

    wide = drawn([1.0, 2.0, 30.0, 40.0], log=False)
    assert wide.count("<svg viewBox") == 2 and "> logarithmic</label>" in wide
    assert drawn([1.0, 2.0, 30.0, 40.0], log=True).count("> linear</label>") == 1
    assert drawn([1.0, 2.0, 3.0, 4.0]).count("<svg viewBox") == drawn([-1.0, 2.0, 30.0, 40.0]).count("<svg viewBox") == 1
