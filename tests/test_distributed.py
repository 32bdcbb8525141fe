"""Which process this one is, as launchers say it; and how a process ends that waits in vain."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
import time

import pytest

from nacre.distributed import Place, free_port, place
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


def test_srun_names_the_machine_where_it_speaks_as_mpich_does() -> None:
    of_srun = SLURM | {"PMI_SIZE": "8", "PMI_RANK": "5", "PMI_JOBID": "77.0"}  # srun --mpi=pmi2
    assert place(of_srun).coordinator == place(SLURM).coordinator
    of_mpirun = of_srun | {
        "SLURM_STEP_NUM_TASKS": "2",
        "SLURM_PROCID": "1",
    }  # one task for each machine: what mpirun started there
    with pytest.raises(UsageError, match="NACRE_COORDINATOR=HOST:PORT"):
        place(of_mpirun)


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
        ({"NACRE_PROCESSES": "4", "NACRE_PROCESS": "1", "NACRE_COORDINATOR": "big"}, "HOST:PORT, got 'big'"),
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


def test_who_waits_for_others_says_where_and_gives_up_at_last() -> None:
    script = """
import time, nacre.distributed as d
d.join(d.Place("big:4321", 2, 1))
with d.waiting_for_others(0.1, 1.0):
    time.sleep(60)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=50)
    assert ended.returncode == 75
    assert "process 1 of 2 waits for the others, 1 s at most; process 0 listens at big:4321\n" in ended.stderr
    assert "error: process 1 of 2 stops: not all were there after 1 s" in ended.stderr


def test_nothing_is_said_where_all_are_there_in_time() -> None:
    script = """
import time, nacre.distributed as d
d.join(d.Place("big:4321", 2, 1))
with d.waiting_for_others(0.5, 1.0):
    pass
time.sleep(1.5)
"""
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=50)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.parametrize(("coordinator", "hints"), [("big:4321", True), ("127.0.0.1:4321", False)])
def test_a_machine_whose_name_is_its_loopback_address_is_pointed_out(coordinator: str, hints: bool) -> None:
    failed = "Gloo context initialization failed: SO_ERROR: Connection refused, remote=[127.0.1.1]:44425$1"
    script = f"import nacre.distributed as d\nd.join(d.Place({coordinator!r}, 2, 1))\nd.give_up({failed!r})"
    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=50)
    assert ended.returncode == 75
    assert ("gave 127.0.1.1 as its address" in ended.stderr, "/etc/hosts" in ended.stderr) == (hints, hints)


def test_ctrl_c_ends_the_waiting_for_others() -> None:
    pytest.importorskip("jax")
    script = """
import _thread, threading, nacre
threading.Timer(5.0, _thread.interrupt_main).start()
nacre.Sequential([nacre.Input((2,)), nacre.layers.Dense(1)]).compile("sgd", "mse", device="xla")
"""
    own = {"NACRE_PROCESSES": "2", "NACRE_PROCESS": "1", "NACRE_COORDINATOR": f"127.0.0.1:{free_port()}"}
    ended = subprocess.run(
        [sys.executable, "-c", script], env=os.environ | own, capture_output=True, text=True, check=False, timeout=50
    )
    assert ended.returncode == 130


def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        script = f"""
import nacre.distributed as d
d.join(d.Place("127.0.0.1:{port}", 2, 0))
with d.waiting_for_others():
    print("on")
"""
        ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=50)
    assert (ended.returncode, ended.stdout) == (75, "")
    assert f"somebody else listens at port {port} of this machine" in ended.stderr
