"""Sums up the test reports of .ci/run: summary.py forbid_shared_skips|allow_shared_skips FOLDER [FAILED_STAGE…].

Prints failures, skips with their reason, and as the last line `N passed, N failed`. A stage that failed without a failing
test (a build, the format) counts as one failure. With forbid_shared_skips a test that was skipped because it did not find
the shared data counts as failed.
"""

import pathlib
import sys
import xml.etree.ElementTree as xml

NEEDS_SHARED = "needs shared data"  # the words of QLOOM_NEEDS_SHARED in tests/support/paths.h


def reason(case):
    lines = [line.strip() for line in (case.findtext("system-out") or "").splitlines()]
    for i, line in enumerate(lines):  # "file:line: Skipped", then the reason
        if line.endswith(": Skipped") and i + 1 < len(lines):
            return lines[i + 1]
    return case.find("skipped").get("message", "no reason given")


def main(policy, folder, *failed_stages):
    passed = failed = 0
    for report in sorted(pathlib.Path(folder).glob("*.xml")):
        skipped = {}
        for case in xml.parse(report).getroot().iter("testcase"):
            if case.find("skipped") is not None:
                why = reason(case)
                skipped.setdefault(why, []).append(case.get("name"))
                if NEEDS_SHARED in why and policy == "forbid_shared_skips":
                    failed += 1
                    print(f"failed ({report.stem}): {case.get('name')}: skipped, although the shared data is there")
            elif case.get("status") == "run":
                passed += 1
            else:
                failed += 1
                print(f"failed ({report.stem}): {case.get('name')}")
        for why, names in skipped.items():
            print(f"skipped ({report.stem}): {len(names)} tests, e.g. {names[0]}: {why}")
    for stage in failed_stages:
        print(f"failed stage: {stage}")
    if failed_stages and not failed:
        failed = len(failed_stages)
    if not passed:
        print("no test ran")
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
