#!/usr/bin/python3
"""Proves how many applications of a fogarm instance have to wait, step by step.

    go run ./test/placementgen --family fogarm --nodes 60 --memory 3.5 --steps 20 --seed 7 --out DIR
    python3 test/placementproof/least_waiting.py DIR > least.json

An integer program solved by HiGHS (scipy 1.9 or later, Debian python3-scipy):
which applications are served, and how many services of each size every node
takes. That leaves links out, so it is a lower bound; where the whole program,
with every service on a node and links as cuts, finds a placement of as few, it
is the optimum. Each line says the step, the least number, and whether it is the
optimum (proven), or a bound only. The results are kept in the test data and the
placer is held against them; nothing of the placer is used here.
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


class Whole:
    """The program with every service on a node; links come as cuts."""

    def __init__(self, apps, caps, nodes, path, spare):
        self.apps, self.caps, self.nodes, self.path, self.spare = apps, caps, nodes, path, spare
        self.services = [(a, s["name"], size(s)) for a, x in enumerate(apps) for s in x["services"]]
        self.at = {(a, name): k for k, (a, name, _) in enumerate(self.services)}
        self.flows = [(self.at[a, f["from"]], self.at[a, f["to"]], f["max_latency_ms"], f["bandwidth_mbps"])
                      for a, x in enumerate(apps) for f in x["s2s"] if (a, f["from"]) in self.at and (a, f["to"]) in self.at]
        self.cuts, self.done = [], set()

    def good(self, n, m, latency, mbit):
        p = self.path.get((self.nodes[n], self.nodes[m]))
        return n == m or p is not None and p[0] <= latency and p[1] >= mbit + self.spare

    def solve(self, waiting):
        n, s = len(self.caps), len(self.services)
        width = s * n + len(self.apps)
        once = [[(k * n + i, 1) for i in range(n)] + [(s * n + a, -1)] for k, (a, _, _) in enumerate(self.services)]
        fit = [[(k * n + i, v) for k, (_, _, v) in enumerate(self.services)] for i in range(n)]
        few = [[(s * n + a, 1) for a in range(len(self.apps))]]
        cons = [rows(once, 0, 0, width), rows(fit, -np.inf, self.caps, width), rows(few, len(self.apps) - waiting, np.inf, width)]
        if self.cuts:
            cons.append(rows(self.cuts, -np.inf, 1, width))
        r = milp(np.zeros(width), constraints=cons, bounds=Bounds(0, 1), integrality=np.ones(width), options={"time_limit": LIMIT})
        return r, n

    def feasible(self, waiting):
        """True or False when proven, None when the time was over."""
        for _ in range(30):
            r, n = self.solve(waiting)
            if r.x is None:
                return False if r.status == 2 else None
            place = {k: int(np.argmax(r.x[k * n:(k + 1) * n])) for k in range(len(self.services)) if r.x[k * n:(k + 1) * n].max() > 0.5}
            if not self.cut(place, n):
                return True
        return None

    def cut(self, place, n):
        """Adds what a placement violates; False when it violates nothing."""
        broken, load = False, {}
        for x, (a, b, latency, mbit) in enumerate(self.flows):
            if a not in place or place[a] == place[b]:
                continue
            pair = (place[a], place[b])
            load.setdefault(pair, []).append(x)
            if not self.good(*pair, latency, mbit):
                broken = True
                for i in range(n) if (x, -1) not in self.done else ():
                    bad = [j for j in range(n) if not self.good(i, j, latency, mbit)]
                    self.cuts.append([(a * n + i, 1)] + [(b * n + j, 1) for j in bad])
                self.done.add((x, -1))
        for (i, j), users in load.items():
            p = self.path.get((self.nodes[i], self.nodes[j]))
            if p is not None and sum(self.flows[x][3] for x in users) + self.spare > p[1] + 1e-9:
                broken = True
                ends = [(self.flows[x][0] * n + i, 1) for x in users] + [(self.flows[x][1] * n + j, 1) for x in users]
                cols = sorted(set(ends))
                self.cuts.append([(c, 1 / (len(cols) - 1)) for c, _ in cols])
        return broken


def size(service):
    return round(service["hardware"] * UNIT)


def main(folder):
    base = json.load(open(os.path.join(folder, "base.json")))
    apps = {a["app"]: a for a in base["apps_initial"]}
    only = {int(k) for k in sys.argv[2].split(",")} if len(sys.argv) > 2 else None
    for line in open(os.path.join(folder, "steps.jsonl")):
        step = json.loads(line)
        apps.update({a["app"]: a for a in step.get("commits") or []})
        if only and step["k"] not in only:
            continue
        failed = set(step["node_failed"])
        nodes = [i for i in range(len(base["nodes"])) if i not in failed]
        caps = [round(step["ram_gb"][i] * UNIT) - round(base["hwTh"] * UNIT) for i in nodes]
        everything = [size(s) for a in apps.values() for s in a["services"]]
        unit = math.gcd(*everything)
        caps = [max(0, c // unit) for c in caps]
        path = {(int(l[0]), int(l[1])): v for l, v in zip(base["links_i_j_lat_bw"], step["links"]) if v}
        least = bound([[size(s) // unit for s in a["services"]] for a in apps.values()], caps)
        w = Whole(list(apps.values()), [c * unit for c in caps], nodes, path, base["bwTh"])
        found = w.feasible(least) if least or os.environ.get("ALL") else None
        while found is False:
            least += 1
            found = w.feasible(least)
        print(json.dumps({"k": step["k"], "least": least, "optimum": found is True}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
