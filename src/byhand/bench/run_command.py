"""A command that ends with the process that wants it: `python -m byhand.bench.run_command SECONDS COMMAND [WORD]...`.

SECONDS: after which the command is killed. The exit code is the command's.
"""

import subprocess
import sys

from byhand.bench import child_process

TIMEOUT_EXIT_CODE = 124  # as that of `timeout`


def main() -> int:
    """Run the command; return its exit code."""
    child_process.end_with_parent()
    seconds, *words = sys.argv[1:]
    try:
        return subprocess.run(words, stdin=subprocess.DEVNULL, check=False, timeout=float(seconds)).returncode
    except subprocess.TimeoutExpired:
        print(f"it took more than {seconds} seconds", file=sys.stderr)
        return TIMEOUT_EXIT_CODE


if __name__ == "__main__":
    sys.exit(main())
