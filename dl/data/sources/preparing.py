"""Preparing a published dataset under its TFDS name as ArrayRecord, from its archives or from the network, without TensorFlow.

The stock builders unpack and read their archives with TensorFlow. Here the stock builder does everything but that: its step
that reads the archives is replaced by ours, on that one object. The result is the standard dataset, which every program that
uses TFDS sees as prepared.
"""

import contextlib
import socket
import sys
import threading
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from dl.data.sources import builders
from dl.data.sources.archives import Archive, Parsed, how_to_get
from dl.errors import UserError

CONNECT_SECONDS = 0.9  # a network that takes longer to answer counts as none
ID_DIGITS = {"cifar10": 5, "cifar100": 5, "svhn_cropped": 6}  # of TFDS's feature "id", e.g. "train_00042"


def prepare(
    name: str,
    data_dir: str | None,
    archives: Sequence[Archive],
    parse: Callable[[Mapping[str, Path], str], Parsed],
    splits: Sequence[str],
    recorded: Mapping[str, Sequence[str]],
    paths: Mapping[str, Path] | None,
) -> None:
    """Write the dataset `name` ("builder" or "builder/config") into `data_dir`.

    Args:
        name: as in TFDS.
        data_dir: the folder of prepared datasets; None is TFDS's default.
        archives: all files of the dataset.
        parse: (paths by file name, split) -> the split.
        splits: the dataset's splits.
        recorded: feature -> its class names, where the stock builder takes them from the archives.
        paths: the archives by file name, or None to download them.

    Raises:
        UserError: no network or a failed download, a folder that can't be written, a full disk.
    """
    base = name.split("/")[0]
    if paths is None and not reachable(archives[0].url):
        raise UserError(
            f"dataset {base!r} is not prepared in {builders.folder(data_dir)} and there is no network. "
            f"{how_to_get(base, archives)}"
        )
    import tensorflow_datasets as tfds

    if not sys.stderr.isatty():
        tfds.disable_progress_bar()
    builder = tfds.builder(name, data_dir=str(builders.folder(data_dir)), file_format="array_record")

    for feature, names in recorded.items():
        builder.info.features[feature].names = list(names)

    def generators(dl_manager: Any) -> dict[str, Iterator[tuple[Any, dict[str, Any]]]]:
        got = paths or dl_manager.download({archive.name: archive.url for archive in archives})
        local = {file: Path(path) for file, path in got.items()}
        return {split: _records(builder, split, parse(local, split)) for split in splits}

    builder._split_generators = generators
    with _failures(base, archives, builder.is_prepared):
        builder.download_and_prepare(download_config=tfds.download.DownloadConfig(try_download_gcs=False))


def _records(builder: Any, split: str, parsed: Parsed) -> Iterator[tuple[Any, dict[str, Any]]]:
    features = builder.info.features
    for index, key in enumerate(parsed.keys):
        record = {name: values[index] for name, values in parsed.features.items()}
        if "image" in record:
            record["image"] = _image(record["image"], features["image"].shape[-1])
        if "id" in features:
            record["id"] = f"{split}_{index:0{ID_DIGITS[builder.name]}d}"
        yield key, record


def _image(image: np.ndarray, channels: int) -> Any:
    """TFDS encodes arrays with TensorFlow, but takes Pillow's images as they are."""
    from PIL import Image

    encoded = Image.fromarray(np.squeeze(image, axis=-1) if image.shape[-1] == 1 else image)
    return encoded.convert("RGB") if channels == 3 else encoded


@contextlib.contextmanager
def _failures(base: str, archives: Sequence[Archive], done: Callable[[], bool]) -> Iterator[None]:
    """Downloads that fail at once instead of trying for minutes; failures are told in one line."""
    import requests
    from tensorflow_datasets.core.download import download_manager, downloader, util

    retries, downloader.MAX_RETRIES = downloader.MAX_RETRIES, 0
    try:
        yield
    except (requests.RequestException, util.DownloadError, download_manager.NonMatchingChecksumError) as error:
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"dataset {base!r} could not be downloaded ({reason}). {how_to_get(base, archives)}") from error
    except OSError as error:
        if done():  # another process of this run was faster
            return
        raise UserError(
            f"dataset {base!r} could not be prepared: {error}. Give a folder with room in it by --data_dir=DIR."
        ) from error
    finally:
        downloader.MAX_RETRIES = retries


def reachable(url: str) -> bool:
    """Whether the host of `url` (or the proxy that leads to it) takes a connection within `CONNECT_SECONDS`."""
    target = urllib.parse.urlsplit(url)
    proxy = None if urllib.request.proxy_bypass(target.hostname or "") else urllib.request.getproxies().get(target.scheme)
    if proxy:
        target = urllib.parse.urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    port = target.port or (443 if target.scheme == "https" else 80)
    answered = threading.Event()

    def connect() -> None:
        with contextlib.suppress(OSError), socket.create_connection((target.hostname or "", port), timeout=CONNECT_SECONDS):
            answered.set()

    # In a thread of its own, because looking up a name has no time limit.
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(CONNECT_SECONDS)
    return answered.is_set()
