"""Codes in the plane, by scikit-learn, to be looked at.

    pca   orthogonal projection onto the two directions of largest variance
    mds   distances in the plane as near as possible to those of the codes (SMACOF; Borg & Groenen 2005)
    tsne  neighbours stay neighbours (van der Maaten & Hinton 2008)

The same codes and seed give the same image.
"""

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float, Int

from dl.artifacts import Scatter
from dl.errors import unknown

# The most points that each takes: so that it takes seconds.
LIMITS: Mapping[str, int] = {"pca": 2000, "mds": 300, "tsne": 500}
TITLES: Mapping[str, str] = {"pca": "PCA", "mds": "MDS", "tsne": "t-SNE"}


def chosen(count: int, limit: int) -> Int[np.ndarray, " n"]:
    """Evenly spread indices into `count` examples, at most `limit` of them, in increasing order."""
    return np.unique(np.linspace(0, count - 1, min(count, limit)).astype(np.int64))


def in_the_plane(codes: Float[np.ndarray, "n d"], method: str, seed: int = 0) -> Float[np.ndarray, "n 2"]:
    """The codes as points, float32; the same for the same seed.

    A missing second coordinate is 0. MDS and t-SNE start from PCA, and leave fewer than five examples, or equal ones, there.

    Raises:
        UserError: an unknown method.
    """
    if method not in LIMITS:
        raise unknown("embedding", method, LIMITS)
    codes = np.asarray(codes, np.float64)
    plane = _pca(codes)
    spread = plane[:, 0].std()
    if len(codes) < 5 or spread == 0:
        return plane.astype(np.float32)
    if method == "mds":
        from sklearn.manifold import smacof
        from sklearn.metrics import pairwise_distances

        plane = smacof(pairwise_distances(codes), init=plane, n_init=1, max_iter=200, random_state=seed)[0]
    elif method == "tsne":
        from sklearn.manifold import TSNE
        from threadpoolctl import threadpool_limits

        start = (1e-4 * plane / spread).astype(np.float32)  # as scikit-learn's own start from PCA
        perplexity = min(30.0, (len(codes) - 1) / 3)
        with threadpool_limits(1):  # its threads wait busily for each other, which is slow where other programs run too
            plane = TSNE(2, perplexity=perplexity, init=start, random_state=seed).fit_transform(codes)
    return plane.astype(np.float32)


def _pca(codes: Float[np.ndarray, "n d"]) -> Float[np.ndarray, "n 2"]:
    from sklearn.decomposition import PCA

    if (codes == codes[0]).all():
        return np.zeros((len(codes), 2))
    components = min(2, *codes.shape)
    plane = PCA(components, svd_solver="full").fit_transform(codes)
    return np.pad(plane, ((0, 0), (0, 2 - components)))


def embeddings(
    codes: Float[np.ndarray, "n d"], labels: Int[np.ndarray, " n"], names: tuple[str, ...] = (), seed: int = 0
) -> dict[str, Scatter]:
    """`PCA of the codes`, `MDS of the codes`, `t-SNE of the codes`: each of a part of the examples, coloured by class."""
    shown = {}
    for method, limit in LIMITS.items():
        rows = chosen(len(codes), limit)
        shown[f"{TITLES[method]} of the codes"] = Scatter(in_the_plane(codes[rows], method, seed), labels[rows], names)
    return shown
