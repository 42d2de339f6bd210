"""Answers to problem set 3: right ones of several kinds, and the mistakes that are made most."""

FIT = """
def fit_plane(xs, L):
    rest = {rest}
    values, vectors = np.linalg.eigh(rest.T @ rest / {n})
    return xs.mean(0), {W}, {values}
"""
FALLING = {"rest": "xs - xs.mean(0)", "n": "len(xs)", "W": "vectors[:, ::-1][:, :L]", "values": "values[::-1][:L]"}
TABLE = """
def cards_from_table(table, L):
    N = len(table)
    H = {H}
    values, vectors = np.linalg.eigh(H @ table @ H)
    values, vectors = values[::-1][:L], vectors[:, ::-1][:, :L]
    return {Z}, {variances}
"""
CENTRED = {"H": "np.eye(N) - 1 / N", "Z": "vectors * np.sqrt(values)", "variances": "values / N"}
LEAN = """
def leaning(xs, d, factor):
    units = np.ones(xs.shape[1])
    units[d] = factor
    vectors = np.linalg.eigh({square})[1]
    return abs({entry})
"""
FILL = """
def fill(mean, W, x, seen, ridge):
    V = W[seen]
    z = {z}
    return np.where({seen}, x, mean + W @ z)
"""
SOLVED = "np.linalg.solve(V.T @ V + {ridge} * np.eye(len(V.T)), V.T @ {rest}[seen])"

# name -> {solution cell: its code}; every other cell holds the solution of the source notebook
RIGHT = {
    "numpy and loops": {
        "card": """
def write_card(mean, W, x):
    return jnp.array([((x - mean) * W[:, l]).sum() for l in range(W.shape[1])])

def read_card(mean, W, z):
    x = mean
    for l in range(W.shape[1]):
        x = x + z[l] * W[:, l]
    return x
""",
        "fit": """
def fit_plane(xs, L):
    mean = np.mean(xs, 0)
    C = sum(np.outer(x - mean, x - mean) for x in xs) / len(xs)
    values, vectors = np.linalg.eigh(C)
    order = np.argsort(-values)[:L]
    return mean, vectors[:, order], values[order]
""",
        "wide": TABLE.format(**CENTRED),
        "share": """
def share_kept(variances):
    left, kept = sorted(variances), []
    while left:
        kept.append((kept[-1] if kept else 0) + left.pop())
    return [k / kept[-1] for k in kept]

def numbers_needed(variances, share):
    kept = 0.0
    for k, v in enumerate(sorted(variances, reverse=True), 1):
        kept += v / sum(variances)
        if kept >= share:
            return k
    return len(variances)
""",
        "move": """
def move_plane(mean, W, variances, R, c, b):
    new_W = np.stack([R @ W[:, l] for l in range(W.shape[1])], 1)
    return R @ (c * mean) + b, new_W, [c * c * v for v in variances]
""",
        "units": LEAN.format(square="np.cov((xs * units).T)", entry="vectors[d, -1]"),
        "copy": """
def copy_new(train_xs, new_xs, L):
    mean = train_xs.mean(0)
    W = np.linalg.eigh(np.cov(train_xs.T))[1][:, ::-1][:, :L]
    return np.array([mean + W @ (W.T @ (x - mean)) for x in new_xs])
""",
    },
    "jax, svd and vmap": {
        "card": """
def write_card(mean, W, x):
    return jnp.einsum("dl,d->l", W, x) - mean @ W

def read_card(mean, W, z):
    return jnp.einsum("dl,l->d", W, z) + mean
""",
        "fit": """
@jax.jit
def _svd(xs):
    return jnp.linalg.svd(xs - xs.mean(0), full_matrices=False)

def fit_plane(xs, L):
    _, s, Vt = _svd(jnp.asarray(xs))
    return jnp.mean(xs, 0), Vt[:L].T, s[:L] ** 2 / len(xs)
""",
        "wide": """
def cards_from_table(table, L):
    table = jnp.asarray(table)
    table = table - table.mean(0, keepdims=True)
    table = table - table.mean(1, keepdims=True)
    U, s, _ = jnp.linalg.svd(table)
    return U[:, :L] * jnp.sqrt(s[:L]), s[:L] / len(table)
""",
        "units": """
def leaning(xs, d, factor):
    xs = jnp.asarray(xs).at[:, d].multiply(factor)
    rest = xs - xs.mean(0)
    return jnp.abs(jnp.linalg.eigh(rest.T @ rest)[1][d, -1])
""",
        "copy": """
def copy_new(train_xs, new_xs, L):
    mean = jnp.mean(train_xs, 0)
    W = jnp.linalg.svd(train_xs - mean, full_matrices=False)[2][:L].T
    return jax.vmap(lambda x: mean + W @ (W.T @ (x - mean)))(jnp.asarray(new_xs))
""",
        "fill": """
@jax.jit
def fill(mean, W, x, seen, ridge):
    L = W.shape[1]
    V = jnp.where(seen[:, None], W, 0)
    rest = jnp.where(seen, x - mean, 0)
    z = jnp.linalg.solve(V.T @ V + ridge * jnp.eye(L), V.T @ rest)
    return jnp.where(seen, x, mean + W @ z)
""",
    },
    "no eigh, other signs, other formulas": {
        "fit": """
def fit_plane(xs, L):
    rest = np.asarray(xs) - np.mean(xs, 0)
    W = np.linalg.qr(np.random.default_rng(0).standard_normal((rest.shape[1], L)))[0]
    for _ in range(3000):                  # power iteration, then turn within the plane
        W = np.linalg.qr(rest.T @ (rest @ W))[0]
    turn, s, _ = np.linalg.svd(W.T @ rest.T @ rest @ W / len(rest))
    return np.mean(xs, 0), -W @ turn, s
""",
        "wide": """
def cards_from_table(table, L):
    N = len(table)
    rest = np.linalg.cholesky(table + 1e-9 * np.trace(table) * np.eye(N))      # stands in for the pictures
    rest = rest - rest.mean(0)
    U, s, _ = np.linalg.svd(rest, full_matrices=False)
    return -U[:, :L] * s[:L], s[:L] ** 2 / N
""",
        "share": """
def share_kept(variances):
    order = np.argsort(variances)[::-1]
    shares = np.asarray(variances)[order] / np.sum(variances)
    return np.tril(np.ones((len(shares), len(shares)))) @ shares

def numbers_needed(variances, share):
    kept = np.cumsum(np.sort(variances)[::-1]) / np.sum(variances)
    return np.searchsorted(kept, share) + 1
""",
        "move": """
def move_plane(mean, W, variances, R, c, b):
    return b + c * (R @ mean), -(R @ W), (c * np.sqrt(variances)) ** 2
""",
        "units": """
def leaning(xs, d, factor):
    rest = np.array(xs - xs.mean(0))
    rest[:, d] *= factor
    return np.abs(np.linalg.svd(rest, full_matrices=False)[2][0, d])
""",
        "fill": """
def fill(mean, W, x, seen, ridge):
    V, full = W[seen], np.array(x, float)
    rows = np.concatenate([V, np.sqrt(ridge) * np.eye(W.shape[1])])
    goal = np.concatenate([(x - mean)[seen], np.zeros(W.shape[1])])
    z = np.linalg.lstsq(rows, goal, rcond=None)[0]
    full[~seen] = (mean + W @ z)[~seen]
    return full
""",
    },
}

# name -> (cells, the tests that must fail, words that must be in the message of one of them)
WRONG = {
    "nothing centred": (
        {
            "card": "def write_card(mean, W, x):\n    return W.T @ x\n\ndef read_card(mean, W, z):\n    return W @ z",
            "fit": FIT.format(**{**FALLING, "rest": "xs"}),
        },
        {"card-write", "card-read", "fit-plane", "fit-variances"},
        "axes of data that are not centred?",
    ),
    "mean not put back": (
        {
            "card": "def write_card(mean, W, x):\n    return W.T @ (x - mean)\n\n"
            "def read_card(mean, W, z):\n    return W @ z"
        },
        {"card-read"},
        "Is the mean missing?",
    ),
    "the shadow for the card": (
        {
            "card": "def write_card(mean, W, x):\n    return W @ W.T @ (x - mean)\n\n"
            "def read_card(mean, W, z):\n    return mean + W @ z"
        },
        {"card-write"},
        "the card holds coordinates (L,), and not the shadow (D,)",
    ),
    "the smallest axes": (
        {"fit": FIT.format(**{**FALLING, "W": "vectors[:, :L]", "values": "values[:L]"})},
        {"fit-plane", "fit-variances"},
        "axes of the smallest variance?",
    ),
    "n minus one": (
        {"fit": FIT.format(**{**FALLING, "n": "(len(xs) - 1)"})},
        {"fit-variances"},
        "divided by N - 1?",
    ),
    "singular values for variances": (
        {"fit": FIT.format(**{**FALLING, "values": "np.linalg.svd(rest)[1][:L]"})},
        {"fit-variances"},
        "Are these singular values?",
    ),
    "rows for columns": (
        {"fit": FIT.format(**{**FALLING, "W": "vectors[::-1][:L].T"})},
        {"fit-plane", "fit-variances"},
        "no plane of so many axes loses less",
    ),
    "table not centred": (
        {"wide": TABLE.format(**{**CENTRED, "H": "np.eye(N)"})},
        {"wide-variances", "wide-cards"},
        "Is the table not centred?",
    ),
    "cards of length one": (
        {"wide": TABLE.format(**{**CENTRED, "Z": "vectors"})},
        {"wide-cards"},
        "Do the columns of Z have length one?",
    ),
    "rising order, counted from 0": (
        {
            "share": "def share_kept(variances):\n    kept = np.cumsum(np.sort(variances))\n"
            "    return kept / kept[-1]\n\n"
            "def numbers_needed(variances, share):\n    kept = np.cumsum(np.sort(variances)[::-1])\n"
            "    return np.argmax(kept >= share * kept[-1])"
        },
        {"share-kept", "share-needed"},
        "Do you begin with the smallest?",
    ),
    "more than the share": (
        {
            "share": "def share_kept(variances):\n    kept = np.cumsum(np.sort(variances)[::-1])\n"
            "    return kept / kept[-1]\n\n"
            "def numbers_needed(variances, share):\n    return int(np.argmax(share_kept(variances) > share)) + 1"
        },
        {"share-needed"},
        "just reached is enough",
    ),
    "brighter axes": (
        {
            "move": "def move_plane(mean, W, variances, R, c, b):\n"
            "    return c * R @ mean + b, c * R @ W, c**2 * variances"
        },
        {"move-check"},
        "is c in it?",
    ),
    "variances times c": (
        {"move": "def move_plane(mean, W, variances, R, c, b):\n    return c * R @ mean + b, R @ W, c * variances"},
        {"move-check"},
        "is it c and not its square?",
    ),
    "made equal after scaling": (
        {"units": LEAN.format(square="np.corrcoef((xs * units).T)", entry="vectors[d, -1]")},
        {"units-check"},
        "made equal again",
    ),
    "fitted on the new pictures": (
        {
            "copy": "def copy_new(train_xs, new_xs, L):\n    mean = new_xs.mean(0)\n"
            "    W = np.linalg.eigh(np.cov(new_xs.T))[1][:, -L:]\n    return mean + (new_xs - mean) @ W @ W.T"
        },
        {"copy-check"},
        "are the new pictures in the fit?",
    ),
    "no ridge": (
        {"fill": FILL.format(z=SOLVED.format(ridge="0", rest="(x - mean)"), seen="seen")},
        {"fill-formula", "fill-clothes"},
        "Is the ridge missing?",
    ),
    "W'x for the card of a torn picture": (
        {"fill": FILL.format(z="V.T @ (x - mean)[seen]", seen="seen")},
        {"fill-formula", "fill-clothes"},
        "W'W is not I",
    ),
    "torn picture as if it were whole": (
        {"fill": "def fill(mean, W, x, seen, ridge):\n    return np.where(seen, x, mean + W @ W.T @ (x - mean))"},
        {"fill-formula", "fill-clothes"},
        "the torn ones",
    ),
    "hard-coded for the visible test": (
        {
            "share": "def share_kept(variances):\n    return np.array([0.4, 0.7, 0.9, 1])\n\n"
            "def numbers_needed(variances, share):\n    return {0.3: 1, 0.65: 2, 0.8: 3}.get(share, 4)"
        },
        {"share-kept", "share-needed"},
        "the best so many axes",
    ),
}
