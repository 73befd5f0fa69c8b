"""Short representations of objects, for people who print them."""

from typing import Any

_PLAIN = (bool, int, float, str, type(None))


class ShortRepr:
    """Gives a class a ``repr`` of its name and its settings, as far as these are plain values.

    Example:
        >>> class Kernel(ShortRepr):
        ...     def __init__(self) -> None:
        ...         self.scale, self.rounds, self.weights = 1.5, [2, 3], object()
        >>> Kernel()
        Kernel(scale=1.5, rounds=[2, 3])
    """

    def __repr__(self) -> str:
        shown = [f"{name}={value!r}" for name, value in vars(self).items() if name[0] != "_" and _is_plain(value)]
        return f"{type(self).__name__}({', '.join(shown)})"


def _is_plain(value: Any) -> bool:
    return isinstance(value, _PLAIN) or (
        isinstance(value, (list, tuple)) and len(value) < 10 and all(isinstance(item, _PLAIN) for item in value)
    )
