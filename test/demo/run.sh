#!/usr/bin/env bash
# The demonstration: a throw-away control plane with simulated nodes, the
# examples, a rollout, an update, a node that joins and a node that leaves. Fails
# if anything is not as it says. Usage: run.sh path/to/garrison
set -euo pipefail

garrison=$(realpath "$1")
cd "$(dirname "$0")/../.."
work=$(mktemp -d)
export GARRISON_DATA_DIR=$work/data HOME=$work
unset KUBECONFIG

server=
cleanup() {
	local code=$?
	if [ -n "$server" ] && kill -0 "$server" 2>/dev/null; then
		kill -KILL "$server"
		wait "$server" 2>/dev/null || true
	fi
	if [ $code -ne 0 ]; then
		echo "The demonstration failed." >&2
		[ ! -s "$work/log" ] || { echo 'What garrison logged:' >&2; tail -n 50 "$work/log" >&2; }
	fi
	rm -rf "$work"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

title() { printf '\n== %s\n' "$*"; }
kubectl() { "$garrison" kubectl "$@"; }
# show runs a command in sight of the reader.
show() {
	printf '$ %s\n' "$*"
	"$@"
}
# expect VALUE COMMAND… waits up to 50 s until the command prints the value.
expect() {
	local want=$1 got deadline=$((SECONDS + 50))
	shift
	until got=$("$@") && [ "$got" = "$want" ]; do
		if [ $SECONDS -ge $deadline ]; then
			printf 'expected "%s" of: %s\nbut it says "%s"\n' "$want" "$*" "$got" >&2
			exit 1
		fi
		sleep 0.1
	done
}
counts() { # DAEMONSET: desired and ready
	kubectl get daemonset "$1" -o 'jsonpath={.status.desiredNumberScheduled} {.status.numberReady}'
}
images() { # DAEMONSET: the images its pods run
	kubectl get pods -l "app.kubernetes.io/name=$1" -o 'jsonpath={range .items[*]}{.spec.containers[0].image}{"\n"}{end}' | sort -u
}
pods_on() { kubectl get pods -A --field-selector "spec.nodeName=$1" -o name; }

title 'A control plane and five nodes without machines'
echo '$ garrison up --simulate-nodes 5 &'
"$garrison" up --port 0 --simulate-nodes 5 >"$work/ready" 2>"$work/log" &
server=$!
for _ in $(seq 300); do
	[ ! -s "$work/ready" ] || break
	kill -0 "$server" 2>/dev/null || exit 1
	sleep 0.1
done
cat "$work/ready"
show kubectl wait --for=condition=Ready node --all --timeout=30s >/dev/null
show kubectl get nodes -L topology.kubernetes.io/zone

title 'The examples: one file for each way to place an agent'
show kubectl apply -f examples/
show kubectl rollout status daemonset/log-shipper --timeout=30s
show kubectl rollout status daemonset/metrics-agent --timeout=60s
expect '5 5' counts log-shipper
expect '0 0' counts disk-checker # no node has the label it selects
expect '4 4' counts time-source  # one of three zones is left out
show kubectl get daemonsets -A

title 'An update: one node after the other'
show kubectl set image daemonset/log-shipper ship=busybox:1.37
show kubectl rollout status daemonset/log-shipper --timeout=60s
expect '5 5' counts log-shipper
expect busybox:1.37 images log-shipper

title 'A node gets the label that an agent selects'
show kubectl label node sim-0002 disk=nvme
expect '1 1' counts disk-checker
show kubectl get pods -l app.kubernetes.io/name=disk-checker -o wide

title 'A node joins: its agents come by themselves'
show kubectl apply -f examples/nodes/joining.yaml
expect '6 6' counts log-shipper
expect '2 2' counts disk-checker
show kubectl get pods -A -o wide --field-selector spec.nodeName=outpost

title 'The node leaves again: nobody waits for it'
show kubectl delete node outpost
expect '5 5' counts log-shipper
expect '1 1' counts disk-checker

title 'A careful update meanwhile: two nodes at a time, five seconds of proof each'
show kubectl set image daemonset/metrics-agent agent=busybox:1.37
show kubectl rollout status daemonset/metrics-agent --timeout=60s
expect busybox:1.37 images metrics-agent

title 'Pods of a node that is gone are collected after 40 seconds'
expect '' pods_on outpost
show kubectl get daemonsets -A

title 'The end'
show kill -TERM "$server"
wait "$server"
[ ! -s "$work/log" ] || { echo 'Garrison had something to complain about.' >&2; exit 1; }
echo "All was as promised, in $SECONDS s."
