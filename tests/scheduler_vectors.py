#!/usr/bin/env python3
"""Replays each case of shared/vectors/scheduler with the real binary: every decision must be kube-scheduler's, to the score.

    tests/scheduler_vectors.py ARCHWAY
"""
import json, os, pathlib, subprocess, sys


def main():
    archway = os.path.abspath(sys.argv[1])
    cases = sorted((pathlib.Path(__file__).resolve().parent.parent.parent / "shared" / "vectors" / "scheduler").glob("*.json"))
    if not cases:
        print("skipped: the vectors are not beside the checkout")
        return 0
    passed = failed = 0
    for case in cases:
        wanted = json.loads(case.read_text())["steps"]
        done = subprocess.run([archway, "simulate", "--replay", str(case), "--json"], capture_output=True, text=True, timeout=120)
        try:
            got = json.loads(done.stdout)["steps"]
        except (ValueError, KeyError):
            got = []
            print(f"FAILED {case.name}: exit status {done.returncode}: {done.stderr.strip()}")
        for number, step in enumerate(wanted):
            same = number < len(got) and got[number] == step
            passed += same
            failed += not same
            if not same and number < len(got):
                print(f"FAILED {case.name} step {number}: expected {json.dumps(step)[:400]}\n  got {json.dumps(got[number])[:400]}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
