"""Draw networks, their costs and their accuracy as SVG."""

from lungfish.pictures.accuracy import Marked, accuracy_picture
from lungfish.pictures.file import check_picture_file, write_picture
from lungfish.pictures.learning import Curve, learning_picture
from lungfish.pictures.network import network_picture

__all__ = [
    "Curve",
    "Marked",
    "accuracy_picture",
    "check_picture_file",
    "learning_picture",
    "network_picture",
    "write_picture",
]
