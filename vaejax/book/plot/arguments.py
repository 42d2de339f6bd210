"""What a figure takes, and what it refuses: a wrong picture would be believed."""

import numpy as np


def checked(name, values, *shape):
    """Real numbers as an array of this shape, in which a letter is any number; ValueError for anything else."""
    expected = f"({', '.join(map(str, shape))}{',' * (len(shape) == 1)})"
    try:
        if values is None or np.iscomplexobj(values) or isinstance(values, np.ma.MaskedArray):
            raise TypeError
        array = np.asarray(values, float)
    except (TypeError, ValueError):
        raise ValueError(f"{name}: got {type(values).__name__}, expected real numbers {expected}") from None
    if array.ndim != len(shape) or any(
        n != m for n, m in zip(shape, array.shape, strict=True) if not isinstance(n, str)
    ):
        raise ValueError(f"{name}: got shape {array.shape}, expected {expected}")
    return array


def checked_each(name, many, *shape):
    """A list of such arrays."""
    if not np.iterable(many):
        raise ValueError(f"{name}: got {type(many).__name__}, expected a list of arrays")
    return [checked(f"{name}[{i}]", values, *shape) for i, values in enumerate(many)]


def one_each(name, names, things):
    """`names`, unless there are more or fewer of them than things: ValueError."""
    count = len(names) if hasattr(names, "__len__") else type(names).__name__
    if count != len(things):
        raise ValueError(f"{name}: got {count}, expected {len(things)}, one for each")
    return names
