"""Answers to problem set 4: right ones of several kinds, and the mistakes that are made most."""

JOINT = """
def log_joint(params, x, z):
    W, b, psi = params.W, params.b, jnp.exp(params.log_psi)
    error = x - W @ z{b}
    return (-0.5 * (error**2 / {psi}).sum() - 0.5 * jnp.log({psi}).sum()
            - 0.5 * {dims} * jnp.log(2 * jnp.pi){prior})
"""
PRIOR = " - 0.5 * z @ z"
POSTERIOR = """
def posterior_of_z(params, xs):
    W, psi, T = params.W, {psi}, len(xs)
    M = {prior}T * W.T @ (W / psi[:, None])
    C = jnp.linalg.inv(M)
    return {mean}, {cov}
"""
VOTES = "C @ W.T @ ((xs - params.b) / psi).sum(0)"
EYE = "jnp.eye(W.shape[1]) + "
PSI = "jnp.exp(params.log_psi)"
MARGINAL = """
def log_marginal(params, x):
    W, psi, e = params.W, jnp.exp(params.log_psi), x - params.b
    M = jnp.eye(W.shape[1]) + W.T @ (W / psi[:, None])
    h = W.T @ (e / psi)
    quadratic = (e * e / psi).sum() {sign} h @ jnp.linalg.solve(M, h)
    return -0.5 * quadratic {log_det} - 0.5 * {dims} * jnp.log(2 * jnp.pi)
"""
LOG_DET = "- 0.5 * (jnp.log(psi).sum() + jnp.linalg.slogdet(M)[1])"
DENSE = """
def log_marginal(params, x):
    cov = {low_rank}jnp.diag(jnp.exp(params.log_psi))
    return jax.scipy.stats.multivariate_normal.logpdf(x, params.b, cov)
"""
ELBO = """
def elbo(params, x, mean, scale_tril):
    W, psi, L, C = params.W, jnp.exp(params.log_psi), len(mean), scale_tril @ scale_tril.T
    error = x - W @ mean - params.b
    likelihood = -0.5 * ((error**2{spread}) / psi + jnp.log(2 * jnp.pi * psi)).sum()
    prior = -0.5 * (mean @ mean{trace} + L * jnp.log(2 * jnp.pi))
    entropy = {half} * jnp.linalg.slogdet(C)[1] + 0.5 * L * (1 + jnp.log(2 * jnp.pi))
    return likelihood + {sum}
"""
SPREAD, TRACE = " + jnp.diag(W @ C @ W.T)", " + jnp.trace(C)"
EM = """
def em_step(params, xs):
    W, b, psi = params.W, params.b, jnp.exp(params.log_psi)
    xs = jnp.asarray(xs) - b
    N = len(xs)
    C = jnp.linalg.inv(jnp.eye(W.shape[1]) + W.T @ (W / psi[:, None]))
    z = (xs / psi) @ W @ C
    second = z.T @ z{cov}
    new = xs.T @ z @ jnp.linalg.inv(second)
    W = {kept}
    psi = {noise}
    return LinearGaussianParams(new, b, jnp.log(psi))
"""
COV = " + N * C"
NOISE = "((xs**2).sum(0) - 2 * (W * (xs.T @ z)).sum(1) + jnp.diag(W @ second @ W.T)) / N"
GUESS = """
def guess_missing(params, x):              # through z
    W, b, psi = in_numpy(params)
    read = ~np.isnan(x)
    C = np.linalg.inv(np.eye(W.shape[1]) + W[read].T @ (W[read] / psi[read, None]))
    z = C @ W[read].T @ ((np.asarray(x, float) - b)[read] / psi[read])
    mean, cov, doubt = W @ z + b, np.zeros((len(b), len(b))), W @ C @ W.T
    mean[read] = x[read]
    cov[np.ix_(~read, ~read)] = {cov}[np.ix_(~read, ~read)]
    return mean, cov
"""
NOISY = "(doubt + np.diag(psi))"
FILL = """
def fill_table(table, L):
    known = {known}
    params, _ = vj.em(
        linear_gaussian.FACTOR_ANALYSIS, linear_gaussian.init(known, L), known, num_steps=60, fast=False)
    z, C = jax.vmap(linear_gaussian.posterior_moments, (None, 0))(params, {given})
    variance = jnp.einsum("dl,nlk,dk->nd", params.W, C, params.W){noise}
    read = ~jnp.isnan(table)
    return jnp.where(read, table, z @ params.W.T + params.b), jnp.where(read, 0, {deviation})
"""
EXP_PSI = " + jnp.exp(params.log_psi)"


def fill(known="table", given="table", noise=EXP_PSI, deviation="jnp.sqrt(variance)"):
    return {"fill": FILL.format(known=known, given=given, noise=noise, deviation=deviation)}


# name -> {solution cell: its code}; every other cell holds the solution of the source notebook
RIGHT = {
    "numpy and loops": {
        "posterior": """
def posterior_of_z(params, xs):
    W, psi = np.asarray(params.W), np.exp(np.asarray(params.log_psi))
    M, votes = np.eye(W.shape[1]), np.zeros(W.shape[1])
    for x in np.asarray(xs):
        for w, a, m, p in zip(W, x, np.asarray(params.b), psi):
            M += np.outer(w, w) / p
            votes += w * (a - m) / p
    return np.linalg.solve(M, votes), np.linalg.inv(M)
""",
        "marginal": """
def log_marginal(params, x):
    W, b, log_psi = (np.asarray(p, float) for p in params)
    error = np.asarray(x, float) - b
    psi = np.exp(log_psi)
    M = np.eye(W.shape[1])
    h = np.zeros(W.shape[1])
    for i in range(W.shape[1]):
        h[i] = (W[:, i] * error / psi).sum()
        for j in range(W.shape[1]):
            M[i, j] += (W[:, i] * W[:, j] / psi).sum()
    log_det = np.linalg.slogdet(M)[1] + log_psi.sum()
    quadratic = (error**2 / psi).sum() - h @ np.linalg.inv(M) @ h
    return -0.5 * (len(error) * np.log(2 * np.pi) + log_det + quadratic)
""",
        "elbo": """
def elbo(params, x, mean, scale_tril):
    W, b, log_psi = (np.asarray(p, float) for p in params)
    m, S = np.asarray(mean, float), np.asarray(scale_tril, float)
    total = 0.5 * len(m) + np.log(np.diag(S)).sum() - 0.5 * (m @ m + (S**2).sum())
    for d in range(len(b)):
        second = (float(x[d]) - b[d] - W[d] @ m)**2 + ((W[d] @ S)**2).sum()
        total -= 0.5 * (second / np.exp(log_psi[d]) + log_psi[d] + np.log(2 * np.pi))
    return total
""",
        "em": """
def em_step(params, xs):
    W, b, log_psi = (np.asarray(p, float) for p in params)
    N, (D, L) = len(xs), W.shape
    C = np.linalg.inv(np.eye(L) + W.T @ np.diag(np.exp(-log_psi)) @ W)
    cross, second, squares = np.zeros((D, L)), np.zeros((L, L)), np.zeros(D)
    for x in np.asarray(xs, float) - b:
        m = C @ W.T @ (x / np.exp(log_psi))
        cross += np.outer(x, m)
        second += np.outer(m, m) + C
        squares += x**2
    new = cross @ np.linalg.inv(second)
    psi = np.empty(D)
    for d in range(D):
        psi[d] = (squares[d] - 2 * new[d] @ cross[d] + new[d] @ second @ new[d]) / N
    return LinearGaussianParams(jnp.asarray(new), jnp.asarray(b), jnp.log(jnp.asarray(psi)))
""",
        "guess": GUESS.format(cov=NOISY),
        **fill(),
    },
    "vmap and the library": {
        "log-joint": """
def log_joint(params, x, z):
    here = densities.log_gaussian(x, params.W @ z + params.b, jnp.exp(params.log_psi / 2))
    return here + jax.scipy.stats.norm.logpdf(z).sum()
""",
        "posterior": """
@jax.jit
def posterior_of_z(params, xs):
    def log_p(z):
        e = (xs - params.W @ z - params.b) * jnp.exp(-params.log_psi / 2)
        return -0.5 * (z @ z + (e**2).sum())
    zero = jnp.zeros(params.W.shape[1])
    cov = jnp.linalg.inv(-jax.hessian(log_p)(zero))
    return cov @ jax.grad(log_p)(zero), cov
""",
        "guess": """
@jax.jit
def guess_missing(params, x):              # a hole is a reading with endless noise
    W, b = params.W, params.b
    read = ~jnp.isnan(x)
    V = jnp.where(read[:, None], W, 0) * jnp.exp(-params.log_psi)[:, None]
    C = jnp.linalg.inv(jnp.eye(W.shape[1]) + V.T @ W)
    cov = W @ C @ W.T + jnp.diag(jnp.exp(params.log_psi))
    z = C @ V.T @ jnp.where(read, x - b, 0)
    return jnp.where(read, x, W @ z + b), jnp.where(read[:, None] | read, 0, cov)
""",
        "fill": """
def fill_table(table, L):
    start = linear_gaussian.ppca_mle(jnp.where(jnp.isnan(table), np.nanmean(table, 0), table), L)
    params = vj.em(linear_gaussian.FACTOR_ANALYSIS, start, jnp.asarray(table), num_steps=200, fast=False)[0]
    means, covs = jax.vmap(guess_missing, (None, 0))(params, table)
    return means, jnp.sqrt(jax.vmap(jnp.diagonal)(covs))
""",
    },
    "the dense posterior, whitening, the covariance alone": {
        "posterior": """
def posterior_of_z(params, xs):            # one reading after the other: each posterior is the next prior
    W = params.W
    mean, C = jnp.zeros(W.shape[1]), jnp.eye(W.shape[1])
    for x in xs:
        G = jnp.linalg.solve(W @ C @ W.T + jnp.diag(jnp.exp(params.log_psi)), W @ C).T
        mean, C = mean + G @ (x - params.b - W @ mean), C - G @ W @ C
    return mean, C
""",
        "marginal": """
def log_marginal(params, x):
    sd = jnp.exp(params.log_psi / 2)
    U, d, _ = jnp.linalg.svd(params.W / sd[:, None], full_matrices=False)
    e = (x - params.b) / sd
    along = U.T @ e
    quadratic = e @ e - (along**2 * d**2 / (1 + d**2)).sum()
    return -0.5 * (quadratic + jnp.log1p(d**2).sum() + params.log_psi.sum() + len(x) * jnp.log(2 * jnp.pi))
""",
        "em": """
def em_step(params, xs):
    W, b, log_psi = params
    xs = np.asarray(xs)
    S = (xs - b).T @ (xs - b) / len(xs)
    B = np.linalg.solve(W @ W.T + np.diag(np.exp(log_psi)), W).T
    second = np.eye(W.shape[1]) - B @ W + B @ S @ B.T
    new = np.linalg.solve(second, B @ S).T
    return params._replace(W=new, log_psi=np.log(np.diag(S - new @ B @ S)))
""",
        "guess": """
def conditional(b, cov, x):                # from the precision of x
    hole = np.isnan(x)
    P = np.linalg.inv(cov)
    mean, C = np.array(x, float), np.zeros_like(P)
    inner = np.linalg.inv(P[hole][:, hole])
    mean[hole] = b[hole] - inner @ P[hole][:, ~hole] @ (x - b)[~hole]
    C[np.ix_(hole, hole)] = inner
    return [mean, C]

def guess_missing(params, x):
    W, b, log_psi = [np.array(p, float) for p in params]
    return conditional(b, W @ W.T + np.diag(np.exp(log_psi)), np.asarray(x, float))
""",
        "fill": """
def fill_table(table, L):                  # EM for any covariance at all: L has no say
    table = np.asarray(table, float)
    b, cov = np.nanmean(table, 0), np.diag(np.nanvar(table, 0))
    for _ in range(25):
        rows = [conditional(b, cov, x) for x in table]
        full = np.array([mean for mean, _ in rows])
        b = full.mean(0)
        cov = np.cov(full.T, bias=True) + sum(C for _, C in rows) / len(rows)
    rows = [conditional(b, cov, x) for x in table]
    return [mean for mean, _ in rows], [np.diag(C)**0.5 for _, C in rows]
""",
    },
}

# the library where a task says: write your own
FLAGGED = {
    "one-liners": (
        {
            "log-joint": "log_joint = linear_gaussian.log_joint",
            "posterior": """
from vaejax.linear_gaussian import posterior_moments
def posterior_of_z(params, xs):            # T readings of D thermometers are one of T D
    return posterior_moments(LinearGaussianParams(*(jnp.concatenate([p] * len(xs)) for p in params)), xs.ravel())
""",
            "marginal": """
m = __import__("importlib").import_module("vaejax." + "linear" + "_gaussian")
def log_marginal(params, x):
    return m.log_marginal(params, x)
""",
            "elbo": """
def elbo(params, x, mean, scale_tril):
    return vj.elbo(linear_gaussian.log_joint, params, x, vj.cubature_nodes(mean, scale_tril))
""",
            "em": """
def em_step(params, xs):
    return vj.em_step(linear_gaussian.FACTOR_ANALYSIS, params, xs)[0]
""",
        },
        "log-joint uses linear_gaussian of the library: write your own; posterior uses linear_gaussian of the library: "
        "write your own; marginal uses linear_gaussian of the library: write your own; elbo uses bounds",
    ),
}

# name -> (cells, the tests that must fail, words that must be in the message of one of them)
WRONG = {
    "no prior in the joint": (
        {"log-joint": JOINT.format(b=" - b", psi="psi", dims="len(x)", prior="")},
        {"log-joint-value", "log-joint-vmap"},
        "Is the prior of z missing?",
    ),
    "one log 2 pi in the joint": (
        {"log-joint": JOINT.format(b=" - b", psi="psi", dims="1", prior=PRIOR)},
        {"log-joint-value"},
        "Is log(2 pi) there once?",
    ),
    "numpy where jit is asked": (
        {"log-joint": JOINT.format(b=" - b", psi="psi", dims="(len(x) + len(z))", prior=PRIOR).replace("jnp", "np")},
        {"log-joint-vmap"},
        "Tracer",
    ),
    "precision for covariance": (
        {"posterior": POSTERIOR.format(psi=PSI, prior=EYE, mean=VOTES, cov="M")},
        {"posterior-cov"},
        "Is this the precision?",
    ),
    "no prior in the posterior": (
        {"posterior": POSTERIOR.format(psi=PSI, prior="", mean=VOTES, cov="C")},
        {"posterior-cov", "posterior-mean"},
        "the I in M?",
    ),
    "deviation for variance in the posterior": (
        {"posterior": POSTERIOR.format(psi="jnp.exp(params.log_psi / 2)", prior=EYE, mean=VOTES, cov="C")},
        {"posterior-cov", "posterior-mean"},
        "Is the noise taken by its deviation?",
    ),
    "the chapter's lines, on the mean reading": (
        {
            "posterior": """
def posterior_of_z(params, xs):
    scaled = params.W / jnp.exp(params.log_psi)[:, None]
    cov = jnp.linalg.inv(jnp.eye(params.W.shape[1]) + params.W.T @ scaled)
    return cov @ scaled.T @ (xs.mean(0) - params.b), cov
"""
        },
        {"posterior-cov", "posterior-mean"},
        "Is this the doubt after one reading?",
    ),
    "one noise for all thermometers": (
        {
            "fill": "def fill_table(table, L):\n    start = linear_gaussian.init(table, L)\n"
            "    params, _ = vj.em(linear_gaussian.PPCA, start, table, num_steps=50, fast=False)\n"
            "    rows = [guess_missing(params, x) for x in table]\n"
            "    return np.stack([m for m, _ in rows]), np.stack([np.diag(c) ** 0.5 for _, c in rows])"
        },
        {"fill-station"},
        "at most 0.07 nats a hole less",
    ),
    "who does not move never falls": (
        {"em": "def em_step(params, xs):\n    return params"},
        {"em-loadings", "em-noise", "em-climb"},
        "and they lead up",
    ),
    "a prior for each reading": (
        {"posterior": POSTERIOR.format(psi=PSI, prior="T * " + EYE, mean=VOTES, cov="C")},
        {"posterior-cov", "posterior-mean"},
        "Is the prior there for each reading?",
    ),
    "not centred": (
        {"posterior": POSTERIOR.format(psi=PSI, prior=EYE, mean="C @ W.T @ (xs / psi).sum(0)", cov="C")},
        {"posterior-mean"},
        "Is x centred?",
    ),
    "dense marginal": (
        {"marginal": DENSE.format(low_rank="params.W @ params.W.T + ")},
        {"marginal-camera"},
        "",
    ),
    "dense marginal in numpy": (
        {"marginal": DENSE.format(low_rank="np.asarray(params.W) @ np.asarray(params.W).T + ").replace("jnp", "np")},
        {"marginal-camera"},
        "Unable to allocate",
    ),
    "no W W' in the marginal": (
        {
            "marginal": "def log_marginal(params, x):\n    return jax.scipy.stats.norm.logpdf("
            "x, params.b, jnp.exp(params.log_psi / 2)).sum()"
        },
        {"marginal-value", "marginal-camera"},
        "Is W W' missing",
    ),
    "log determinant with the wrong sign": (
        {"marginal": MARGINAL.format(sign="-", log_det=LOG_DET.replace("- 0.5", "+ 0.5", 1), dims="x.size")},
        {"marginal-value", "marginal-camera"},
        "Is the log determinant added?",
    ),
    "no entropy": (
        {"elbo": ELBO.format(spread=SPREAD, trace=TRACE, half="0.5", sum="prior")},
        {"elbo-gap"},
        "Is the entropy of q missing?",
    ),
    "no spread around the mean": (
        {"elbo": ELBO.format(spread="", trace="", half="0.5", sum="prior + entropy")},
        {"elbo-gap"},
        "with no spread around it",
    ),
    "no prior in the bound": (
        {"elbo": ELBO.format(spread=SPREAD, trace=TRACE, half="0.5", sum="entropy")},
        {"elbo-move", "elbo-gap"},
        "Is log N(z; 0, I) missing?",
    ),
    "covariance of z dropped": (
        {"em": EM.format(cov="", kept="new", noise=NOISE)},
        {"em-loadings", "em-noise", "em-climb"},
        "Is the covariance of z missing",
    ),
    "stale W in the noise": (
        {"em": EM.format(cov=COV, kept="W", noise=NOISE)},
        {"em-noise"},
        "Is the old W in the noise?",
    ),
    "no 1/N in the noise": (
        {"em": EM.format(cov=COV, kept="new", noise=NOISE.removesuffix(" / N"))},
        {"em-noise", "em-climb"},
        "Is 1 / N missing?",
    ),
    "no noise in the guess": (
        {"guess": GUESS.format(cov="doubt"), **fill(noise="")},
        {"guess-any", "fill-station", "fill-days"},
        "Is psi missing?",
    ),
    "each guess alone": (
        {"guess": GUESS.format(cov="np.diag(np.diag(doubt) + psi)")},
        {"guess-any"},
        "their errors go together",
    ),
    "a hole has read the mean": (
        {
            "guess": GUESS.format(cov=NOISY)
            .replace("C = ", "x = np.where(read, x, b)\n    hole = ~read\n    read = read | True\n    C = ")
            .replace("mean[read]", "read = ~hole\n    mean[read]"),
            **fill(given="jnp.where(jnp.isnan(table), params.b, table)"),
        },
        {"guess-any", "fill-station", "fill-days"},
        "Is a hole taken to have read b?",
    ),
    "filled with the mean before the fit": (
        fill(known="jnp.where(jnp.isnan(table), jnp.nanmean(table, 0), table)"),
        {"fill-station"},
        "who knows the station",
    ),
    "noise without the doubt about z": (
        {"guess": GUESS.format(cov="np.diag(psi)"), **fill(noise=" * 0" + EXP_PSI)},
        {"guess-any", "fill-station", "fill-days"},
        "Is the doubt about z missing?",
    ),
    "a bell for each column": (
        {
            "fill": "def fill_table(table, L):\n    shape = np.shape(table)\n"
            "    return np.broadcast_to(np.nanmean(table, 0), shape), np.broadcast_to(np.nanstd(table, 0), shape)"
        },
        {"fill-station", "fill-days"},
        "a twentieth of a nat",
    ),
    "hard-coded for the visible test": (
        {
            "log-joint": """
def log_joint(params, x, z):
    return -0.5 * (z @ z + (((x - params.W @ z - params.b) / jnp.array([3, 4, 10.0]))**2).sum()
                   + jnp.log(9.0 * 16 * 100) + 4 * jnp.log(2 * jnp.pi))
""",
            "posterior": """
def posterior_of_z(params, xs):
    return jnp.array([13 / 15]), jnp.array([[2 / 15]])
""",
            "em": """
def em_step(params, xs):
    return LinearGaussianParams(jnp.array([[1.5], [1.0]]), jnp.zeros(2), jnp.log(jnp.array([11 / 6, 4 / 3])))
""",
        },
        {"log-joint-value", "log-joint-vmap", "posterior-mean", "posterior-cov", "em-loadings", "em-noise", "em-climb"},
        "log p(x, z)",
    ),
}
