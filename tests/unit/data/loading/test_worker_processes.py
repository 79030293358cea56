from __future__ import annotations

import multiprocessing
import os
import signal
import subprocess
import sys
import textwrap
import time

import psutil
import pytest

from lungfish.architecture import parse_arch
from lungfish.core.cache import cache_limit
from lungfish.core.errors import UnknownNameError, WorkerError
from lungfish.data.loading.worker_processes import WorkerProcesses

pytest.importorskip("torch")

POSIX = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
# A script as people write it, without asking for its name. It says so when its worker works.
SCRIPT = """
    import sys
    import time
    from lungfish.data.loading.worker_processes import WorkerProcesses

    print("script runs", flush=True)
    pool = WorkerProcesses(1, int, "0")
    pid = pool.result(pool.submit(eval, "__import__('os').getpid()"))
    try:
        print("worker", pid, flush=True)
        pool.result(pool.submit(time.sleep, 2))
    except KeyboardInterrupt:
        print("interrupted", flush=True)
    pool.close()
"""


@pytest.fixture(scope="module")
def pool():
    with cache_limit(0.5):
        pool = WorkerProcesses(1, int, "0")
    yield pool
    pool.close()


def ask(pool, expression):
    return pool.result(pool.submit(eval, expression))


def test_a_worker_computes_on_one_thread_elsewhere(pool):
    assert ask(pool, "__import__('torch').get_num_threads()") == 1
    assert ask(pool, "__import__('os').getpid()") != os.getpid()


def test_a_worker_keeps_the_cache_within_the_limit_of_the_job(pool):
    assert ask(pool, "__import__('lungfish.core.cache').core.cache.budget_bytes()") == 5 * 10**8


@POSIX
def test_ctrl_c_is_not_heard_even_while_a_worker_starts(pool):
    assert signal.SIGINT in ask(pool, "__import__('signal').pthread_sigmask(0, [])")  # since before Python started
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, [])


def test_an_error_is_whole(pool):
    with pytest.raises(UnknownNameError) as here:
        parse_arch("mobilnet_v2")
    with pytest.raises(UnknownNameError) as there:
        pool.result(pool.submit(parse_arch, "mobilnet_v2"))
    assert there.value.hint
    assert there.value.to_json() == here.value.to_json()


@POSIX
def test_a_death_is_said_and_leaves_no_process():
    others = set(multiprocessing.active_children())
    pool = WorkerProcesses(2, int, "0")
    pid = ask(pool, "__import__('os').getpid()")
    busy = pool.submit(time.sleep, 60)
    os.kill(pid, signal.SIGKILL)
    began = time.monotonic()
    with pytest.raises(WorkerError, match="a process that loads photos died") as caught:
        pool.result(busy)
    assert time.monotonic() - began < 10
    assert "fewer workers" in caught.value.hint
    with pytest.raises(WorkerError):
        pool.submit(int, "1")
    pool.close()
    assert set(multiprocessing.active_children()) <= others


@POSIX
@pytest.mark.usefixtures("several_processes")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL])
def test_a_worker_ends_with_its_parent(tmp_path, sent):
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    with subprocess.Popen(
        [sys.executable, str(script)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as parent:
        assert parent.stdout.readline() == "script runs\n"
        said, pid = parent.stdout.readline().split()
        assert said == "worker"  # and not once more that the script runs
        worker = psutil.Process(int(pid))
        if sent == signal.SIGINT:
            os.killpg(parent.pid, sent)  # as a terminal does
        else:
            parent.kill()
        out, err = parent.communicate(timeout=30)
    if sent == signal.SIGINT:
        assert (out, err, parent.returncode) == ("interrupted\n", "", 0)
    _, alive = psutil.wait_procs([worker], timeout=10)
    assert not alive or worker.status() == psutil.STATUS_ZOMBIE
