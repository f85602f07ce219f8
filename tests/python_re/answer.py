"""What Python's `re` says to patterns that come as JSON lines: an error, or matches and substitutions."""

import json
import re
import signal
import sys
import warnings

warnings.simplefilter("ignore")


class Slow(Exception):
    pass


def give_up(*_):
    raise Slow


signal.signal(signal.SIGALRM, give_up)


def answer(case):
    try:
        pattern = re.compile(case["pattern"])
    except RecursionError:
        raise
    except (re.error, OverflowError, ValueError) as e:
        return {"error": str(e)}
    found = []
    for text in case["texts"]:
        groups = range(pattern.groups + 1)
        spans = [[m.span(i) for i in groups] for m in pattern.finditer(text)]
        try:
            replaced = pattern.sub(case["replacement"], text, count=case["count"])
        except (re.error, IndexError) as e:
            replaced = {"error": str(e)}
        found.append([spans, replaced])
    return {"found": found}


print(json.dumps(sys.version_info[:2]))
for line in sys.stdin:
    signal.setitimer(signal.ITIMER_REAL, 0.25)
    try:
        said = answer(json.loads(line))
    except Slow:
        said = {"slow": True}
    except SystemError:  # "The span of capturing group is wrong, please report a bug"
        said = {"broken": True}
    signal.setitimer(signal.ITIMER_REAL, 0)
    print(json.dumps(said))
