#!/bin/sh
# Hosts as network namespaces, joined by a bridge in a namespace of its own: nothing of this machine's own
# network is touched, and nothing outside can reach them. Needs root. In the checkout:
#     PYTHON=.venv/bin/python tools/netns_campaign.sh [FOLDER]
set -eu
python=${PYTHON:-python}
folder=${1:-$(mktemp -d -t hapsight-hosts-XXXXXX)}
net=hapsight$$
hosts="front head left right"

clean() {
    for space in $hosts switch; do
        ip netns pids "$net-$space" 2>/dev/null | xargs -r kill -9 2>/dev/null || true
        ip netns delete "$net-$space" 2>/dev/null || true
    done
}
trap clean EXIT
trap 'exit 130' INT TERM

if ! ip netns add "$net-switch"; then
    echo "skipped: no privilege for network namespaces"
    trap - EXIT
    exit 0
fi
ip -n "$net-switch" link add bridge type bridge
ip -n "$net-switch" link set bridge up
number=1
for host in $hosts; do
    ip netns add "$net-$host"
    ip link add eth0 netns "$net-$host" type veth peer name "$host" netns "$net-switch"
    ip -n "$net-switch" link set "$host" master bridge up
    ip -n "$net-$host" address add "10.77.0.$number/24" dev eth0
    ip -n "$net-$host" link set lo up
    ip -n "$net-$host" link set eth0 up
    number=$((number + 1))
done
"$python" -m tools.faults.hosts "$net" "$folder"
