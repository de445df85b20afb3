#!/usr/bin/env bash
# Print running, success or failed for the PBS job in $1.
# Torque shows finished jobs for some minutes; PBS Professional and OpenPBS with -x only, which is XML to Torque.
job=$(qstat -f "$1" 2>/dev/null || qstat -x -f "$1" 2>/dev/null)
state=$(sed -n 's/^[[:space:]]*job_state = //p' <<<"$job")
exit_status=$(sed -n 's/^[[:space:]]*[Ee]xit_status = //p' <<<"$job")
case $1,$state in
  *,C | *,F | *,) ;; # completed, finished, or forgotten by the server
  # Debian's Torque commands over SLURM, whose ids are plain numbers, know no state for a job that ran out of memory;
  # to PBS Professional U is a job that waits until the workstation's user is gone
  *[!0-9]*,U) echo running; exit ;;
  *,U) echo failed; exit ;;
  *) echo running; exit ;;
esac
# Without an exit status "success" is safe to say: Snakemake then looks whether the outputs are there.
if [ "${exit_status:-0}" = 0 ]; then echo success; else echo failed; fi
