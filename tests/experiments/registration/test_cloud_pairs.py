"""A pair of one's own: what is accepted, in which unit it comes back, and what is refused with which sentence."""

import numpy as np
import pytest

from shapeofloss.errors import UserError
from shapeofloss.experiments.registration import cloud_pairs
from shapeofloss.experiments.registration.anatomy import two_phases


def read_pair(path_x, path_y, unit="mm"):
    return cloud_pairs.check_pair(cloud_pairs.read_cloud(path_x), cloud_pairs.read_cloud(path_y), unit=unit)


def test_a_good_pair_comes_back_in_millimetres_and_in_its_order(cloud):
    pair = cloud_pairs.check_pair(cloud / 10, cloud / 10 + 1, unit="cm")
    assert np.allclose(pair.x, cloud) and np.allclose(pair.y, cloud + 10)
    assert pair.dropped == (0, 0)


def test_repeated_points_are_left_out_and_counted(cloud):
    pair = cloud_pairs.check_pair(np.concatenate([cloud, cloud[:7]]), cloud)
    assert np.array_equal(pair.x, cloud)
    assert pair.dropped == (7, 0)


def test_the_scale_of_a_lung_is_about_one_and_follows_the_size():
    lung = two_phases(7, points=1000, amplitude=0.0)
    assert cloud_pairs.check_pair(lung.x, lung.y).scale == pytest.approx(1, abs=0.05)
    assert cloud_pairs.check_pair(lung.x / 4, lung.y / 4).scale == pytest.approx(0.25, abs=0.02)


def spoilt(cloud, row, value):
    bad = cloud.copy()
    bad[row, 1] = value
    return bad


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda c: (c[:, :2], c, "mm"), r"The cloud x has shape \(60, 2\); \(N, 3\) is needed"),
        (lambda c: (c, c[None], "mm"), r"The cloud y has shape \(1, 60, 3\)"),
        (lambda c: (c, [["a", "b", "c"]], "mm"), "The cloud y is no array of numbers"),
        (lambda c: (spoilt(c, 4, np.nan), c, "mm"), "The cloud x has 1 value that is not finite"),
        (lambda c: (c, spoilt(c, slice(2, 9), np.inf), "mm"), "The cloud y has 7 values that are not finite"),
        (lambda c: (np.ones((60, 3)), c, "mm"), "The cloud x has 1 distinct points among 60"),
        (lambda c: (c, np.concatenate([c[:20]] * 3), "mm"), "The cloud y has 20 distinct points among 60"),
        (lambda c: (c[:19], c, "mm"), "The cloud x has 19 distinct points among 19; at least 20"),
        (lambda c: (c, c * [1, 1, 0], "mm"), "The points of y lie in a plane"),
        (lambda c: (c, c, "inch"), "There is no unit 'inch'"),
        (lambda c: (c, c, "m"), r"In m, the box around x .* anatomy has from 1 to 3000 mm. Known units are mm, cm"),
        (lambda c: (c / 1000, c / 1000, "mm"), r"In mm, the box around x would have a diagonal of 0\.1"),
        (lambda c: (c, c / 10, "mm"), r"The cloud x is 10 times as large as the other"),
        (lambda c: (c / 10, c, "mm"), r"The cloud y is 10 times as large as the other"),
    ],
)
def test_a_pair_that_cannot_be_registered_is_refused_with_a_sentence(cloud, change, says):
    x, y, unit = change(cloud)
    with pytest.raises(UserError, match=says):
        cloud_pairs.check_pair(x, y, unit=unit)


@pytest.mark.parametrize(
    ("name", "delimiter", "heading"),
    [("a.csv", ",", "x,y,z"), ("a.csv", ";", ""), ("a.txt", " ", ""), ("a.xyz", "\t", "x y z")],
)
def test_text_files_are_read(tmp_path, cloud, name, delimiter, heading):
    np.savetxt(tmp_path / name, cloud, delimiter=delimiter, header=heading, comments="")
    np.save(tmp_path / "b.npy", cloud + 1)
    pair = read_pair(tmp_path / name, tmp_path / "b.npy")
    assert np.allclose(pair.x, cloud) and np.allclose(pair.y, cloud + 1)


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("a.ply", "ply\nformat ascii 1.0\n1 2 3\n", "cannot be read as a table of numbers"),
        ("a.csv", None, "No such file"),
        ("a.csv", "1,2,3\n4,five,6\n", "cannot be read as a table of numbers"),
        ("a.csv", "1,2,3\n4,5\n", "cannot be read as a table of numbers"),
        ("a.npy", "no array", "cannot be read as a table of numbers"),
        ("a.txt", "1,2,nan\n" + "1,2,3\n" * 30, "The cloud x has 1 value that is not finite"),
    ],
)
def test_files_that_cannot_be_read_are_refused_with_a_sentence(tmp_path, name, content, says):
    if content is not None:
        (tmp_path / name).write_text(content, encoding="utf-8")
    with pytest.raises(UserError, match=says):
        read_pair(tmp_path / name, tmp_path / name)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04",
        b"\x93NUMPY\x01\x00\x0a\x00{'descr': (",
        b"\x93NUMPY\x01\x00\x46\x00"
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (10000000000, 3), }".ljust(69)
        + b"\n",
        b"\x93NUMPY\x01\x00\x56\x00"
        + b"{'descr': '<f8', 'fortran_order': False, 'shape': (100000000000000000000, 3), }".ljust(85)
        + b"\n",
    ],
)
def test_damaged_arrays_are_refused_with_a_sentence(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as a table of numbers"):
        read_pair(tmp_path / "a.npy", tmp_path / "a.npy")


def test_coordinates_that_no_body_has_or_that_are_complex_are_refused(tmp_path, cloud):
    np.savetxt(tmp_path / "a.csv", 1e306 * cloud)
    np.save(tmp_path / "b.npy", cloud + 5j)
    with pytest.raises(UserError, match="anatomy has from"):
        read_pair(tmp_path / "a.csv", tmp_path / "a.csv", unit="m")
    with pytest.raises(UserError, match="complex"):
        read_pair(tmp_path / "b.npy", tmp_path / "b.npy")


def test_no_point_is_lost_or_shifted_by_a_mark_an_empty_field_or_a_word(tmp_path, cloud):
    np.save(tmp_path / "b.npy", cloud)
    np.savetxt(tmp_path / "a.csv", cloud, delimiter=",")
    text = (tmp_path / "a.csv").read_text(encoding="utf-8")
    (tmp_path / "a.csv").write_text(text, encoding="utf-8-sig")
    assert len(read_pair(tmp_path / "a.csv", tmp_path / "b.npy").x) == len(cloud)
    for first, says in (
        ("1,,2,3", "cannot be read as a table of numbers: could not convert string '' to float64 at row 0, column 2"),
        ("1,2,three", "cannot be read"),
    ):
        (tmp_path / "a.csv").write_text(first + "\n" + text, encoding="utf-8")
        with pytest.raises(UserError, match=says):
            read_pair(tmp_path / "a.csv", tmp_path / "b.npy")
