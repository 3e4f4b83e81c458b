"""Pages of files that somebody damaged or made up: nothing reaches the page unescaped, and what can't be read is one line."""

import json
import os

import numpy as np
import pytest

from dl import report
from dl.artifacts import Audio, Curves, Images, Matrix, Scatter, Table, Text
from dl.errors import UserError
from dl.report import artifacts

SCRIPT = "</title></style></svg>\"'><script>alert(1)</script>"


def leaves(tree, path=()):
    """The paths of all that is neither a dictionary nor a list."""
    if isinstance(tree, dict | list) and tree:
        items = tree.items() if isinstance(tree, dict) else enumerate(tree)
        return [leaf for key, value in items for leaf in leaves(value, (*path, key))]
    return [path]


def replaced(tree, path, value):
    """The tree with another leaf."""
    if not path:
        return value
    made = dict(tree) if isinstance(tree, dict) else list(tree)
    made[path[0]] = replaced(tree[path[0]], path[1:], value)
    return made


def pages(folders, out):
    """The page of the first run, and the one that compares all."""
    yield report.write(folders[0], out / "one.html").read_text()
    yield report.comparison.write(folders, out / "all.html").read_text()


def harmless(source, parse):
    """Asserts that a page has no markup but ours."""
    parsed = parse(source)
    assert "script" not in parsed.tags
    assert "<script" not in source and SCRIPT not in source


@pytest.mark.parametrize("name", ["config.json", "result.json", "metrics.jsonl"])
def test_a_script_in_any_leaf_is_text_or_a_line(make_run, parse, tmp_path, name):
    folder, other = make_run(config_note=["x", {"deep": 1}]), make_run("other", seed=1)
    for run in (folder, other):
        (run / "artifacts" / "test.npz").unlink()  # they only take time
    path = folder / name
    whole = path.read_text()
    lines = whole.splitlines()[-2:] if name == "metrics.jsonl" else [whole]
    before = whole.removesuffix("".join(line + "\n" for line in lines)) if name == "metrics.jsonl" else ""
    shown = refused = 0
    for number, line in enumerate(lines):
        tree = json.loads(line)
        for leaf in leaves(tree):
            changed = [json.dumps(replaced(tree, leaf, SCRIPT)) if i == number else kept for i, kept in enumerate(lines)]
            path.write_text(before + "\n".join(changed) + "\n")
            try:
                for source in pages([folder, other], tmp_path):
                    harmless(source, parse)
                shown += 1
            except UserError as error:
                assert name in str(error) and "\n" not in str(error), leaf
                refused += 1
    assert shown > 20 and (refused > 0 or name == "metrics.jsonl")


@pytest.mark.parametrize("name", ["config.json", "result.json", "metrics.jsonl"])
def test_a_script_in_any_key_is_text_or_a_line(make_run, parse, tmp_path, name):
    folder, other = make_run(), make_run("other", seed=1)
    path = folder / name

    def keys(tree):
        return {key: value for k, v in tree.items() for key, value in ((k, v), (SCRIPT.replace(".", ""), v))}

    lines = path.read_text().splitlines() if name == "metrics.jsonl" else [path.read_text()]
    nested = [json.loads(line, object_hook=keys) for line in lines]
    path.write_text("".join(json.dumps(tree) + "\n" for tree in nested))
    try:
        for source in pages([folder, other], tmp_path):
            harmless(source, parse)
    except UserError as error:
        assert name in str(error) and "\n" not in str(error)


def test_a_script_in_every_text_of_artifacts_and_in_names(make_run, parse, tmp_path):
    folder, other = make_run("<script>alert(1)<"), make_run("other")
    many = [SCRIPT] * 2
    shown = {
        "images": Images(np.zeros((2, 4, 4, 1)), many),
        "matrix": Matrix(np.eye(2), many, many, SCRIPT, SCRIPT),
        "large": Matrix(np.eye(40), [SCRIPT] * 40, [SCRIPT] * 40, SCRIPT, SCRIPT),
        "table": Table(many, (many, (SCRIPT, 1))),
        "text": Text(SCRIPT),
        "curves": Curves({SCRIPT: (np.arange(3), np.arange(3))}, SCRIPT, SCRIPT),
        "points": Scatter(np.eye(2), np.arange(2), many, (SCRIPT, SCRIPT)),
        "sounds": Audio((np.zeros(9), np.zeros(3)), 8000, many),
        SCRIPT: Text(SCRIPT),
    }
    artifacts.save(folder, "<script>", shown)
    for source in pages([folder, other], tmp_path):
        harmless(source, parse)


def test_what_result_json_says_of_replicas_is_text(make_run):
    """Whoever draws the page from other files than ours escapes it, too."""
    run = report.run.read(make_run())
    run = run._replace(result={**run.result, "replicas": SCRIPT}, config={**run.config, "replicas": SCRIPT, "steps": SCRIPT})
    for source in (report.run_page.render(run), report.comparison.render([run, run])):
        assert "<script" not in source


def test_names_of_bytes_that_are_not_utf8(make_run, parse):
    folder = make_run(os.fsdecode(b"caf\xe9"), config_note="\ud800")
    text = parse(report.write(folder).read_text(encoding="utf-8")).text
    assert r"caf\udce9" in text and r"\ud800" in text


DAMAGE = {
    "cut": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "no JSON": lambda content: b"nothing of the kind\n",
    "bytes": lambda content: bytes(range(256)),
    "list": lambda content: b"[]",
    "number": lambda content: b"3\n",
    "null": lambda content: b"null\n",
    "text": lambda content: b'"abc"\n',
    "empty object": lambda content: b"{}\n",
    "nested": lambda content: b"[" * 100_000,
    "long number": lambda content: b'{"metrics": {"test": {"error": 1' + b"0" * 400 + b"}}}",
}


@pytest.mark.parametrize("name", ["config.json", "result.json", "artifacts/test.npz"])
@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_file_is_named_in_one_line(make_run, tmp_path, name, damage):
    folder = make_run()
    path = folder / name
    path.write_bytes(DAMAGE[damage](path.read_bytes()))
    if (name, damage) in {("config.json", "empty object"), ("config.json", "long number")}:
        assert report.write(folder).exists()  # an object of whatever keys
        return
    with pytest.raises(UserError) as caught:
        list(pages([folder, folder], tmp_path))
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("damage", ["no JSON", "bytes", "list", "number", "null", "text", "empty object", "nested"])
def test_a_file_of_no_metrics_is_named_in_one_line(make_run, damage):
    path = make_run() / "metrics.jsonl"
    path.write_bytes(DAMAGE[damage](b""))
    with pytest.raises(UserError, match=r"metrics\.jsonl is damaged"):
        report.write(path.parent)


@pytest.mark.parametrize("name", ["config.json", "result.json", "metrics.jsonl", "artifacts/test.npz", "artifacts"])
def test_a_folder_or_a_file_in_the_place_of_another(make_run, name):
    folder = make_run()
    path = folder / name
    if path.is_dir():
        (path / "test.npz").unlink()
        path.rmdir()
        path.write_text("")
    else:
        path.unlink()
        path.mkdir()
    with pytest.raises(UserError) as caught:
        report.write(folder)
    assert str(path) in str(caught.value) and "\n" not in str(caught.value)


def test_lines_between_good_ones_are_left_out_and_counted(make_run, parse):
    path = make_run(finished=False) / "metrics.jsonl"
    bad = ['{"step": NaN, "split": "test"}', "[1]", '{"step": 1e999, "split": "a"}', '{"step": 5, "split": 6}', "\x00" * 20]
    path.write_text("\n".join(bad) + "\n" + path.read_text())
    text = parse(report.write(path.parent).read_text()).text
    assert "5 lines, the first of them line 1, are damaged" in text and "0.00500 ± 0.00050" in text


def test_a_value_that_is_no_number_is_left_out_and_told(make_run, parse):
    path = make_run(finished=False) / "metrics.jsonl"
    path.write_text(path.read_text() + '{"step": 500, "split": "test", "error": "low", "loss": {"mean": [1]}}\n')
    text = parse(report.write(path.parent).read_text()).text
    assert "error of step 500 is not a number" in text and "loss of step 500 is not a number" in text


@pytest.mark.parametrize(
    "described",
    ["x", [1], {"error": 3}, {"error": {"better": "up", "unit": "", "format": ""}}, {"error": {"better": [1], "unit": 2}}],
)
def test_a_description_of_a_metric_that_is_none(make_run, described):
    path = make_run() / "result.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"described": described}))
    assert report.run.read(path.parent).metric("error").better == "lower"


def test_mutated_artifacts_load_or_give_one_line(make_run, tmp_path):
    """Whatever bytes of the archive are changed."""
    folder = make_run()
    path = folder / "artifacts" / "test.npz"
    whole, rng = path.read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(150):
        changed = bytearray(whole)
        for at in rng.integers(0, len(whole), rng.integers(1, 4)):
            changed[at] = rng.integers(0, 256)
        path.write_bytes(changed)
        try:
            report.write(folder)
        except UserError as error:
            assert "test.npz" in str(error) and "\n" not in str(error)
            refused += 1
    assert refused > 50


@pytest.mark.parametrize(
    "artifact",
    [
        Images(np.zeros((2, 4, 4))),
        Images(np.zeros((2, 4, 4, 2))),
        Images(np.zeros((1, 4, 4, 1)), columns=0),
        Images(np.zeros((1, 4, 4, 1)), "text"),
        Matrix(np.eye(2), ("a",), ("b", "c")),
        Matrix(np.array([["<b>"]]), ("a",), ("b",)),
        Table(("a", "b"), (("c",),)),
        Table(("a",), ((10**400,),)),
        Table(("a",), (([1],),)),
        Curves({"a": (np.arange(2), np.arange(3))}),
        Curves({"a": (np.arange(2), np.arange(2))}, 3),
        Scatter(np.eye(3), np.arange(3)),
        Scatter(np.eye(2), np.eye(2)),
        Scatter(np.eye(2), np.arange(2), texts=("a",)),
        Audio((np.zeros((2, 2)),), 8000),
        Audio((np.zeros(2),), 0),
        Text(3),
    ],
    ids=lambda artifact: type(artifact).__name__,
)
def test_an_artifact_whose_parts_do_not_belong_together(workdir, artifact):
    artifacts.save(workdir, "test", {"it": artifact})
    with pytest.raises(UserError, match=r"test\.npz cannot be read"):
        artifacts.load(workdir)
