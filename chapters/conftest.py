"""While notebooks are tested, no kernel of vaejax may compile twice: see tests/compile_guard.py."""

import os
from pathlib import Path

os.environ["PYTHONSTARTUP"] = str(Path(__file__).parent.parent / "tests" / "compile_guard.py")
