"""What of an encoded image is decoded, and what is refused."""

import io
import re
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageOps

from dl.data import decoding, image_files
from dl.data.batches.examples import NumbersAt
from dl.data.cropping import Cropped, RandomCrop, random_window
from dl.data.decoding import MAX_BYTES, contents, decoded, shape_of
from dl.data.sources.folder import Files, load_folder
from dl.errors import UserError

EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n%%EndComments\n(x) show\nshowpage\n%%EOF\n"


def encoded(mode, kind, orientation=1, size=(37, 23)):
    rng = np.random.default_rng(0)
    channels = {"RGB": 3, "L": 1, "CMYK": 4, "RGBA": 4, "LA": 2}.get(mode, 1)
    pixels = rng.integers(0, 256, (size[1], size[0], channels), np.uint8)
    if mode == "I;16":
        image = Image.fromarray(rng.integers(0, 65536, (size[1], size[0]), np.uint16))
    elif mode in ("P", "1"):
        image = Image.fromarray(pixels[..., 0]).convert(mode)
    else:
        image = Image.frombytes(mode, size, pixels.tobytes())
    exif, file = Image.Exif(), io.BytesIO()
    exif[0x0112] = orientation
    image.save(file, kind, **({"exif": exif} if orientation > 1 else {}))
    return file.getvalue()


def plainly(content, mode):
    """The image as it was read before, step by step: turned, converted, copied to an array."""
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(content)))
    if image.mode.startswith("I"):
        return np.repeat(np.round(np.asarray(image, np.float32) / 65535 * 255).astype(np.uint8)[..., None], 3, axis=2)
    if image.has_transparency_data:
        over = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", over.size, "white"), over)
    return np.asarray(image.convert(mode)).reshape(image.height, image.width, -1)


KINDS = [("RGB", "JPEG"), ("L", "JPEG"), ("CMYK", "JPEG"), ("RGB", "PNG"), ("RGBA", "PNG"), ("LA", "PNG"), ("P", "PNG")]
KINDS += [("1", "PNG"), ("I;16", "PNG"), ("RGB", "BMP"), ("L", "PPM"), ("RGB", "PPM")]


@pytest.mark.parametrize(("mode", "kind"), KINDS)
def test_every_kind_of_file_has_the_pixels_of_the_plain_way(mode, kind, tmp_path):
    turned = range(1, 9) if mode == "RGB" and kind in ("JPEG", "PNG") else (1,)
    window, size = RandomCrop(scale=(0.3, 1.0)), (20, 14)
    for orientation in turned:
        path = tmp_path / f"{orientation}.img"
        path.write_bytes(encoded(mode, kind, orientation))
        expected = plainly(path.read_bytes(), "RGB")
        np.testing.assert_array_equal(decoded(path.read_bytes(), 3, path), expected)
        assert shape_of(path) == expected.shape[:2]
        source = Cropped(Files([path], [3], 3, (0, 0), "crop"), size, window)
        numbers = NumbersAt(1)(orientation)
        box = random_window(expected.shape[:2], window, numbers)
        resized = Image.fromarray(expected).resize(size[::-1], Image.Resampling.BILINEAR, box=box)
        drawn = source.draw(np.array([0]), numbers[None])
        np.testing.assert_array_equal(drawn["image"][0], np.asarray(resized))
        assert drawn["label"].tolist() == [3]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_only_training_reads_a_jpeg_at_a_fraction_and_the_difference_is_small(orientation, tmp_path):
    """A photograph of 427x640, its windows 4 times as large as the view or more: decoded at a half or a quarter."""
    photograph = Image.fromarray((image_files.read("flower") * 255).astype(np.uint8))
    exif = Image.Exif()
    exif[0x0112] = orientation
    photograph.save(tmp_path / "a.jpg", quality=92, exif=exif)
    whole, size = plainly((tmp_path / "a.jpg").read_bytes(), "RGB"), (48, 64)
    crop = RandomCrop(scale=(0.6, 1.0))
    source = Cropped(Files([tmp_path / "a.jpg"], [0], 3, (0, 0), "crop"), size, crop)
    differences = []
    for position in range(4):
        numbers = NumbersAt(0)(position)
        box = random_window(whole.shape[:2], crop, numbers)
        exact = np.asarray(Image.fromarray(whole).resize(size[::-1], Image.Resampling.BILINEAR, box=box)).astype(int)
        differences.append(np.abs(source.draw(np.array([0]), numbers[None])["image"][0] - exact))
    assert 0 < np.mean(differences) < 1.5 and np.quantile(differences, 0.99) < 8
    central = Cropped(Files([tmp_path / "a.jpg"], [0], 3, (0, 0), "crop"), size).gather(np.array([0]))["image"]
    np.testing.assert_array_equal(source.gather(np.array([0]))["image"], central)
    shorter = Image.fromarray(whole).resize(size[::-1], Image.Resampling.BILINEAR, box=centre(whole.shape, size))
    np.testing.assert_array_equal(central[0], np.asarray(shorter))


def centre(shape, size):
    scale = 0.875 * min(shape[0] / size[0], shape[1] / size[1])
    h, w = scale * size[0], scale * size[1]
    return (shape[1] - w) / 2, (shape[0] - h) / 2, (shape[1] + w) / 2, (shape[0] + h) / 2


@pytest.mark.parametrize("kind", ["EPS", "TIFF", "GIF", "WEBP", "ICO", "text"])
def test_other_formats_are_refused_whatever_the_file_is_called(kind, tmp_path, monkeypatch):
    """No program is started: an EPS would be handed to Ghostscript."""
    monkeypatch.setattr("subprocess.Popen", lambda *a, **k: pytest.fail("a program was started"))
    file = io.BytesIO()
    if kind not in ("EPS", "text"):
        Image.new("RGB", (16, 16)).save(file, kind)
    path = tmp_path / "cat" / "a.png"
    path.parent.mkdir()
    path.write_bytes(file.getvalue() or (EPS if kind == "EPS" else b"no image"))
    refused = r"a\.png can't be decoded \(not an image in JPEG, PNG, PNM or BMP\); mend or replace it\.$"
    for read in (image_files.read, image_files.read_labels, lambda name, *_: decoded(contents(path), 3, name)):
        with pytest.raises(UserError, match=refused):
            read(str(path), (16, 16)) if read is image_files.read_labels else read(str(path))
    (tmp_path / "dog").mkdir()
    Image.new("RGB", (16, 16)).save(tmp_path / "dog" / "b.png")
    from ml_collections import ConfigDict

    with pytest.raises(UserError, match=refused):
        load_folder(ConfigDict({"path": str(tmp_path), "splits": {"train": "train"}}))


@pytest.mark.parametrize("side", [7_100, 13_300, 60_000])
def test_pixels_are_counted_before_they_are_decoded(side, tmp_path, recwarn):
    content = bytearray(encoded("L", "PNG"))
    content[16:24] = struct.pack(">II", side, side)
    content[29:33] = struct.pack(">I", zlib.crc32(bytes(content[12:29])))
    (tmp_path / "a.png").write_bytes(content)
    decoding._without_warning.cache_clear()  # pytest resets the filters of warnings for every test
    too_large = r"a\.png has too many pixels.*: at most 50 million are decoded; make it smaller or remove it\.$"
    for read in (lambda: image_files.read(str(tmp_path / "a.png")), lambda: shape_of(tmp_path / "a.png")):
        with pytest.raises(UserError, match=too_large):
            read()
    with pytest.raises(UserError, match=too_large):
        decoded(bytes(content), 3, "a.png")
    assert not [w for w in recwarn if "Decompression" in str(w.category)]


def test_a_file_larger_than_any_image_is_not_read(tmp_path):
    with (tmp_path / "a.png").open("wb") as file:
        file.truncate(MAX_BYTES + 1)  # a hole: it takes no room
    for read in (lambda: contents(tmp_path / "a.png"), lambda: image_files.read(str(tmp_path / "a.png"))):
        with pytest.raises(UserError, match=r"has 512 MiB, more than the 512 that are read"):
            read()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "PPM", "BMP"])
def test_a_damaged_file_loads_or_is_said_in_one_line(kind):
    rng = np.random.default_rng(0)
    whole = np.frombuffer(encoded("RGB", kind), np.uint8)
    refused = 0
    for _ in range(150):
        damaged = whole[: rng.integers(1, len(whole) + 1)].copy()
        places = rng.integers(0, min(len(damaged), 200), rng.integers(0, 5))
        damaged[places] = rng.integers(0, 256, len(places))
        try:
            assert decoded(damaged.tobytes(), 3, "a.img").shape[2] == 3
        except UserError as error:
            refused += 1
            assert re.match(r"a\.img (can't be decoded|has too many pixels)[^\n]*$", str(error))
    assert refused > 20


def test_images_are_opened_in_one_place():
    root = Path(__file__).parents[2]
    opening = re.compile(r"Image\.open\(|imread\(|open_image\(|load_image\(|matplotlib\.image|cv2\.|skimage\.io|imageio")
    found = {path for room in ("dl", "experiments", "configs") for path in (root / room).rglob("*.py")}
    assert {p.name for p in found if opening.search(p.read_text())} == {
        "decoding.py",
        "benchmark_input.py",
    }  # the other is PyTorch's side
