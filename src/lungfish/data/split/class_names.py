"""Find class names that are probably typos: `t-shrit` with 3 photos next to `t-shirt` with 300.

Only one slip is considered, and only in a class that is much smaller than its match, because the names of many true
pairs of classes differ in one letter: `class1` and `class2`, `cat` and `car`, `shirt` and `skirt`, `damage` and
`damaged`.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import combinations

from lungfish.core.names import plural, printable

SMALL = 5  # least ratio of the sizes of the two classes
VOWELS = "aeiouy"


@dataclass(frozen=True)
class LikelyTypo:
    """A small class whose name is one slip away from that of a large one.

    Args:
        label: Index of the class.
        count: Number of its photos.
        meant: Index of the class that was probably meant.
        meant_count: Number of the photos of that class.
    """

    label: int
    count: int
    meant: int
    meant_count: int

    def warning(self, labels: Sequence[str]) -> str:
        """Return a warning for the user."""
        return (
            f"class {printable(labels[self.label])!r} has {plural(self.count, 'photo')}; is that a typo of "
            f"{printable(labels[self.meant])!r}, which has {self.meant_count:,}?"
        )


def likely_typos(labels: Sequence[str], counts: Sequence[int]) -> tuple[LikelyTypo, ...]:
    """Return the classes whose names are probably typos, each with the largest class that it may mean.

    Takes time linear in the total length of the names.

    Args:
        labels: Class names.
        counts: Number of photos of each class.
    """
    found: dict[int, int] = {}
    for a, b in _near(labels):
        small, large = sorted((a, b), key=lambda i: counts[i])
        if counts[small] * SMALL > counts[large] or not is_slip(labels[small], labels[large]):
            continue
        if small not in found or counts[large] > counts[found[small]]:
            found[small] = large
    return tuple(LikelyTypo(i, counts[i], found[i], counts[found[i]]) for i in sorted(found))


def is_slip(a: str, b: str) -> bool:
    """Return whether two names differ by one slip, at a place where slips are common.

    Slips are swapped letters, a letter doubled or left out, one vowel for another, separators, and an `s` at the end.
    The first letter, digits, and words of one or two letters (`grade a`, `size xl`) are rarely mistyped but often
    distinguish classes.
    """
    words_a, words_b = (re.findall(r"\w+", name.casefold().replace("_", " ")) for name in (a, b))
    short, long = sorted(("".join(words_a), "".join(words_b)), key=len)
    if short == long:
        return a != b
    if re.findall(r"\d+", short) != re.findall(r"\d+", long):
        return False
    if len(words_a) == len(words_b):
        ((word_a, word_b), *others) = [pair for pair in zip(words_a, words_b, strict=True) if pair[0] != pair[1]]
        if others or max(len(word_a), len(word_b)) <= 2:
            return False
    start = next((i for i, (x, y) in enumerate(zip(short, long, strict=False)) if x != y), len(short))
    rest_short, rest_long = short[start:], long[start:]
    while rest_short and rest_short[-1] == rest_long[-1]:
        rest_short, rest_long = rest_short[:-1], rest_long[:-1]
    return start > 0 and _is_common(short, long, start, rest_short, rest_long)


def _is_common(short: str, long: str, start: int, instead: str, of: str) -> bool:
    """Return whether writing `instead` for `of` is a common slip in names of this length."""
    if instead == "" and len(of) == 1:
        doubled = of in (long[start - 1], long[start + 1 : start + 2])
        if start == len(short):
            return len(short) >= 3 and (of == "s" or (doubled and of != "i"))  # stage I, stage II
        return len(short) >= (5 if doubled else 6)
    if len(instead) == len(of) == 1:  # the last letter often distinguishes forms of a word
        return instead in VOWELS and of in VOWELS and start + 1 < len(short) and len(short) >= 7  # shorts, shirts
    return len(instead) == 2 and instead == of[::-1] and len(short) >= 4


def _near(labels: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Yield pairs of names that are equal after each loses at most one letter: these include all slips."""
    meeting: dict[str, set[int]] = defaultdict(set)
    for i, label in enumerate(labels):
        name = "".join(re.findall(r"[^\W_]+", label.casefold()))
        letters = (at for at, character in enumerate(name) if not character.isdigit())
        for variant in {name, *(name[:at] + name[at + 1 :] for at in letters)}:
            meeting[variant].add(i)
    pairs = {pair for together in meeting.values() for pair in combinations(sorted(together), 2)}
    yield from sorted(pairs)
