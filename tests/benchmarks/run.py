"""Speed, beside every peer: `make bench` writes BENCHMARKS.md, `make bench-quick` prints a figure for each row.

Every row runs in a process of its own, on one core and on all, its ways in turn (A B A B), after a warm-up in which the
scores of all ways must agree. It is a benchmark and no test: nothing fails because a machine is slow.
"""

import argparse
import itertools
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
import warnings
from functools import cache
from importlib import metadata
from pathlib import Path

import report

HERE = Path(__file__).parent
ROOT = HERE.parent.parent
PEERS = "jax", "jaxlib", "numpy", "scikit-learn", "gmmx", "pomegranate", "torch", "numpyro"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="small sizes, one core; prints only")
    parser.add_argument("--rows", nargs="*", default=None, help="names of rows (default: all)")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--budget", type=float, default=120, help="seconds of a row after which no third repeat starts")
    parser.add_argument("--cores", type=int, nargs="*", default=sorted({1, os.cpu_count()}))
    parser.add_argument("--out", type=Path, default=ROOT / "BENCHMARKS.md")
    parser.add_argument("--results", type=Path, default=ROOT / ".venv-bench/results.json", help="figures so far")
    parser.add_argument("--child", nargs=3, metavar=("ROW", "CORES", "WAY"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        print(json.dumps(child(*options.child, options)))
        return
    if options.quick:
        quick(options)
        return
    from rows import ROWS

    names = options.rows or list(ROWS)
    results = json.loads(options.results.read_text()) if options.rows and options.results.exists() else {}
    for cores, name in itertools.product(options.cores, names):
        found = ask(name, cores, "all", options)
        if "failed" not in found:
            for way in found["ways"]:
                found["ways"][way] |= ask(name, cores, way, options)
        print(brief(cores, ROWS[name].title, ROWS[name].size, found), flush=True)
        results[f"{name} {cores}"] = found
        options.results.write_text(json.dumps(results))

    import quality
    import scaling

    for section, measure in {"quality": quality.write, "start": start_up}.items():
        if not options.rows or section not in results:
            results[section] = measure()
    options.results.write_text(json.dumps(results))
    if not options.rows:
        scaling.draw(HERE / "scaling.png")
    report.write(options.out, ROWS, results, machine())


def quick(options):
    """All rows in this process, which imports the peers and measures the peak once."""
    os.environ |= surroundings(1)
    warnings.simplefilter("ignore")
    use_cores(1)
    from rows import ROWS

    for name in options.rows or ROWS:
        print(brief(1, ROWS[name].title, ROWS[name].small, child(name, 1, "all", options)), flush=True)


def ask(name, cores, way, options):
    """A fresh process, whose libraries see `cores` cores. `way` "all": times; else the memory of that way."""
    env = os.environ | surroundings(cores)
    env.pop("JAX_COMPILATION_CACHE_DIR", None)  # what a first call costs is a figure too
    command = [sys.executable, __file__, "--child", name, str(cores), way, "--repeats", str(options.repeats)]
    command += ["--budget", str(options.budget)]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode:
        return {"failed": done.stderr.strip().splitlines()[-1] if done.stderr.strip() else f"exit {done.returncode}"}
    return json.loads(done.stdout.splitlines()[-1])


def surroundings(cores):
    threads = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), str(cores))
    return {"JAX_PLATFORMS": "cpu", "PYTHONWARNINGS": "ignore", "TQDM_DISABLE": "1"} | threads


def use_cores(count):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:count])  # before any library counts its cores


def child(name, cores, way, options):
    use_cores(int(cores))
    from rows import ROWS

    contest = (ROWS[name].quick if options.quick else ROWS[name].make)()
    if way != "all":
        return {"added_mb": added_mb(lambda: contest.ways[way](contest.steps[0]))}
    ways, lengths = {}, {}
    for each, run in contest.ways.items():
        first, last = contest.steps
        start = time.perf_counter()
        score = run(last)
        ways[each] = {"first_call": time.perf_counter() - start, "score": float(score), "times": []}
        lengths[each] = first, first + (last - first) * dict(contest.more).get(each, 1)
        for count in set(lengths[each]) - {last}:
            run(count)  # another number of steps may be another program
    began = time.perf_counter()
    for turn in range(1 if options.quick else options.repeats):
        if turn > 1 and time.perf_counter() - began > options.budget:  # two turns at least: one has no spread
            break
        for each in ways:
            ways[each]["times"].append(step_time(contest.ways[each], lengths[each]))
    return {"ways": ways, "peak": matmul_peak(), "flops": contest.flops, "atol": contest.atol}


def added_mb(run):
    """What a call adds to the memory that the process holds, at its highest, MB (Linux; elsewhere NaN)."""
    status = Path("/proc/self/status")
    if not status.exists():
        return float("nan")
    Path("/proc/self/clear_refs").write_text("5")  # the peak is now what the process holds now
    sizes = []
    for _ in range(2):
        sizes.append(int(re.search(r"VmHWM:\s+(\d+) kB", status.read_text()).group(1)) / 1024)
        run()
    return sizes[1] - sizes[0]


def step_time(run, steps):
    first, last = steps
    times = []
    for count in dict.fromkeys(steps):
        start = time.perf_counter()
        run(count)
        times.append(time.perf_counter() - start)
    return times[0] if first == last else (times[1] - times[0]) / (last - first)


@cache
def matmul_peak(size=2048):
    """The most float32 operations in a second that jax or numpy reaches, in a product of two squares."""
    import jax
    import numpy as np

    a = np.random.default_rng(0).standard_normal((size, size), np.float32)
    on_device, best = jax.device_put(a), np.inf
    product = jax.jit(lambda a: a @ a)
    for _ in range(8):
        for multiply in (lambda: product(on_device).block_until_ready(), lambda: a @ a):
            start = time.perf_counter()
            multiply()
            best = min(best, time.perf_counter() - start)
    return 2 * size**3 / best


def brief(cores, title, size, found):
    head = f"{title}, {size}, {cores} core{'s' * (cores > 1)}: "
    if "failed" in found:
        return head + f"FAILED: {found['failed']}"
    ways = found["ways"]
    times = {way: statistics.median(of["times"]) for way, of in ways.items()}
    text = ", ".join(f"{way} {1000 * t:.3g} ms ({t / times['vaejax']:.3g}x)" for way, t in times.items())
    share = f", {found['flops'] / times['vaejax'] / found['peak']:.0%} of peak" if found["flops"] else ""
    return (
        head
        + text
        + share
        + ("" if report.scores_agree(found) else f" SCORES DIFFER {[w['score'] for w in ways.values()]}")
    )


def start_up(repeats=7):
    """What `import vaejax` adds to the imports that every program of this kind has. A section of the report."""
    programs = {"jax, optax and flax.nnx": "import jax, optax; from flax import nnx", "vaejax": "import vaejax"}
    times = {name: [] for name in programs}
    for _ in range(repeats):
        for name, program in programs.items():
            start = time.perf_counter()
            subprocess.run([sys.executable, "-c", program], check=True, env=os.environ | {"JAX_PLATFORMS": "cpu"})
            times[name].append(time.perf_counter() - start)
    medians = {name: statistics.median(values) for name, values in times.items()}
    lines = [f"| {name} | {1000 * median:.0f} ms |\n" for name, median in medians.items()]
    return (
        "## Start-up\n\n| a new process that imports | median |\n|---|---|\n"
        + "".join(lines)
        + "\nTarget: 300 ms more.\n\n"
    )


def machine():
    lines = Path("/proc/cpuinfo").read_text().splitlines() if Path("/proc/cpuinfo").exists() else []
    cpu = next((line.split(":")[1].strip() for line in lines if "model name" in line), platform.machine())
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PEERS)
    return f"{cpu}, {os.cpu_count()} cores, {platform.system()}, Python {platform.python_version()}, {versions}"


if __name__ == "__main__":
    main()
