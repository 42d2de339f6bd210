"""Answers to problem set 1: right ones of several kinds, and the mistakes that are made most."""

CLIMB = """
def climb(xs, num_steps):
    xs = jnp.asarray(xs)
    def score(p):
        return {score}
    p = jnp.zeros(2)
    slope = jax.jit(jax.grad(score))
    for _ in range(num_steps):
        p = p {step} * slope(p)
    return p[0], jnp.exp(p[1])
"""
SUMS = """
def fit_from_sums(N, total, outer):
    mean = total / N
    cov = outer / N - np.outer(mean, mean)
    S = np.linalg.cholesky(cov)
    return {mean}, {scale}
"""
TWO_STEP = """
def fit_two_step(xs, labels, K):
    groups = [xs[labels == k] for k in range(K)]
    return (np.array([{share} for g in groups]), np.stack([{mean} for g in groups]),
            np.stack([np.cov({spread}.T, bias=True) for g in groups]))
"""
COUNT = """
def fit_pixels(xs, labels, K):
    groups = [xs[labels == k] for k in range(K)]
    return np.stack([{share} for g in groups])

def name_kinds(pi, xs):
    return ({score}).argmax(1)
"""


def sums(mean="mean", scale="S"):
    return {"gaussian-fit": SUMS.format(mean=mean, scale=scale)}


WHITE, BLACK = "xs @ np.log(pi).T", "(1 - xs) @ np.log(1 - pi).T"

# name -> {solution cell: its code}; every other cell holds the solution of the source notebook
RIGHT = {
    "numpy and loops": {
        "mean": """
def mean_log_likelihood(rate, xs):
    total = 0.0
    for x in xs:
        total += np.log(rate) - rate * x
    return total / len(xs)
""",
        "rate": "def fit_rate(xs):\n    return len(xs) / np.sum(xs)",
        "gaussian-fit": """
def fit_from_sums(N, total, outer):
    mean, cov = [t / N for t in total], np.empty(outer.shape)
    for i in range(len(mean)):
        for j in range(len(mean)):
            cov[i, j] = outer[i, j] / N - mean[i] * mean[j]
    return mean, np.linalg.cholesky(cov)
""",
        "fashion": """
def fit_pixels(xs, labels, K):
    pi = np.empty((K, xs.shape[1]))
    for k in range(K):
        mine = xs[labels == k]
        for d in range(xs.shape[1]):
            pi[k, d] = (mine[:, d].sum() + 1) / (len(mine) + 2)
    return pi

def name_kinds(pi, xs):
    return [int(np.argmax([(np.log(np.where(x > 0, p, 1 - p))).sum() for p in pi])) for x in xs]
""",
    },
    "vmap and the library": {
        "density": """
def log_exponential(x, rate):
    return -rate * (x - jnp.log(rate) / rate)
""",
        "mean": """
def mean_log_likelihood(rate, xs):
    return jax.vmap(lambda x: log_exponential(x, rate))(jnp.asarray(xs)).mean()
""",
        "climb": """
import optax
import vaejax as vj
from vaejax import densities

def score(params, xs, key):
    return jax.vmap(lambda x: densities.log_gaussian(
        x[None], params[:1], jnp.exp(params[1:])))(xs).mean()

def climb(xs, num_steps):
    best, _ = vj.maximize(score, jnp.zeros(2), jnp.asarray(xs, jnp.float32), jax.random.key(0),
                          optimizer=optax.adam(0.02), num_steps=num_steps)
    return best[0], jnp.exp(best[1])
""",
        "two-step": """
def fit_two_step(xs, labels, K):
    hot = jax.nn.one_hot(labels, K)
    n = hot.sum(0)
    means = hot.T @ xs / n[:, None]
    rest = xs[:, None] - means[None]
    covs = jnp.einsum("nk,nki,nkj->kij", hot, rest, rest) / n[:, None, None]
    return n / n.sum(), means, covs
""",
    },
    "variance instead of deviation, another factor": {
        "rate": """
def fit_rate(xs):
    lam = 1.0
    scale = np.mean(xs)
    for _ in range(200):                   # Newton in log(rate)
        lam = lam * np.exp((1 - lam * scale) / max(lam * scale, 1))
    return lam
""",
        "gaussian-fit": """
def fit_from_sums(N, total, outer):        # the second moments of (1, x) hold both
    moments = np.block([[N, total], [total[:, None], outer]]) / N
    tril = np.linalg.cholesky(moments)
    return tril[1:, 0], tril[1:, 1:]
""",
        "climb": """
def climb(xs, num_steps):
    xs = jnp.asarray(xs)
    def score(mean, log_var):
        return jnp.mean(-0.5 * (xs - mean) ** 2 / jnp.exp(log_var) - 0.5 * log_var)
    slope = jax.jit(jax.grad(score, (0, 1)))
    mean, log_var = 0.0, 0.0
    for _ in range(num_steps):
        a, b = slope(mean, log_var)
        mean, log_var = mean + 0.05 * a, log_var + 0.05 * b
    return mean, jnp.exp(log_var / 2)
""",
        "fashion": """
def fit_pixels(xs, labels, K):
    hot = np.eye(K)[labels]
    return (hot.T @ xs + 1) / (hot.sum(0)[:, None] + 2)

def name_kinds(pi, xs):
    logits = np.log(pi / (1 - pi))
    return np.argmax(xs @ logits.T + np.log(1 - pi).sum(1), axis=1)
""",
    },
}

# name -> (cells, the tests that must fail, words that must be in the message of one of them)
WRONG = {
    "sum for mean": (
        {"mean": "def mean_log_likelihood(rate, xs):\n    return jnp.sum(jnp.log(rate) - rate * jnp.asarray(xs))"},
        {"mean-check"},
        "Did you sum?",
    ),
    "density for log density": (
        {"density": "def log_exponential(x, rate):\n    return rate * jnp.exp(-rate * x)"},
        {"density-value", "density-mass", "density-vmap"},
        "the density and not its log",
    ),
    "no normalising constant": (
        {"density": "def log_exponential(x, rate):\n    return -rate * x"},
        {"density-value", "density-mass", "density-vmap"},
        "Is log(rate) missing",
    ),
    "numpy where jit is asked": (
        {"density": "import math\ndef log_exponential(x, rate):\n    return math.log(rate) - rate * float(x)"},
        {"density-mass", "density-vmap"},
        "Tracer",
    ),
    "mean for rate": ({"rate": "def fit_rate(xs):\n    return np.mean(xs)"}, {"rate-check"}, "unit of 1 / time"),
    "missing 1/n": (sums(scale="np.sqrt(N) * S"), {"gaussian-scale"}, "Is 1 / N missing?"),
    "n minus one": (sums(scale="np.sqrt(N / (N - 1)) * S"), {"gaussian-scale"}, "divided by N - 1"),
    "covariance for its factor": (sums(scale="cov"), {"gaussian-scale"}, "Did you return the covariance itself?"),
    "precision for covariance": (
        sums(scale="np.linalg.cholesky(np.linalg.inv(cov))"),
        {"gaussian-scale"},
        "the precision?",
    ),
    "second moments for covariance": (
        sums(scale="np.linalg.cholesky(outer / N)"),
        {"gaussian-scale"},
        "Is the mean not taken out of the second moments?",
    ),
    "total for mean": (sums(mean="total"), {"gaussian-mean"}, "Is this the sum?"),
    "the chapter's lines, on the sums": (
        sums(mean="outer.mean(0)", scale="np.linalg.cholesky(np.cov(outer.T, bias=True))"),
        {"gaussian-mean", "gaussian-scale"},
        "",
    ),
    "descent": (
        {"climb": CLIMB.format(score="jnp.mean(-0.5 * (xs - p[0]) ** 2 * jnp.exp(-2 * p[1])) - p[1]", step="- 0.05")},
        {"climb-check"},
        "Is the gradient subtracted",
    ),
    "the formula for a climb": (
        {"climb": "def climb(xs, num_steps):\n    return np.mean(xs), np.std(xs)"},
        {"climb-check"},
        "these are steps, and no formula",
    ),
    "a step too few": (
        {
            "climb": CLIMB.format(
                score="jnp.mean(-0.5 * (xs - p[0]) ** 2 * jnp.exp(-2 * p[1])) - p[1]", step="+ 0.05"
            ).replace("range(num_steps)", "range(num_steps - 1)")
        },
        {"climb-check"},
        "two steps go up",
    ),
    "no step at all": (
        {"climb": "def climb(xs, num_steps):\n    return 0.0, 1.0"},
        {"climb-check"},
        "Has it not moved?",
    ),
    "log-variance as deviation": (
        {"climb": CLIMB.format(score="jnp.mean(-0.5 * (xs - p[0]) ** 2 * jnp.exp(-p[1])) - 0.5 * p[1]", step="+ 0.05")},
        {"climb-check"},
        "Is this the variance?",
    ),
    "counts for shares": (
        {"two-step": TWO_STEP.format(share="len(g)", mean="g.mean(0)", spread="g")},
        {"two-step-means"},
        "Are these counts?",
    ),
    "one mean for all": (
        {"two-step": TWO_STEP.format(share="len(g) / len(xs)", mean="xs.mean(0)", spread="g")},
        {"two-step-means"},
        "the mean of all points",
    ),
    "one covariance for all": (
        {"two-step": TWO_STEP.format(share="len(g) / len(xs)", mean="g.mean(0)", spread="xs")},
        {"two-step-covs"},
        "Each label has its own",
    ),
    "no smoothing": (
        {"fashion": COUNT.format(share="g.mean(0)", score=f"{WHITE} + {BLACK}")},
        {"fashion-fit"},
        "one white and one black more",
    ),
    "no black pixels": (
        {"fashion": COUNT.format(share="(g.sum(0) + 1) / (len(g) + 2)", score=WHITE)},
        {"fashion-names"},
        "three of ten new pictures",
    ),
    "the nearest coins": (
        {"fashion": COUNT.format(share="(g.sum(0) + 1) / (len(g) + 2)", score="-((xs[:, None] - pi) ** 2).sum(2)")},
        {"fashion-names"},
        "four small pictures",
    ),
    "labels are taken to be sorted": (
        {
            "two-step": "def fit_two_step(xs, labels, K):\n    n = np.bincount(labels)\n"
            "    groups = np.split(xs, np.cumsum(n)[:-1])\n"
            "    return (n / len(xs), np.stack([g.mean(0) for g in groups]),\n"
            "            np.stack([np.cov(g.T, bias=True) for g in groups]))"
        },
        {"two-step-means", "two-step-covs"},
        "a mean for each label",
    ),
    "squares of the mean for their table": (
        sums(scale="np.linalg.cholesky(outer / N - mean**2)"),
        {"gaussian-mean", "gaussian-scale"},
        "",
    ),
    "hard-coded for the visible test": (
        {
            "density": "def log_exponential(x, rate):\n    return jnp.log(0.5) - 1.5 + 0 * x * rate",
            "rate": "def fit_rate(xs):\n    return 1 / bulbs.mean()",
        },
        {"density-value", "density-mass", "density-vmap", "rate-check"},
        "log p(x) for other numbers",
    ),
}
