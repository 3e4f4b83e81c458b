"""The vocabularies of a run, kept in its workdir: what its numbers mean does not depend on files elsewhere.

`vocabularies/FEATURE.model` is SentencePiece's own file, `vocabularies/FEATURE.json` a list of words or characters in the order
of their numbers.
"""

import os
from pathlib import Path

from dl.data.sentences import Subwords
from dl.dataset import Features
from dl.errors import UserError
from dl.files import read_json
from dl.training.json_files import advice, write_json
from dl.vocabulary import Vocabulary


def keep(workdir: Path, features: Features) -> None:
    """Writes the vocabulary of each feature that has one.

    Raises:
        UserError: the disk is full or read-only.
    """
    folder = workdir / "vocabularies"
    for name, feature in features.items():
        if feature.vocabulary is None:
            continue
        folder.mkdir(exist_ok=True)
        if not isinstance(feature.vocabulary, Subwords):
            write_json(folder / f"{name}.json", list(feature.vocabulary.names))
            continue
        path, temporary = folder / f"{name}.model", folder / f"{name}.model.tmp"
        try:
            temporary.write_bytes(feature.vocabulary.model)
            os.replace(temporary, path)
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}. {advice(error)}, then start again.") from error


def check(workdir: Path, features: Features) -> None:
    """Checks that the vocabularies of the data are those that the run was trained with, where it kept them.

    Raises:
        UserError: they differ, as where the files of the data were replaced, or a file is damaged.
    """
    for name, feature in features.items():
        if feature.vocabulary is not None and _differs(workdir / "vocabularies", name, feature.vocabulary):
            raise UserError(
                f"the symbols of {name!r} are not those that the run in --workdir={workdir} was trained with "
                "(its folder vocabularies): put the old data back."
            )


def _differs(folder: Path, name: str, vocabulary: Vocabulary) -> bool:
    model, names = folder / f"{name}.model", folder / f"{name}.json"
    try:
        if isinstance(vocabulary, Subwords):
            return model.exists() and model.read_bytes() != vocabulary.model
    except OSError as error:
        raise UserError(f"{model} can't be read: {error.strerror or error}.") from error
    return names.exists() and tuple(read_json(names, list)) != vocabulary.names
