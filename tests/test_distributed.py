"""Which process this one is, as launchers say it; and how a process ends that waits in vain."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from nacre.distributed import Place, place
from nacre.errors import UsageError

SLURM = {
    "SLURM_JOB_ID": "77",
    "SLURM_STEP_ID": "0",
    "SLURM_STEP_NUM_TASKS": "8",
    "SLURM_PROCID": "5",
    "SLURM_STEP_NODELIST": "gpu[03-04,9],big",
}
OPEN_MPI = {"OMPI_COMM_WORLD_SIZE": "3", "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_LOCAL_SIZE": "3"}


def test_a_process_is_alone_where_nobody_says_otherwise() -> None:
    assert place({"PATH": "/bin"}) == Place("", 1, 0, "alone")


def test_slurm_names_the_first_machine_and_all_tasks_of_a_step_find_the_same_port() -> None:
    found = [place(SLURM | {"SLURM_PROCID": str(n)}) for n in range(8)]
    assert [one.index for one in found] == list(range(8))
    assert {one.processes for one in found} == {8}
    (coordinator,) = {one.coordinator for one in found}
    host, port = coordinator.split(":")
    assert host == "gpu03"
    assert 20_000 <= int(port) < 30_000
    assert place(SLURM | {"SLURM_STEP_ID": "1"}).coordinator != coordinator


def test_a_batch_script_of_slurm_is_no_step_and_so_alone() -> None:
    assert place({"SLURM_JOB_ID": "77", "SLURM_PROCID": "0", "SLURM_NTASKS": "8"}) == Place()


def test_mpirun_on_one_machine_needs_nothing_more() -> None:
    of_four = place(OPEN_MPI | {"PMIX_NAMESPACE": "prterun-host-12@1"})
    assert (of_four.processes, of_four.index, of_four.launcher) == (3, 1, "Open MPI")
    assert of_four.coordinator.startswith("127.0.0.1:")
    assert of_four.coordinator == place(OPEN_MPI | {"PMIX_NAMESPACE": "prterun-host-12@1"}).coordinator
    mpich = {"PMI_SIZE": "2", "PMI_RANK": "1", "MPI_LOCALNRANKS": "2"}
    assert place(mpich).launcher == "MPICH"
    assert place(mpich).coordinator == place(mpich | {"PMI_RANK": "0"}).coordinator


def test_mpirun_on_several_machines_is_told_where_process_0_listens() -> None:
    spread = OPEN_MPI | {"OMPI_COMM_WORLD_LOCAL_SIZE": "1"}
    with pytest.raises(UsageError, match="NACRE_COORDINATOR=HOST:PORT"):
        place(spread)
    assert place(spread | {"NACRE_COORDINATOR": "big:99"}) == Place("big:99", 3, 1, "Open MPI")


def test_mpirun_counts_where_slurm_started_it() -> None:
    assert place(SLURM | OPEN_MPI).launcher == "Open MPI"


def test_a_pod_of_an_indexed_job_knows_its_number() -> None:
    pod = {"JOB_COMPLETION_INDEX": "2", "NACRE_PROCESSES": "4", "NACRE_COORDINATOR": "train-0.train:9000"}
    assert place(pod) == Place("train-0.train:9000", 4, 2, "Kubernetes")
    assert place({"JOB_COMPLETION_INDEX": "2"}) == Place()  # a Job whose pods have nothing to do with each other


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"NACRE_PROCESSES": "4"}, "NACRE_PROCESSES is set, but not NACRE_PROCESS"),
        ({"NACRE_PROCESS": "0"}, "NACRE_PROCESS is set, but not NACRE_PROCESSES"),
        ({"NACRE_COORDINATOR": "a:1"}, "but not NACRE_PROCESSES and NACRE_PROCESS"),
        ({"NACRE_PROCESSES": "4", "NACRE_PROCESS": "1"}, "Nobody says where process 0"),
        ({"NACRE_PROCESSES": "4", "NACRE_PROCESS": "4", "NACRE_COORDINATOR": "a:1"}, "no process 4 among 4"),
        ({"NACRE_PROCESSES": "four", "NACRE_PROCESS": "1"}, "got 'four'"),
        ({"NACRE_PROCESSES": "4", "NACRE_PROCESS": "-1"}, "got '-1'"),
    ],
)
def test_half_of_it_is_refused(environ: dict[str, str], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        place(environ)


def test_one_process_of_a_launcher_is_alone_with_its_name() -> None:
    assert place({"NACRE_PROCESSES": "1", "NACRE_PROCESS": "0"}) == Place(launcher="variables")


def test_a_step_that_never_ends_is_ended_and_asks_for_another_try() -> None:
    script = "import time, nacre.distributed as d; w = d.Watchdog(0.3)\nwith w.step(): time.sleep(60)"
    begun = time.monotonic()
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=50)
    assert (ended.returncode, time.monotonic() - begun < 40) == (75, True)
    assert "a step takes too long" in ended.stderr


def test_a_step_that_is_new_or_of_the_usual_length_goes_on_and_so_does_what_is_between() -> None:
    script = """
import time, nacre.distributed as d
watchdog = d.Watchdog(0.5, 60)
with watchdog.step(new=True):
    time.sleep(1)
for seconds in (0.2, 0.2, 0.2, 1.0):  # the last takes less than ten times as long as the others
    with watchdog.step():
        time.sleep(seconds)
    time.sleep(0.6)
print("through")
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=50)
    assert (ended.returncode, ended.stdout) == (0, "through\n")
