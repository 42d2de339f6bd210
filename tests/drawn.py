"""What the tests of figures ask of a drawing."""

import re

import matplotlib.pyplot as plt
import pytest


def words(ax):
    """The texts on the axes, in the order in which they were written."""
    return [text.get_text() for text in ax.texts]


def check_refused(draw, says):
    """The call ends in a ValueError that says this, and leaves no half-drawn figure."""
    with pytest.raises(ValueError, match=re.escape(says)):
        draw()
    assert not plt.get_fignums()
