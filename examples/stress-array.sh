#!/bin/sh
# A stress campaign as a job array (Slurm): sbatch --array=1-64 stress-array.sh
# Afterwards: npx gemdma stress --merge part-*.jsonl
#
# With GNU parallel on one machine:
#   parallel 'npx gemdma stress --seeds 1000 --shard {}/8 > part-{}.jsonl' ::: 1 2 3 4 5 6 7 8
#SBATCH --time=02:00:00
exec npx gemdma stress --profile "${PROFILE:-churn}" --seeds 10000 --ops 1M --time 1e6 \
  --shard "$SLURM_ARRAY_TASK_ID/64" > "part-$SLURM_ARRAY_TASK_ID.jsonl"
