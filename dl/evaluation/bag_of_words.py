"""Bags of words: classification of texts by counts of their words, or of runs of words, in no order.

    naive_bayes          multinomial, counts smoothed by `smoothing`         McCallum & Nigam 1998
    svm                  linear, squared hinge loss, on what occurs          Joachims 1998
    logistic_regression  on what occurs, weighted by rarity (tf-idf)
    nbsvm                logistic regression on what occurs, each word       Wang & Manning 2012, section 2.3, who take an SVM
                         weighted by its log-count ratio, a class against    and interpolate it with naive Bayes
                         the others

Everything is scikit-learn's; penalties are chosen on a validation split where there is one, or else by cross-validation on the
training texts.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float, Int

from dl.errors import UserError, unknown

CLASSIFIERS = ("naive_bayes", "svm", "logistic_regression", "nbsvm")
PENALTIES = {
    "naive_bayes": (0.1, 0.3, 1.0, 3.0),  # counts that are added to each
    "svm": (0.003, 0.01, 0.03, 0.1, 0.3),  # C
    "logistic_regression": (0.3, 1.0, 3.0, 10.0, 30.0),
    "nbsvm": (0.01, 0.03, 0.1, 0.3, 1.0),
}


class Classifier(NamedTuple):
    """A trained one.

    vectorizer: texts -> counts.
    ratios: by which the counts are multiplied for each machine; or none.
    machines: one for all classes, or one for each, which tells it from the others.
    num_classes: how many classes there are.
    penalty: the one that was chosen.
    """

    vectorizer: Any
    ratios: tuple[np.ndarray, ...]
    machines: tuple[Any, ...]
    num_classes: int
    penalty: float


Texts = Sequence[Sequence[str]]  # each as its words


def learn(
    texts: Texts,
    labels: Int[np.ndarray, " n"],
    seed: int,
    held_out: tuple[Texts, np.ndarray] | None = None,
    classifier: str = "naive_bayes",
    ngrams: int = 1,
    minimum: int = 1,
    penalties: tuple[float, ...] = (),
) -> Classifier:
    """A classifier of texts.

    Args:
        texts: to train on.
        labels: their classes.
        seed: of the order in which a linear machine takes the texts.
        held_out: texts and labels on which a penalty is chosen; without, by three-fold cross-validation.
        classifier: one of `CLASSIFIERS`.
        ngrams: runs of so many words are counted, and shorter ones.
        minimum: texts that a run must occur in.
        penalties: to choose from; () are those of `PENALTIES`.

    Raises:
        UserError: an unknown classifier, or a number out of range.
    """
    if classifier not in CLASSIFIERS:
        raise unknown("classifier of bags of words", classifier, CLASSIFIERS)
    if ngrams < 1 or minimum < 1:
        raise UserError(f"task.ngrams={ngrams} and task.minimum={minimum} must be at least 1.")
    choices = tuple(penalties) or PENALTIES[classifier]
    classes = int(labels.max()) + 1

    def fitted(penalty: float, some: Texts, known: np.ndarray) -> Classifier:
        return fit(classifier, some, known, classes, penalty, ngrams, minimum, seed)

    if len(choices) == 1:
        return fitted(choices[0], texts, labels)
    if held_out is not None:
        made = [fitted(penalty, texts, labels) for penalty in choices]
        return min(made, key=lambda one: error(one, *held_out))
    folds = np.arange(len(labels)) % 3
    wrong = [
        sum(
            error(fitted(p, _some(texts, folds != f), labels[folds != f]), _some(texts, folds == f), labels[folds == f])
            for f in range(3)
        )
        for p in choices
    ]
    return fitted(choices[int(np.argmin(wrong))], texts, labels)


def fit(
    classifier: str,
    texts: Texts,
    labels: Int[np.ndarray, " n"],
    num_classes: int,
    penalty: float,
    ngrams: int,
    minimum: int,
    seed: int,
) -> Classifier:
    """A classifier with one penalty; arguments as of `learn`."""
    from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer
    from sklearn.linear_model import LogisticRegression
    from sklearn.naive_bayes import MultinomialNB
    from sklearn.svm import LinearSVC

    kind = TfidfVectorizer if classifier == "logistic_regression" else CountVectorizer
    more = {"sublinear_tf": True} if classifier == "logistic_regression" else {"binary": classifier != "naive_bayes"}
    vectorizer = kind(analyzer=lambda words: _runs(words, ngrams), min_df=minimum, dtype=np.float32, **more)
    counts = vectorizer.fit_transform(texts)
    if classifier == "naive_bayes":
        return Classifier(vectorizer, (), (MultinomialNB(alpha=penalty).fit(counts, labels),), num_classes, penalty)
    if classifier == "nbsvm":
        # Of two classes one machine will do.
        sides = [labels == c for c in range(1 if num_classes == 2 else 0, num_classes)]
        ratios = tuple(log_count_ratio(counts, side) for side in sides)
        machines = tuple(
            LogisticRegression(C=penalty, solver="liblinear", random_state=seed).fit(counts.multiply(r).tocsr(), side)
            for r, side in zip(ratios, sides, strict=True)
        )
        return Classifier(vectorizer, ratios, machines, num_classes, penalty)
    machine = LinearSVC(C=penalty, random_state=seed) if classifier == "svm" else LogisticRegression(C=penalty, max_iter=300)
    return Classifier(vectorizer, (), (machine.fit(counts, labels),), num_classes, penalty)


def log_count_ratio(counts: Any, side: np.ndarray, smoothing: float = 1.0) -> Float[np.ndarray, " words"]:
    """Log of (p / |p|) / (q / |q|), p and q the smoothed counts of each word on either side (Wang & Manning, section 2.1)."""
    p, q = (smoothing + np.asarray(counts[np.flatnonzero(rows)].sum(0)).ravel() for rows in (side, ~side))
    return np.log(p / p.sum()) - np.log(q / q.sum())


def scores(one: Classifier, texts: Texts) -> Float[np.ndarray, "n classes"]:
    """The score of each class; the largest is the prediction. A class that never occurred has -inf."""
    counts = one.vectorizer.transform(texts)
    out = np.full((len(texts), one.num_classes), -np.inf)
    if one.ratios:
        found = [m.decision_function(counts.multiply(r).tocsr()) for m, r in zip(one.machines, one.ratios, strict=True)]
        columns = range(one.num_classes)
        found = [-found[0], found[0]] if len(found) == 1 else found
    else:
        machine = one.machines[0]
        score = machine.predict_log_proba if hasattr(machine, "predict_log_proba") else machine.decision_function
        values = score(counts)
        found, columns = ([-values, values] if values.ndim == 1 else list(values.T)), machine.classes_
    for column, value in zip(columns, found, strict=True):
        out[:, column] = value
    return out


def error(one: Classifier, texts: Texts, labels: Int[np.ndarray, " n"]) -> float:
    """The part of the texts that it gets wrong."""
    return float(np.mean(scores(one, texts).argmax(1) != labels))


def weights(one: Classifier) -> dict[str, np.ndarray]:
    """What was learned, as arrays: for the digest of a result."""
    found = {}
    for number, machine in enumerate(one.machines):
        name = "feature_log_prob_" if hasattr(machine, "feature_log_prob_") else "coef_"
        found[f"machine{number}"] = np.asarray(getattr(machine, name), np.float32)
    return found


def _runs(words: Sequence[str], most: int) -> list[str]:
    return [" ".join(words[i : i + n]) for n in range(1, most + 1) for i in range(len(words) - n + 1)]


def _some(texts: Texts, chosen: np.ndarray) -> Texts:
    return [texts[i] for i in np.flatnonzero(chosen).tolist()]
