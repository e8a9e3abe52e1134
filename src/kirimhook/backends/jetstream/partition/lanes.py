"""The unfinished events of one ordering key."""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterator

WORTHWHILE = 64
"""Dead places in front before the list is moved up."""


class Lane:
    """Numbers that go up, and which of them is the head: the one that is at work, due, or due later.

    Work ends at the front nearly always, so a place there is given up without moving the others.
    """

    __slots__ = ("_first", "_numbers", "head")

    def __init__(self, number: int) -> None:
        self._numbers = [number]
        self._first = 0
        self.head = number

    def __len__(self) -> int:
        return len(self._numbers) - self._first

    def add(self, number: int) -> None:
        numbers = self._numbers
        if number > numbers[-1]:
            numbers.append(number)
        else:
            insort(numbers, number, self._first)

    def remove(self, number: int) -> bool:
        """True: that was the last one."""
        numbers, first = self._numbers, self._first
        if numbers[first] != number:
            del numbers[bisect_left(numbers, number, first)]
        else:
            self._first = first = first + 1
        if first == len(numbers):
            return True
        if first > WORTHWHILE and first * 2 > len(numbers):
            del numbers[:first]
            self._first = 0
        return False

    def __iter__(self) -> Iterator[int]:
        numbers = self._numbers
        for place in range(self._first, len(numbers)):
            yield numbers[place]
