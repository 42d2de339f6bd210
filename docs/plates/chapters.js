/* The plates, chapter by chapter: what plates.js says that a plate is. */

"use strict";
(() => {
const { plates } = plate, { sum, mean, range, logSumExp, logNormal, sigmoid, fixed, plain, unpack, Axes, boxes, pair } = plate.tools;

// ---- chapter 1: the bell on the likelihood surface

plates.bell = {
    controls: [
        { key: "mu", label: "mean μ (minutes)", low: 40, high: 90, step: 0.1, start: 55 },
        { key: "log_sd", label: "width σ (minutes)", low: 2.2, high: 3.8, step: 0.01, start: 2.5, say: s => fixed(Math.exp(s), 1) },
    ],
    value({ mu, log_sd }) {
        const { waits, counts } = PLATES.bell, n = sum(counts);
        const nats = (m, s) => sum(waits.map((x, i) => counts[i] * logNormal(x, m, Math.exp(s)))) / n;
        const top = sum(waits.map((x, i) => x * counts[i])) / n;
        const width = Math.sqrt(sum(waits.map((x, i) => counts[i] * (x - top) ** 2)) / n);
        return { nats: nats(mu, log_sd), best: nats(top, Math.log(width)), top: [top, Math.log(width)] };
    },
    draw(svg, { mu, log_sd }, { nats, best, top }) {
        const [left, right] = boxes(svg, 2), { waits, counts } = PLATES.bell, sd = Math.exp(log_sd);
        const bell = new Axes(svg, left, [35, 105], [0, 0.05], "wait (minutes)", "density");
        for (let low = 40; low < 100; low += 4) {
            const share = sum(counts.filter((_, i) => waits[i] >= low && waits[i] < low + 4)) / sum(counts) / 4;
            bell.area([low, low + 4], [share, share], "data");
        }
        const xs = range(35, 105, 141);
        bell.line(xs, xs.map(x => Math.exp(logNormal(x, mu, sd))), "model");
        const surface = new Axes(svg, right, [40, 90], [2.2, 3.8], "μ (minutes)", "log σ; curves: nats lost");
        // nats lost = (log σ + (v + d²) / 2σ²) - (log σ̂ + ½): each level is a closed curve, d² as a function of log σ
        const rises = range(2.2, 3.8, 401), v = Math.exp(2 * top[1]);
        for (const lost of [0.02, 0.1, 0.25, 0.5, 1, 2, 4]) {
            const away = rises.map(s => 2 * Math.exp(2 * s) * (lost + 0.5 + top[1] - s) - v);
            const inside = rises.map((_, i) => i).filter(i => away[i] >= 0);
            const round = [...inside, ...inside.toReversed(), inside[0]];
            surface.line(round.map((i, j) => top[0] + (j < inside.length || j === round.length - 1 ? -1 : 1) * Math.sqrt(away[i])),
                round.map(i => rises[i]), "quiet");
            if (lost >= 0.25 && rises[inside.at(-1)] < 3.7) surface.text(top[0], rises[inside.at(-1)], `${lost}`, "data", "middle", 13);
        }
        surface.dot(...top, "truth");
        surface.handle(mu, log_sd, "model");
        return `${fixed(nats, 3)} nats per wait, ${fixed(best - nats, 3)} below the best bell`;
    },
    drag: (mu, log_sd) => ({ mu, log_sd }),
};

// ---- chapter 2: the dial, the touching parabolas, the frames of EM

plates.dial = {
    controls: [{ key: "r", label: "dial r", low: 0.001, high: 0.999, step: 0.001, start: 0.6 }],
    value({ r }) {
        const joints = PLATES.dial.log_joints, log_p = logSumExp(joints), q = [1 - r, r];
        const fit = q[0] * joints[0] + q[1] * joints[1];
        const entropy = -sum(q.map(p => p * Math.log(p)));
        return { log_p, fit, entropy, bound: fit + entropy, gap: log_p - fit - entropy, posterior: Math.exp(joints[1] - log_p) };
    },
    draw(svg, { r }, { log_p, fit, entropy, bound, gap, posterior }) {
        const [box] = boxes(svg, 1, 240), axes = new Axes(svg, box, [0, 1], [log_p - 1.9, log_p + 0.25], "q(long) = r", "nats");
        const rs = range(0.001, 0.999, 300);
        axes.line([0, 1], [log_p, log_p], "truth");
        axes.text(0.98, log_p, "log p(x)", "truth", "end");
        axes.line(rs, rs.map(u => this.value({ r: u }).bound), "model");
        axes.line([posterior, posterior], [log_p - 3, log_p], "posterior dashed");
        axes.text(posterior + 0.015, log_p - 1.9, "the posterior's r", "posterior", "start");
        axes.text(0.9, this.value({ r: 0.9 }).bound, "bound", "model", "end", 14);
        if (gap > 0.1) axes.text(r + 0.015, (bound + log_p) / 2, "KL", "posterior", "start", 4);
        axes.line([r, r], [bound, log_p], "gap");
        axes.handle(r, bound, "model");
        return `bound ${fixed(bound, 3)} = fit ${fixed(fit, 3)} + entropy ${fixed(entropy, 3)}; the gap, KL(q ‖ posterior), is ${fixed(gap, 3)} nats`;
    },
    drag: r => ({ r }),
};

plates.touch = {
    controls: [{ key: "theta", label: "stand at θ (minutes)", low: 62, high: 86, step: 0.01, start: 64 }],
    value({ theta }) {
        const { waits, counts, log_pi, short, sd } = PLATES.touch, n = sum(counts);
        const joints = (x, t) => [log_pi[0] + logNormal(x, short, sd), log_pi[1] + logNormal(x, t, sd)];
        const average = f => sum(waits.map((x, i) => counts[i] * f(x, i))) / n;
        const log_p = t => average(x => logSumExp(joints(x, t)));
        const resp = waits.map(x => { const [a, b] = joints(x, theta); return 1 / (1 + Math.exp(a - b)); });
        const entropy = average((_, i) => -resp[i] * Math.log(resp[i] + 1e-300) - (1 - resp[i]) * Math.log(1 - resp[i] + 1e-300));
        const bound = t => entropy + average((x, i) => { const [a, b] = joints(x, t); return (1 - resp[i]) * a + resp[i] * b; });
        const peak = average((x, i) => resp[i] * x) / average((_, i) => resp[i]), line = range(62, 86, 97);
        return { here: log_p(theta), peak, bound_at_peak: bound(peak), there: log_p(peak), log_p: line.map(log_p), bound: line.map(bound) };
    },
    draw(svg, { theta }, { here, peak, bound_at_peak, there, log_p, bound }) {
        const [box] = boxes(svg, 1), line = range(62, 86, 97);
        const axes = new Axes(svg, box, [62, 86], [-6.9, -3.3], "θ, mean of the long waits (minutes)", "nats per eruption");
        axes.line(line, log_p, "truth");
        axes.text(80, Math.max(...log_p), "log p", "truth", "middle", -10);
        axes.line(line, bound, "model");
        axes.line([peak, peak], [bound_at_peak, there], "gap");
        axes.dot(peak, bound_at_peak, "model", 5);
        axes.text(peak, bound_at_peak, "bound", "model", "middle", 24);
        axes.handle(theta, here, "truth");
        return `the bound touches log p at ${fixed(theta, 2)} minutes and peaks at ${fixed(peak, 2)}: there the bound is ${fixed(bound_at_peak - here, 4)} nats higher, and log p ${fixed(there - here, 4)}`;
    },
    drag: theta => ({ theta }),
    act: { label: "go to the peak", change: ({ theta }) => ({ theta: plates.touch.value({ theta }).peak }) },
};

plates.frames = {
    controls: [
        { key: "steps", label: "steps of EM", low: 0, high: 100, step: 1, start: 0 },
        ...[["first", "blue", 15], ["second", "pink", 108]].map(([key, name, start]) => ({ key, label: `${name} starts at (minutes)`,
            low: 0, high: 271, step: 1, start, say: i => PLATES.frames.xs[i].map(plain).join("; ") })),
    ],
    value({ steps, first, second }) {
        const xs = PLATES.frames.xs, all = fitWeighted(xs, xs.map(() => 1));
        let kinds = [first, second].map(i => ({ share: 0.5, mean: xs[i], cov: all.cov }));
        let walk = weigh(xs, kinds);
        const path = [kinds.map(k => k.mean)];
        for (let i = 0; i < steps; i++) {
            kinds = [0, 1].map(k => fitWeighted(xs, walk.resp.map(r => k ? r : 1 - r)));
            walk = weigh(xs, kinds);
            path.push(kinds.map(k => k.mean));
        }
        return { nats: walk.nats, means: kinds.map(k => k.mean), covs: kinds.map(k => k.cov), shares: kinds.map(k => k.share), resp: walk.resp, path, best: PLATES.frames.best };
    },
    draw(svg, settings, { nats, means, covs, shares, resp, path, best }) {
        const [box] = boxes(svg, 1, 300), axes = new Axes(svg, box, [1, 5.9], [36, 104], "duration (minutes)", "wait (minutes)");
        PLATES.frames.xs.forEach(([x, y], i) => {
            axes.dot(x, y, "quiet", 3.2);
            axes.dot(x, y, resp[i] > 0.5 ? "second" : "first", 3.2, Math.abs(2 * resp[i] - 1));
        });
        means.forEach((mean, k) => {
            axes.ellipse(mean, covs[k], k ? "second" : "first", 2.4477);
            axes.line(path.map(at => at[k][0]), path.map(at => at[k][1]), "truth");
            axes.dot(...mean, k ? "second" : "first", 5);
            axes.handle(...path[0][k], k ? "second" : "first");
        });
        const unsure = resp.filter(r => r > 0.1 && r < 0.9).length;
        return `${fixed(nats, 3)} nats per eruption (the highest end known is ${fixed(best, 3)}); pink has ${fixed(100 * shares[1], 0)} % of them; EM is less than 90 % sure of ${unsure}`;
    },
    drag(x, y, settings) {  // the nearer start moves to the nearest eruption, and EM begins anew
        const xs = PLATES.frames.xs, away = ([u, v]) => ((x - u) / 4.9) ** 2 + ((y - v) / 68) ** 2;
        const key = away(xs[settings.first]) < away(xs[settings.second]) ? "first" : "second", distances = xs.map(away);
        return { steps: 0, [key]: distances.indexOf(Math.min(...distances)) };
    },
};

function fitWeighted(xs, weights) {
    const total = sum(weights), m = [0, 1].map(d => sum(xs.map((x, i) => weights[i] * x[d])) / total);
    const c = (d, e) => sum(xs.map((x, i) => weights[i] * (x[d] - m[d]) * (x[e] - m[e]))) / total;
    return { share: total / xs.length, mean: m, cov: [c(0, 0), c(0, 1), c(1, 1)] };
}

function weigh(xs, kinds) {
    const logJoint = (x, { share, mean, cov: [a, b, c] }) => {
        const u = x[0] - mean[0], v = x[1] - mean[1], det = a * c - b * b;
        return Math.log(share) - Math.log(2 * Math.PI) - 0.5 * Math.log(det) - 0.5 * (c * u * u - 2 * b * u * v + a * v * v) / det;
    };
    const joints = xs.map(x => kinds.map(kind => logJoint(x, kind)));
    return { nats: mean(joints.map(logSumExp)), resp: joints.map(([a, b]) => 1 / (1 + Math.exp(a - b))) };
}

// ---- chapter 3: the angle of the line, the number of latents

plates.line = {
    controls: [{ key: "angle", label: "angle (degrees)", low: 1, high: 89, step: 0.1, start: 30 }],
    value({ angle }) {
        const xs = PLATES.line.xs, t = angle * Math.PI / 180, w = [Math.cos(t), Math.sin(t)];
        const z = xs.map(x => x[0] * w[0] + x[1] * w[1]), kept = mean(z.map(u => u * u));
        const total = mean(xs.map(x => x[0] ** 2 + x[1] ** 2));
        return { kept, lost: total - kept, upwards: mean(xs.map(x => (x[1] - x[0] * Math.tan(t)) ** 2)), w, z };
    },
    draw(svg, { angle }, { kept, lost, upwards, w, z }) {
        const [left, right] = boxes(svg, 2, 300), xs = PLATES.line.xs;
        const axes = new Axes(svg, left, [-3, 3], [-4.2, 2.6], "sun (standard units)", "log ozone (standard units)", { equal: true });
        xs.forEach((x, i) => axes.line([x[0], z[i] * w[0]], [x[1], z[i] * w[1]], "quiet"));
        axes.line([-5 * w[0], 5 * w[0]], [-5 * w[1], 5 * w[1]], "model");
        xs.forEach(x => axes.dot(...x, "data"));
        const curve = new Axes(svg, right, [0, 90], [0, 2], "angle (degrees)", "mean square lost"), angles = range(1, 89, 89);
        const lost_at = a => this.value({ angle: a }).lost;
        curve.line(angles, angles.map(lost_at), "model");
        curve.line(angles, angles.map(a => this.value({ angle: a }).upwards), "truth dashed");
        curve.legend([["upwards", "truth"], ["straight", "model"]]);
        curve.dot(angle, lost, "model", 5);
        curve.dot(angle, upwards, "truth", 5);
        axes.handle(2.3 * w[0], 2.3 * w[1], "model");
        return `mean squares: shadow on the line ${fixed(kept, 3)} + lost straight to it ${fixed(lost, 3)} = 2; measured upwards, ${fixed(upwards, 3)} is lost`;
    },
    drag: (x, y) => ({ angle: Math.atan2(Math.abs(y), Math.abs(x)) * 180 / Math.PI }),
};

plates.latents = {
    controls: [
        { key: "L", label: "directions kept, L", low: 0, high: 100, step: 1, start: 4 },
        { key: "which", label: "which new digit", low: 0, high: 7, step: 1, start: 3 },
    ],
    value({ L, which }) {
        const { unit, middle, digits, kept } = PLATES.latents, V = unpack("latents", "directions");
        const x = digits[which].map(grey => grey / 255), picture = [...middle];
        for (let k = 0; k < L; k++) {
            const v = V.subarray(784 * k, 784 * (k + 1)), z = unit * sum(x.map((u, d) => (u - middle[d]) * v[d]));
            for (let d = 0; d < 784; d++) picture[d] += z * unit * v[d];
        }
        return { picture, lost: sum(picture.map((u, d) => (x[d] - u) ** 2)), kept: kept[L], x };
    },
    draw(svg, { L }, { picture, lost, kept, x }) {
        const [left, right] = pair(svg), picture_of = (box, values, name) => new Axes(svg, box, [0, 1], [0, 1], "", name, { bare: true }).image(values, 28, 0, 0, 1, 1);
        picture_of(left, picture, `from ${L} numbers`);
        picture_of(right, x, "the digit, 784 numbers");
        return `squared error of this digit ${fixed(lost, 2)}; of the variance of the digits that were fitted, ${fixed(100 * kept, 1)} % is kept`;
    },
};

// ---- chapter 4: the geometry of the posterior, and the noise going to zero

const short = t => `${+(10 ** t).toPrecision(2)}`;

plates.places = {
    controls: [
        { key: "x1", label: "feature x₁", low: -4, high: 4, step: 0.05, start: 1 },
        { key: "x2", label: "feature x₂", low: -4, high: 4, step: 0.05, start: 3 },
        { key: "noise", label: "noise σ²", low: -4, high: 0.5, step: 0.05, start: 0, say: short },
        { key: "tilt", label: "noise of x₂ over that of x₁", low: -1.5, high: 1.5, step: 0.05, start: 0.6, say: short },
    ],
    value({ x1, x2, noise, tilt }) {
        const psi = [10 ** (noise - tilt / 2), 10 ** (noise + tilt / 2)], w = [2, 1];
        const precision = w[0] ** 2 / psi[0] + w[1] ** 2 / psi[1], pull = w[0] * x1 / psi[0] + w[1] * x2 / psi[1];
        return { mean: pull / (1 + precision), sd: 1 / Math.sqrt(1 + precision), peak: pull / precision,
            foot: (w[0] * x1 + w[1] * x2) / (w[0] ** 2 + w[1] ** 2), psi };
    },
    draw(svg, { x1, x2 }, { mean, sd, peak, foot, psi }) {
        const [left, right] = boxes(svg, 2, 280), axes = new Axes(svg, left, [-5, 5], [-5, 5], "x₁", "x₂", { equal: true });
        axes.line([-10, 10], [-5, 5], "quiet");
        const touching = Math.hypot((x1 - 2 * peak) / Math.sqrt(psi[0]), (x2 - peak) / Math.sqrt(psi[1]));
        for (const r of [1 / 3, 2 / 3, 1]) axes.ellipse([x1, x2], [psi[0], 0, psi[1]], "data", r * touching);
        const ends = [mean - 1.96 * sd, mean + 1.96 * sd];
        axes.line(ends.map(z => 2 * z), ends, "gap");
        axes.line([x1, 2 * foot], [x2, foot], "truth dashed");
        axes.dot(2 * peak, peak, "model", 5);
        axes.dot(2 * mean, mean, "posterior", 5);
        axes.handle(x1, x2, "data");
        axes.legend([["x, in rings of equal noise", "data"], ["nearest, as PCA has it", "truth"]], { right: true, down: left.height - 27 });
        const bells = new Axes(svg, right, [-3, 3], [0, 1.15], "z", "density, relative to its peak");
        const bell = (m, s, kind) => bells.line(range(m - 6 * s, m + 6 * s, 241), range(-6, 6, 241).map(u => Math.exp(-0.5 * u * u)), kind);
        bells.line([foot, foot], [0, 2], "truth dashed");
        bell(0, 1, "data");
        bell(peak, sd / Math.sqrt(1 - sd * sd), "model");
        bell(mean, sd, "posterior");
        bells.legend([["prior", "data"], ["likelihood", "model"], ["posterior", "posterior"], ["PCA", "truth"]]);
        return `z by the posterior: ${fixed(mean, 3)} ± ${fixed(sd, 3)}; by the likelihood alone: ${fixed(peak, 3)}; by PCA: ${fixed(foot, 3)}`;
    },
    drag: (x1, x2) => ({ x1, x2 }),
};

// ---- chapter 5: two humps that trade mass, and the number of draws

/* The share of a Gaussian below z, by Abramowitz and Stegun 7.1.26: to seven digits. */
function below(z) {
    const u = Math.abs(z) / Math.SQRT2, t = 1 / (1 + 0.3275911 * u);
    const tail = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429)))) * Math.exp(-u * u);
    return z < 0 ? tail / 2 : 1 - tail / 2;
}
const spiral = z => { const u = below(z); return [0.2 + 0.8 * u].flatMap(r => [r * Math.cos(3 * Math.PI * u), r * Math.sin(3 * Math.PI * u)]); };
const spiralJoint = (x, z, f = spiral(z)) => logNormal(z, 0, 1) + logNormal(x[0], f[0], 0.1) + logNormal(x[1], f[1], 0.1);
const thread = { zs: range(-6, 6, 4801) };
thread.places = thread.zs.map(spiral);

plates.humps = {
    controls: [
        { key: "x1", label: "x₁", low: -1.3, high: 1.3, step: 0.005, start: -0.195, say: x => fixed(x, 3) },
        { key: "x2", label: "x₂", low: -1.3, high: 1.3, step: 0.005, start: 0.595, say: x => fixed(x, 3) },
    ],
    value({ x1, x2 }) {
        const joints = thread.zs.map((z, i) => spiralJoint([x1, x2], z, thread.places[i])), log_p = logSumExp(joints) + Math.log(0.0025);
        const posterior = joints.map(j => Math.exp(j - log_p));
        return { log_p, left: 0.0025 * (sum(posterior.slice(0, 2400)) + posterior[2400] / 2), posterior };
    },
    draw(svg, { x1, x2 }, { log_p, left, posterior }) {
        const [one, two] = boxes(svg, 2, 270), shown = range(-2.8, 2.8, 225);
        const plane = new Axes(svg, one, [-1.3, 1.3], [-1.3, 1.3], "x₁", "x₂", { equal: true }), places = shown.map(spiral);
        plane.line(places.map(f => f[0]), places.map(f => f[1]), "model");
        const tallest = Math.max(...posterior);  // where on the thread the posterior has its mass
        posterior.forEach((p, i) => { if (p > 0.02 * tallest) plane.dot(...thread.places[i], "posterior", 4, 0.5 * p / tallest); });
        plane.dot(...spiral(0), "truth", 4);
        plane.text(...spiral(0), "z = 0", "truth", "end", 14);
        plane.legend([["f(z)", "model"], ["where z may be", "posterior"], ["x", "data"]]);
        plane.handle(x1, x2, "data");
        const humps = new Axes(svg, two, [-2.6, 2.6], [0, Math.max(1, 1.2 * tallest)], "z", "posterior density");
        humps.area(thread.zs, posterior, "posterior");
        humps.line([0, 0], [0, 100], "quiet");
        return `${fixed(100 * left, 1)} % of the posterior lies at z < 0; log p(x) = ${fixed(log_p, 2)} nats`;
    },
    drag: (x1, x2) => ({ x1, x2 }),
};

plates.draws = {
    controls: [
        { key: "log_S", label: "draws, S", low: 0, high: 3, step: 0.1, start: 0.7, say: v => `${Math.round(10 ** v)}` },
        { key: "mu", label: "mean of q", low: -2, high: 2, step: 0.05, start: 0 },
        { key: "sd", label: "width of q", low: 0.2, high: 2, step: 0.05, start: 1.5 },
    ],
    value({ log_S, mu, sd }) {
        // E log X is the integral of (exp(-t) - E exp(-tX)) / t over t > 0, and of a mean of S weights the last factorises
        const A = [0.627 * Math.cos(0.6 * Math.PI), 0.627 * Math.sin(0.6 * Math.PI)];
        const zs = range(mu - 7 * sd, mu + 7 * sd, 1601);
        const bell = zs.map(z => Math.exp(logNormal(z, mu, sd))), whole = sum(bell), q = bell.map(v => v / whole), log_w = zs.map(z => spiralJoint(A, z) - logNormal(z, mu, sd));
        const top = Math.max(...log_w), w = log_w.map(v => Math.exp(v - top)), us = range(-30, 30 + top - Math.min(...log_w), 1200);
        const m = us.map(u => { const t = Math.exp(u); let total = 0; for (let i = 0; i < w.length; i++) total += q[i] * Math.exp(-t * w[i]); return total; });
        const bound = S => top + (us[1] - us[0]) * sum(us.map((u, i) => Math.exp(-S * Math.exp(u)) - m[i] ** S));
        const counts = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000];
        return { bound: bound(Math.round(10 ** log_S)), bounds: counts.map(bound), log_p: plates.humps.value({ x1: A[0], x2: A[1] }).log_p };
    },
    draw(svg, { log_S, mu, sd }, { bound, bounds, log_p }) {
        const [one, two] = boxes(svg, 2, 250), zs = range(-4, 4, 321);
        const joints = zs.map(z => Math.exp(spiralJoint([0.627 * Math.cos(0.6 * Math.PI), 0.627 * Math.sin(0.6 * Math.PI)], z) - log_p));
        const humps = new Axes(svg, one, [-4, 4], [0, 3.5], "z", "density");
        humps.area(zs, joints, "posterior");
        humps.line(zs, zs.map(z => Math.exp(logNormal(z, mu, sd))), "model");
        humps.legend([["posterior of A", "posterior"], ["q", "model"]], { right: true });
        const low = Math.max(Math.min(...bounds), log_p - 30), axes = new Axes(svg, two, [0, 3], [low - 1, log_p + 0.15 * (log_p - low) + 0.5], "draws S", "nats", { say: t => t % 1 ? "" : short(t) });
        axes.line([0, 3], [log_p, log_p], "truth");
        axes.line([1, 2, 5, 10, 20, 50, 100, 200, 500, 1000].map(Math.log10), bounds, "model");
        axes.text(2.9, log_p, "log p(A)", "truth", "end", -5);
        axes.text(2.9, bounds.at(-1), "bound", "model", "end", 18);
        axes.dot(Math.log10(Math.round(10 ** log_S)), bound, "model", 6);
        return `the bound with ${Math.round(10 ** log_S)} draws is ${fixed(bound, 3)}, which is ${fixed(log_p - bound, 3)} nats below log p(A)`;
    },
};

// ---- chapter 6: the plane of two numbers, and the gap of the encoder's guess

/* The logits of the 784 pixels, by the decoder that chapter 6 calls long["map"]; its last layer lies in two files. */
function decode(z) {
    const silu = list => list.map(u => u * sigmoid(u));
    const times = (from, kernel, n) => {  // from @ kernel, of n columns
        const to = new Float64Array(n);
        for (let i = 0; i < from.length; i++) for (let j = 0; j < n; j++) to[j] += from[i] * kernel[n * i + j];
        return [...to];
    };
    const { first, first_bias, second_bias, unit, bias } = PLATES.digit;
    const lively = silu(times(z, first.flat(), first_bias.length).map((u, j) => u + first_bias[j]));
    const hidden = silu(times([...lively, ...z], unpack("digit", "second", Float32Array), 200).map((u, j) => u + second_bias[j]));
    return ["digit", "digit_lower"].flatMap(half => times(hidden, unpack(half, "out"), 392)).map((u, d) => bias[d] + unit[d] * u);
}

plates.digit = {
    controls: [
        { key: "z1", label: "z₁", low: -3, high: 3, step: 0.02, start: 0.6 },
        { key: "z2", label: "z₂", low: -3, high: 3, step: 0.02, start: -0.8 },
    ],
    value: ({ z1, z2 }) => ({ picture: decode([z1, z2]).map(sigmoid), beyond: Math.exp(-0.5 * (z1 * z1 + z2 * z2)) }),
    draw(svg, { z1, z2 }, { picture, beyond }) {
        const [left, right] = pair(svg, 300, 0.6), { codes, labels } = PLATES.digit;
        const plane = new Axes(svg, left, [-3, 3], [-3, 3], "", "z, and codes of new digits", { bare: true });
        codes.forEach((code, i) => plane.text(...code, `${labels[i]}`, "quiet", "middle", 4));
        for (const share of [0.5, 0.95]) plane.ellipse([0, 0], [1, 0, 1], "data", Math.sqrt(-2 * Math.log(1 - share)));
        plane.handle(z1, z2, "model");
        new Axes(svg, right, [0, 1], [0, 1], "", "z decoded", { bare: true }).image(picture, 28, 0, 0, 1, 1);
        return `z = (${fixed(z1)}; ${fixed(z2)}); of the prior's draws ${fixed(100 * beyond, 1)} % lie farther out (the rings: 50 % and 5 %)`;
    },
    drag: (z1, z2) => ({ z1, z2 }),
};

/* log p(x, z) for 784 pixels, black or white. */
function pixelJoint(x, z) {
    const logits = decode(z), softplus = u => Math.max(u, 0) + Math.log1p(Math.exp(-Math.abs(u)));
    return -0.5 * (z[0] ** 2 + z[1] ** 2) - Math.log(2 * Math.PI) + sum(x.map((black, d) => black * logits[d] - softplus(logits[d])));
}

const nodes = {  // Gauss and Hermite: seven places with weights, for the mean of a function under N(0, 1)
    at: [-3.7504397177, -2.3667594107, -1.1544053947, 0, 1.1544053947, 2.3667594107, 3.7504397177],
    weight: [0.0005482688560, 0.0307571239676, 0.2401231786050, 0.4571428571429, 0.2401231786050, 0.0307571239676, 0.0005482688560],
};
const hills = {};  // the posterior of each digit that was looked at, on 25 x 25 places around it

plates.guess = {
    controls: [
        { key: "which", label: "which new digit", low: 0, high: 7, step: 1, start: 3 },
        { key: "right", label: "q to the right", low: -6, high: 6, step: 0.1, start: 0 },
        { key: "up", label: "q upwards", low: -6, high: 6, step: 0.1, start: 0 },
        { key: "wide", label: "width of q, times", low: -1.5, high: 1.5, step: 0.05, start: 0, say: w => fixed(2 ** w) },
    ],
    value({ which, right, up, wide }) {
        const { xs, means, scales, centres, reaches } = PLATES.guess, x = xs[which];
        const { log_p, heat } = hills[which] ??= hillOf(x, centres[which], reaches[which]);
        const at = [0, 1].map(l => means[which][l] + [right, up][l] * scales[which][l]), sd = scales[which].map(s => s * 2 ** wide);
        const fit = sum(nodes.at.flatMap((u, i) => nodes.at.map((v, j) =>
            nodes.weight[i] * nodes.weight[j] * pixelJoint(x, [at[0] + sd[0] * u, at[1] + sd[1] * v]))));
        const bound = fit + Math.log(sd[0] * sd[1]) + 1 + Math.log(2 * Math.PI);
        return { log_p, bound, gap: log_p - bound, at, sd, heat };
    },
    draw(svg, { which }, { log_p, bound, gap, at, sd, heat }) {
        const [left, side] = pair(svg, 300, 0.6), { xs, means, scales, centres, reaches } = PLATES.guess;
        const [xrange, yrange] = [0, 1].map(l => [-1, 1].map(way => way * Math.max(
            way * (means[which][l] + 6.5 * way * scales[which][l]), way * (centres[which][l] + way * reaches[which][l]))));
        const plane = new Axes(svg, left, xrange, yrange, "", "z; in the ellipse 95 % of q", { bare: true }), step = reaches[which].map(r => r / 12);
        heat.forEach((p, i) => { if (p > 0.01) plane.cell(
            centres[which][0] + step[0] * (Math.floor(i / 25) - 12), centres[which][1] + step[1] * (i % 25 - 12), ...step, "posterior", 0.9 * p); });
        plane.ellipse(means[which], [scales[which][0] ** 2, 0, scales[which][1] ** 2], "truth dashed", 2.4477);
        plane.ellipse(at, [sd[0] ** 2, 0, sd[1] ** 2], "model", 2.4477);
        plane.handle(...at, "model");
        const digit = new Axes(svg, side, [0, 1], [0, 1], "", "x", { bare: true });
        digit.image(xs[which], 28, 0, 0, 1, 1);
        digit.legend([["posterior", "posterior"], ["encoder's q", "truth"], ["your q", "model"]], { down: side.height + 18 });
        return `log p(x) ${fixed(log_p)}, bound ${fixed(bound)}: the gap, KL(q ‖ posterior), is ${fixed(gap)} nats`;
    },
    drag(z1, z2, { which }) {
        const { means, scales } = PLATES.guess;
        return { right: (z1 - means[which][0]) / scales[which][0], up: (z2 - means[which][1]) / scales[which][1] };
    },
    act: { label: "the encoder's guess", change: () => ({ right: 0, up: 0, wide: 0 }) },
};

function hillOf(x, centre, reach) {
    const steps = range(-1, 1, 25), joints = steps.flatMap(u => steps.map(v => pixelJoint(x, [centre[0] + u * reach[0], centre[1] + v * reach[1]])));
    const top = Math.max(...joints);
    return { log_p: logSumExp(joints) + Math.log(reach[0] * reach[1] / 144), heat: joints.map(j => Math.exp(j - top)) };
}

// ---- appendix B: the steps of the ladder

plates.rungs = {
    controls: [
        { key: "k", label: "steps, M", low: 1, high: 7, step: 1, start: 4, say: k => `${2 ** k}` },
        { key: "place", label: "from data (0) to noise (1)", low: 0, high: 1, step: 0.01, start: 0.7 },
        { key: "z", label: "where it starts, z", low: -2.5, high: 2.5, step: 0.05, start: 0.2 },
    ],
    value({ k, place, z }) {
        const M = 2 ** k, m = 1 + Math.round(place * (M - 1)), ys = range(-2.5, 2.5, 401);
        const { log_q, model, kl } = stepBack(m, M, z);
        return { m, kl, model, kls: range(1, M, M).map(each => stepBack(each, M, z).kl),
            density: ys.map(y => Math.exp(log_q(y))), imitation: ys.map(y => Math.exp(logNormal(y, model[0], Math.sqrt(model[1])))) };
    },
    draw(svg, { k, z }, { m, kl, kls, density, imitation }) {
        const [left, right] = boxes(svg, 2, 250), ys = range(-2.5, 2.5, 401), tallest = Math.max(...density, ...imitation);
        const axes = new Axes(svg, left, [-2.5, 2.5], [0, 1.4 * tallest], `z at level ${m - 1}`, "density");
        axes.area(ys, density, "posterior");
        axes.line(ys, imitation, "model");
        axes.line([z, z], [0, tallest], "truth dashed");
        axes.legend([["the way back", "posterior"], ["a Gaussian step", "model"], [`z at level ${m}`, "truth"]]);
        const M = kls.length, worst = Math.max(...kls), steps = new Axes(svg, right, [0, M + 1], [0, 1.15 * worst], "step (1 is next to the data)", "nats, KL");
        if (M > 32) steps.line(range(1, M, M), kls, "model");
        else kls.forEach((each, i) => steps.dot(i + 1, each, "model", 3));
        steps.dot(m, kl, "truth", 5);
        return `step ${m} of ${M}: the Gaussian is off by ${fixed(kl, 4)} nats, its KL; the worst step, ${1 + kls.indexOf(worst)}, by ${fixed(worst, 4)}`;
    },
};

/* Of step m of M, from z: the way back, a mixture of two Gaussians, log_q; the model's Gaussian; and their KL. */
function stepBack(m, M, z) {
    const logits = range(5, -6, M), now = logits[m - 1], s = sigmoid(now), s_before = m > 1 ? sigmoid(logits[m - 2]) : 1;
    const a = s / s_before, v = 0.35 ** 2, marginal = v * s + 1 - s, bumps = [-1, 1];
    const log_r = bumps.map(c => logNormal(z, c * Math.sqrt(s), Math.sqrt(marginal))), r = log_r.map(l => Math.exp(l - logSumExp(log_r)));
    const guess = sum(bumps.map((c, i) => r[i] * (c + v * Math.sqrt(s) / marginal * (z - Math.sqrt(s) * c))));
    const model = m === 1 ? [guess, Math.exp(-now)] : [
        (Math.sqrt(s_before) * (1 - a) * guess + Math.sqrt(a) * (1 - s_before) * z) / (1 - s), (1 - s_before) * (1 - a) / (1 - s)];
    const before = v * s_before + 1 - s_before, variance = 1 / (1 / before + a / (1 - a)), sd = Math.sqrt(variance);
    const means = bumps.map(c => variance * (c * Math.sqrt(s_before) / before + Math.sqrt(a) * z / (1 - a)));
    const log_q = y => logSumExp([0, 1].map(i => Math.log(r[i]) + logNormal(y, means[i], sd)));
    const ys = range(means[0] - 8 * sd, means[1] + 8 * sd, 301), log_qs = ys.map(log_q);
    const kl = (ys[1] - ys[0]) * sum(ys.map((y, i) => Math.exp(log_qs[i]) * (log_qs[i] - logNormal(y, model[0], Math.sqrt(model[1])))));
    return { log_q, model, kl };
}

})();
