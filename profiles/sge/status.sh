#!/usr/bin/env bash
# Print running, success or failed for the Grid Engine job in $1.
state=$(qstat -u '*' | awk -v job="$1" '$1 == job { print $5; exit }')
case $state in
  *E*) echo failed; exit ;; # an error state waits for an administrator for ever
  ?*) echo running; exit ;;
esac
# Finished jobs show up in the accounting file some seconds after they left the queue; until then they count as running.
record=$(qacct -j "$1" 2>/dev/null) || { echo running; exit; }
awk '$1 == "failed" { failed = $2 } $1 == "exit_status" { status = $2 }
     END { print (failed == 0 && status == 0) ? "success" : "failed" }' <<<"$record"
