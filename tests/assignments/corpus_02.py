"""Answers to problem set 2: right ones of several kinds, and the mistakes that are made most."""

JOINTS = """
def log_joints(pi, rates, x):
    return {joints}

def log_prob(pi, rates, x):
    joints = jnp.log(pi) + jnp.log(rates) - rates * x
    return {log_p}
"""
LOG_JOINTS, LOG_P = "jnp.log(pi) + jnp.log(rates) - rates * x", "jax.nn.logsumexp(joints)"
ELBO = """
def elbo(joints, q):
    log_q = jnp.log(jnp.where(q > 0, q, 1))
    return {value}
"""
STEP = """
def em_step(pi, rates, xs):
    joint = pi * rates * np.exp(-np.outer(xs, rates))
    resp = joint / joint.sum(1, keepdims=True)
    new_pi = {pi}
    {between}
    return new_pi, {rates}
"""
NEW_PI, NEW_RATES = "resp.mean(0)", "resp.sum(0) / (xs @ resp)"
FIT = """
def fit_components(xs, resp):
    resp = {resp}
    n = resp.sum(0)
    pi, mu = n / len(xs), resp.T @ xs / {per}
    rest = xs - {centre}
    return pi, mu, np.einsum("nk,kni,knj->kij", resp, rest, rest) / {size}
"""
CENTRE, SIZE = "mu[:, None]", "n[:, None, None]"
KINDS = """
def e_step(pi, m, xs):
    return np.asarray(jax.nn.softmax({joints}, axis=1))

def m_step(xs, resp):
    n = resp.sum(0)
    return {pi}, {m}
"""
PI, WHITE, BLACK = "np.log(pi)", "xs @ np.log(m).T", "(1 - xs) @ np.log(1 - m).T"
JOINT = f"{PI} + {WHITE} + {BLACK}"
SHARE, COIN = "(n + 1) / (len(xs) + len(n))", "(resp.T @ xs + 1) / (n[:, None] + 2)"

# name -> {solution cell: its code}; every other cell holds the solution of the source notebook
RIGHT = {
    "numpy and loops": {
        "joints": """
def log_joints(pi, rates, x):
    return jnp.stack([jnp.log(p * r) - r * x for p, r in zip(pi, rates)])

def log_prob(pi, rates, x):
    joints = log_joints(pi, rates, x)
    top = joints.max()
    return top + jnp.log(jnp.exp(joints - top).sum())
""",
        "resp": """
def responsibilities(joints):
    parts = [np.exp(j - max(joints)) for j in joints]
    return [p / sum(parts) for p in parts]
""",
        "elbo": """
def elbo(joints, q):
    total = 0.0
    for joint, share in zip(joints, q):
        if share > 0:
            total += share * (joint - np.log(share))
    return total
""",
        "step": """
def em_step(pi, rates, xs):
    n, time = np.zeros(len(pi)), np.zeros(len(pi))
    for x in xs:
        joint = np.array([p * r * np.exp(-r * x) for p, r in zip(pi, rates)])
        resp = joint / joint.sum()
        n += resp
        time += resp * x
    return n / len(xs), n / time
""",
        "fit": """
def fit_components(xs, resp):
    N, K = resp.shape
    pi, mu, covs = [], [], []
    for k in range(K):
        n = sum(resp[:, k])
        mean = sum(r * x for r, x in zip(resp[:, k], xs)) / n
        covs.append(sum(r * np.outer(x - mean, x - mean) for r, x in zip(resp[:, k], xs)) / n)
        pi.append(n / N)
        mu.append(mean)
    return np.array(pi), np.array(mu), np.array(covs)
""",
        "kinds": """
def e_step(pi, m, xs):
    resp = np.empty((len(xs), len(pi)))
    for i, x in enumerate(xs):
        joints = np.array([np.log(p) + np.log(np.where(x > 0, c, 1 - c)).sum() for p, c in zip(pi, m)])
        resp[i] = np.exp(joints - joints.max())
        resp[i] /= resp[i].sum()
    return resp

def m_step(xs, resp):
    N, K = resp.shape
    n = [sum(resp[:, k]) for k in range(K)]
    m = np.stack([(xs * resp[:, [k]]).sum(0) + 1 for k in range(K)])
    return np.array([(a + 1) / (N + K) for a in n]), np.stack([row / (a + 2) for row, a in zip(m, n)])
""",
    },
    "vmap and the library": {
        "joints": """
def log_joints(pi, rates, x):
    one = lambda p, r: jnp.log(p) + jax.scipy.stats.expon.logpdf(x, scale=1 / r)
    return jax.vmap(one)(jnp.asarray(pi), jnp.asarray(rates))

def log_prob(pi, rates, x):
    log_p = jax.scipy.stats.expon.logpdf(x, scale=1 / jnp.asarray(rates))
    return jax.scipy.special.logsumexp(log_p, b=jnp.asarray(pi))
""",
        "resp": """
def responsibilities(joints):
    return jnp.exp(jax.nn.log_softmax(jnp.asarray(joints)))
""",
        "elbo": """
import vaejax as vj

def elbo(joints, q):
    nodes = vj.Nodes(jnp.arange(len(q)), jnp.asarray(q), jnp.log(jnp.where(q > 0, q, 1.0)))
    return vj.elbo(lambda params, x, z: params[z], jnp.asarray(joints), None, nodes)
""",
        "step": """
@jax.jit
def em_step(pi, rates, xs):
    pi, rates, xs = map(jnp.asarray, (pi, rates, xs))
    resp = jax.vmap(lambda x: jax.nn.softmax(jnp.log(pi * rates) - rates * x))(xs)
    return resp.mean(0), jax.vmap(lambda r: r.sum() / (r @ xs), 1)(resp)
""",
        "fit": """
@jax.jit
def fit_components(xs, resp):
    xs, resp = jnp.asarray(xs), jnp.asarray(resp)

    def one(r):
        return r.mean(), jnp.average(xs, 0, weights=r), jnp.cov(xs.T, aweights=r, bias=True)

    return jax.vmap(one, 1)(resp)
""",
        "kinds": """
@jax.jit
def e_step(pi, m, xs):
    def joint(x, weight, coins):
        return jnp.log(weight) + densities.log_bernoulli(x, jnp.log(coins) - jnp.log1p(-coins))
    each = jax.vmap(jax.vmap(joint, (None, 0, 0)), (0, None, None))
    return jax.nn.softmax(each(xs, pi, m), axis=1)

def m_step(xs, resp):
    n = resp.sum(0)
    coin = lambda r, n: (jnp.asarray(r) @ xs + 1) / (n + 2)
    return (n + 1) / (n + 1).sum(), jax.vmap(coin, (1, 0))(jnp.asarray(resp), jnp.asarray(n))
""",
    },
    "slopes, moments, odds and the gap": {
        "joints": """
def log_joints(pi, rates, x):
    return -rates * (x - jnp.log(pi * rates) / rates)

def log_prob(pi, rates, x):
    total = -jnp.inf
    for k in range(len(pi)):
        total = jnp.logaddexp(total, log_joints(pi, rates, x)[k])
    return total
""",
        "resp": """
def responsibilities(joints):
    joints = np.asarray(joints)
    return 1 / np.exp(np.minimum(joints[:, None] - joints, 700)).sum(0)
""",
        "elbo": """
def elbo(joints, q):
    log_p = special.logsumexp(joints)
    return log_p - special.rel_entr(q, np.exp(joints - log_p)).sum()
""",
        "step": """
def em_step(pi, rates, xs):                # Fisher's identity: the slope of log p says it all
    xs = jnp.asarray(xs)
    def score(pi, rates):
        return jax.nn.logsumexp(jnp.log(pi * rates) - rates * xs[:, None], axis=1).mean()
    up_pi, up_rates = jax.grad(score, (0, 1))(jnp.asarray(pi), jnp.asarray(rates))
    new = pi * up_pi
    return new, new / (new / rates - up_rates)
""",
        "fit": """
def fit_components(xs, resp):
    parts = resp / resp.sum(0)
    mu = parts.T @ xs
    second = np.stack([(xs.T * p) @ xs for p in parts.T])
    return resp.mean(0), mu, second - mu[:, :, None] * mu[:, None]
""",
        "kinds": """
def e_step(pi, m, xs):
    pi, m = np.asarray(pi, float), np.asarray(m, float)
    joints = xs @ np.log(m / (1 - m)).T + (np.log(pi) + np.log(1 - m).sum(1))
    return np.exp(joints - special.logsumexp(joints, axis=1, keepdims=True))

def m_step(xs, resp):                      # the pretended pictures, written down
    N, D = xs.shape
    K = resp.shape[1]
    more = np.concatenate([xs, np.ones((1, D)), np.zeros((1, D))])
    weights = np.concatenate([resp, np.ones((2, K))])
    m = np.stack([np.average(more, 0, weights=w) for w in weights.T])
    return (weights.sum(0) - 1) / (N + K), m
""",
    },
}

# name -> (cells, the tests that must fail, words that must be in the message of one of them)
WRONG = {
    "the density for the joint": (
        {"joints": JOINTS.format(joints="jnp.log(rates) - rates * x", log_p=LOG_P)},
        {"joints-value"},
        "Is log pi missing?",
    ),
    "normalised joints": (
        {"joints": JOINTS.format(joints=f"jax.nn.log_softmax({LOG_JOINTS})", log_p=LOG_P)},
        {"joints-value"},
        "Did you normalise over the makers?",
    ),
    "a plain sum": (
        {"joints": JOINTS.format(joints=LOG_JOINTS, log_p="jnp.log(jnp.exp(joints).sum())")},
        {"far"},
        "finite where the plain sum is zero",
    ),
    "the sum of the logs": (
        {"joints": JOINTS.format(joints=LOG_JOINTS, log_p="joints.sum()")},
        {"prob", "far"},
        "The log of the sum is asked for",
    ),
    "numpy where jit is asked": (
        {
            "joints": "def log_joints(pi, rates, x):\n    return np.log(pi) + np.log(rates) - rates * x\n\n"
            "def log_prob(pi, rates, x):\n    return special.logsumexp(np.log(pi * rates) - rates * x)"
        },
        {"joints-value", "prob", "far"},
        "Tracer",
    ),
    "exp and then divide": (
        {"resp": "def responsibilities(joints):\n    return np.exp(joints) / np.exp(joints).sum()"},
        {"resp-check"},
        "no 0 / 0",
    ),
    "the mean is taken out": (
        {"resp": "def responsibilities(joints):\n    p = np.exp(joints - joints.mean())\n    return p / p.sum()"},
        {"resp-check"},
        "the largest is taken out, and no other",
    ),
    "divided by the largest": (
        {"resp": "def responsibilities(joints):\n    return np.exp(joints - joints.max())"},
        {"resp-check"},
        "Is it divided by the largest joint?",
    ),
    "the sign of the entropy": (
        {"elbo": ELBO.format(value="(q * (joints + log_q)).sum()")},
        {"elbo-gap", "elbo-zeros"},
        "Is the sign of the entropy right?",
    ),
    "no entropy": (
        {"elbo": ELBO.format(value="(q * joints + 0 * log_q).sum()")},
        {"elbo-gap", "elbo-zeros"},
        "Is the entropy of q missing?",
    ),
    "the KL the wrong way round": (
        {
            "elbo": "def elbo(joints, q):\n    log_p = special.logsumexp(joints)\n    "
            "return log_p - stats.entropy(np.exp(joints - log_p), q)"
        },
        {"elbo-gap", "elbo-zeros"},
        "the wrong way round",
    ),
    "0 log 0": (
        {"elbo": "def elbo(joints, q):\n    return (q * (joints - np.log(q))).sum()"},
        {"elbo-zeros"},
        "no NaN where q is zero",
    ),
    "counts for shares": (
        {"step": STEP.format(pi="resp.sum(0)", between="", rates=NEW_RATES)},
        {"step-average", "step-climb"},
        "Are these counts?",
    ),
    "means for rates": (
        {"step": STEP.format(pi=NEW_PI, between="", rates="(xs @ resp) / resp.sum(0)")},
        {"step-average", "step-climb"},
        "A rate is 1 / time",
    ),
    "the new shares before the old rates are used": (
        {
            "step": STEP.format(
                pi=NEW_PI,
                between="resp = resp / pi * new_pi; resp = resp / resp.sum(1, keepdims=True)",
                rates=NEW_RATES,
            )
        },
        {"step-average"},
        "computed again with the new shares",
    ),
    "divided by all bulbs": (
        {"step": STEP.format(pi=NEW_PI, between="", rates="len(xs) / (xs @ resp)")},
        {"step-average", "step-climb"},
        "Is it divided by N and not by n_k?",
    ),
    "hard labels": (
        {"fit": FIT.format(resp="np.eye(resp.shape[1])[resp.argmax(1)]", per="n[:, None]", centre=CENTRE, size=SIZE)},
        {"fit-means", "fit-covs"},
        "Are these hard labels?",
    ),
    "centred on the mean of all": (
        {"fit": FIT.format(resp="resp", per="n[:, None]", centre="xs.mean(0) + 0 * mu[:, None]", size=SIZE)},
        {"fit-covs"},
        "and not the maker's own?",
    ),
    "a covariance without 1 / n_k": (
        {"fit": FIT.format(resp="resp", per="n[:, None]", centre=CENTRE, size="1")},
        {"fit-covs"},
        "Is 1 / n_k missing?",
    ),
    "no black pixels": (
        {"kinds": KINDS.format(joints=f"{PI} + {WHITE}", pi=SHARE, m=COIN)},
        {"kinds-e", "kinds-run"},
        "Are the black pixels missing?",
    ),
    "a product of 3,000 numbers": (
        {
            "kinds": "def e_step(pi, m, xs):\n    p = np.array([pi * np.where(x > 0, m, 1 - m).prod(1) for x in xs])"
            "\n    return p / p.sum(1, keepdims=True)\n\ndef m_step(xs, resp):\n    n = resp.sum(0)\n"
            f"    return {SHARE}, {COIN}"
        },
        {"kinds-e"},
        "3,000 pixels",
    ),
    "no caution": (
        {"kinds": KINDS.format(joints=JOINT, pi="n / len(xs)", m="resp.T @ xs / n[:, None]")},
        {"kinds-m", "kinds-run"},
        "Is the one more picture of every kind missing?",
    ),
    "pi left out": (
        {"kinds": KINDS.format(joints=f"{WHITE} + {BLACK}", pi=SHARE, m=COIN)},
        {"kinds-e"},
        "Is pi missing?",
    ),
    "hard-coded for the visible test": (
        {
            "resp": "def responsibilities(joints):\n    return np.array([0.1, 0.5, 0.4])",
            "fit": "def fit_components(xs, resp):\n    c = [np.repeat(measured, q, axis=0) for q in quarters.T]\n"
            "    return (np.array([14, 10]) / 24, np.stack([a.mean(0) for a in c]),\n"
            "            np.stack([np.cov(a.T, bias=True) for a in c]))",
        },
        {"resp-check", "fit-means", "fit-covs"},
        "far apart, too",
    ),
}
