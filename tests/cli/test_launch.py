"""nacre launch: tiny scripts that end in every way a process can end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LAUNCH = [sys.executable, "-m", "nacre", "launch"]

# Each process notes its number; the last word says what the second does on its first and later lives.
SCRIPT = """
import os, sys, time, signal
from pathlib import Path
index = os.environ["NACRE_PROCESS"]
lives = Path(f"lives{index}")
with lives.open("a") as file:
    file.write(str(os.getpid()) + "\\n")
print("I am", index, "of", os.environ["NACRE_PROCESSES"], flush=True)
life = len(lives.read_text().split()) - 1
deed = sys.argv[1].split(",")[min(life, len(sys.argv[1].split(",")) - 1)]
if deed == "well":
    sys.exit(0)
if index == "1" and deed == "die":
    os.kill(os.getpid(), signal.SIGKILL)
if index == "1" and deed.isdecimal():
    os._exit(int(deed))
time.sleep(100)
"""


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    Path("child.py").write_text(SCRIPT)


def launch(*words: str, seconds: float = 60) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LAUNCH, *words], capture_output=True, text=True, check=False, timeout=seconds)


def pids() -> list[int]:
    return [int(word) for index in range(2) for word in Path(f"lives{index}").read_text().split()]


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def wait_until(what: str, seconds: float = 30.0) -> None:
    """Until both processes have noted that they live."""
    until = time.monotonic() + seconds
    while not all(Path(f"lives{n}").exists() and Path(f"lives{n}").read_text().endswith("\n") for n in range(2)):
        assert time.monotonic() < until, what
        time.sleep(0.05)


def test_what_processes_say_has_their_number_before_it() -> None:
    ended = launch("-n", "2", "--", "child.py", "well")
    assert ended.returncode == 0, ended.stderr
    assert sorted(ended.stdout.splitlines()) == ["[0] I am 0 of 2", "[1] I am 1 of 2"]
    assert ended.stderr == ""


def test_who_is_killed_is_named_and_the_others_are_stopped() -> None:
    ended = launch("-n", "2", "--", "child.py", "die", seconds=30)
    assert "process 1 of 2 ended by signal 9 (SIGKILL); all are stopped" in ended.stderr
    assert ended.returncode == 1
    assert all(map(gone, pids()))


def test_a_fault_is_not_started_again_and_keeps_its_exit_code() -> None:
    ended = launch("-n", "2", "--restarts", "3", "--", "child.py", "7")
    assert ended.returncode == 7
    assert "process 1 of 2 ended with exit code 7" in ended.stderr
    assert "fault" in ended.stderr
    assert len(pids()) == 2


def test_who_is_killed_or_asks_for_it_is_started_again_and_in_the_end_all_is_well() -> None:
    ended = launch("-n", "2", "--restarts", "2", "--json", "--", "child.py", "die,75,well")
    told = [json.loads(line) for line in ended.stdout.splitlines()]
    events = [(one["event"], one.get("code", one.get("left"))) for one in told if one["event"] != "output"]
    assert events == [("lost", -9), ("restart", 1), ("lost", 75), ("restart", 0)]
    assert [one["text"] for one in told if one.get("process") == 0 and one["event"] == "output"] == ["I am 0 of 2"] * 3
    assert ended.returncode == 0


def test_it_is_started_again_no_more_often_than_asked() -> None:
    ended = launch("-n", "2", "--restarts", "1", "--", "child.py", "75")
    assert ended.returncode == 75
    assert "process 1 of 2 ended with exit code 75, while process 0 hung or went on; all are stopped" in ended.stderr
    assert "lost 2 times: not started again" in ended.stderr
    assert len(pids()) == 4


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_all(sign: signal.Signals) -> None:
    with subprocess.Popen([*LAUNCH, "-n", "2", "--", "child.py", "wait"], stderr=subprocess.PIPE, text=True) as running:
        wait_until("both live")
        running.send_signal(sign)
        _, said = running.communicate(timeout=30)
    assert running.returncode == 130
    assert said.splitlines()[-1] == "Stopped."
    assert all(map(gone, pids()))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux ends children with their parent")
def test_a_launcher_that_is_killed_leaves_nobody_behind() -> None:
    with subprocess.Popen([*LAUNCH, "-n", "2", "--", "child.py", "wait"], stdout=subprocess.DEVNULL) as running:
        wait_until("both live")
        running.kill()
    until = time.monotonic() + 10
    while not all(map(gone, pids())):
        assert time.monotonic() < until
        time.sleep(0.05)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--", "tune", "digits"], "'tune' cannot be several processes"),
        (["--nodes", "2", "--", "train", "digits"], "Several machines need --coordinator"),
        (["--nodes", "2", "--node", "2", "--", "train", "digits"], "no machine 2 among 2"),
        (["--restarts", "1", "--", "train", "digits"], "needs a folder"),
    ],
)
def test_what_cannot_be_is_refused(words: list[str], message: str) -> None:
    ended = launch(*words)
    assert (ended.returncode, message in ended.stderr) == (2, True)
