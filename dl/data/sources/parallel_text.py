"""Pairs of sentences, one the translation of the other: files of one's own, Multi30k, and phrases to try things on.

Features: `source` and `target`, ragged tokens with a vocabulary each (`dl.data.sentences`), learned on the split `train`. A
source ends with `</s>`; a target begins with `<s>` and ends with `</s>`. `reference` uint8 [N, R] is the target as it is
written, in UTF-8, filled up with zeros: what a translation is compared with.

Settings of all: `level` ("subword", "word", "character"), `vocabulary_size` (of each language; 0 is no limit, but of subwords
it is their number), `minimum_count` of a word or character, `lower` (small letters; references are lowered too), `subwords`
("bpe", "unigram"), `source` and `target` (the languages: what a file's name ends in), `lengths` (what batches are padded to).
"""

import gzip
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data.ragged import RaggedArrays, ragged
from dl.data.sentences import RESERVED, Sentences, learned
from dl.data.slicing import names_in
from dl.data.sources.archives import Archive, folder_of, how_to_get, opened, verified
from dl.data.sources.phrases import PHRASES
from dl.data.sources.text import decoded
from dl.dataset import Dataset, Feature, Info, Kind
from dl.errors import UserError, unknown

Pairs = tuple[list[str], list[str]]  # the sentences of both languages
DEFAULTS = {
    "level": "subword",
    "vocabulary_size": 6000,
    "minimum_count": 1,
    "lower": False,
    "subwords": "bpe",
    "source": "en",
    "target": "de",
    "encoding": "utf-8",
}
VALIDATION = "val"  # what files call the split that is `validation` here

MULTI30K = {  # file, without .gz -> SHA-256 of the file as the repository has it, packed
    "test_2016_flickr.de": "9204244e408ccb38d2a55cfcd344df15005fc42a07a6e55ca6c52b6ababb8cc8",
    "test_2016_flickr.en": "611d361c6334bc7246101d48097c13cf5c4413c5befc793cc629934359d532d9",
    "test_2017_flickr.de": "a2c89666db00c495cd8513b9d708d5a3acc205d7de312ef2bf5fb7ebc1540aee",
    "test_2017_flickr.en": "76a444ee25172e72695cddb13ae4a3bda59430617be88e0bb46b60504f054074",
    "test_2017_mscoco.de": "799e4854c25d601cb6cb6be29eabe5667734c61ace2f495e03e429031a0bc338",
    "test_2017_mscoco.en": "aab300bfb4427697987e02cd0aacd44bfe8aa50456231b6474c08038bbed2b58",
    "test_2018_flickr.de": "ddd0130c7d97482dc5197a02141dae8dd79f20f03586c480d675c09a32daf608",
    "test_2018_flickr.en": "ef4f4844037d4c5dea75c9a8ed5fd78905967a26f67c255e230cc9780032654d",
    "train.de": "726e39b2fa9eb9ffb6dc763fb35a179f80fae06ffc5d28b6ace5faa883de28a6",
    "train.en": "d79cfa999dd4c51d2cb42499b6796d5a882c3a8a961923c25a898c90f8bbd56f",
    "val.de": "f0cba2f995189cf5770f29a8a9a537a3ad3f51657ad873405082ff6863a5e75a",
    "val.en": "14f7d25ddd868909a9213e361768460edcacdd6ab9d1e77b92560dc10c10dc28",
}
MULTI30K_SIZES = {
    "train": 29_000,
    "validation": 1_014,
    "test_2016_flickr": 1_000,
    "test_2017_flickr": 1_000,
    "test_2017_mscoco": 461,
    "test_2018_flickr": 1_071,
}


def load_parallel_text(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`dataset.path`: a folder with `train.SRC` and `train.TGT`, `val.*`, `test.*`, or other pairs of such names, also .gz.

    Line n of one file is the translation of line n of the other. The split of `val.*` is called `validation`.

    Raises:
        UserError: no such folder or files, another encoding, an empty line, or files of different lengths.
    """
    if not settings.get("path", ""):
        raise UserError("the dataset 'parallel_text' needs dataset.path, a folder with files such as train.en and train.de.")
    folder = Path(settings.path).expanduser()
    languages = _languages(settings)
    if not folder.is_dir():
        raise UserError(f"dataset.path={folder} is no folder: name one with files such as train.{languages[0]}.")
    found = {language: _files(folder, language) for language in languages}
    stems = [stem for stem in found[languages[0]] if stem in found[languages[1]]]
    if "train" not in stems:
        missing = next(language for language in languages if "train" not in found[language])
        raise UserError(f"{folder} lacks train.{missing} (or train.{missing}.gz): put the sentences of training there.")
    splits = {"validation" if stem == VALIDATION else stem: stem for stem in stems}

    def read(split: str) -> Pairs:
        one, two = (found[language][splits[split]] for language in languages)
        return read_pairs(one, two, settings.get("encoding", "utf-8"))

    return _dataset("parallel_text", settings, list(splits), read)


def load_multi30k(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Multi30k, task 1 (Elliott et al. 2016): captions of photographs in English and German, 29,000 pairs in `train`.

    Splits `train`, `validation` (1,014), `test_2016_flickr` (1,000), `test_2017_flickr` (1,000), `test_2017_mscoco` (461) and
    `test_2018_flickr` (1,071), from the files `NAME.en.gz` and `NAME.de.gz` in `manual_dir/multi30k`, as the repository
    multi30k/dataset has them.

    Raises:
        UserError: no `manual_dir`, or files that are missing or others.
    """
    languages = _languages(settings)
    for language in languages:
        if language not in ("en", "de"):
            raise unknown("language of multi30k", language, ("en", "de"))
    wanted = names_in(list(settings.splits.values()), list(MULTI30K_SIZES))
    names = {split: VALIDATION if split == "validation" else split for split in {"train": 0, **dict.fromkeys(wanted)}}
    files = [f"{name}.{language}" for name in names.values() for language in languages]
    archives = [Archive(f"{file}.gz", MULTI30K[file]) for file in files]
    if not manual_dir:
        raise UserError(f"the dataset 'multi30k' is read from its files. {how_to_get('multi30k', archives)}")
    paths = verified(folder_of("multi30k", manual_dir, [archive.name for archive in archives]), archives, "multi30k")

    def read(split: str) -> Pairs:
        one, two = (paths[f"{names[split]}.{language}.gz"] for language in languages)
        return read_pairs(one, two)

    return _dataset("multi30k", settings, list(MULTI30K_SIZES), read)


def load_phrases(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """576 sentences in English and German, made by the rules of `dl.data.sources.phrases`; 480 of them are `train`.

    `validation` and `test` have 48 each.
    """
    languages = _languages(settings)
    for language in languages:
        if language not in PHRASES:
            raise unknown("language of phrases", language, PHRASES)
    cuts = {"train": slice(0, 480), "validation": slice(480, 528), "test": slice(528, 576)}
    one, two = (PHRASES[language] for language in languages)
    return _dataset("phrases", settings, list(cuts), lambda split: (one[cuts[split]], two[cuts[split]]))


def read_pairs(source: Path, target: Path, encoding: str = "utf-8") -> Pairs:
    """The sentences of two files, one a line, without the blanks around them; files that end in .gz are unpacked.

    Raises:
        UserError: a file that can't be read, another encoding, an empty line, or files of different lengths.
    """
    pairs = read_lines(source, encoding), read_lines(target, encoding)
    if len(pairs[0]) != len(pairs[1]):
        raise UserError(
            f"{source} has {len(pairs[0]):,} lines and {target} {len(pairs[1]):,}: line n of one must be the translation of "
            "line n of the other."
        )
    for path, lines in zip((source, target), pairs, strict=True):
        empty = [number for number, line in enumerate(lines, 1) if not line]
        if empty or not lines:
            where = f"line {empty[0]:,} of {path} is empty ({len(empty):,} in all)" if empty else f"{path} is empty"
            raise UserError(f"{where}: take such a line out of both files, {source.name} and {target.name}.")
    return pairs


def read_lines(path: Path, encoding: str = "utf-8") -> list[str]:
    """The lines of a text, unpacked where its name ends in .gz, without blanks around them.

    Raises:
        UserError: it can't be read, or is in another encoding.
    """
    try:
        content = opened(path, lambda file: gzip.decompress(file.read_bytes())) if path.suffix == ".gz" else path.read_bytes()
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror or error}.") from error
    lines = decoded(content, path, encoding).split("\n")  # not splitlines, which also ends a line at a form feed
    return [" ".join(line.split()) for line in (lines[:-1] if lines[-1] == "" else lines)]


def _languages(settings: ConfigDict) -> tuple[str, str]:
    source, target = settings.get("source", DEFAULTS["source"]), settings.get("target", DEFAULTS["target"])
    if not source or not target or source == target:
        raise UserError(f"dataset.source={source!r} and dataset.target={target!r} must be two languages, such as en and de.")
    return source, target


def _files(folder: Path, language: str) -> dict[str, Path]:
    """What a file is called before its language -> the file, a plain one before one that is packed."""
    packed = {p.name.removesuffix(f".{language}.gz"): p for p in sorted(folder.glob(f"*.{language}.gz"))}
    return packed | {p.name.removesuffix(f".{language}"): p for p in sorted(folder.glob(f"*.{language}"))}


def _dataset(name: str, settings: ConfigDict, splits: Sequence[str], read: Callable[[str], Pairs]) -> Dataset:
    """The splits that are asked for; `train` is read in any case, for the vocabularies."""
    wanted = names_in(list(settings.splits.values()), splits)
    pairs = {split: read(split) for split in {"train": 0, **dict.fromkeys(wanted)}}
    lower = bool(settings.get("lower", DEFAULTS["lower"]))
    vocabularies = [_vocabulary(settings, lines, lower) for lines in pairs["train"]]
    written = {s: [(line.lower() if lower else line).encode() for line in pair[1]] for s, pair in pairs.items()}
    longest = max(len(line) for split in wanted for line in written[split])
    features = {
        "source": Feature(Kind.TOKENS, (None,), vocabulary=vocabularies[0]),
        "target": Feature(Kind.TOKENS, (None,), vocabulary=vocabularies[1]),
        "reference": Feature(Kind.NUMBER, (longest,)),
    }
    sources = {split: _encoded(pairs[split], vocabularies, written[split], longest) for split in wanted}
    return Dataset(Info(name, features), sources)


def _vocabulary(settings: ConfigDict, lines: Sequence[str], lower: bool) -> Sentences:
    level, size, minimum, kind = (
        settings.get(key, DEFAULTS[key]) for key in ("level", "vocabulary_size", "minimum_count", "subwords")
    )
    return learned(lines, level, size, minimum, lower, kind)


def _encoded(pairs: Pairs, vocabularies: Sequence[Sentences], written: Sequence[bytes], longest: int) -> RaggedArrays:
    one, two = vocabularies
    source = [np.append(one.encode(line), np.int32(one.stop)) for line in pairs[0]]
    target = [np.concatenate([[two.start], two.encode(line), [two.stop]]).astype(np.int32) for line in pairs[1]]
    reference = np.zeros((len(written), longest), np.uint8)
    for row, line in zip(reference, written, strict=True):
        row[: len(line)] = np.frombuffer(line, np.uint8)
    return RaggedArrays({"source": ragged(source), "target": ragged(target), "reference": reference})


def _known_multi30k(settings: ConfigDict) -> Dataset | None:
    """Sentences of a usual length; how many symbols there are is known of subwords, and which they are is not."""
    size = settings.get("vocabulary_size", DEFAULTS["vocabulary_size"])
    if settings.get("level", DEFAULTS["level"]) != "subword" or size <= len(RESERVED):
        return None
    vocabulary = Sentences((*RESERVED, *(f"subword{n}" for n in range(size - len(RESERVED)))))
    token = Feature(Kind.TOKENS, (None,), vocabulary=vocabulary)
    info = Info("multi30k", {"source": token, "target": token, "reference": Feature(Kind.NUMBER, (256,))})

    def split(count: int) -> RaggedArrays:
        sentences = ragged([np.zeros(16, np.int32)] * count)
        return RaggedArrays({"source": sentences, "target": sentences, "reference": np.zeros((count, 256), np.uint8)})

    return Dataset(info, {name: split(count) for name, count in MULTI30K_SIZES.items()})


PUBLIC = {"parallel_text": load_parallel_text, "multi30k": load_multi30k, "phrases": load_phrases}
SETTINGS: Mapping[str, Mapping[str, object]] = {name: dict(DEFAULTS) for name in PUBLIC}
KNOWN = {"multi30k": _known_multi30k}
