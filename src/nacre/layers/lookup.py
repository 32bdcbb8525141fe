"""Layers that number the terms of a vocabulary."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np

from nacre import ops
from nacre.errors import DataError, DTypeError, Limitation, UsageError
from nacre.ir import Value
from nacre.layers.layer import Array, numbers, refuse
from nacre.layers.preprocessing import Encoding, batches, plain

_NO_HASH = "leave it out: terms are not hashed"


class _Lookup(Encoding):
    """Base of both: terms are numbered in the order of the vocabulary, after ``mask_token`` (0, in the mode "int" only) and the
    numbers for terms that are not in it."""

    def __init__(
        self,
        max_tokens: int | None,
        num_oov_indices: int,
        mask_token: Any,
        oov_token: Any,
        vocabulary: Any,
        invert: bool,
        output_mode: str,
        pad_to_max_tokens: bool,
        **kwargs: Any,
    ) -> None:
        kind = type(self).__name__
        refuse(
            kind,
            kwargs,
            idf_weights="leave it out: there is no output_mode tf_idf",
            oov_method=_NO_HASH,
            salt=_NO_HASH,
        )
        if output_mode == "tf_idf":
            raise Limitation(f"{kind} has no output_mode 'tf_idf'.", hint="multi_hot or count")
        super().__init__(output_mode, **kwargs)
        for name, count, least in (("max_tokens", max_tokens, 2), ("num_oov_indices", num_oov_indices, 0)):
            if (count is not None or least == 0) and (
                isinstance(count, bool) or not isinstance(count, int) or count < least
            ):
                raise UsageError(f"{kind} needs a whole number from {least} on for {name}, got {count!r}.")
        if invert and output_mode != "int":
            raise UsageError(f"With invert, {kind} gives terms: there is no output_mode then, got {output_mode!r}.")
        if pad_to_max_tokens and max_tokens is None:
            raise UsageError(f"{kind} cannot pad to max_tokens, which is not given.")
        self.max_tokens, self.num_oov_indices = max_tokens, num_oov_indices
        self.invert, self.pad_to_max_tokens = bool(invert), bool(pad_to_max_tokens)
        self.mask_token = None if mask_token is None else self._terms([mask_token])[0].item()
        self.oov_token = None if oov_token is None else self._terms([oov_token])[0].item()
        self._given = vocabulary is not None
        self.vocabulary: list[Any] | None = None
        if vocabulary is not None:
            self.set_vocabulary(vocabulary)

    def _terms(self, x: Any) -> Array:
        """An array of terms; raises `DTypeError` for what they cannot be."""
        raise NotImplementedError

    # -------------------------------------------------------------- the vocabulary

    @property
    def _first(self) -> int:
        """The number of the first term."""
        return self._masks + self.num_oov_indices

    @property
    def _masks(self) -> int:
        return int(self.mask_token is not None and self.output_mode == "int")

    def _special(self) -> list[Any]:
        return [self.mask_token] * self._masks + [self.oov_token] * self.num_oov_indices

    def set_vocabulary(self, vocabulary: Sequence[Any]) -> None:
        """Take these terms, each once; they may begin with those for mask and unknown terms, as `get_vocabulary` gives them.

        Raises `UsageError` for terms that occur twice, or are too many.
        """
        kind = type(self).__name__
        if isinstance(vocabulary, str):
            raise UsageError(
                f"The vocabulary of {kind} is a list of terms, got {vocabulary!r}.",
                hint="of a file: open(path, encoding='utf-8').read().splitlines()",
            )
        self._check_adaptable(None)
        terms = self._terms(vocabulary).tolist()
        if terms[: self._first] == self._special():
            terms = terms[self._first :]
        reserved = [token for token in (self.mask_token, self.oov_token) if token is not None]
        counts = Counter([*terms, *set(reserved)])
        if twice := [term for term in counts if counts[term] > 1]:
            raise UsageError(f"The vocabulary of {kind} has {twice[0]!r} twice, or where it does not belong.")
        if not terms or (self.max_tokens is not None and self._first + len(terms) > self.max_tokens):
            raise UsageError(
                f"The vocabulary of {kind} has at least one term, and with mask and unknown ones no more than max_tokens.",
                {"terms": len(terms), "max_tokens": self.max_tokens},
            )
        self.vocabulary = terms

    def get_vocabulary(self, include_special_tokens: bool = True) -> list[Any]:
        """The terms in the order of their numbers, those for mask and unknown terms included or not."""
        return (self._special() if include_special_tokens else []) + list(self._known())

    def vocabulary_size(self) -> int:
        """How many numbers there are, those for mask and unknown terms included."""
        return self._first + len(self._known())

    def adapt(self, data: Any) -> None:
        """Take the terms of ``data``, an array or batches of arrays: those that are most frequent first, and among equals the last
        in their own order; no more than ``max_tokens`` allows.

        Raises `UsageError` if a vocabulary was given, or if the layer is part of a model already.
        """
        self._check_adaptable("vocabulary" if self._given else None)
        counts: Counter[Any] = Counter()
        for batch in batches(data):
            terms, found = np.unique(self._terms(batch), return_counts=True)
            counts.update(dict(zip(terms.tolist(), found.tolist(), strict=True)))
        for token in (self.mask_token, self.oov_token):
            counts.pop(token, None)
        ordered = sorted(counts, key=lambda term: (counts[term], term), reverse=True)
        self.set_vocabulary(ordered if self.max_tokens is None else ordered[: self.max_tokens - self._first])

    def _known(self) -> list[Any]:
        if self.vocabulary is None:
            raise UsageError(
                f"{type(self).__name__} {self.name!r} has no vocabulary yet.",
                hint="call adapt(data), or give vocabulary",
            )
        return self.vocabulary

    # -------------------------------------------------------------- what it does

    def of_array(self, x: Any) -> Array:
        """The numbers of the terms of an array, encoded; with ``invert``, the terms of its numbers."""
        if self.invert:
            return self._inverted(np.asarray(numbers("the input", x), dtype=np.int64))
        at = self._numbers(self._terms(x))
        return self._evaluated(plain(at), lambda given: self._encoded(given, self._categories()))

    def _categories(self) -> int:
        return self.max_tokens if self.pad_to_max_tokens and self.max_tokens else self.vocabulary_size()

    def _numbers(self, terms: Array) -> Array:
        known = np.asarray(self._known())
        order = np.argsort(known)
        place = np.minimum(np.searchsorted(known, terms, sorter=order), len(known) - 1)
        there = known[order[place]] == terms
        masked = np.zeros(terms.shape, bool) if self.mask_token is None else terms == self.mask_token
        unknown = ~(there | masked)
        if unknown.any() and not self.num_oov_indices:
            raise DataError(
                f"{type(self).__name__} {self.name!r} does not know {terms[unknown][0].item()!r}.",
                hint="num_oov_indices=1 has a number for unknown terms",
            )
        at = np.where(unknown, self._masks + self._unknown(terms), self._first + order[place])
        return np.where(masked & ~there, 0 if self._masks else -1, at)

    def _unknown(self, terms: Array) -> Array:
        """The number of each term, among those for unknown terms."""
        return np.zeros(terms.shape, np.int64)

    def _inverted(self, at: Array) -> Array:
        terms = np.asarray([*self.get_vocabulary(), self.oov_token])
        return terms[np.where((at >= 0) & (at < len(terms) - 1), at, len(terms) - 1)]


class IntegerLookup(_Lookup):
    """The numbers of whole numbers in a vocabulary.   x (batch, ...) -> as ``output_mode`` says

    The vocabulary is given, or `adapt` finds it. Terms are numbered in its order; before them come ``mask_token``, if there is one
    and the mode is "int", and ``num_oov_indices`` numbers for terms that are not in it (several share them by term modulo their
    count). ``output_mode`` is "int", the numbers, (...) -> (...) int32; "one_hot", (...) or (..., 1) -> (..., terms); "multi_hot"
    or "count", (batch, n) -> (batch, terms), without the mask. ``invert`` gives the terms of numbers, ``oov_token`` for unknown
    ones.

    In a model, terms fit int32, and an unknown one is -1 where ``num_oov_indices`` is 0; several of these, and ``invert``, are for
    arrays only, and raise `Limitation`, as do "tf_idf", ``sparse`` and ``salt``.

    >>> layer = IntegerLookup(vocabulary=[12, 36, 1138, 42])
    >>> layer([[12, 1138, 42], [42, 1000, 36]])
    array([[1, 3, 4],
           [4, 0, 2]], dtype=int32)
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: int | None = None,
        oov_token: int | None = -1,
        vocabulary: Sequence[int] | None = None,
        vocabulary_dtype: str = "int64",
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        **kwargs: Any,
    ) -> None:
        if vocabulary_dtype not in ("int32", "int64"):
            raise UsageError(f"The vocabulary_dtype of IntegerLookup is int32 or int64, got {vocabulary_dtype!r}.")
        self.vocabulary_dtype = vocabulary_dtype
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            vocabulary,
            invert,
            output_mode,
            pad_to_max_tokens,
            **kwargs,
        )

    def _terms(self, x: Any) -> Array:
        found = numbers("the input of IntegerLookup", x)
        if found.dtype.kind == "f" and not (found == np.floor(found)).all():
            raise DTypeError("IntegerLookup looks whole numbers up.", {"found": found.dtype})
        return found.astype(self.vocabulary_dtype)

    def _unknown(self, terms: Array) -> Array:
        return terms % max(self.num_oov_indices, 1)

    def call(self, x: Value) -> Value:
        """x, looked up."""
        if self.invert or self.num_oov_indices > 1:
            what = "invert" if self.invert else "several num_oov_indices"
            raise Limitation(
                f"IntegerLookup {self.name!r} has {what}, which no graph can do.",
                hint="call it on arrays, before the model",
            )
        bounds = np.iinfo(np.int32)
        known = {term: at for at, term in enumerate(self._known(), self._first) if bounds.min <= term <= bounds.max}
        if self.mask_token is not None:
            known.setdefault(self.mask_token, 0 if self._masks else -1)
        terms, places = (np.array(list(part), np.int32) for part in (known, known.values()))
        same = ops.equal(ops.expand_dims(ops.cast(x, dtype="int32"), -1), ops.constant(terms, "int32"))
        other = self._masks if self.num_oov_indices else -1
        found = ops.sum(ops.where(same, ops.constant(places - other, "float32"), 0.0), axis=-1) + float(other)
        return self._encoded(ops.cast(found, dtype="int32"), self._categories())


class StringLookup(_Lookup):
    """The numbers of words in a vocabulary, for arrays of words: it is called on them, and a model takes what it gives.

    The vocabulary is given, or `adapt` finds it. Terms are numbered in its order; before them come ``mask_token``, if there is one
    and the mode is "int", and one number for all terms that are not in it, or none, if ``num_oov_indices`` is 0. ``output_mode`` is
    "int", the numbers, (...) -> (...) int32; "one_hot", (...) or (..., 1) -> (..., terms); "multi_hot" or "count",
    (batch, n) -> (batch, terms), without the mask. ``invert`` gives the terms of numbers, ``oov_token`` for unknown ones.

    Raises `DataError` for an unknown word where there is no number for it, and `Limitation` in a model, and for several
    ``num_oov_indices``, "tf_idf", ``sparse``, ``encoding`` and ``salt``.

    >>> layer = StringLookup(output_mode="multi_hot")
    >>> layer.adapt([["red", "green"], ["blue", "red"]])
    >>> layer.get_vocabulary()
    ['[UNK]', 'red', 'green', 'blue']
    >>> layer([["blue", "pink"]])
    array([[1., 0., 0., 1.]], dtype=float32)
    """

    def __init__(
        self,
        max_tokens: int | None = None,
        num_oov_indices: int = 1,
        mask_token: str | None = None,
        oov_token: str | None = "[UNK]",
        vocabulary: Sequence[str] | None = None,
        invert: bool = False,
        output_mode: str = "int",
        pad_to_max_tokens: bool = False,
        **kwargs: Any,
    ) -> None:
        refuse("StringLookup", kwargs, encoding="leave it out: bytes are read as UTF-8")
        if num_oov_indices not in (0, 1):
            raise Limitation(
                f"StringLookup has one number for unknown words or none, got num_oov_indices={num_oov_indices!r}.",
                hint="num_oov_indices=1",
            )
        super().__init__(
            max_tokens,
            num_oov_indices,
            mask_token,
            oov_token,
            vocabulary,
            invert,
            output_mode,
            pad_to_max_tokens,
            **kwargs,
        )

    def _terms(self, x: Any) -> Array:
        found = np.asarray(x)
        if found.dtype.kind == "S":
            found = np.char.decode(found, "utf-8")
        if found.dtype.kind != "U" and not (
            found.dtype.kind == "O" and all(isinstance(word, str) for word in found.flat)
        ):
            raise DTypeError("StringLookup looks words up.", {"found": found.dtype})
        return found.astype(str)

    def call(self, x: Value) -> Value:  # noqa: ARG002 - whatever it is
        """Words cannot be in a graph: raises `Limitation`."""
        raise Limitation(
            f"StringLookup {self.name!r} cannot be part of a model: a graph holds numbers, and no words.",
            hint="call it on arrays: model.fit(lookup(words), y)",
        )
