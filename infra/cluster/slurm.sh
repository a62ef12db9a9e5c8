#!/bin/bash
# Starts Ray on the nodes of a Slurm job and runs one command of refinery on it:
#   sbatch --nodes=8 --exclusive infra/cluster/slurm.sh run --recipe fineweb --input /data/crawl --out /data/out
# The environment with refinery is the one that `refinery` is found in; PORT may name another port.
#SBATCH --job-name=refinery
#SBATCH --ntasks-per-node=1
#SBATCH --requeue
set -euo pipefail
port=${PORT:-6379}
mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head=${nodes[0]}
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | awk '{print $1}')
# so that nobody else on the network hands commands to this cluster
export RAY_AUTH_MODE=token RAY_AUTH_TOKEN=${RAY_AUTH_TOKEN:-$(python3 -c 'import secrets; print(secrets.token_hex(32))')}

start() { # NODE OPTIONS...: Ray on a node, until the job ends
  srun --nodes=1 --ntasks=1 --nodelist="$1" --export=ALL ray start --block --disable-usage-stats \
    --num-cpus="${SLURM_CPUS_ON_NODE:-1}" "${@:2}" &
}
trap 'kill $(jobs -p) 2>/dev/null || true' EXIT
start "$head" --head --node-ip-address="$address" --port="$port"
for _ in $(seq 60); do
  ray status --address="$address:$port" >/dev/null 2>&1 && break
  sleep 2
done
for node in "${nodes[@]:1}"; do
  start "$node" --address="$address:$port"
done
# not under srun: the driver runs where this script does, on the first node
refinery "$@" --engine ray -- --address="$address:$port"
