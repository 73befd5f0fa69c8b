"""Labels of a table's columns for people; units follow from the columns' names."""

_SUFFIXES = {"ms": "ms", "mj": "mJ"}
_SHARES = {"valid", "test", "divergence"}
_OTHERS = {"loss": "nats", "perplexity": "", "score": ""}


def unit(column: str) -> str:
    """Unit of a column by the naming rule of the tables; empty if the name implies none.

    Example:
        >>> unit("cifar10_valid"), unit("digits_cpu_latency_ms"), unit("cifar10_edgegpu_energy_mj"), unit("parameters")
        ('%', 'ms', 'mJ', '')
        >>> unit("ptb_test_loss"), unit("ptb_test_perplexity"), unit("ptb_divergence")
        ('nats', '', '%')
    """
    words = column.split("_")
    if words[-1] in _SUFFIXES:
        return _SUFFIXES[words[-1]]
    if words[-1] in _OTHERS:
        return _OTHERS[words[-1]]
    return "%" if _SHARES.intersection(words) else ""


def label(column: str) -> str:
    """Axis label of a column.

    Example:
        >>> label("digits_valid")
        'digits_valid [%]'
    """
    return f"{column} [{unit(column)}]" if unit(column) else column


def quantity(column: str, value: float) -> str:
    """A value with its unit and the column's name.

    Example:
        >>> quantity("digits_cpu_latency_ms", 0.51234), quantity("parameters", 73306.0)
        ('digits_cpu_latency_ms 0.5123 ms', 'parameters 73306')
    """
    number = f"{value:.0f}" if value == int(value) and 1000 <= abs(value) < 1e15 else f"{value:.4g}"
    return " ".join(part for part in (column, number, unit(column)) if part)
