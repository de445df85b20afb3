# What Snakemake and its executors do not do on a cluster by themselves. No rules here.

import signal

LONGEST_LOOK = 30  # seconds between looks at the jobs of a cluster


def look_often():
    """Have the end of a long job seen within half a minute, because the next step waits for it.

    SLURM's plugin waits 10 s longer after every look at which no job has ended, up to 3 minutes.
    """
    first = getattr(workflow.executor_settings, "init_seconds_before_status_checks", None)
    if workflow.non_local_exec and first is not None:
        plugin = type(workflow.scheduler._executor)
        wait = plugin.next_seconds_between_status_checks
        most = max(first, LONGEST_LOOK)
        plugin.next_seconds_between_status_checks = property(
            lambda self: min(wait.fget(self), most), wait.fset
        )


def interrupt_at_once():
    """Have Ctrl-C end the run also while it waits for files that do not show up, for `latency-wait` after a failed job.

    Snakemake sleeps inside of asyncio then, which takes an interrupt that meets its own handler for a request to the
    sleeper, who never hears of it. A handler that is not Python's default asyncio leaves alone.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, lambda *caught: signal.default_int_handler(*caught))


def cancel_forgotten():
    """Take the jobs out of the queue that Snakemake lost sight of.

    While it asks the scheduler how they are, its list of them is empty, and Ctrl-C then cancels none.
    """
    executor = workflow.scheduler._executor
    if workflow.non_local_exec and executor.active_jobs:
        executor.cancel_jobs(list(executor.active_jobs))
