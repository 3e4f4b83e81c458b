"""bAbI: its format, its published counts, what is known without files; the toy after its first task."""

import zipfile

import numpy as np
import pytest
from ml_collections import ConfigDict

from dl.data.load import load
from dl.data.sources import babi
from dl.data.stories import Question, parse
from dl.errors import UserError

README = """\
1 Mary moved to the bathroom.
2 John went to the hallway.
3 Where is Mary?        \tbathroom\t1
4 Daniel went back to the hallway.
5 What is Mary carrying?\tMilk,Apple\t4 1
1 Sandra moved to the garden.
2 Where is Sandra? \tgarden\t1
"""


def settings(**changes):
    return ConfigDict({"name": "babi", "splits": {"train": "train", "test": "test"}, **changes})


def told(dataset, split, index):
    """A story, its question, its answer and the numbers of the facts, as words."""
    names = dataset.info.features["story"].vocabulary.names
    example = {name: values[0] for name, values in dataset.splits[split].gather(np.array([index])).items()}
    story = [" ".join(names[w] for w in row if w) for row in example["story"][: example["story_length"]]]
    question = " ".join(names[w] for w in example["question"] if w)
    return story, question, names[example["answer"]], list(np.flatnonzero(example["fact"][: example["story_length"]]))


def test_the_format():
    questions = parse(README, task=4)
    assert [q.answer for q in questions] == ["bathroom", "milk,apple", "garden"]
    assert questions[1] == Question(
        (
            ("mary", "moved", "to", "the", "bathroom"),
            ("john", "went", "to", "the", "hallway"),
            ("daniel", "went", "back", "to", "the", "hallway"),
        ),
        ("what", "is", "mary", "carrying"),
        "milk,apple",
        frozenset({0, 2}),  # line 4 is the third sentence: questions are no part of a story
        4,
    )
    assert questions[2].story == (("sandra", "moved", "to", "the", "garden"),)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("Mary went.", "line 1 is not a number"),
        ("1 A b.\n2 C?\td\t5", "line 2 is not a question"),
        ("1 A?\tb", "line 1 is not a q"),
    ],
)
def test_another_format_is_refused(text, said):
    with pytest.raises(ValueError, match=said):
        parse(text)


def test_only_the_last_sentences_are_kept():
    whole, last = (babi.dataset_of("own", {"train": parse(README)}, memory, ["one"]) for memory in (0, 2))
    assert told(whole, "train", 1)[0][0] == "mary moved to the bathroom"
    assert told(last, "train", 1) == (
        ["john went to the hallway", "daniel went back to the hallway"],
        "what is mary carrying",
        "milk,apple",
        [1],
    )


def test_the_toy_is_answered_by_the_last_move():
    text = babi.told(0, 30)
    assert text == babi.told(0, 30) != babi.told(1, 30)
    questions = parse(text)
    assert len(questions) == 150 and {len(q.story) for q in questions} == {2, 4, 6, 8, 10}
    for q in questions:
        last = max(i for i, sentence in enumerate(q.story) if sentence[0] == q.question[-1])
        assert q.facts == {last} and q.story[last][-1] == q.answer
    dataset = load(settings(name="moves", stories=30))
    assert len(dataset.splits["train"]) == 150 and len(dataset.info.features["story"].vocabulary) == 20
    with pytest.raises(UserError, match="dataset.stories must be at least 1"):
        load(settings(name="moves", stories=0))


def test_settings_out_of_range_and_missing_files(tmp_path):
    for changes, said in (
        ({"task": 21}, "dataset.task must be a task of bAbI, 1 to 20"),
        ({"memory": -1}, "dataset.memory must be"),
        ({"variant": "de"}, "unknown dataset.variant of babi 'de'"),
        ({"task": 3}, "read from its archive. Put DIR/babi/tasks_1-20_v1-1.zip"),
    ):
        with pytest.raises(UserError, match=said):
            load(settings(**changes))
    (tmp_path / "babi").mkdir()
    with zipfile.ZipFile(tmp_path / "babi" / babi.ZIP.name, "w") as archive:
        archive.writestr("tasksv11/en/qa1_x_train.txt", README)
    with pytest.raises(UserError, match="corrupt or another version: its SHA-256"):
        load(settings(), manual_dir=str(tmp_path))


def test_the_first_and_the_last_examples_as_published(shared_data):
    one = load(settings(task=1), manual_dir=str(shared_data))
    assert told(one, "train", 0) == (
        ["mary moved to the bathroom", "john went to the hallway"],
        "where is mary",
        "bathroom",
        [0],
    )
    path = load(settings(task=19), manual_dir=str(shared_data))
    story, question, answer, facts = told(path, "train", 0)
    assert (story[1], question, answer, facts) == (
        "the kitchen is north of the office",
        "how do you go from the kitchen to the garden",
        "s,e",
        [1, 3],
    )
    shuffled = load(settings(task=1, variant="shuffled"), manual_dir=str(shared_data))
    assert len(shuffled.info.features["story"].vocabulary) == 20 and told(shuffled, "train", 0)[2] != "bathroom"


def test_what_is_known_without_files_is_what_the_files_hold(shared_data):
    for task in range(1, 21):
        real, known = (load(settings(task=task), **how) for how in ({"manual_dir": str(shared_data)}, {"known": True}))
        assert real.info.shapes == known.info.shapes, task
        assert len(real.info.features["answer"].vocabulary) == len(known.info.features["answer"].vocabulary)
        for split in ("train", "test"):
            sources = real.splits[split], known.splits[split]
            assert [len(source) for source in sources] == [1000, 1000]
            longest = [int(source.ragged["story"].sizes.max()) for source in sources]
            assert longest[0] == longest[1] == min(babi.SIZES[task][3 if split == "train" else 4], 50), task


def test_all_tasks_come_in_turn(shared_data):
    together = load(settings(task=0, splits={"train": "train[:90%]"}), manual_dir=str(shared_data))
    source = together.splits["train"]
    assert len(source) == 18_000 and len(together.info.features["answer"].vocabulary) == babi.SIZES[0][0] == 175
    np.testing.assert_array_equal(np.bincount(source.column("task")), [900] * 20)
    alone = load(settings(task=7), manual_dir=str(shared_data))
    assert told(together, "train", 20 * 41 + 6) == told(alone, "train", 41)


def test_lists_are_answers_of_their_own(shared_data):
    """Task 8 asks for what somebody carries: 13 answers in training, of up to three things."""
    dataset = load(settings(task=8), manual_dir=str(shared_data))
    names = dataset.info.features["answer"].vocabulary.names
    answers = {names[a] for a in dataset.splits["train"].column("answer")}
    assert len(answers) == 13 and {"nothing", "milk"} < answers and max(a.count(",") for a in answers) == 2
