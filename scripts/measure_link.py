"""Measure what a slower link costs a training: two ranks in network namespaces of their own, as if on two machines.

    sudo python scripts/measure_link.py [--seconds 2] [--json]

For links of 1 and 10 Gbit/s, of 0, 0.1 and 1 ms one way: the all-reduce by size, a step of the network that `byhand bench
scaling` measures, a step of ResNet-18 with and without overlap, and beside all of them what the model in `byhand.bench.scaling`
says of such a link. The link is `tc netem` on a veth pair. Where the kernel has no netem (this is printed), `tc tbf` limits the
rate, and for a delay a relay between two TAP devices holds each packet for as long as netem would. The relay takes processor
time of its own, the more the faster the link: read its figures beside the rate that it reached.

Needs Linux, root, `ip` and `tc` (iproute2), and MPICH's mpiexec, whose launcher enters the namespaces.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from byhand.bench.scaling import MEASURED_MODEL, Link, all_reduce, fit, launcher, predict, run
from byhand.kernels.runtime.cpu import cores

LINKS = [(rate, delay) for rate in (1e9, 1e10) for delay in (0.0, 1e-4, 1e-3)]  # bits a second; seconds one way
LARGE = ("resnet18", 8)  # 224 x 224: what has something to overlap
SIZES = [4, 1 << 10, 1 << 14, 1 << 16, 1 << 18, 1 << 20, 1 << 22, 1 << 24]
SPACES = ("byhand0", "byhand1")  # network namespaces
DEVICE = "wire0"
HOSTS = ("10.77.0.1", "10.77.0.2")
# Environment variables that make MPI use TCP; otherwise it detects that both ranks are on one machine.
TCP = {"UCX_TLS": "tcp,self", "MPIR_CVAR_NOLOCAL": "1", "FI_PROVIDER": "tcp"}
TUNSETIFF = 0x400454CA  # the ioctl that makes an Ethernet device
TAP_WITHOUT_HEADER = 0x0002 | 0x1000  # IFF_TAP | IFF_NO_PI


def main() -> None:
    """Measure every link and print what was found."""
    parser = argparse.ArgumentParser(description="Measure what a slower link costs a training.")
    parser.add_argument("--seconds", type=float, default=2.0, help="of each measurement")
    parser.add_argument("--json", action="store_true", help="print one JSON object, and nothing else")
    given = parser.parse_args()
    if os.geteuid() or not all(map(shutil.which, ("ip", "tc"))):
        sys.exit("measure_link: needs root, and ip and tc of iproute2")
    model, batch = MEASURED_MODEL
    threads, job = max(1, cores() // 2), {"seconds": given.seconds}
    training = job | {"model": model, "batch": batch}
    large = job | {"model": LARGE[0], "batch": LARGE[1]}
    # Two processes at once, because ranks share caches and memory bandwidth; each computes its shard alone.
    start_two = [launcher(), "-n", "2"]
    shard = run(start_two, training | {"of": 2, "add": True}, threads)
    large_shard = run(start_two, large | {"of": 2}, threads)
    rows = []
    for rate, delay in LINKS:
        with link(rate, delay) as (launch, how):
            all_reduces = run(launch, job | {"sizes": [*SIZES, shard["bytes"]]}, threads)["all_reduce"]
            step = run(launch, training, threads)["step"]
            late, early = (run(launch, large | {"overlap": how}, threads)["step"] for how in (False, True))
        *sweep, (size, measured) = all_reduces
        latency, byte = fit(sweep)
        line = Link("", delay, 8 / rate)
        predicted = min(all_reduce(size, 2, line, shard["add"]).values())
        row = {
            "rate": rate,
            "delay": delay,
            "how": how,
            "sweep": sweep,
            "latency": latency,
            "byte": byte,
            "bytes": size,
            "all_reduce": measured,
            "all_reduce_predicted": predicted,
            "step": step,
            "step_predicted": shard["step"] + predicted,
            "computation": shard["step"],
            "large": {"computation": large_shard["step"], "bytes": large_shard["bytes"], "late": late, "early": early}
            | dict(
                zip(
                    ("late_predicted", "early_predicted"),
                    steps(large_shard["step"], large_shard["bytes"], line, shard["add"]),
                )
            ),
        }
        rows.append(row)
        if not given.json:
            print_row(row)
    if given.json:
        print(json.dumps({"model": model, "batch": batch, "large": LARGE, "threads": threads, "links": rows}))


def steps(computation: float, size: float, line: Link, add: float) -> tuple[float, float]:
    """Return the predicted seconds of a step: without overlap, and with it."""
    row = predict(computation, 1, size, 2, line, add)
    return row["step"], row["overlapped"]["step"]


def print_row(row: dict) -> None:
    """Print a link's row."""
    print(f"\n{row['rate'] / 1e9:g} Gbit/s, {row['delay'] * 1e3:g} ms one way ({row['how']})")
    print(f"  fitted: {row['latency'] * 1e3:.3f} ms and {8e-9 / row['byte']:.2f} Gbit/s")
    for size, seconds in row["sweep"]:
        print(f"  {size:12,} bytes {seconds * 1e3:10.3f} ms")
    name = f"the gradient, {row['bytes'] / 1e6:.2f} MB"
    print(f"  {name:30}{row['all_reduce'] * 1e3:10.3f} ms, predicted {row['all_reduce_predicted'] * 1e3:.3f}")
    prediction = f"predicted {row['step_predicted'] * 1e3:.3f}: computation {row['computation'] * 1e3:.3f}"
    print(f"  {'a step':30}{row['step'] * 1e3:10.3f} ms, {prediction}")
    large = row["large"]
    print(
        f"  {LARGE[0]}, a gradient of {large['bytes'] / 1e6:.1f} MB, a step: computation {large['computation'] * 1e3:.1f} ms"
    )
    for name, what in (("late", "sent at the end"), ("early", "sent during backward")):
        print(f"  {what:30}{large[name] * 1e3:10.1f} ms, predicted {large[f'{name}_predicted'] * 1e3:.1f}")


@contextmanager
def link(rate: float, delay: float) -> Iterator[tuple[list[str], str]]:
    """Make two namespaces with a link between them; yield how to start a rank in each, and how the link is made."""
    with tempfile.TemporaryDirectory() as folder:
        forget()
        relaying = None
        try:
            for space in SPACES:
                ip("netns", "add", space)
                ip("-n", space, "link", "set", "lo", "up")
            ip("link", "add", DEVICE, "netns", SPACES[0], "type", "veth", "peer", "name", DEVICE, "netns", SPACES[1])
            how, wrong = shape(rate, delay)
            if wrong:
                how = f"a relay, as netem is missing: {wrong}"
                ip("-n", SPACES[0], "link", "del", DEVICE)
                relaying = relay(rate, delay)
            for space, host in zip(SPACES, HOSTS):
                ip("-n", space, "addr", "add", f"{host}/24", "dev", DEVICE)
                ip("-n", space, "link", "set", DEVICE, "up")
            wait()
            enter = Path(folder, "enter")
            enter.write_text(
                "#!/bin/sh\n"  # hydra calls it like ssh: [options] host command
                'while [ "${1#-}" != "$1" ]; do shift; done\n'
                f'[ "$1" = {HOSTS[0]} ] && space={SPACES[0]} || space={SPACES[1]}\n'
                'shift\nexec ip netns exec $space sh -c "$*"\n'
            )
            enter.chmod(0o755)
            launch = ["ip", "netns", "exec", SPACES[0], "env", *(f"{name}={value}" for name, value in TCP.items())]
            launch += [launcher(), "-launcher", "ssh", "-launcher-exec", str(enter), "-hosts", ",".join(HOSTS)]
            yield [*launch, "-ppn", "1", "-n", "2"], how
        finally:
            if relaying is not None:
                os.kill(relaying, 9)
                os.waitpid(relaying, 0)
            forget()


def ip(*words: str) -> None:
    """Run `ip`."""
    subprocess.run(["ip", *words], check=True)


def wait() -> None:
    """Wait until both ends are up, which takes the kernel up to a second."""
    for space in SPACES:
        for _ in range(100):
            command = ["ip", "-n", space, "link", "show", DEVICE]
            if "state DOWN" not in subprocess.run(command, check=True, capture_output=True, text=True).stdout:
                break
            time.sleep(0.05)


def forget() -> None:
    """Take the namespaces away, those of a run that was killed too."""
    for space in SPACES:
        subprocess.run(["ip", "netns", "del", space], check=False, stderr=subprocess.DEVNULL)


def shape(rate: float, delay: float) -> tuple[str, str]:
    """Slow both ends down, by netem, or where there is no delay by tbf; return by which, and what tc said where it can't."""
    netem = f"netem rate {rate:.0f}bit delay {delay * 1e6:.0f}us limit 100000"
    tbf = f"tbf rate {rate:.0f}bit burst {max(80000, rate / 8e4):.0f} latency 50ms"
    said = ""
    for words in (netem,) if delay else (netem, tbf):
        for space in SPACES:
            command = ["tc", "-n", space, *f"qdisc replace dev {DEVICE} root {words}".split()]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                said = said or " ".join((done.stdout + done.stderr).split())
                break
        else:
            return words.split()[0], ""
    return "", said


def relay(rate: float, delay: float) -> int:
    """Start a process that carries packets between two TAP devices, one in each namespace; return its number."""
    files = []
    for i, space in enumerate(SPACES):
        file, name = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK), f"byhandtap{i}"
        fcntl.ioctl(file, TUNSETIFF, struct.pack("16sH22x", name.encode(), TAP_WITHOUT_HEADER))
        ip("link", "set", name, "netns", space)
        ip("-n", space, "link", "set", name, "name", DEVICE, "mtu", str(9000 if rate < 5e9 else 65000))
        files.append(file)
    child = os.fork()
    if child == 0:
        try:
            carry(files, rate, delay)
        finally:
            os._exit(1)
    for file in files:
        os.close(file)
    return child


def carry(files: list[int], rate: float, delay: float) -> None:
    """Hand each packet on when the link has sent it, one after the other, and it has traveled."""
    with suppress(OSError):
        os.nice(-10)
    ways = [(source, target, deque[tuple[float, bytes]]()) for source, target in (files, files[::-1])]
    free = [0.0, 0.0]  # when each way's link is free
    while True:
        dues = [waiting[0][0] for _, _, waiting in ways if waiting]
        left = None if not dues else max(0.0, min(dues) - time.monotonic())
        ready, _, _ = select.select(files, [], [], left)
        for i, (source, target, waiting) in enumerate(ways):
            if source in ready:
                with suppress(BlockingIOError):
                    for _ in range(16):
                        packet = os.read(source, 1 << 16)
                        free[i] = max(free[i], time.monotonic()) + len(packet) * 8 / rate
                        waiting.append((free[i] + delay, packet))
            while waiting and waiting[0][0] <= time.monotonic():
                with suppress(OSError):  # a device that is not up yet
                    os.write(target, waiting.popleft()[1])


if __name__ == "__main__":
    main()
