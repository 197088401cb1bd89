"""The workers, through real processes: results, deaths, cancellation, limits."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import pool_jobs as jobs
import pytest
from tornado.ioloop import IOLoop

from cutaway_server.work.children import NurseryFailed
from cutaway_server.work.limits import Limits
from cutaway_server.work.pool import OutOfMemory, OutOfSpace, OutOfTime, WorkerDied, Workers, WorkersClosed
from processes import alive, children_of, wait_until

MEMORY = 600 << 20


@pytest.fixture
def workers(io_loop: IOLoop) -> Iterator[Workers]:
    pool = Workers(2, preload=("pool_jobs",), bounds=Limits(memory_bytes=MEMORY))
    io_loop.run_sync(pool.start)
    yield pool
    io_loop.run_sync(pool.close)


async def hanging(workers: Workers, report: Path, *, confined: bool = True) -> tuple[asyncio.Task[None], list[int]]:
    """A job that hangs, with the process ids of its worker and of the worker's child."""
    task = asyncio.create_task(workers.run(jobs.hang, str(report), confined, seconds=60))
    await asyncio.to_thread(wait_until, report.exists)
    return task, reported(report)


def reported(report: Path) -> list[int]:
    return [int(pid) for pid in report.read_text().split()]


async def gone(pids: list[int], seconds: float) -> bool:
    """All of them, within so many seconds; fails otherwise."""
    await asyncio.to_thread(wait_until, lambda: not any(map(alive, pids)), seconds)
    return True


@pytest.mark.gen_test
async def test_returns_results_of_all_sizes(workers: Workers) -> None:
    for size in (0, 1, 70_000, 40_000_000):
        assert len(await workers.run(jobs.zeros, size, seconds=10)) == size
    assert await workers.run(jobs.echo, {"a": (1, None)}, seconds=5) == {"a": (1, None)}
    assert await workers.run(jobs.echo, bytes(3_000_000), seconds=5) == bytes(3_000_000)


@pytest.mark.gen_test
async def test_exceptions_pass_through_with_the_workers_traceback(workers: Workers) -> None:
    with pytest.raises(jobs.Refused, match="not this one") as caught:
        await workers.run(jobs.refuse, "not this one", seconds=5)
    assert caught.value.message == "not this one"
    assert "in refuse" in caught.value.__notes__[0]
    with pytest.raises(RuntimeError, match="Awkward"):
        await workers.run(jobs.fail_awkwardly, seconds=5)
    with pytest.raises((AttributeError, TypeError)):
        await workers.run(lambda: None, seconds=5)  # not a top-level function
    assert await workers.run(jobs.echo, 1, seconds=5) == 1


@pytest.mark.gen_test
@pytest.mark.parametrize(("job", "arguments"), [(jobs.die, (signal.SIGSEGV,)), (jobs.die, (9,)), (jobs.leave, ())])
async def test_a_death_harms_no_other_job(workers: Workers, job, arguments, tmp_path: Path) -> None:
    other, pids = await hanging(workers, tmp_path / "report")
    with pytest.raises(WorkerDied):
        await workers.run(job, *arguments, seconds=5)
    assert not other.done()
    assert await workers.run(jobs.echo, 1, seconds=5) == 1
    other.cancel()
    assert await asyncio.gather(other, return_exceptions=True)
    assert await gone(pids, 1)


@pytest.mark.gen_test
async def test_a_worker_that_dies_idle_is_replaced_unnoticed(workers: Workers) -> None:
    pids = {await workers.run(jobs.pid, seconds=5) for _ in range(4)}
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    # No waiting here: a job may well be given to a worker that is dead already.
    assert await asyncio.gather(*(workers.run(jobs.echo, n, seconds=5) for n in range(8))) == list(range(8))


@pytest.mark.gen_test
async def test_a_killed_nursery_is_replaced(workers: Workers, tmp_path: Path) -> None:
    job, pids = await hanging(workers, tmp_path / "report")
    # Other tests' servers may be children of this process, too.
    (nursery,) = (child for child in children_of(os.getpid()) if pids[0] in children_of(child))
    os.kill(nursery, signal.SIGKILL)
    assert await gone(pids, 0.5)
    with pytest.raises(WorkerDied):
        await job
    assert await workers.run(jobs.echo, 1, seconds=5) == 1


@pytest.mark.gen_test
@pytest.mark.parametrize("confined", [True, False])
async def test_cancelling_kills_the_worker_and_its_child(workers: Workers, tmp_path: Path, confined: bool) -> None:
    task, pids = await hanging(workers, tmp_path / "report", confined=confined)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await gone(pids, 0.1)
    assert await workers.run(jobs.echo, 1, seconds=5) == 1


@pytest.mark.gen_test
async def test_cancelling_twice_leaks_nothing(workers: Workers, tmp_path: Path) -> None:
    task, pids = await hanging(workers, tmp_path / "report")
    (child,) = workers._busy
    task.cancel()
    await asyncio.sleep(0)  # now it waits for the end of the process
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not workers._busy
    assert await gone(pids, 0.5)
    await child.exited
    await asyncio.sleep(0)
    assert child.end.fileno() == -1
    assert await workers.run(jobs.echo, 1, seconds=5) == 1


@pytest.mark.gen_test
async def test_arguments_are_pickled_off_the_event_loop(workers: Workers) -> None:
    witness = jobs.Witness()
    assert await workers.run(jobs.echo, witness, seconds=5) == 0
    assert witness.thread is not None
    assert witness.thread is not threading.current_thread()


@pytest.mark.gen_test
async def test_workers_log_to_stderr(workers: Workers, capfd: pytest.CaptureFixture[str]) -> None:
    # A nursery of its own: it takes standard error as it is when it starts.
    await (own := Workers(1, preload=("pool_jobs",), log_level="warning")).start()
    try:
        await own.run(jobs.log, "https://user:word@a.example/ failed", seconds=5)
    finally:
        await own.close()
    assert "https://a.example/ failed" in capfd.readouterr().err


@pytest.mark.gen_test
async def test_a_child_dies_with_a_worker_that_is_killed_from_outside(workers: Workers, tmp_path: Path) -> None:
    task, pids = await hanging(workers, tmp_path / "report")
    os.kill(pids[0], signal.SIGKILL)
    with pytest.raises(WorkerDied):
        await task
    assert await gone(pids, 0.5)


@pytest.mark.gen_test
async def test_jobs_wait_in_line_and_a_cancelled_one_never_runs(workers: Workers, tmp_path: Path) -> None:
    first = await hanging(workers, tmp_path / "a")
    second = await hanging(workers, tmp_path / "b")
    path = tmp_path / "ran"
    waiting = asyncio.create_task(workers.run(jobs.append, str(path), seconds=5))
    behind = asyncio.create_task(workers.run(jobs.echo, "behind", seconds=5))
    await asyncio.sleep(0)
    waiting.cancel()
    first[0].cancel()
    assert await behind == "behind"
    assert waiting.cancelled()
    assert not path.exists()
    second[0].cancel()
    await asyncio.gather(first[0], second[0], return_exceptions=True)


@pytest.mark.gen_test
async def test_wall_clock(workers: Workers, tmp_path: Path) -> None:
    report = tmp_path / "report"
    with pytest.raises(OutOfTime):
        await workers.run(jobs.hang, str(report), seconds=0.3)
    assert await gone(reported(report), 0.1)


@pytest.mark.gen_test(timeout=15)
async def test_processor_time_is_counted_for_each_job(workers: Workers) -> None:
    with pytest.raises(OutOfTime):
        await workers.run(jobs.spin, seconds=10, cpu_seconds=1)
    limit, hard = await workers.run(jobs.cpu_limit, seconds=5, cpu_seconds=5)
    assert 5 <= limit <= 7
    assert hard == -1
    assert (await workers.run(jobs.cpu_limit, seconds=5))[0] == -1


@pytest.mark.gen_test
async def test_memory(workers: Workers) -> None:
    assert await workers.run(jobs.allocate, 100 << 20, seconds=5)
    with pytest.raises(OutOfMemory):
        await workers.run(jobs.allocate, MEMORY, seconds=5)
    assert await workers.run(jobs.echo, 1, seconds=5) == 1


@pytest.mark.gen_test
@pytest.mark.parametrize("path", ["/dev/full", "too large"])
async def test_a_full_disk(workers: Workers, tmp_path: Path, path: str) -> None:
    with pytest.raises(OutOfSpace, match="no room"):
        await workers.run(jobs.write_at, str(tmp_path / path), Limits().file_bytes, seconds=5)
    assert await workers.run(jobs.echo, 1, seconds=5) == 1


@pytest.mark.gen_test
async def test_children_inherit_the_limits(workers: Workers) -> None:
    assert await workers.run(jobs.child_limits, seconds=5, cpu_seconds=7) == (0, 7, MEMORY)


@pytest.mark.gen_test
async def test_workers_are_warm_deaf_to_interrupts_and_see_no_secrets(
    io_loop: IOLoop, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_API_KEY", "secret")
    monkeypatch.setenv("no_proxy", "*")
    workers = Workers(1, preload=("wave", "pool_jobs"))
    await workers.start()
    try:
        assert await workers.run(jobs.loaded, "wave", seconds=5)
        assert await workers.run(jobs.interrupt_handler, seconds=5)
        seen = await workers.run(jobs.environment, seconds=5)
        assert "PATH" in seen
        assert not {"SOME_API_KEY", "no_proxy"} & seen.keys()
    finally:
        await workers.close()


@pytest.mark.gen_test
async def test_a_module_that_cannot_be_imported_is_told(io_loop: IOLoop) -> None:
    with pytest.raises(NurseryFailed, match="no_such_module"):
        await Workers(1, preload=("no_such_module",)).start()


@pytest.mark.gen_test
async def test_closing_ends_running_and_waiting_jobs(io_loop: IOLoop, tmp_path: Path) -> None:
    workers = Workers(1, preload=("pool_jobs",))
    await workers.start()
    running, pids = await hanging(workers, tmp_path / "report")
    waiting = asyncio.create_task(workers.run(jobs.echo, 1, seconds=5))
    await asyncio.sleep(0)
    await workers.close()
    for task in (running, waiting):
        with pytest.raises(WorkersClosed):
            await task
    assert await gone(pids, 0.1)
    with pytest.raises(WorkersClosed):
        await workers.run(jobs.echo, 1, seconds=5)
