"""Images: what is read of files of every kind, and of arrays, whole and in part, sound and damaged."""

import io
import struct
import warnings
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pictures import colours, save
from PIL import Image as pillow
from PIL import ImageOps

from regard import DataError, Image
from regard.image import check_whole
from regard.image_file import MOST_PIXELS

GRAY = np.float32([0.299, 0.587, 0.114])


def of_pillow(path, mode):
    """What Pillow itself makes of a file, ``[rows, columns, channels]`` from 0 to 1."""
    with pillow.open(path) as picture:
        array = np.asarray(picture.convert(mode), np.float32) / 255
    return array if array.ndim == 3 else array[:, :, None]


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.bmp", "a.gif", "a.tif", "a.webp", "a.ppm"])
def test_a_file_of_colours_is_what_pillow_reads(tmp_path, name):
    path = save(tmp_path / name, colours())
    image = Image.from_file(path)
    assert (image.size, image.channels, len(image), image.name) == ((6, 9), 3, 54, str(path))
    np.testing.assert_allclose(image.pixels(), of_pillow(path, "RGB"), atol=1e-6)
    np.testing.assert_allclose(image.pixels(1), of_pillow(path, "L"), atol=1e-6)
    assert image.pixels().dtype == np.float32


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.pgm"])
def test_a_gray_file_has_one_channel_unless_three_are_asked_for(tmp_path, name):
    path = save(tmp_path / name, colours(channels=1))
    image = Image.from_file(path)
    if name != "a.gif":  # whose colours are always a palette
        assert image.channels == 1
    np.testing.assert_allclose(image.pixels(1), of_pillow(path, "L"), atol=1e-6)
    np.testing.assert_array_equal(image.pixels(3), np.repeat(image.pixels(1), 3, 2))


def test_a_palette_is_its_colours(tmp_path):
    path = save(tmp_path / "a.png", colours(), mode="P")
    with pillow.open(path) as picture:
        assert picture.mode == "P"
    np.testing.assert_allclose(Image.from_file(path).pixels(), of_pillow(path, "RGB"), atol=1e-6)


def test_what_is_transparent_lies_on_white(tmp_path):
    pixels = colours(channels=4)
    pixels[0, 0, 3], pixels[1, 1, 3] = 0, 255
    path = save(tmp_path / "a.png", pixels)
    rgb, alpha = pixels[:, :, :3] / 255, pixels[:, :, 3:] / 255
    found = Image.from_file(path).pixels()
    np.testing.assert_allclose(found, rgb * alpha + 1 - alpha, atol=2 / 255)
    assert found[0, 0].tolist() == [1, 1, 1]
    np.testing.assert_allclose(Image.from_pixels(pixels).pixels(3), found, atol=2 / 255)
    np.testing.assert_allclose(Image.from_pixels(pixels).pixels(1), Image.from_file(path).pixels(1), atol=3 / 255)


@pytest.mark.parametrize("transparency", [0, bytes([0, 128, 255])])
def test_a_palette_with_alpha_lies_on_white(tmp_path, transparency):
    picture = pillow.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3) % 3, mode=None).convert("L")
    palette = pillow.new("P", (3, 2))
    palette.putdata(list(picture.get_flattened_data()))
    palette.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    palette.save(tmp_path / "a.png", transparency=transparency)
    image = Image.from_file(tmp_path / "a.png")
    assert image.channels == 3
    assert image.pixels()[0, 0].tolist() == [1, 1, 1]  # colour 0 is transparent
    np.testing.assert_allclose(image.pixels()[0, 2], [0, 0, 1], atol=1e-6)
    if transparency:
        np.testing.assert_allclose(image.pixels()[0, 1], [0.5, 1, 0.5], atol=2 / 255)


def test_gray_with_alpha(tmp_path):
    path = save(tmp_path / "a.png", colours(channels=1), mode="LA")
    with pillow.open(path) as picture:
        picture.putalpha(0)
        picture.save(tmp_path / "b.png")
    assert Image.from_file(path).channels == 1
    assert (Image.from_file(tmp_path / "b.png").pixels() == 1).all()


def test_a_jpeg_of_four_inks(tmp_path):
    path = save(tmp_path / "a.jpg", colours(16, 16), mode="CMYK")
    image = Image.from_file(path)
    assert image.channels == 3
    np.testing.assert_allclose(image.pixels(), of_pillow(path, "RGB"), atol=1e-6)


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_sixteen_bits_stay_sixteen(tmp_path, name):
    pixels = np.arange(0, 65536, 1024, dtype=np.uint16).reshape(8, 8)
    image = Image.from_file(save(tmp_path / name, pixels))
    assert image.channels == 1
    np.testing.assert_allclose(image.pixels()[:, :, 0], pixels / 65535, atol=1e-7)
    np.testing.assert_array_equal(image.pixels(3), np.repeat(image.pixels(), 3, 2))
    assert image.at_size(4, 4).pixels().shape == (4, 4, 1)


def test_one_bit(tmp_path):
    path = save(tmp_path / "a.png", colours(channels=1), mode="1")
    found = Image.from_file(path).pixels()
    assert set(np.unique(found)) == {0.0, 1.0}
    np.testing.assert_allclose(found, of_pillow(path, "L"), atol=0)


def test_one_pixel(tmp_path):
    image = Image.from_file(save(tmp_path / "a.png", np.array([[51]], np.uint8)))
    assert (image.size, image.pixels().tolist()) == ((1, 1), [[[pytest.approx(0.2)]]])
    assert image.at_size(3, 2).pixels().shape == (3, 2, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_picture_is_turned_as_the_camera_was_held(tmp_path, orientation):
    exif = pillow.Exif()
    exif[0x0112] = orientation
    save(tmp_path / "a.png", colours(), exif=exif)
    pixels = colours() / 255
    turned = {  # what the tag means, as the standard tells it
        1: pixels,
        2: pixels[:, ::-1],
        3: pixels[::-1, ::-1],
        4: pixels[::-1],
        5: pixels.swapaxes(0, 1),
        6: np.rot90(pixels, -1),
        7: pixels[::-1, ::-1].swapaxes(0, 1),
        8: np.rot90(pixels),
    }[orientation]
    image = Image.from_file(tmp_path / "a.png")
    assert image.size == turned.shape[:2]
    np.testing.assert_allclose(image.pixels(), turned, atol=1e-6)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["a.tif", "a.webp", "a.jpg"])
def test_files_of_every_kind_are_turned_once(tmp_path, name, orientation):
    exif = pillow.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / name, colours(16, 24), exif=exif)
    with pillow.open(path) as picture:
        wanted = np.asarray(ImageOps.exif_transpose(picture), np.float32) / 255
    image = Image.from_file(path)
    assert image.size == wanted.shape[:2]
    np.testing.assert_allclose(image.pixels(), wanted, atol=1e-6)


def test_a_turned_jpeg_is_read_no_smaller_than_is_asked(tmp_path):
    exif = pillow.Exif()
    exif[0x0112] = 6
    stripes = np.zeros((96, 800), np.uint8)
    stripes[:, ::4] = stripes[:, 1::4] = 255
    save(tmp_path / "a.jpg", stripes, exif=exif, quality=95)  # upright it has 800 rows and 96 columns
    found = Image.from_file(tmp_path / "a.jpg").at_size(800, 48).pixels()
    assert found.std() > 0.4


def test_an_animation_is_its_first_picture(tmp_path):
    first, second = (pillow.fromarray(np.full((4, 5), shade, np.uint8)) for shade in (255, 0))
    first.save(tmp_path / "a.gif", save_all=True, append_images=[second])
    image = Image.from_file(tmp_path / "a.gif")
    assert image.size == (4, 5)
    assert (image.pixels() == 1).all()


def test_a_file_in_memory(tmp_path):
    path = save(tmp_path / "a.png", colours())
    image = Image.from_file("page 7", content=path.read_bytes())
    assert image.name == "page 7"
    np.testing.assert_array_equal(image.pixels(), Image.from_file(path).pixels())
    assert image.identity() == Image.from_file(path).identity()


def test_another_size_is_pillows_bicubic(tmp_path):
    path = save(tmp_path / "a.png", colours(20, 30))
    with pillow.open(path) as picture:
        wanted = np.asarray(picture.resize((12, 7), pillow.Resampling.BICUBIC), np.float32) / 255
    image = Image.from_file(path).at_size(7, 12)
    assert image.size == (7, 12)
    np.testing.assert_allclose(image.pixels(), wanted, atol=3 / 255)
    np.testing.assert_allclose(Image.from_pixels(colours(20, 30)).at_size(7, 12).pixels(), wanted, atol=2 / 255)
    assert image.at_size(7, 12) is image


@settings(deadline=None, max_examples=30)
@given(*[st.integers(0, 8) for _ in range(4)])
def test_a_part_is_that_part(top, left, rows, columns):
    pixels = colours(9, 9)
    image = Image.from_pixels(pixels)
    part = image.part(top, top + rows, left, left + columns)
    wanted = pixels[top : top + rows, left : left + columns] / np.float32(255)
    np.testing.assert_array_equal(part.pixels(), wanted)
    assert part.size == wanted.shape[:2]
    np.testing.assert_array_equal(part.part(1, 2, 1, 3).pixels(), wanted[1:2, 1:3])


def test_a_part_of_a_file_and_of_one_that_was_resized(tmp_path):
    image = Image.from_file(save(tmp_path / "a.png", colours(20, 20))).at_size(10, 10)
    np.testing.assert_array_equal(image.part(2, 5, 1, 9).pixels(), image.pixels()[2:5, 1:9])
    assert len({image.identity(), image.part(0, 5, 0, 10).identity(), image.part(5, 10, 0, 10).identity()}) == 3


@settings(deadline=None, max_examples=30)
@given(*[st.integers(0, 8) for _ in range(2)], *[st.integers(1, 12) for _ in range(4)])
def test_a_part_is_brought_to_another_size_by_itself(top, left, rows, columns, new_rows, new_columns):
    part = Image.from_pixels(colours(9, 9)).part(top, top + rows, left, left + columns)
    alone = Image.from_pixels(part.pixels()).at_size(new_rows, new_columns)
    found = part.at_size(new_rows, new_columns)
    assert found.size == (new_rows, new_columns)
    np.testing.assert_array_equal(found.pixels(), alone.pixels())


def test_a_part_of_a_file_at_another_size_is_still_of_that_file(tmp_path):
    path = save(tmp_path / "a.png", colours(20, 20))
    found = Image.from_file(path).part(2, 12, 4, 19).at_size(5, 5)
    assert found.name == str(path)
    assert found.pixels(1).shape == (5, 5, 1)


def test_resized_pixels_stay_between_black_and_white():
    square = np.zeros((9, 9))
    square[3:6, 3:6] = 1
    for pixels in (square, (255 * square).astype(np.uint8)):
        found = Image.from_pixels(pixels).at_size(18, 18).pixels()
        assert (found.min(), found.max()) == (0, 1)
    found = Image.from_pixels(10 * square - 5).at_size(18, 18).pixels()
    assert (found.min(), found.max()) == (-5, 5)


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, np.int64, np.float32, np.float64, np.float16, bool])
def test_pixels_of_every_type(kind):
    wave = np.linspace(0, 1, 12).reshape(3, 4).round() if kind is bool else np.linspace(0, 1, 12).reshape(3, 4)
    most = {np.uint8: 255, np.uint16: 65535, np.int64: 255}.get(kind, 1)
    given = (wave * most).astype(kind)
    image = Image.from_pixels(given)
    assert (image.size, image.channels) == ((3, 4), 1)
    assert image.pixels().dtype == np.float32
    np.testing.assert_allclose(image.pixels()[:, :, 0], wave, atol=1 / 200)


def test_pixels_of_other_channels():
    five = np.random.default_rng(0).random((4, 4, 5))
    image = Image.from_pixels(five)
    np.testing.assert_allclose(image.pixels(), five, atol=1e-6)
    assert image.at_size(2, 2).pixels().shape == (2, 2, 5)
    with pytest.raises(DataError, match="expected images of 3 channels, found one of 5"):
        image.pixels(3)
    rgb = colours()
    np.testing.assert_allclose(Image.from_pixels(rgb).pixels(1)[:, :, 0], rgb / 255 @ GRAY, atol=1e-5)


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros(4), r"found float64 of shape \[4\]"),
        (np.zeros((0, 4)), r"at least one, of numbers, found float64 of shape \[0, 4\]"),
        (np.zeros((2, 2, 2, 2)), r"shape \[2, 2, 2, 2\]"),
        (np.array([["a"]]), r"found <U1 of shape \[1, 1\]"),
        (np.zeros((2, 2), complex), "found complex128"),
        (np.zeros((3, 28, 28)), r"channels first; move them with numpy.moveaxis\(pixels, 0, -1\)"),
        (np.array([[0, 1], [np.nan, 0]]), "expected finite numbers, found nan at row 2, column 1"),
        (np.array([[np.inf]]), "found inf at row 1, column 1"),
        (np.array([[0, 1e300]]), r"found 1e\+300 at row 1, column 2"),
        (np.array([[0, 256]]), "whole numbers from 0 to 255, or floats from 0 to 1, found 0 to 256"),
        (np.array([[-1, 2]]), "found -1 to 2"),
    ],
)
def test_what_is_no_array_of_pixels(pixels, message):
    with pytest.raises(DataError, match=message):
        Image.from_pixels(pixels)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "1", "CMYK", "LA", "I;16"])
def test_a_picture_of_pillow(tmp_path, mode):
    whole = pillow.fromarray(colours())
    picture = pillow.fromarray(colours(channels=1).astype(np.uint16) * 257) if mode == "I;16" else whole.convert(mode)
    image = Image.from_pillow(picture)
    assert image.path is None
    if mode in ("CMYK",):
        return
    picture.save(tmp_path / "a.png")
    np.testing.assert_allclose(image.pixels(), Image.from_file(tmp_path / "a.png").pixels(), atol=1e-6)


def test_a_picture_of_pillow_is_turned_too():
    picture = pillow.fromarray(colours())
    picture.getexif()[0x0112] = 6
    assert Image.from_pillow(picture).size == (9, 6)


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.gif", "a.tif", "a.webp"])
def test_a_file_that_is_cut_off(tmp_path, name):
    whole = save(tmp_path / name, colours(64, 64)).read_bytes()
    path = tmp_path / f"cut-{name}"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DataError, match=rf"cut-{name}: expected (a whole image|an image)"):
        Image.from_file(path).pixels()


@pytest.mark.parametrize(
    ("content", "found"),
    [
        (b"", "an empty file"),
        (b"\0\0\0\x18ftypheic" + bytes(40), "a photo in HEIC; make it a JPEG or a PNG"),
        (b"\0\0\0\x18ftypisom" + bytes(40), "a video; take a picture of it"),
        (b"<!DOCTYPE html>", r"a page or a drawing \(HTML, SVG\); fetch it again"),
        (b"%PDF-1.4", "a PDF; make it a PNG"),
        (b"hello, this is text\n" * 20, "something else, or a damaged one"),
        (b"\x89PNG\r\n\x1a\n", "something else, or a damaged one"),
        (b"\x89PNG\r\n\x1a\n" + bytes(60), "."),
    ],
)
def test_what_is_no_image(tmp_path, content, found):
    path = tmp_path / "a.png"
    path.write_bytes(content)
    for where in ({}, {"content": content}):
        with pytest.raises(DataError, match=rf"a.png: expected an image \(png, jpg, .*\), found {found}"):
            Image.from_file(path, **where)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(DataError, match=r"gone.png: expected an image .*, found no such file or directory"):
        Image.from_file(tmp_path / "gone.png")
    with pytest.raises(DataError, match="found a folder"):
        Image.from_file(tmp_path)


def bomb(rows, columns):
    """A PNG that says to hold so many black pixels, few bytes long."""

    def chunk(name, data):
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    packed = zlib.compressobj(9)
    body = packed.compress(bytes(1 << 20)) + packed.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


@pytest.mark.parametrize("size", [(10_001, 10_000), (20_000, 20_000), (2**31 - 1, 2**31 - 1)])
def test_a_bomb_is_refused_before_anything_is_unpacked(tmp_path, size, monkeypatch):
    (tmp_path / "a.png").write_bytes(bomb(*size))
    monkeypatch.setattr("PIL.ImageFile.ImageFile.load", lambda self: pytest.fail("unpacked"))
    with pytest.raises(DataError, match=rf"a.png: expected an image of at most {MOST_PIXELS:,} pixels, found .*small"):
        Image.from_file(tmp_path / "a.png")


def test_a_wide_one_within_the_limit_is_taken(tmp_path):
    image = Image.from_file(save(tmp_path / "a.png", np.zeros((1, 20_000), np.uint8)))
    assert image.size == (1, 20_000)
    assert image.at_size(1, 200).pixels().shape == (1, 200, 1)


@pytest.mark.parametrize(
    ("picture", "found"),
    [
        (pillow.fromarray(np.zeros((2, 2), np.float32)), "floating-point numbers, whose scale is not told"),
        (pillow.merge("LAB", [pillow.new("L", (2, 2))] * 3), "colours of CIELAB; make it RGB"),
        (pillow.fromarray(np.int32([[0, 70_000]])), "numbers from 0 to 70,000"),
        (pillow.fromarray(np.int32([[-1, 5]])), "numbers from -1 to 5"),
    ],
)
def test_files_of_other_numbers_are_refused(tmp_path, picture, found):
    picture.save(tmp_path / "a.tif")
    with pytest.raises(DataError, match=f"a.tif: expected pixels of 8 or 16 bits, found {found}"):
        Image.from_file(tmp_path / "a.tif").pixels()


def test_numbers_of_32_bits_within_16_are_those(tmp_path):
    pillow.fromarray(np.int32([[0, 65535]])).save(tmp_path / "a.tif")
    assert Image.from_file(tmp_path / "a.tif").pixels().ravel().tolist() == [0, 1]


def test_postscript_is_not_run(tmp_path, monkeypatch):
    pillow.fromarray(colours()).save(tmp_path / "a.png", "EPS")
    monkeypatch.setattr("PIL.EpsImagePlugin.Ghostscript", lambda *_, **__: pytest.fail("run"))
    with pytest.raises(DataError, match=r"a.png: .*found PostScript, a program that would be run; make it a PNG"):
        Image.from_file(tmp_path / "a.png").pixels()


def test_a_damaged_picture_of_pillow_is_told_in_one_way(tmp_path):
    whole = save(tmp_path / "a.png", colours(64, 64)).read_bytes()
    picture = pillow.open(io.BytesIO(whole[: len(whole) // 2]))
    with (
        picture,
        pytest.raises(DataError, match="an image of Pillow: expected a whole image, found "),
    ):
        Image.from_pillow(picture)


@pytest.mark.parametrize("damaged", [[], [3], [300, 5]])
def test_files_are_checked_whole(tmp_path, damaged):
    images = [Image.from_pixels(colours())]
    whole = save(tmp_path / "whole.png", colours(64, 64)).read_bytes()
    for number in range(310):
        cut = len(whole) // 2 if number in damaged else len(whole)
        images.append(Image.from_file(f"{number}.png", content=whole[:cut]))
    filters = list(warnings.filters)
    if damaged:
        with pytest.raises(DataError, match=f"^{min(damaged)}.png: expected a whole image"):
            check_whole(images)
    else:
        check_whole(images)
    assert warnings.filters == filters


@pytest.mark.parametrize("kind", ["png", "jpeg", "gif", "tiff", "webp", "bmp"])
def test_damage_anywhere_is_told_in_one_way(kind):
    out = io.BytesIO()
    pillow.fromarray(colours(12, 12)).save(out, kind, **({"exif": pillow.Exif()} if kind == "jpeg" else {}))
    whole, draw = out.getvalue(), np.random.default_rng(0)
    for _ in range(150):
        damaged = bytearray(whole)
        for place in draw.integers(0, len(whole), draw.integers(1, 6)):
            damaged[place] = draw.integers(0, 256)
        damaged = damaged[: draw.integers(1, len(whole) + 1)] if draw.random() < 0.3 else damaged
        try:
            image = Image.from_file("a", content=bytes(damaged))
            assert image.pixels().shape == (*image.size, image.channels)
            image.at_size(4, 4).pixels(1)
        except DataError as error:
            assert str(error).startswith("a: expected ")  # noqa: PT017


def test_no_warning_of_the_library_comes_through(tmp_path):
    exif = b"Exif\x00\x00II*\x00\x08\x00\x00\x00\x01\x00\x12\x01\x03\x00\xff\xff\xff\xff\x03\x00\x00\x00"
    path = save(tmp_path / "a.jpg", colours(), exif=exif)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Image.from_file(path).pixels()
