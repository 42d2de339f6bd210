"""BENCHMARKS.md from what was measured, and the picture of how time grows."""

import statistics
from pathlib import Path

HEAD = """# Speed, beside the peers

Written by one run of `make bench` (a row that `run.py --rows` measured again later is the later figure). {machine}.

## In short

{summary}

## How to read it

A row is one problem, solved by all from the same start, to the same score (nats per example; "scores
agree" says so). *Step* is the median time of one step over the runs counted, with the spread, the ways taking turns;
*ratio* is that time over ours. *Peak* is the share that the step's necessary matrix products take of the fastest
matrix product measured on the same cores in the same process. *First* is a first whole fit with everything that is
compiled for it. *Memory* is what one fit adds, at its highest, to a process that holds the data, its compiler included.
Targets stand where they were set before the measurement, reached or not; they hold for one core. No accelerator was
measured.

"""


def scores_agree(found):
    scores = [way["score"] for way in found["ways"].values()]
    return max(scores) - min(scores) <= found["atol"]


def digits(number):
    """Three significant digits, or all before the point."""
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"


def verdicts(row, found):
    """Each target that was set for one core, what was reached, and what share of the peak a missed one would take."""
    ours = found["ways"]["vaejax"]
    middle = statistics.median(ours["times"])
    share = found["flops"] / middle / found["peak"]
    texts = []
    for way, asked in row.asked.items():
        reached = statistics.median(found["ways"][way]["times"]) / middle
        would = f"; {asked}x would be {share * asked / reached:.0%} of the peak" if reached < asked and share else ""
        texts.append(f"{way} {asked}x: {verdict(reached >= asked)} ({digits(reached)}x{would})")
    if row.share:
        texts.append(f"{row.share:.0%} of the peak: {verdict(share >= row.share)} ({share:.0%})")
    if row.memory_mb < float("inf"):
        added = ours["added_mb"]
        texts.append(f"at most {row.memory_mb:.0f} MB more: {verdict(added <= row.memory_mb)} ({added:.0f} MB)")
    return f"Targets: {'. '.join(texts)}."


def verdict(reached):
    return "reached" if reached else "missed"


def summary(rows, results):
    """A line for each problem: our step and that of the fastest peer, for each number of cores."""
    counts = sorted({int(key.split()[1]) for key in of_rows(rows, results)})
    heads = [f"{who}, {count} core{'s' * (count > 1)}" for count in counts for who in ("ours", "best peer")]
    lines = [f"| step of | {' | '.join(heads)} |", "|---|" + "---|" * len(heads)]
    slower = more = longer = total = 0
    for name in dict.fromkeys(key.split()[0] for key in of_rows(rows, results)):
        cells = [f"{rows[name].title}, {rows[name].size}"]
        for count in counts:
            found = results.get(f"{name} {count}", {"failed": "not measured"})
            if "failed" in found:
                cells += ["failed", ""]
                continue
            ours, peers = found["ways"]["vaejax"], {w: of for w, of in found["ways"].items() if "vaejax" not in w}
            best = min(peers, key=lambda way: statistics.median(peers[way]["times"]))
            middle, theirs = statistics.median(ours["times"]), statistics.median(peers[best]["times"])
            text = f"{digits(1000 * theirs)} ms, {best}: {float(f'{theirs / middle:.2g}'):g}x"
            cells += [f"{digits(1000 * middle)} ms", text if theirs >= middle else f"**{text}**"]
            slower, total = slower + (theirs < middle), total + 1
            more += ours["added_mb"] > min(of["added_mb"] for of in peers.values())
            longer += ours["first_call"] > min(of["first_call"] for of in peers.values())
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + (
        f"\n\nThe best peer is the fastest, and before the x stands how many times as long it takes. In bold, where it "
        f"is faster: {slower} of {total}. In {more} of {total} a peer needs less memory, in {longer} its first fit is "
        "done sooner."
    )


def of_rows(rows, results):
    """The keys of the results that are rows, "name cores", in their order."""
    keys = [key for key in results if key not in ("quality", "start")]
    return sorted(keys, key=lambda key: (list(rows).index(key.split()[0]), key))


def write(path, rows, results, machine):
    lines = [HEAD.format(machine=machine, summary=summary(rows, results))]
    for key in of_rows(rows, results):
        (name, cores), found = key.split(), results[key]
        row, cores = rows[name], int(cores)
        lines.append(f"## {row.title}, {row.size}, {cores} core{'s' * (cores > 1)}\n\n")
        if "failed" in found:
            lines.append(f"Failed: {found['failed']}\n\n")
            continue
        ours = statistics.median(found["ways"]["vaejax"]["times"])
        lines.append("| way | step | runs | ratio | peak | first | memory |\n|---|---|---|---|---|---|---|\n")
        for way, of in found["ways"].items():
            times = [1000 * t for t in of["times"]]
            middle = statistics.median(times)
            share = f"{found['flops'] / middle * 1000 / found['peak']:.0%}" if found["flops"] else ""
            cells = (
                way,
                f"{digits(middle)} ms" + (f" ({digits(min(times))} to {digits(max(times))})" if len(times) > 1 else ""),
                f"{len(times)}",
                digits(middle / 1000 / ours),
                share,
                f"{of['first_call']:.2g} s",
                f"{of.get('added_mb', float('nan')):.0f} MB",
            )
            lines.append(f"| {' | '.join(cells)} |\n")
        scores = [of["score"] for of in found["ways"].values()]
        spread = max(scores) - min(scores)
        agreement = "agree" if scores_agree(found) else "DIFFER"
        lines.append(f"\nScores {agreement}: within {spread:.2g} nats (asked: {found['atol']:g}).")
        lines.append(f" {verdicts(row, found)} {row.remark}".rstrip() + "\n\n" if cores == 1 else "\n\n")
    lines += [results["quality"], results["start"], (Path(__file__).parent / "reproduction.md").read_text()]
    lines.append(
        "## How time grows\n\n![Time of each kernel against N, D, K and L, with dotted lines of the slope that "
    )
    lines.append("theory promises](tests/benchmarks/scaling.png)\n")
    path.write_text("".join(lines))
