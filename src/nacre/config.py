"""What holds for everything made from now on: the policy of precision."""

from __future__ import annotations

from dataclasses import dataclass

from nacre.errors import UsageError, find

# What each policy computes products in, and keeps weights and everything else in.
_POLICIES = {
    "float32": ("float32", "float32"),
    "float64": ("float64", "float64"),
    "mixed_bfloat16": ("bfloat16", "float32"),
}


@dataclass(frozen=True)
class DTypePolicy:
    """The precision of a layer, by name.

    * ``"float32"``: everything in float32.
    * ``"mixed_bfloat16"``: matrix products, of the forward and of the backward pass, multiply numbers rounded to bfloat16 and add
      them up in float32; weights, activations and everything else stay in float32. Wide layers train 1.6 to 1.8 times as fast
      on processors that multiply bfloat16 (AVX512_BF16); on those that do not, slower than in float32, to the same bits.
    * ``"float64"``: everything in float64, which the devices "reference" and "xla" can compute.

    Raises `UnknownName` for any other name, `UsageError` for what is no name.

    >>> DTypePolicy("mixed_bfloat16").compute_dtype
    'bfloat16'
    """

    name: str

    def __post_init__(self) -> None:
        if not isinstance(self.name, str):
            raise UsageError(f"A dtype policy has a name, got {self.name!r}.", hint=" or ".join(_POLICIES))
        find("dtype policy", self.name, _POLICIES)

    @property
    def compute_dtype(self) -> str:
        """What the numbers that are multiplied are rounded to."""
        return _POLICIES[self.name][0]

    @property
    def variable_dtype(self) -> str:
        """The dtype of weights, and of what comes out."""
        return _POLICIES[self.name][1]


_policy = DTypePolicy("float32")


def set_dtype_policy(policy: str | DTypePolicy) -> None:
    """Let layers made from now on, unless told otherwise, compute as a policy says; see `DTypePolicy`. Layers that are there
    already keep theirs, and a saved model keeps those of its layers.

    >>> import nacre
    >>> nacre.config.set_dtype_policy("mixed_bfloat16")
    >>> nacre.layers.Dense(10).compute_dtype
    'bfloat16'
    >>> nacre.config.set_dtype_policy("float32")
    """
    global _policy
    _policy = as_policy(policy)


def dtype_policy() -> DTypePolicy:
    """The policy of layers made from now on.

    >>> dtype_policy()
    DTypePolicy(name='float32')
    """
    return _policy


def as_policy(policy: str | DTypePolicy | None) -> DTypePolicy:
    """The policy that is meant; the one of `set_dtype_policy` for None."""
    return _policy if policy is None else policy if isinstance(policy, DTypePolicy) else DTypePolicy(policy)
