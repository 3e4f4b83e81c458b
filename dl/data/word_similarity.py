"""What people say of words: how similar two are, and analogies. The sets that vectors of words are measured by.

    wordsim353  353 pairs      Finkelstein et al. 2002
    simlex999   999 pairs      Hill, Reichart & Korhonen 2015: similarity, not relatedness
    men         3,000 pairs    Bruni, Tran & Baroni 2014
    rare_words  2,034 pairs    Luong, Socher & Manning 2013 (Stanford's RW)
    analogies   19,544         Mikolov, Chen, Corrado & Dean 2013, section 4.1: questions-words.txt

The pairs lie in `manual_dir/word_similarity/word-sim.zip` (github.com/mfaruqui/eval-word-vectors, data/word-sim), the analogies
in `manual_dir/word_similarity/questions-words.txt` (github.com/tmikolov/word2vec).
"""

import zipfile
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from dl.data.sources.archives import Archive, folder_of, how_to_get, opened, verified
from dl.data.sources.unpacking import zip_member
from dl.errors import UserError, unknown

FOLDER, LIMIT = "word_similarity", 1 << 22  # bytes of an unpacked file
PAIRS = Archive("word-sim.zip", "a75f680d56159e1743e703454cda0ff09b1d9ba501c8d2d947b0d616ed83e4e9")
QUESTIONS = Archive(
    "questions-words.txt",
    "8c29b3332afc46f3fb8be04cb5297bf96f39aa7131272dff57869b4485b22a36",
    "https://raw.githubusercontent.com/tmikolov/word2vec/master/questions-words.txt",
)
FILES = {
    "wordsim353": "EN-WS-353-ALL.txt",
    "wordsim353_similarity": "EN-WS-353-SIM.txt",
    "wordsim353_relatedness": "EN-WS-353-REL.txt",
    "simlex999": "EN-SIMLEX-999.txt",
    "men": "EN-MEN-TR-3k.txt",
    "rare_words": "EN-RW-STANFORD.txt",
    "mturk287": "EN-MTurk-287.txt",
    "mturk771": "EN-MTurk-771.txt",
    "rg65": "EN-RG-65.txt",
    "mc30": "EN-MC-30.txt",
    "simverb3500": "EN-SimVerb-3500.txt",
    "verb143": "EN-VERB-143.txt",
    "yp130": "EN-YP-130.txt",
}
ANALOGIES = "analogies"
NAMES = (*FILES, ANALOGIES)


class Benchmarks(NamedTuple):
    """`pairs`: set -> (word, word, how similar); `questions`: section -> (a, b, c, d), a is to b as c is to d."""

    pairs: dict[str, list[tuple[str, str, float]]]
    questions: dict[str, list[tuple[str, str, str, str]]]


def benchmarks(names: Collection[str], manual_dir: str | None) -> Benchmarks:
    """Reads the sets of these names.

    Raises:
        UserError: an unknown name, or files that are missing or damaged; the message says where to put them.
    """
    for name in names:
        if name not in NAMES:
            raise unknown("set of word similarities", name, NAMES)
    wanted = [PAIRS] * any(name in FILES for name in names) + [QUESTIONS] * (ANALOGIES in names)
    if wanted and not manual_dir:
        raise UserError(
            f"vectors of words are measured by {', '.join(names)}. {how_to_get(FOLDER, wanted)} Without them, set "
            "--config.task.benchmarks='()'."
        )
    if not wanted or not manual_dir:
        return Benchmarks({}, {})
    paths = verified(folder_of(FOLDER, manual_dir, [archive.name for archive in wanted]), wanted, FOLDER)
    texts = opened(paths[PAIRS.name], _members) if PAIRS in wanted else {}
    pairs = {name: parse_pairs(texts[FILES[name]]) for name in names if name in FILES}
    questions = parse_questions(paths[QUESTIONS.name].read_text("utf-8")) if ANALOGIES in names else {}
    return Benchmarks(pairs, questions)


def _members(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {file: zip_member(archive, file, LIMIT).decode() for file in FILES.values()}


def parse_pairs(text: str) -> list[tuple[str, str, float]]:
    """Lines of two words and a number, divided by blanks or tabs."""
    rows = [line.split() for line in text.splitlines() if line.strip()]
    return [(row[0], row[1], float(row[2])) for row in rows]


def parse_questions(text: str) -> dict[str, list[tuple[str, str, str, str]]]:
    """Lines of four words; a line `: NAME` begins a section."""
    sections: dict[str, list[tuple[str, str, str, str]]] = {}
    name = ""
    for line in filter(str.strip, text.splitlines()):
        if line.startswith(":"):
            name = line[1:].strip()
            continue
        a, b, c, d = line.split()
        sections.setdefault(name, []).append((a, b, c, d))
    return sections
