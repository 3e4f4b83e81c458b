import zipfile

import numpy as np
import pytest
from PIL import Image

from dl.data import image_files
from dl.errors import UserError

COLOUR = (204, 102, 51)
GREY = 102


@pytest.mark.parametrize("mode", ["RGB", "P", "CMYK", "YCbCr", "RGBX"])
def test_modes_with_colours(mode, tmp_path):
    path = tmp_path / ("image.jpg" if mode in ("CMYK", "YCbCr", "RGBX") else "image.png")
    options = {"quality": 100, "subsampling": 0} if path.suffix == ".jpg" else {}
    Image.new("RGB", (5, 4), COLOUR).convert(mode).save(path, **options)
    read = image_files.read(str(path))
    assert (read.shape, read.dtype) == ((4, 5, 3), np.float32)
    np.testing.assert_allclose(read, np.broadcast_to(np.array(COLOUR) / 255, read.shape), atol=2.1 / 255)


def test_grey_of_any_depth(tmp_path):
    eight, sixteen, bits = (tmp_path / f"{n}.png" for n in ("8", "16", "1"))
    Image.new("L", (5, 4), GREY).save(eight)
    Image.fromarray(np.full((4, 5), GREY * 257, np.uint16)).save(sixteen)
    Image.new("1", (5, 4), 1).save(bits)
    for path, value in ((eight, GREY / 255), (sixteen, GREY / 255), (bits, 1.0)):
        np.testing.assert_allclose(image_files.read(str(path)), np.full((4, 5, 3), value), atol=1e-6)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_what_is_transparent_is_white(mode, tmp_path):
    path = tmp_path / "image.png"
    clear = Image.new("RGBA", (5, 4), (0, 0, 0, 0))
    if mode == "P":
        palette = Image.new("P", (5, 4), 0)
        palette.putpalette([0, 0, 0, 255, 0, 0])
        palette.save(path, transparency=0)
    else:
        clear.convert(mode).save(path)
    np.testing.assert_array_equal(image_files.read(str(path)), np.ones((4, 5, 3)))


def test_images_stand_upright_at_their_size(tmp_path):
    path = tmp_path / "image.jpg"
    turned = Image.new("RGB", (30, 20), COLOUR)
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(path, exif=exif)
    assert image_files.read(str(path)).shape == (30, 20, 3)
    assert image_files.read(str(path), 60).shape == (60, 40, 3)


def test_an_archive_s_member_and_the_folder_of_archives(tmp_path):
    Image.new("RGB", (5, 4), COLOUR).save(tmp_path / "a.png")
    with zipfile.ZipFile(tmp_path / "all.zip", "w") as file:
        file.write(tmp_path / "a.png", "inside/b.png")
    expected = image_files.read(str(tmp_path / "a.png"))
    np.testing.assert_array_equal(image_files.read("all.zip/inside/b.png", 0, str(tmp_path)), expected)
    with pytest.raises(UserError, match=r"c\.png is missing: .*all\.zip holds inside/b\.png"):
        image_files.read("all.zip/inside/c.png", 0, str(tmp_path))


def test_scikit_learn_s_photographs():
    assert image_files.read("china").shape == image_files.read("flower").shape == (427, 640, 3)


def test_what_is_no_image(tmp_path):
    (tmp_path / "a.png").write_text("no image")
    with pytest.raises(UserError, match=r"a\.png can't be decoded \(not an image"):
        image_files.read(str(tmp_path / "a.png"))
    with pytest.raises(UserError, match="nowhere.png is missing, neither from here nor in archives"):
        image_files.read("nowhere.png", 0, "archives")
    with pytest.raises(UserError, match="can't be read: Is a directory|is missing"):
        image_files.read(str(tmp_path))


def test_soft_edges_join_the_flat_colours(tmp_path):
    drawn = np.zeros((40, 60, 3), np.uint8)
    drawn[:, :30], drawn[:, 30:], drawn[:5, 30] = (255, 0, 0), (0, 0, 255), (120, 0, 130)
    Image.fromarray(drawn).save(tmp_path / "map.png")
    found = image_files.read_labels(str(tmp_path / "map.png"), (20, 30))
    np.testing.assert_array_equal(found.colours, [(0, 0, 255), (255, 0, 0)])
    np.testing.assert_array_equal(found.labels[10], [1] * 15 + [0] * 15)
    shares = found.shares(2, 3)
    np.testing.assert_allclose(shares[1, 1], [1, 0.5, 0], atol=1e-6)
    np.testing.assert_allclose(shares.sum(0), 1, atol=1e-6)


def test_maps_that_do_not_fit(tmp_path):
    Image.new("RGB", (60, 40)).save(tmp_path / "map.png")
    with pytest.raises(UserError, match="60x40 and its image 40x60 pixels"):
        image_files.read_labels(str(tmp_path / "map.png"), (60, 40))
    with pytest.raises(UserError, match="flat ones"):
        image_files.read_labels("china", (427, 640))
