"""Bias of word vectors along a direction, and hard debiasing (Bolukbasi, Chang, Zou, Saligrama & Kalai 2016, "Man is to
computer programmer as woman is to homemaker?").

The direction of gender is the one along which pairs such as she and he differ most (section 5, step 1). Debiasing takes it away
from all words but those that mean a gender, and puts the two words of a pair such as grandmother and grandfather at the same
distance from every other word (section 6, steps 2a).
"""

from collections.abc import Collection, Sequence

import numpy as np
from jaxtyping import Float

from dl.errors import UserError
from dl.evaluation.word_vectors import WordVectors, normalised

Pairs = Sequence[tuple[str, str]]

DEFINING: Pairs = (  # the authors' ten
    ("woman", "man"),
    ("girl", "boy"),
    ("she", "he"),
    ("mother", "father"),
    ("daughter", "son"),
    ("gal", "guy"),
    ("female", "male"),
    ("her", "his"),
    ("herself", "himself"),
    ("Mary", "John"),
)
EQUALISED: Pairs = (  # most of the authors' 52, and four more
    *(("woman", "man"), ("girl", "boy"), ("she", "he"), ("mother", "father"), ("daughter", "son"), ("gal", "guy")),
    *(("female", "male"), ("her", "his"), ("herself", "himself"), ("women", "men"), ("girls", "boys"), ("females", "males")),
    *(("sister", "brother"), ("sisters", "brothers"), ("daughters", "sons"), ("mothers", "fathers"), ("wives", "husbands")),
    *(("grandmother", "grandfather"), ("grandma", "grandpa"), ("granddaughter", "grandson"), ("niece", "nephew")),
    *(("queen", "king"), ("queens", "kings"), ("princess", "prince"), ("ladies", "gentlemen"), ("lady", "gentleman")),
    *(("congresswoman", "congressman"), ("councilwoman", "councilman"), ("spokeswoman", "spokesman")),
    *(("businesswoman", "businessman"), ("chairwoman", "chairman"), ("schoolgirl", "schoolboy"), ("nun", "monk")),
    *(
        ("girlfriend", "boyfriend"),
        ("girlfriends", "boyfriends"),
        ("actress", "actor"),
        ("sorority", "fraternity"),
        ("estrogen", "testosterone"),
        ("filly", "colt"),
    ),
    *(("mare", "gelding"), ("convent", "monastery"), ("motherhood", "fatherhood"), ("maternity", "paternity")),
    *(("moms", "dads"), ("gals", "dudes"), ("granddaughters", "grandsons")),
)
_MEANING_GENDER = """
actresses actors aunt aunts uncle uncles bachelor bachelors ballerina barbershop baritone beard beards
bloke blokes boyhood girlhood bride brides groom bridegroom brotherhood
sisterhood chap chaps countess count cowboy cowboys cowgirl czar dad mom mum daddy mommy mama papa damsel dame deer diva
dude dudes duchess duke ewes fiance fiancee fella fellas fillies goddess god grandson grandmothers grandfathers guys
handyman heir heiress hers him hen heroine heroines hero heroes hostess housewife housewives husband wife king's lad
lads lass lassie landlady landlord lesbian lesbians macho maid maiden maids male's man's manhood womanhood masculine
feminine masculinity femininity matriarch patriarch menopause mistress mother's motherly fatherly nieces nephews nuns
monks obstetrics paternal maternal penis vagina uterus womb pregnancy pregnant priestess priests prostate queen's
salesman salesmen serviceman servicemen sir madam miss mr mrs ms sister's brother's sons's sperm spinster stallion
statesman stepfather stepmother stepson stepdaughter suitor suitors tomboy tsar viagra virgin waitress waitresses waiter
waiters widow widows widower witch witches wizard wizards woman's women's men's girl's boy's girls' boys' womanly manly
cameraman cameramen fireman firemen policeman policemen policewoman henchman henchmen gentlemen's lady's
"""
_PROFESSIONS = """
accountant actor architect artist assassin astronaut athlete author baker banker bartender boss boxer broker butcher
captain carpenter chef chemist coach comedian comic commander composer cook cop criminal critic dancer dentist designer
detective diplomat director doctor drummer economist editor engineer environmentalist farmer firefighter fisherman
gangster gardener guard hairdresser historian homemaker housekeeper inspector inventor journalist judge lawyer lecturer
librarian magician maestro manager marshal mechanic minister model musician nanny narrator novelist nurse officer
painter patrolman philosopher photographer physician physicist pianist pilot plumber poet politician president principal
prisoner producer professor programmer prosecutor psychiatrist psychologist receptionist reporter researcher sailor
saint scholar scientist screenwriter secretary senator sheriff singer socialite soldier stylist surgeon swimmer teacher
technician teenager therapist translator trucker vocalist warrior writer
"""
# Words that mean a gender besides those of the pairs, after the authors' list of 218: kept as they are.
MEANING_GENDER = frozenset(_MEANING_GENDER.split())
# Occupations, of the authors' list of professions, whose lean is shown.
PROFESSIONS = tuple(_PROFESSIONS.split())


def direction(vectors: WordVectors, pairs: Pairs = DEFINING) -> Float[np.ndarray, " d"]:
    """The unit vector along which the words of each pair differ most: the first principal component of their vectors, each
    minus the mean of its pair (section 5, step 1, with k = 1). It points to the first word of the pairs.

    Raises:
        UserError: no pair has vectors.
    """
    rows = [(vectors.find(a), vectors.find(b)) for a, b in pairs]
    found = np.array([row for row in rows if None not in row], np.int64)
    if not len(found):
        raise UserError(
            f"the direction is that of pairs of words, and no pair of {', '.join('/'.join(p) for p in pairs)} has vectors."
        )
    sides = vectors.unit[found].astype(np.float64)  # [pairs, 2, D]
    centred = (sides - sides.mean(1, keepdims=True)).reshape(-1, sides.shape[-1])
    axis = np.linalg.svd(centred, full_matrices=False)[2][0]
    return (axis * np.sign((sides[:, 0] - sides[:, 1]).sum(0) @ axis or 1.0)).astype(np.float32)


def lean(vectors: WordVectors, words: Sequence[str], axis: Float[np.ndarray, " d"]) -> dict[str, float]:
    """The cosine of each word that has a vector with the direction."""
    return {word: float(vectors.unit[row] @ axis) for word in words if (row := vectors.find(word)) is not None}


def direct_bias(vectors: WordVectors, words: Sequence[str], axis: Float[np.ndarray, " d"], strictness: float = 1.0) -> float:
    """The mean of |cos(w, g)|^c over words that should be neutral (section 5.2, DirectBias).

    Raises:
        UserError: none of them has a vector.
    """
    found = lean(vectors, words, axis)
    if not found:
        raise UserError("none of the words whose bias is asked for has a vector.")
    return float(np.mean(np.abs(list(found.values())) ** strictness))


def debiased(
    vectors: WordVectors,
    axis: Float[np.ndarray, " d"],
    specific: Collection[str] = MEANING_GENDER,
    pairs: Pairs = EQUALISED,
) -> WordVectors:
    """The vectors, of length 1, after hard debiasing: neutralised, and the pairs equalised (section 6, step 2a).

    neutralised:  w <- (w - w_B) / |w - w_B|, w_B = (w . g) g
    equalised:    w <- v + sqrt(1 - |v|^2) (w_B - m_B) / |w_B - m_B|, m = the mean of the pair, v = m - m_B

    Args:
        vectors: of the words.
        axis: g, of length 1.
        specific: words that keep their part along it, besides those of the pairs.
        pairs: to be equalised, where both words have vectors.
    """
    unit, g = vectors.unit.astype(np.float64), axis.astype(np.float64)
    rows = [(vectors.numbers.get(a), vectors.numbers.get(b)) for a, b in pairs]
    paired = np.array([row for row in rows if None not in row], np.int64).reshape(-1, 2)
    kept = [row for word in specific if (row := vectors.numbers.get(word)) is not None]
    neutral = np.ones(len(unit), bool)
    neutral[[*kept, *paired.ravel()]] = False
    changed = unit.copy()
    changed[neutral] = normalised(unit[neutral] - np.outer(unit[neutral] @ g, g))
    both = unit[paired]  # [pairs, 2, D]
    middle = both.mean(1)
    aside = middle - np.outer(middle @ g, g)
    sign = np.sign((both - middle[:, None]) @ g)  # [pairs, 2]: the two lie on either side of the mean
    reach = np.sqrt(np.maximum(1 - np.square(aside).sum(-1), 0))
    changed[paired] = aside[:, None] + (reach[:, None] * sign)[..., None] * g
    return WordVectors(vectors.words, changed.astype(np.float32))
