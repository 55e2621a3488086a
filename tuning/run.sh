#!/usr/bin/env bash
# Runs a command and keeps what a figure needs to be believed: tuning/run.sh NAME [--] COMMAND...
set -euo pipefail

if [ $# -lt 2 ]; then
    echo "usage: tuning/run.sh NAME [--] COMMAND..." >&2
    exit 2
fi
name=$1
shift
[ "$1" = "--" ] && shift

root=$(cd "$(dirname "$0")/.." && pwd)
cores=$(nproc)
model=$(sed -n 's/^model name[[:space:]]*: //p' /proc/cpuinfo | head -n 1)
# A machine is told apart by its processor and cores, not by its host name.
machine=$(printf '%s-%sc' "${model:-$(uname -m)}" "$cores" | tr -cs '[:alnum:]-' '-' | tr '[:upper:]' '[:lower:]')
machine=${MACHINE:-$(printf '%s' "$machine" | sed 's/-r-/-/g; s/-tm-/-/g; s/-cpu-/-/g; s/-processor-/-/g')}
folder="$root/tuning/runs/$(date -u +%Y-%m-%d)-$machine-$name"
number=2
while [ -e "$folder" ]; do
    folder="$root/tuning/runs/$(date -u +%Y-%m-%d)-$machine-$name-$number"
    number=$((number + 1))
done
mkdir -p "$folder"

{
    echo "processor   ${model:-unknown} ($cores cores allowed)"
    echo "memory      $(sed -n 's/^MemTotal: *//p' /proc/meminfo)"
    echo "kernel      $(uname -sr)"
    echo "siblings    $(cat /sys/devices/system/cpu/cpu0/topology/thread_siblings_list 2>/dev/null || echo unknown)"
    echo "governor    $(cat /sys/devices/system/cpu/cpu0/cpufreq/scaling_governor 2>/dev/null || echo unknown)"
    echo "huge pages  $(cat /sys/kernel/mm/transparent_hugepage/enabled 2>/dev/null || echo unknown)"
    echo "somaxconn   $(cat /proc/sys/net/core/somaxconn)"
    echo "open files  $(ulimit -n)"
    echo "lockable    $(ulimit -l)"
    echo "load        $(cut -d ' ' -f 1-3 /proc/loadavg) before the run"
    echo "stat        $(head -n 1 /proc/stat)"
    echo "rustc       $(rustc --version 2>/dev/null || echo none)"
} >"$folder/machine.txt"

{
    git -C "$root" rev-parse HEAD
    if ! git -C "$root" diff --quiet HEAD -- . ':!tuning/runs'; then
        echo dirty
        git -C "$root" diff HEAD -- . ':!tuning/runs'
    fi
} >"$folder/commit.txt"

{
    for variable in $(compgen -e | grep -E '^(RUSTFLAGS|CARGO_PROFILE|SERVER_|CLIENT_|MEMTIER|SEED|SIM_|ROUNDS)' || true); do
        printf '%s=%q ' "$variable" "${!variable}"
    done
    printf '%q ' "$@"
    echo
} >"$folder/command.txt"

# Paths of this machine say nothing to others.
export RUN_DIR=$folder
status=0
(cd "$root" && "$@") 2>&1 | sed "s#$root/##g; s#$root#.#g" | tee "$folder/output.txt" || status=$?
{
    echo "load        $(cut -d ' ' -f 1-3 /proc/loadavg) after the run"
    echo "stat        $(head -n 1 /proc/stat)"
} >>"$folder/machine.txt"
[ -e "$folder/README.md" ] || cat >"$folder/README.md" <<EOF
# $name

Question:
Answer:
Compared with:
EOF
echo "kept in ${folder#"$root"/}" >&2
exit "$status"
