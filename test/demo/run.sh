#!/usr/bin/env bash
# The demonstration: a throw-away control plane, this machine and simulated nodes
# beside it, the examples, agents in real containers with their logs, commands in
# them and their ports, a rollout, an update, a rollback, a node that joins and a
# node that leaves. Fails if anything is not as it says. Without root there are
# only simulated nodes. Usage: run.sh path/to/garrison path/to/images
set -euo pipefail

garrison=$(realpath "$1")
image_maker=$(realpath "$2")
cd "$(dirname "$0")/../.."
work=$(mktemp -d /tmp/garrison-demo.XXXX)
export GARRISON_DATA_DIR=$work/data HOME=$work
unset KUBECONFIG

server= real=
[ "$(id -u)" -ne 0 ] || real=yes
cleanup() {
	local code=$?
	if [ -n "$server" ] && kill -0 "$server" 2>/dev/null; then
		kill -KILL "$server"
		wait "$server" 2>/dev/null || true
	fi
	[ -z "$real" ] || "$garrison" reset --yes >/dev/null || true
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
here() { # NAMESPACE DAEMONSET: the pod on this machine
	kubectl get pods -n "$1" -l "app.kubernetes.io/name=$2" --field-selector spec.nodeName=here -o 'jsonpath={.items[0].metadata.name}'
}
image_here() { # NAMESPACE DAEMONSET: the image that runs on this machine
	kubectl get pod -n "$1" "$(here "$1" "$2")" -o 'jsonpath={.status.containerStatuses[0].image} {.status.containerStatuses[0].ready}'
}
pods_on() { kubectl get pods -A --field-selector "spec.nodeName=$1" -o name; }

if [ -n "$real" ]; then
	title 'An image: a static busybox, so that no registry is needed'
	mkdir -p "$work/data/images"
	show "$image_maker" -o "$work/data/images/busybox.tar" busybox:1.36 busybox:1.37
	title 'A control plane, this machine as a node, and five nodes without machines'
	flags="--simulate-nodes 5 --node-name here --agent-port 0 --cluster-cidr 10.203.0.0/16"
	all=6
else
	title 'A control plane and five nodes without machines (root is needed for real containers)'
	flags='--simulate-nodes 5 --no-agent'
	all=5
fi
echo "\$ garrison up $flags &"
# shellcheck disable=SC2086 # flags are words
"$garrison" up --port 0 $flags >"$work/ready" 2>"$work/log" &
server=$!
for _ in $(seq 300); do
	[ ! -s "$work/ready" ] || break
	kill -0 "$server" 2>/dev/null || exit 1
	sleep 0.1
done
cat "$work/ready"
show kubectl wait --for=condition=Ready node --all --timeout=30s >/dev/null
show kubectl get nodes -L topology.kubernetes.io/zone

# The agents run on simulated nodes, too, but only containers have something to say.
show_agents() {
	title 'Agents in real containers: an exporter, a log collector, a privileged agent'
	show kubectl apply -f examples/agents/
	show kubectl rollout status -n kube-system daemonset/log-collector --timeout=60s
	show kubectl rollout status -n monitoring daemonset/node-exporter --timeout=60s
	show kubectl rollout status -n monitoring daemonset/privileged-agent --timeout=60s
	show kubectl get pods -A -o wide --field-selector spec.nodeName=here

	title 'Their logs, commands in them, and their ports'
	local collector exporter agent
	collector=$(here kube-system log-collector) exporter=$(here monitoring node-exporter) agent=$(here monitoring privileged-agent)
	show kubectl logs -n kube-system "$collector" --tail=1 | tee "$work/said"
	grep -q '^here: [1-9][0-9]* containers have logs$' "$work/said"
	show kubectl exec -n monitoring "$agent" -- cat /host/etc/os-release | head -n 2
	echo "\$ kubectl port-forward -n monitoring $exporter :9100 &"
	"$garrison" kubectl port-forward -n monitoring "$exporter" :9100 >"$work/forward" &
	forward=$!
	expect 1 grep -c '^Forwarding from 127' "$work/forward"
	show busybox wget -qO- "http://127.0.0.1:$(sed -n 's/^Forwarding from 127.0.0.1:\([0-9]*\).*/\1/p' "$work/forward")/metrics" | tee "$work/metrics"
	kill $forward
	grep -q '^node_load1 [0-9]' "$work/metrics"

	title 'An update, whose image is fetched before a pod makes way, and back'
	show kubectl set image -n kube-system daemonset/log-collector collect=busybox:1.37
	show kubectl rollout status -n kube-system daemonset/log-collector --timeout=60s
	expect 'busybox:1.37 true' image_here kube-system log-collector
	show kubectl rollout undo -n kube-system daemonset/log-collector
	show kubectl rollout status -n kube-system daemonset/log-collector --timeout=60s
	expect 'busybox:1.36 true' image_here kube-system log-collector
	show kubectl rollout history -n kube-system daemonset/log-collector
}
[ -z "$real" ] || show_agents

title 'The examples: one file for each way to place an agent'
show kubectl apply -f examples/
show kubectl rollout status daemonset/log-shipper --timeout=30s
show kubectl rollout status daemonset/metrics-agent --timeout=60s
expect "$all $all" counts log-shipper
expect '0 0' counts disk-checker # no node has the label it selects
expect '4 4' counts time-source  # one of three zones is left out
show kubectl get daemonsets -A

title 'An update: one node after the other'
show kubectl set image daemonset/log-shipper ship=busybox:1.37
show kubectl rollout status daemonset/log-shipper --timeout=60s
expect "$all $all" counts log-shipper
expect busybox:1.37 images log-shipper

title 'A node gets the label that an agent selects'
show kubectl label node sim-0002 disk=nvme
expect '1 1' counts disk-checker
show kubectl get pods -l app.kubernetes.io/name=disk-checker -o wide

title 'A node joins: its agents come by themselves'
show kubectl apply -f examples/nodes/joining.yaml
expect "$((all + 1)) $((all + 1))" counts log-shipper
expect '2 2' counts disk-checker
show kubectl get pods -A -o wide --field-selector spec.nodeName=outpost

title 'The node leaves again: nobody waits for it'
show kubectl delete node outpost
expect "$all $all" counts log-shipper
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
