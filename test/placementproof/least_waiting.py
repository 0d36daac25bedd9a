#!/usr/bin/python3
"""Proves how many applications of a fogarm instance have to wait, step by step.

    go run ./test/placementgen --family fogarm --nodes 60 --memory 3.5 --steps 20 --seed 7 --out DIR
    python3 test/placementproof/least_waiting.py DIR > least.json

An integer program solved by HiGHS (scipy 1.9 or later, Debian python3-scipy):
which applications are served, and how many services of each size every node
takes. Links are left out, so that no placement can leave fewer waiting than it
says, and one that leaves as few is optimal; the whole program, with every
service on a node and links as constraints, is not solved in minutes. The results
are kept in test/placementbench/testdata and the placer is held against them;
nothing of the placer is used here.
"""
import json
import math
import os
import sys

import numpy as np
from scipy.optimize import Bounds, LinearConstraint, milp
from scipy.sparse import csr_matrix

UNIT = 1_000_000
LIMIT = float(os.environ.get("SECONDS_PER_STEP", "60"))


def rows(entries, lo, hi, width):
    """A constraint from a list of rows, each a list of (column, factor)."""
    r = [k for k, row in enumerate(entries) for _ in row]
    c = [x for row in entries for x, _ in row]
    v = [f for row in entries for _, f in row]
    return LinearConstraint(csr_matrix((v, (r, c)), shape=(len(entries), width)), lo, hi)


def bound(sizes, caps):
    """The least number of waiting applications when links are left out."""
    kinds = sorted({v for a in sizes for v in a})
    n, width = len(caps), len(kinds) * len(caps) + len(sizes)
    fit = [[(i * n + k, v) for i, v in enumerate(kinds)] for k in range(n)]
    use = [[(i * n + k, 1) for k in range(n)] + [(len(kinds) * n + a, -x.count(v)) for a, x in enumerate(sizes) if v in x] for i, v in enumerate(kinds)]
    cost = np.zeros(width)
    cost[len(kinds) * n:] = -1
    top = np.r_[np.full(len(kinds) * n, max(caps) // kinds[0] + 1), np.ones(len(sizes))]
    r = milp(cost, constraints=[rows(fit, -np.inf, caps, width), rows(use, 0, np.inf, width)], bounds=Bounds(0, top), integrality=np.ones(width), options={"time_limit": LIMIT})
    return len(sizes) + math.ceil(r.mip_dual_bound - 1e-6)


def size(service):
    return round(service["hardware"] * UNIT)


def main(folder):
    base = json.load(open(os.path.join(folder, "base.json")))
    apps = {a["app"]: a for a in base["apps_initial"]}
    least = []
    for line in open(os.path.join(folder, "steps.jsonl")):
        step = json.loads(line)
        apps.update({a["app"]: a for a in step.get("commits") or []})
        failed = set(step["node_failed"])
        nodes = [i for i in range(len(base["nodes"])) if i not in failed]
        caps = [round(step["ram_gb"][i] * UNIT) - round(base["hwTh"] * UNIT) for i in nodes]
        everything = [size(s) for a in apps.values() for s in a["services"]]
        unit = math.gcd(*everything)
        caps = [max(0, c // unit) for c in caps]
        least.append(bound([[size(s) // unit for s in a["services"]] for a in apps.values()], caps))
    print(json.dumps(least))


if __name__ == "__main__":
    main(sys.argv[1])
