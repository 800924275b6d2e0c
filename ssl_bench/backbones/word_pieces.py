"""BERT's uncased tokeniser (google-research/bert tokenization.py): words, then the longest known pieces of each."""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from ssl_bench.errors import SettingsError

UNKNOWN, PAD = "[UNK]", "[PAD]"
LONGEST = 100
"""A word with more characters is unknown."""


class WordPieces:
    """List of texts -> (B, ``length``) int64 token ids: no start and no end token, cut off or filled up with [PAD]."""

    def __init__(self, vocabulary: Path, length: int, words: int) -> None:
        """``vocabulary``: one piece a line, the line's number is its id; ``words``: how many there must be."""
        try:
            pieces = vocabulary.read_text(encoding="utf-8").split("\n")
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"vocabulary {vocabulary}: cannot be read: {error}.") from None
        pieces = pieces[:-1] if pieces[-1] == "" else pieces
        self.ids = {piece: number for number, piece in enumerate(pieces)}
        if len(pieces) != words or UNKNOWN not in self.ids or self.ids.get(PAD) != 0:
            raise SettingsError(
                f"vocabulary {vocabulary}: has {len(pieces)} pieces; {words} are needed, with [PAD] first and [UNK].",
                "It is the file vocab.txt of BERT, uncased.",
            )
        self.length = length
        self.fingerprint = hashlib.sha256("\n".join(pieces).encode()).hexdigest()

    def __call__(self, texts: Sequence[str]) -> torch.Tensor:
        ids = torch.zeros(len(texts), self.length, dtype=torch.int64)
        for row, text in zip(ids, texts, strict=True):
            found = [number for word in words_of(text) for number in self.pieces(word)][: self.length]
            row[: len(found)] = torch.tensor(found, dtype=torch.int64)
        return ids

    def pieces(self, word: str) -> list[int]:
        """Of what remains of the word, the longest known beginning, again and again; unknown if there is none."""
        found: list[int] = []
        start = 0
        while start < len(word) <= LONGEST:
            ends = range(len(word), start, -1)
            mark = "##" if start else ""
            end = next((end for end in ends if mark + word[start:end] in self.ids), None)
            if end is None:
                return [self.ids[UNKNOWN]]
            found.append(self.ids[mark + word[start:end]])
            start = end
        return found or [self.ids[UNKNOWN]]


def words_of(text: str) -> list[str]:
    """Lower-case words without accents; every punctuation mark and every Chinese character is a word of its own."""
    plain = unicodedata.normalize("NFD", text.lower())
    return "".join(_spaced(plain)).split()


def _spaced(text: str) -> Iterator[str]:
    for character in text:
        kind, code = unicodedata.category(character), ord(character)
        if kind == "Mn" or code in {0, 0xFFFD} or (kind.startswith("C") and character not in "\t\n\r"):
            continue
        ascii_mark = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
        chinese = (
            0x4E00 <= code <= 0x9FFF
            or 0x3400 <= code <= 0x4DBF
            or 0x20000 <= code <= 0x2CEAF
            or 0xF900 <= code <= 0xFAFF
        )
        yield f" {character} " if ascii_mark or chinese or kind.startswith("P") else character
