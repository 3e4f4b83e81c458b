"""Texts as one sequence of symbols: a file of one's own, tiny Shakespeare, the Penn Treebank, and two sonnets to try things on.

A split holds one feature, `token` [N] (the smallest unsigned type that fits), an example being one character or word, so that
`train[:90%]` are the first nine tenths of the text. The feature `token` has the vocabulary. Use `dataset.batches="windows"`
with them.
"""

import hashlib
import string
import zipfile
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from ml_collections import ConfigDict

from dl.data import text_lines
from dl.data.corpus import corpus
from dl.data.slicing import names_in
from dl.data.sources import builders, preparing
from dl.data.sources.archives import Archive, Parsed, folder_of, how_to_get, opened, registered, verified
from dl.data.sources.unpacking import read_tar_gz, zip_member
from dl.dataset import Arrays, Dataset, Feature, Info, Kind
from dl.errors import UserError, unknown
from dl.vocabulary import Vocabulary, split_words

LEVELS = ("character", "word")
SUBWORD, LINE = "subword", "line"  # of texts that are one file: parts of words, or a text a line
SHAKESPEARE_SPLITS = {"train": 0.9, "validation": 0.05, "test": 0.05}  # TFDS's

PTB_URL = "http://www.fit.vutbr.cz/~imikolov/rnnlm/simple-examples.tgz"
PTB_ZIP = Archive("ptb.zip", "310d8f602882a5716613815ed75596e5764ea84ed04c5630eebaaf2b943ec5aa")
PTB_TAR = Archive("simple-examples.tgz", "", PTB_URL)
PTB_FILES = {"train": "ptb.train.txt", "validation": "ptb.valid.txt", "test": "ptb.test.txt"}
# SHA-256 of the texts: for the archive itself we found only an MD5. They are of the files whose MD5 sums torchtext states.
PTB_SHA256 = {
    "train": "fcea919f6cf83f35d4d00c6cbf08040d13d4155226340912e2fef9c9c4102cbf",
    "validation": "c9fe6985fe0d4ccb578183407d7668fc6066c20700cb4cf87d8ff1cc34df1bf2",
    "test": "dd65dff31e70846b2a6030a87482edcd5d199130cdcfa1f3dccbb033728deee0",
}
SIZE = 4_000  # subwords, at most
PTB_TEXT_LIMIT, PTB_TAR_LIMIT = 1 << 23, 1 << 30  # bytes; the longest text has 5.1 million, the archive is 35 million packed

# Shakespeare, sonnets 18 and 116 (1609).
SONNETS = """\
Shall I compare thee to a summer's day?
Thou art more lovely and more temperate:
Rough winds do shake the darling buds of May,
And summer's lease hath all too short a date:
Sometime too hot the eye of heaven shines,
And often is his gold complexion dimm'd;
And every fair from fair sometime declines,
By chance or nature's changing course untrimm'd;
But thy eternal summer shall not fade
Nor lose possession of that fair thou owest;
Nor shall Death brag thou wander'st in his shade,
When in eternal lines to time thou growest:
So long as men can breathe or eyes can see,
So long lives this and this gives life to thee.

Let me not to the marriage of true minds
Admit impediments. Love is not love
Which alters when it alteration finds,
Or bends with the remover to remove:
O no! it is an ever-fixed mark
That looks on tempests and is never shaken;
It is the star to every wandering bark,
Whose worth's unknown, although his height be taken.
Love's not Time's fool, though rosy lips and cheeks
Within his bending sickle's compass come:
Love alters not with his brief hours and weeks,
But bears it out even to the edge of doom.
If this be error and upon me proved,
I never writ, nor no man ever loved.
"""


def load_text(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """`dataset.path`: a text file, one split `train`. `dataset.level` is "character" (default), "word", "subword"
    or "line", `dataset.encoding` utf-8.

    The vocabulary is that of the whole file: characters in the order of their code points, words from the most frequent on, or
    at most `dataset.vocabulary_size` (4,000) subwords of a model that is trained on its lines.
    By lines, each is a text of its own, by words in small letters without marks; those that come less than `dataset.minimum`
    times are left out.

    Raises:
        UserError: no such file, an empty one, or one in another encoding.
    """
    if not settings.get("path", ""):
        raise UserError("the dataset 'text' needs dataset.path, a text file.")
    path = Path(settings.path).expanduser()
    return _one_text("text", read_text(path, settings.get("encoding", "utf-8")), settings, str(path))


def load_sonnets(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Two sonnets of Shakespeare (1,200 characters), part of this file; one split `train`."""
    return _one_text("sonnets", SONNETS, settings, "the sonnets")


def load_tiny_shakespeare(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """Karpathy's 1,115,394 characters of Shakespeare, 65 of them distinct; one split `train`, which is the whole text.

    Read from the dataset that TFDS prepared (whose three splits are this text, cut at 90 and 95 %), from `manual_dir`, or from
    the network.

    Raises:
        UserError: it is in none of these places.
    """
    return _one_text("tiny_shakespeare", _shakespeare(data_dir, manual_dir), settings, "tiny Shakespeare")


def load_ptb(settings: ConfigDict, data_dir: str | None = None, manual_dir: str | None = None) -> Dataset:
    """The Penn Treebank as Mikolov et al. (2010) prepared it: 10,000 words, splits `train`, `validation` and `test`.

    929,589, 73,760 and 82,430 words with `<eos>`. TFDS has no builder of it, so it is read from `manual_dir/ptb`: Mikolov's
    simple-examples.tgz, ptb.zip, or the three files out of either. `dataset.level="character"` reads the same text by
    characters.

    Raises:
        UserError: no `manual_dir`, or nothing of that in it.
    """
    wanted = names_in(list(settings.splits.values()), list(PTB_FILES))
    level = _level(settings)
    texts = _ptb_texts(manual_dir)
    return _dataset("ptb", {split: _symbols(t, level, f"ptb's {split}") for split, t in texts.items()}, wanted, level)


def read_text(path: Path, encoding: str) -> str:
    """The text of a file, every line's end a line feed, without a byte order mark.

    Raises:
        UserError: no such file, an unknown encoding, or bytes that are not text in it.
    """
    try:
        content = path.read_bytes()
    except OSError as error:
        raise UserError(f"dataset.path: {path} can't be read: {error.strerror or error}.") from error
    return decoded(content, path, encoding)


def decoded(content: bytes, path: Path, encoding: str) -> str:
    """The text of a file's content, every line's end a line feed, without a byte order mark.

    Raises:
        UserError: an unknown encoding, or bytes that are not text in it.
    """
    try:
        text = content.decode(encoding).removeprefix("\ufeff").replace("\r\n", "\n")
        text.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{path} holds half of a character in {encoding}, which is no text: name another encoding.") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{path} is not {encoding} text: byte {error.start} is 0x{error.object[error.start]:02x}. Name its encoding by "
            "--config.dataset.encoding=latin-1 (or utf-16, cp1252, ...)."
        ) from error
    except (LookupError, ValueError, TypeError) as error:  # "hex", "undefined", "utf-8\0", 8
        raise UserError(
            f"dataset.encoding {encoding!r} is not an encoding of texts that Python knows, such as utf-8 or latin-1."
        ) from error
    return text


def _level(settings: ConfigDict, levels: Sequence[str] = LEVELS) -> str:
    level = settings.get("level", "") or ("word" if settings.name == "ptb" else "character")
    if level not in levels:
        raise unknown("dataset.level", level, levels)
    return level


def _one_text(name: str, text: str, settings: ConfigDict, what: str) -> Dataset:
    level = _level(settings, (*LEVELS, SUBWORD, LINE))
    if level == SUBWORD:
        return text_lines.in_subwords(name, text, settings.get("vocabulary_size", SIZE), what)
    if level == LINE:
        return corpus(name, {"train": text.split("\n")}, settings.get("minimum", 1))
    return _dataset(name, {"train": _symbols(text, level, what)}, ["train"], level)


def _symbols(text: str, level: str, what: str) -> list[str]:
    if not text.strip():
        raise UserError(f"{what} is empty: give a text with something in it.")
    return split_words(text) if level == "word" else list(text)


def _dataset(name: str, texts: Mapping[str, list[str]], wanted: Sequence[str], level: str) -> Dataset:
    """The splits `wanted`; the vocabulary is that of `texts["train"]`, characters by code point, words from the most frequent
    on.
    """
    counts = Counter(texts["train"])
    words = level == "word"
    names = sorted(counts, key=lambda symbol: (-counts[symbol] * words, symbol))
    numbers = {symbol: number for number, symbol in enumerate(names)}
    for split in wanted:
        missing = set(texts[split]) - counts.keys()
        if missing:
            raise UserError(f"dataset {name!r}: the split {split!r} has {min(missing)!r}, which 'train' has not.")
    kind = np.min_scalar_type(len(names) - 1)
    splits = {split: Arrays({"token": np.fromiter(map(numbers.__getitem__, texts[split]), kind)}) for split in wanted}
    return Dataset(Info(name, {"token": Feature(Kind.TOKENS, vocabulary=Vocabulary(names, words))}), splits)


def _shakespeare(data_dir: str | None, manual_dir: str | None) -> str:
    name, files = "tiny_shakespeare", registered("tiny_shakespeare")
    found = builders.prepared(name, data_dir) if data_dir or not manual_dir else None
    if found is None:
        paths = verified(folder_of(name, manual_dir, files), files.values(), name) if manual_dir else None
        if paths and not data_dir:
            return read_text(paths["input.txt"], "utf-8")
        preparing.prepare(name, data_dir, list(files.values()), _shakespeare_split, list(SHAKESPEARE_SPLITS), {}, paths)
        found = builders.prepared(name, data_dir)
    sources = found.as_data_source()
    return "".join(sources[split][0]["text"].decode() for split in SHAKESPEARE_SPLITS)


def _shakespeare_split(paths: Mapping[str, Path], split: str) -> Parsed:
    """A split as TFDS cuts it: one example, the text."""
    text = read_text(paths["input.txt"], "utf-8")
    cuts = [int(len(text) * share) for share in (0.0, 0.9, 0.95)] + [len(text)]
    number = list(SHAKESPEARE_SPLITS).index(split)
    return Parsed({"text": np.array([text[cuts[number] : cuts[number + 1]]], object)}, [split])


def _ptb_texts(manual_dir: str | None) -> dict[str, str]:
    if not manual_dir:
        raise UserError(f"the dataset 'ptb' is read from its archive. {how_to_get('ptb', [PTB_TAR])} A ptb.zip will do too.")
    folder = folder_of("ptb", manual_dir, [PTB_TAR.name, PTB_ZIP.name, *PTB_FILES.values()])
    if all((folder / name).is_file() for name in PTB_FILES.values()):
        return {split: read_text(folder / name, "utf-8") for split, name in PTB_FILES.items()}
    if (folder / PTB_TAR.name).is_file():
        return opened(folder / PTB_TAR.name, _ptb_tar)
    if (folder / PTB_ZIP.name).is_file():
        return opened(verified(folder, [PTB_ZIP], "ptb")[PTB_ZIP.name], _ptb_zip)
    raise UserError(
        f"dataset 'ptb': {folder} lacks {PTB_TAR.name}. {how_to_get('ptb', [PTB_TAR], folder)} A ptb.zip will do too."
    )


def _ptb_tar(path: Path) -> dict[str, str]:
    wanted = [f"simple-examples/data/{name}" for name in PTB_FILES.values()]
    found = dict(zip(PTB_FILES, read_tar_gz(path, wanted, PTB_TEXT_LIMIT, PTB_TAR_LIMIT).values(), strict=True))
    for split, content in found.items():
        if hashlib.sha256(content).hexdigest() != PTB_SHA256[split]:
            raise ValueError(f"its {PTB_FILES[split]} is not the published one")
    return {split: content.decode() for split, content in found.items()}


def _ptb_zip(path: Path) -> dict[str, str]:
    with zipfile.ZipFile(path) as archive:
        return {split: zip_member(archive, f"ptb/{name}", PTB_TEXT_LIMIT).decode() for split, name in PTB_FILES.items()}


PUBLIC = {"text": load_text, "sonnets": load_sonnets, "tiny_shakespeare": load_tiny_shakespeare, "ptb": load_ptb}
SETTINGS: dict[str, dict[str, object]] = {name: {"level": "", "encoding": "utf-8"} for name in PUBLIC}
for _name in ("text", "sonnets", "tiny_shakespeare"):
    SETTINGS[_name] |= {"minimum": 1, "vocabulary_size": SIZE}


def _known(name: str, vocabulary: Vocabulary, counts: Mapping[str, int]) -> Dataset:
    kind = np.min_scalar_type(len(vocabulary) - 1)
    info = Info(name, {"token": Feature(Kind.TOKENS, vocabulary=vocabulary)})
    return Dataset(info, {split: Arrays({"token": np.zeros(count, kind)}) for split, count in counts.items()})


def _known_shakespeare(settings: ConfigDict) -> Dataset | None:
    if _level(settings) != "character":
        return None
    return _known("tiny_shakespeare", Vocabulary(LETTERS, words=False), {"train": 1_115_394})


def _known_ptb(settings: ConfigDict) -> Dataset | None:
    """Which words they are is not known without the files."""
    words = ("<eos>", *(f"word{number}" for number in range(1, 10_000)))
    counts = {"train": 929_589, "validation": 73_760, "test": 82_430}
    return _known("ptb", Vocabulary(words, words=True), counts) if _level(settings) == "word" else None


LETTERS = "\n !$&',-.3:;?" + string.ascii_uppercase + string.ascii_lowercase  # of tiny Shakespeare
KNOWN = {"tiny_shakespeare": _known_shakespeare, "ptb": _known_ptb}
