"""Answers to problem set 6: right ones of several kinds, and the mistakes that are made most."""

PICTURE = "def log_picture(x, logits):\n    {before}\n    return {value}"
NAIVE = "p = jax.nn.sigmoid(logits)"
LOGS = "(x * jnp.log(p) + (1 - x) * jnp.log(1 - p))"
PRICE = "def price(mean, log_scale):\n    return {value}"
DRAW = """
def draw_codes(key, mean, log_scale, num):
    eps = jax.random.normal(key, {shape})
    return {value}
"""
BOUND = """
def one_draw_bound(key, decoder, x, mean, log_scale):
    s = jnp.exp(log_scale)
    z = {z}
    kl = 0.5 * (s**2 + mean**2 - 1 - 2 * log_scale).sum()
    log_p = densities.log_bernoulli(x, decoder(z))
    return {value}
"""
DRAWN = "mean + s * jax.random.normal(key, mean.shape)"
ONE_NOISE = "mean + s * jax.random.normal(key)"
OBJECTIVE = """
def objective(params, batch, key):
    def one(x, seen, k):
        mean, log_s = encode(params, x, {eyes})
        logits = params.decoder(mean + jnp.exp(log_s) * jax.random.normal(k, {shape}))
        kl = 0.5 * (jnp.exp(2 * log_s) + mean**2 - 1 - 2 * log_s).sum()
        log_p = {pixels}
        return log_p - {beta} * kl
    xs, seen = batch
    keys = {keys}
    return {sign} jax.vmap(one)(xs, seen, keys).{mean}()
"""
OWN_KEYS = "jax.random.split(key, len(xs))"
SEEN = "(seen * (x * logits - jax.nn.softplus(logits))).sum()"


def objective(pixels=SEEN, eyes="seen", beta=1, keys=OWN_KEYS, sign="", mean="mean", shape="mean.shape"):
    parts = {"pixels": pixels, "eyes": eyes, "beta": beta, "keys": keys, "sign": sign, "mean": mean, "shape": shape}
    return {"objective": OBJECTIVE.format(**parts)}


SCORE = """
def score(key, decoder, x, mean, log_scale, num):
    s = jnp.exp(log_scale)
    eps = jax.random.normal(key, {shape}) * jnp.ones((num, 1))
    z = mean + s * eps
    log_w = jax.vmap(lambda z, e: densities.log_bernoulli(x, decoder(z)) - 0.5 * (z**2).sum()
                     + 0.5 * (e**2).sum() + log_scale.sum())(z, eps)
    return {value}
"""
EACH_ITS_OWN = "(num, len(mean))"

# name -> {solution cell: its code}; every other cell holds the solution of the source notebook
RIGHT = {
    "numpy and loops": {
        "picture": """
def log_picture(x, logits):
    total = 0.0
    for d in range(len(x)):
        total += jax.nn.log_sigmoid(jnp.where(x[d] > 0, logits[d], -logits[d]))
    return total
""",
        "price": """
def price(mean, log_scale):
    mean, log_scale = np.asarray(mean, float), np.asarray(log_scale, float)
    total = 0.0
    for m, l in zip(mean, log_scale):
        total += (m**2 + np.exp(l) ** 2 - 1) / 2 - l
    return total
""",
        "draw": """
def draw_codes(key, mean, log_scale, num):
    columns = []
    for j, k in enumerate(jax.random.split(key, len(mean))):
        columns.append(mean[j] + jnp.exp(log_scale[j]) * jax.random.normal(k, (num,)))
    return jnp.stack(columns, axis=1)
""",
        "objective": """
def objective(params, batch, key):
    xs, seen = batch
    eps = jax.random.normal(key, (len(xs), 2))
    means, log_scales = jax.vmap(lambda *one: encode(params, *one))(xs, seen)
    logits = jax.vmap(params.decoder)(means + jnp.exp(log_scales) * eps)
    total = 0.0
    for d in range(0, xs.shape[1], 14):    # row by row: a coin that nobody sees costs nothing
        row = slice(d, d + 14)
        cost = jax.nn.softplus(jnp.where(xs[:, row] > 0, -logits[:, row], logits[:, row]))
        total -= jnp.where(seen[:, row], cost, 0.0).sum(1).mean()
    for l in range(2):
        total -= (0.5 * (jnp.exp(2 * log_scales[:, l]) + means[:, l] ** 2 - 1) - log_scales[:, l]).mean()
    return total
""",
        "score": """
def score(key, decoder, x, mean, log_scale, num):
    total = -jnp.inf
    for k in jax.random.split(key, num):
        eps = jax.random.normal(k, mean.shape)
        z = mean + jnp.exp(log_scale) * eps
        log_w = (densities.log_bernoulli(x, decoder(z)) - 0.5 * z @ z + 0.5 * eps @ eps + log_scale.sum())
        total = jnp.logaddexp(total, log_w)
    return total - np.log(num)
""",
    },
    "vmap and the library": {
        "picture": "def log_picture(x, logits):\n    return -optax.sigmoid_binary_cross_entropy(logits, x).sum()",
        "draw": """
def draw_codes(key, mean, log_scale, num):
    return vj.sample_nodes(key, mean, jnp.exp(log_scale), num).z
""",
        "bound": """
def one_draw_bound(key, decoder, x, mean, log_scale):
    params = vae.VAEParams(None, decoder, None)
    return vj.elbo(vae.log_joint, params, x, vj.sample_nodes(key, mean, jnp.exp(log_scale), 1))
""",
        "objective": """
def joint_of_seen(params, garment, z):     # a logit of -10,000 makes an unseen pixel black, which costs nothing
    x, seen = garment
    logits = jnp.where(seen, params.decoder(z), -1e4)
    prior = densities.log_gaussian(z, jnp.zeros_like(z), jnp.ones_like(z))
    return prior + densities.log_bernoulli(jnp.where(seen, x, 0), logits)

def objective(params, batch, key):
    def one(garment, k):
        mean, log_scale = encode(params, *garment)
        return vj.elbo(joint_of_seen, params, garment, vj.sample_nodes(k, mean, jnp.exp(log_scale), 1))
    return jax.vmap(one)(batch, jax.random.split(key, len(batch[0]))).mean()
""",
        "score": """
def score(key, decoder, x, mean, log_scale, num):
    params = vae.VAEParams(None, decoder, None)
    return vj.iw_bound(vae.log_joint, params, x, vj.sample_nodes(key, mean, jnp.exp(log_scale), num))
""",
    },
    "another form of the bound, another order of noise": {
        "picture": """
def log_picture(x, logits):
    return -jax.nn.softplus((1 - 2 * x) * logits).sum()
""",
        "price": """
def price(mean, log_scale):
    log_var = 2 * jnp.asarray(log_scale)
    return -0.5 * jnp.sum(1 + log_var - jnp.square(jnp.asarray(mean)) - jnp.exp(log_var))
""",
        "draw": """
def draw_codes(key, mean, log_scale, num):
    factor = jnp.diag(jnp.exp(log_scale))
    eps = jax.random.normal(key, (len(mean), num))
    return (jnp.asarray(mean)[:, None] - factor @ eps).T
""",
        "bound": """
def one_draw_bound(key, decoder, x, mean, log_scale):
    scale = jnp.exp(log_scale)
    z = mean - scale * jax.random.normal(key, mean.shape)
    log_q = densities.log_gaussian(z, mean, scale)
    log_p_z = densities.log_gaussian(z, jnp.zeros_like(z), jnp.ones_like(z))
    return densities.log_bernoulli(x, decoder(z)) + log_p_z - log_q
""",
        "objective": """
def objective(params, batch, key):
    x, seen = batch
    mean, scale = jax.vmap(params.encoder)(x * seen + 0.5 * ~seen)
    z = mean - scale * jax.random.normal(key, mean.shape)
    p = jax.nn.sigmoid(jax.vmap(params.decoder)(z)).clip(1e-7, 1 - 1e-7)
    log_p = jnp.log(jnp.where(seen, jnp.where(x == 1, p, 1 - p), 1.0))
    log_w = -0.5 * z**2 + 0.5 * ((z - mean) / scale) ** 2 + jnp.log(scale)
    return (log_p.sum() + log_w.sum()) / len(x)
""",
    },
}

# the library where a task says: write your own
FLAGGED = {
    "one-liner": (
        {"picture": "def log_picture(x, logits):\n    return densities.log_bernoulli(x, logits)"},
        "picture uses densities of the library: write your own",
    ),
    "another name": (
        {"picture": "from vaejax.vae import log_bernoulli as log_picture"},
        "picture uses densities of the library: write your own",
    ),
}

# name -> (cells, the tests that must fail, words that must be in the message of one of them)
WRONG = {
    "mean over pixels": (
        {"picture": PICTURE.format(before="", value="(x * logits - jax.nn.softplus(logits)).mean()")},
        {"picture-value", "picture-stable"},
        "Is it a mean over pixels?",
    ),
    "log of a rounded sigmoid": (
        {"picture": PICTURE.format(before=NAIVE, value=f"{LOGS}.sum()")},
        {"picture-stable"},
        "right twice, wrong twice",
    ),
    "sigmoid twice, log-variance as deviation": (
        {
            "picture": PICTURE.format(before=NAIVE, value="(x * p - jax.nn.softplus(p)).sum()"),
            "price": PRICE.format(value="0.5 * (jnp.exp(log_scale) + mean**2 - 1 - log_scale).sum()"),
        },
        {"picture-value", "picture-stable", "price-value", "price-sharp"},
        "the log of the deviation, not of the variance",
    ),
    "minus log p, KL negative": (
        {
            "picture": PICTURE.format(before="", value="(jax.nn.softplus(logits) - x * logits).sum()"),
            "price": PRICE.format(value="0.5 * (1 + 2 * log_scale - mean**2 - jnp.exp(2 * log_scale)).sum()"),
        },
        {"picture-value", "picture-stable", "price-value", "price-sharp"},
        "It is negative, and no KL is",
    ),
    "reversed KL, squared scale in the draw": (
        {
            "price": PRICE.format(value="(log_scale + 0.5 * (1 + mean**2) * jnp.exp(-2 * log_scale) - 0.5).sum()"),
            "draw": DRAW.format(shape="(num, len(mean))", value="mean + jnp.exp(log_scale) ** 2 * eps"),
        },
        {"price-value", "price-sharp", "draw-spread", "draw-slope"},
        "Which of the two is averaged over?",
    ),
    "log of the exponential, one noise for all numbers": (
        {
            "price": "def price(mean, log_scale):\n    s = jnp.exp(jnp.asarray(log_scale, jnp.float32))\n"
            "    return 0.5 * (s**2 + mean**2 - 1 - 2 * jnp.log(s)).sum()",
            "draw": DRAW.format(shape="(num, 1)", value="mean + jnp.exp(log_scale) * eps"),
        },
        {"price-sharp", "draw-spread"},
        "each number has noise of its own",
    ),
    "one noise for both numbers": (
        {"bound": BOUND.format(z=ONE_NOISE, value="log_p - kl")},
        {"bound-mean", "bound-slope"},
        "Do both numbers share one noise?",
    ),
    "one noise for both numbers of a garment": (
        objective(shape="()"),
        {"objective-mean"},
        "Do both numbers share one noise?",
    ),
    "one noise for both numbers of a draw": (
        {"score": SCORE.format(shape="(num, 1)", value="jax.nn.logsumexp(log_w) - jnp.log(num)")},
        {"score-mean", "score-large"},
        "the mean of exp(score)",
    ),
    "path cut, twice": (
        {
            "draw": DRAW.format(
                shape="(num, len(mean))", value="jax.lax.stop_gradient(mean + jnp.exp(log_scale) * eps)"
            ),
            "bound": BOUND.format(z=f"jax.lax.stop_gradient({DRAWN})", value="log_p - kl"),
        },
        {"draw-slope", "bound-slope"},
        "is the draw cut off",
    ),
    "KL twice, a sum over the batch": (
        {
            "bound": BOUND.format(z=DRAWN, value="(log_p - kl) - kl"),
            **objective(mean="sum"),
        },
        {"bound-mean", "bound-slope", "objective-mean"},
        "Did you sum over the batch?",
    ),
    "reconstruction twice, one key for the batch": (
        {
            "bound": BOUND.format(z=DRAWN, value="(log_p - kl) + log_p"),
            **objective(keys="jnp.repeat(key[None], len(xs), 0)"),
        },
        {"bound-mean", "bound-slope", "objective-noise"},
        "Is the reconstruction counted twice?",
    ),
    "no price at all, the mean of the logs": (
        {
            **objective(beta=0, mean="mean"),
            "score": SCORE.format(shape=EACH_ITS_OWN, value="log_w.mean()"),
        },
        {"objective-mean", "wardrobe", "score-mean", "score-large"},
        "S = 30 is log p(x), nearly",
    ),
    "a loss for an objective, log of rounded weights": (
        {
            **objective(sign="-"),
            "score": SCORE.format(shape=EACH_ITS_OWN, value="jnp.log(jnp.exp(log_w).mean())"),
        },
        {"objective-mean", "wardrobe", "score-large"},
        "is there a minus too many?",
    ),
    "1/S missing": (
        {"score": SCORE.format(shape=EACH_ITS_OWN, value="jax.nn.logsumexp(log_w)")},
        {"score-mean", "score-large"},
        "Is 1 / S missing?",
    ),
    "two numbers and no more": (
        {
            "bound": BOUND.format(z="mean + s * jax.random.normal(key, (2,))", value="log_p - kl"),
            "score": SCORE.format(
                shape=EACH_ITS_OWN, value="jax.nn.logsumexp(log_w) - jnp.log(num) + (len(mean) - 2) / 2"
            ),
        },
        {"bound-mean", "score-mean"},
        "of three numbers",
    ),
    "one draw, S times": (
        {"score": SCORE.format(shape="(len(mean),)", value="jax.nn.logsumexp(log_w) - jnp.log(num)")},
        {"score-large"},
        "S = 30 is log p(x), nearly",
    ),
    "unseen pixels are black": (
        objective(pixels="densities.log_bernoulli(jnp.where(seen, x, 0), logits)"),
        {"objective-mean", "wardrobe"},
        "as if they were black?",
    ),
    "unseen pixels are what stands there": (
        objective(pixels="densities.log_bernoulli(x, logits)"),
        {"objective-mean", "wardrobe"},
        "unseen pixels have no say",
    ),
    "scaled up to a whole garment": (
        objective(pixels=f"{SEEN} * x.size / seen.sum()"),
        {"objective-mean"},
        "scaled up to a whole one?",
    ),
    "half the price for half a garment": (
        objective(beta="seen.mean()"),
        {"objective-mean"},
        "nats per garment",
    ),
    "the encoder peeps": (
        objective(eyes="True"),
        {"objective-mean"},
        "unseen pixels have no say",
    ),
    "hard-coded for the visible test": (
        {
            "picture": PICTURE.format(before="", value="each.sum() + 0 * logits.sum()"),
            "price": PRICE.format(value="expected + 0 * mean.sum()"),
        },
        {"picture-value", "picture-stable", "price-value", "price-sharp"},
        "name 'each' is not defined",  # what a test brings along is not there
    ),
}
