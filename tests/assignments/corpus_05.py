"""Answers to problem set 5: right ones of several kinds, and the mistakes that are made most."""

JOINT = """
def log_joint(params, x, z):
    means = jnp.tanh(params.gain * z)
    return {}
"""
HERMITE = """
def log_marginal(log_p, x):
    u, w = np.polynomial.{rule}(150)
    z = {z}
    return jax.nn.logsumexp({what}, b=w / w.sum())
"""
DRAWN = """
def {name}(log_p, x, mean, sd, eps):
    z = mean + sd * jnp.asarray(eps)
    log_q = norm.logpdf(z, mean, sd)
    return {result}
"""
GRADIENT = """
def elbo_gradient(log_p, x, mean, log_sd, eps):
    def bound(m, t):
        z = {z}
        return (log_p(x, z) - norm.logpdf(z, m, jnp.exp(t))).mean()
    g = jax.grad(bound, (0, 1))(1.0 * mean, 1.0 * log_sd)
    return jnp.stack([g[0], g[1] * {scale}])
"""
OZONE = """
def fit_days(xs):
    u, w = np.polynomial.hermite_e.hermegauss({num_points})
    w = w / w.sum()
    def score(params, xs, key):
        log_lik = norm.logpdf(xs[:, None], jnp.exp(params[0] + params[1] * u), jnp.exp(params[2]))
        return {score}
    best, _ = vj.maximize(score, jnp.array([0.0, 0.5, -1.0]), jnp.asarray(xs, jnp.float32),
                          jax.random.key(0), optimizer=optax.adam(0.05), num_steps=300)
    return best[0], best[1], jnp.exp(best[2])
"""

# name -> {solution cell: its code}; every other cell holds the solution of the source notebook
RIGHT = {
    "numpy and loops": {
        "joint": """
def log_joint(params, x, z):
    total = -0.5 * z**2 - 0.5 * np.log(2 * np.pi)
    for d in range(len(params.gain)):
        error = (x[d] - jnp.tanh(params.gain[d] * z)) / params.sigma[d]
        total = total - 0.5 * error**2 - jnp.log(params.sigma[d]) - 0.5 * np.log(2 * np.pi)
    return total
""",
        "marginal": """
def log_marginal(log_p, x):
    z = np.linspace(-8, 8, 801)
    return np.logaddexp.reduce(np.asarray(log_p(x, z), float)) + np.log(16 / 800)
""",
        "kl": """
import math
def kl_to_prior(mean, sd):
    return (mean * mean + sd * sd - 1 - math.log(sd * sd)) / 2
""",
        "elbo": """
def elbo(log_p, x, mean, sd, eps):
    total = 0.0
    for e in eps:
        log_q = -0.5 * e**2 - np.log(sd) - 0.5 * np.log(2 * np.pi)
        total += float(log_p(x, mean + sd * e)) - log_q
    return total / len(eps)
""",
        "iw": """
def iw_bound(log_p, x, mean, sd, eps):
    so_far = -np.inf
    for e in eps:
        log_q = -0.5 * e**2 - np.log(sd) - 0.5 * np.log(2 * np.pi)
        so_far = np.logaddexp(so_far, float(log_p(x, mean + sd * e)) - log_q)
    return so_far - np.log(len(eps))
""",
        "gradient": """
def elbo_gradient(log_p, x, mean, log_sd, eps):
    sd, slope = jnp.exp(log_sd), jax.grad(log_p, 1)
    total = jnp.zeros(2)
    for e in eps:
        g = slope(x, mean + sd * e)
        total = total + jnp.array([g, g * sd * e + 1])
    return total / len(eps)
""",
        "batch": """
def batch_objective(log_prior, bounds, N):
    total = 0.0
    for b in bounds:
        total += b
    return log_prior + N / len(bounds) * total
""",
        "ozone": """
from scipy import optimize

def fit_days(xs):
    z = np.linspace(-5, 5, 1001)
    def loss(p):
        log_p = -0.5 * z**2 - 0.5 * ((xs[:, None] - np.exp(p[0] + p[1] * z)) * np.exp(-p[2])) ** 2
        return p[2] - special.logsumexp(log_p, 1).mean()
    p = optimize.minimize(loss, [0.0, 0.5, -1.0]).x
    return p[0], p[1], np.exp(p[2])
""",
        "fit": """
from scipy import optimize

def fit_q(log_p, x, start):
    u, w = np.polynomial.hermite_e.hermegauss(30)
    def loss(phi):
        return -float(w @ np.asarray(log_p(x, phi[0] + np.exp(phi[1]) * u), float)) / w.sum() - phi[1]
    phi = optimize.minimize(loss, [start, -1.0], method="Nelder-Mead").x
    return phi[0], np.exp(phi[1])
""",
    },
    "vmap and the library": {
        "joint": """
from vaejax import densities
def log_joint(params, x, z):
    z = jnp.reshape(z, (1,))
    return densities.log_gaussian(z, jnp.zeros(1), jnp.ones(1)) + densities.log_gaussian(
        x, jnp.tanh(params.gain * z), params.sigma)
""",
        "marginal": """
def log_marginal(log_p, x):
    nodes = vj.grid_nodes(jnp.full(1, -8.0), jnp.full(1, 8.0), 1000)
    return vj.iw_bound(lambda params, x, z: log_p(x, z[0]), None, x, nodes)
""",
        "kl": """
def kl_to_prior(mean, sd):
    return densities.kl_gaussian(jnp.full(1, mean), jnp.full(1, sd), jnp.zeros(1), jnp.ones(1))
""",
        "elbo": """
def drawn_nodes(mean, sd, eps):
    z = mean + sd * jnp.asarray(eps)
    return vj.Nodes(z[:, None], jnp.full(len(z), 1 / len(z)), norm.logpdf(z, mean, sd))

def elbo(log_p, x, mean, sd, eps):
    return vj.elbo(lambda params, x, z: log_p(x, z[0]), None, x, drawn_nodes(mean, sd, eps))
""",
        "iw": """
def iw_bound(log_p, x, mean, sd, eps):
    return vj.iw_bound(lambda params, x, z: log_p(x, z[0]), None, x, drawn_nodes(mean, sd, eps))
""",
        "gradient": """
def elbo_gradient(log_p, x, mean, log_sd, eps):
    return jax.grad(lambda phi: vj.elbo(lambda params, x, z: log_p(x, z[0]), None, x, drawn_nodes(
        phi[0], jnp.exp(phi[1]), eps)))(jnp.array([mean, log_sd]))
""",
        "ozone": """
def day_joint(params, x, z):
    return norm.logpdf(z[0]) + norm.logpdf(x, jnp.exp(params[0] + params[1] * z[0]), jnp.exp(params[2]))

def days_score(params, xs, key):
    nodes = vj.grid_nodes(jnp.full(1, -5.0), jnp.full(1, 5.0), 1000)
    return jax.vmap(lambda x: vj.iw_bound(day_joint, params, x, nodes))(xs).mean()

def fit_days(xs):
    best, _ = vj.maximize(days_score, jnp.array([0.0, 0.5, -1.0]), jnp.asarray(xs, jnp.float32),
                          jax.random.key(0), optimizer=optax.adam(0.05), num_steps=250)
    return best[0], best[1], jnp.exp(best[2])
""",
        "fit": """
def fit_q(log_p, x, start):
    def score(phi, xs, key):
        nodes = vj.quadrature_nodes(phi[:1], jnp.exp(phi[1:]), 40)
        return vj.elbo(lambda params, x, z: log_p(x, z[0]), None, xs[0], nodes)
    phi, _ = vj.maximize(score, jnp.array([start, -1.0]), jnp.full(1, x), jax.random.key(0),
                         optimizer=optax.adam(0.02), num_steps=600)
    return phi[0], jnp.exp(phi[1])
""",
    },
    "variance for deviation, other forms of the bound": {
        "marginal": HERMITE.format(rule="hermite.hermgauss", z="np.sqrt(2) * u", what="log_p(x, z) - norm.logpdf(z)"),
        "elbo": """
def elbo(log_p, x, mean, sd, eps):
    z = mean + sd * eps
    log_lik = np.asarray(log_p(x, z)) - stats.norm.logpdf(z)
    return log_lik.mean() - 0.5 * (mean**2 + sd**2 - 1 - np.log(sd**2))
""",
        "iw": """
def iw_bound(log_p, x, mean, sd, eps):
    var = sd**2
    z = mean + jnp.sqrt(var) * jnp.asarray(eps)
    log_w = log_p(x, z) + 0.5 * (z - mean) ** 2 / var + 0.5 * jnp.log(2 * jnp.pi * var)
    return jax.nn.logsumexp(log_w, b=1 / len(eps))
""",
        "gradient": """
def elbo_gradient(log_p, x, mean, log_sd, eps):
    fixed = jax.lax.stop_gradient((mean, jnp.exp(log_sd)))  # the score part is zero on average
    def bound(m, t):
        z = m + jnp.exp(t) * eps
        return (log_p(x, z) - norm.logpdf(z, *fixed)).mean()
    return jnp.array(jax.grad(bound, (0, 1))(1.0 * mean, 1.0 * log_sd))
""",
        "ozone": """
def fit_days(xs):
    xs, z = jnp.asarray(xs, jnp.float32), jnp.linspace(-5, 5, 1001)
    def score(p):                          # p[2] is a log variance, p[1] starts below zero
        means = jnp.exp(p[0] + p[1] * z)
        log_p = -0.5 * z**2 - 0.5 * (xs[:, None] - means) ** 2 * jnp.exp(-p[2])
        return jax.nn.logsumexp(log_p, 1).mean() - 0.5 * p[2]
    adam = optax.adam(0.05)
    def step(carry, _):
        p, state = carry
        change, state = adam.update(-jax.grad(score)(p), state)
        return (p + change, state), None
    p = jnp.array([0.0, -0.5, -2.0])
    (p, _), _ = jax.lax.scan(step, (p, adam.init(p)), None, 300)
    return p[0], p[1], jnp.exp(p[2] / 2)
""",
        "fit": """
def fit_q(log_p, x, start):
    eps = np.random.default_rng(0).standard_normal(2000)
    def bound(m, log_var):
        return log_p(x, m + jnp.exp(log_var / 2) * eps).mean() + log_var / 2
    slope = jax.jit(jax.grad(bound, (0, 1)))
    m, log_var = start, -2.0
    for _ in range(800):
        a, b = slope(m, log_var)
        m, log_var = m + 0.02 * a, log_var + 0.02 * b
    return m, jnp.exp(log_var / 2)
""",
    },
}

# name -> (cells, the tests that must fail, words that must be in the message of one of them)
WRONG = {
    "the formula above the test": (
        {"marginal": "def log_marginal(log_p, x):\n    return norm.logpdf(x, 0.3, (0.8**2 + 0.5**2) ** 0.5)"},
        {"marginal-straight", "marginal-bent"},
        "of another straight needle",
    ),
    "one meter for all": (
        {
            "iw": "def iw_bound(log_p, x, mean, sd, eps):\n    z = mean + sd * jnp.asarray(eps)\n"
            "    return jax.nn.logsumexp(bent(x, z) - norm.logpdf(z, mean, sd)) - jnp.log(len(eps))"
        },
        {"iw-value"},
        "the log of the mean of the weights, less the bound",
    ),
    "prior of z missing": (
        {"joint": JOINT.format("norm.logpdf(x, means, params.sigma).sum()")},
        {"joint-value", "joint-vmap"},
        "Is the prior of z missing?",
    ),
    "scipy where jit is asked": (
        {
            "joint": JOINT.replace("jnp", "np").format(
                "stats.norm.logpdf(z) + stats.norm.logpdf(x, means, params.sigma).sum()"
            )
        },
        {"joint-vmap"},
        "Tracer",
    ),
    "no square root of two": (
        {"marginal": HERMITE.format(rule="hermite.hermgauss", z="u", what="log_p(x, z) - norm.logpdf(z)")},
        {"marginal-straight", "marginal-bent"},
        "is z = sqrt(2) u?",
    ),
    "prior counted twice": (
        {"marginal": HERMITE.format(rule="hermite_e.hermegauss", z="u", what="log_p(x, z)")},
        {"marginal-straight", "marginal-bent"},
        "Is the prior in it twice",
    ),
    "exp before log": (
        {
            "marginal": "def log_marginal(log_p, x):\n    z = jnp.linspace(-10, 10, 4001)\n"
            "    return jnp.log(jnp.exp(log_p(x, z)).sum() * 0.005)",
            "iw": DRAWN.format(name="iw_bound", result="jnp.log(jnp.exp(log_p(x, z) - log_q).mean())"),
        },
        {"marginal-bent", "iw-value"},
        "finite: is the largest log taken out?",
    ),
    "sign of the entropy": (
        {
            "kl": "def kl_to_prior(mean, sd):\n    return 0.5 * (mean**2 + sd**2 - 1) + jnp.log(sd)",
            "elbo": DRAWN.format(name="elbo", result="(log_p(x, z) + log_q).mean()"),
        },
        {"kl-value", "elbo-check"},
        "The sign of the entropy?",
    ),
    "KL reversed, and a sum for a mean": (
        {
            "kl": "def kl_to_prior(mean, sd):\n    return 0.5 * ((1 + mean**2) / sd**2 - 1) + jnp.log(sd)",
            "elbo": DRAWN.format(name="elbo", result="(log_p(x, z) - log_q).sum()"),
        },
        {"kl-value", "elbo-check"},
        "Is this KL(prior || q)?",
    ),
    "mean of log weights, mean of the batch": (
        {
            "iw": DRAWN.format(name="iw_bound", result="(log_p(x, z) - log_q).mean()"),
            "batch": "def batch_objective(log_prior, bounds, N):\n    return log_prior + np.mean(bounds)",
        },
        {"iw-value", "iw-order", "batch-check"},
        "the mean of the log weights, the ELBO?",
    ),
    "missing 1/K and N/B": (
        {
            "iw": DRAWN.format(name="iw_bound", result="jax.nn.logsumexp(log_p(x, z) - log_q)"),
            "batch": "def batch_objective(log_prior, bounds, N):\n    return log_prior + np.sum(bounds)",
        },
        {"iw-value", "iw-order", "batch-check"},
        "Is N / B missing?",
    ),
    "path cut, a rule too coarse": (
        {
            "gradient": GRADIENT.format(z="jax.lax.stop_gradient(m + jnp.exp(t) * eps)", scale="1"),
            "ozone": OZONE.format(num_points=12, score="jax.nn.logsumexp(log_lik, 1, b=w).mean()"),
        },
        {"gradient-check", "ozone-check", "ozone-truth"},
        "Is the path cut? The draws move",
    ),
    "slope in s, mean of log p(x | z)": (
        {
            "gradient": GRADIENT.format(z="m + jnp.exp(t) * eps", scale="jnp.exp(-log_sd)"),
            "ozone": OZONE.format(num_points=60, score="(log_lik @ w).mean()"),
        },
        {"gradient-check", "ozone-check", "ozone-truth"},
        "better than a straight line",
    ),
    "moments of the posterior for q": (
        {
            "fit": "def fit_q(log_p, x, start):\n    z = np.linspace(-8, 8, 4001)\n"
            "    p = np.asarray(jax.nn.softmax(log_p(x, z)), float)\n    p = p / p.sum()\n"
            "    return p @ z, np.sqrt(p @ (z - p @ z) ** 2)"
        },
        {"fit-check"},
        "mean and deviation of the posterior",
    ),
    "hard-coded for the visible test": (
        {
            "kl": "def kl_to_prior(mean, sd):\n    return 0.5 * (0.7**2 + 0.4**2 - 1) - jnp.log(0.4)",
            "ozone": "def fit_days(xs):\n    return -0.3077, 0.8175, 0.0565",
        },
        {"kl-value", "ozone-check", "ozone-truth"},
        "a q so narrow that no sum finds it",
    ),
}
