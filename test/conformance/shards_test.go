package conformance

// A shard is a share of the specs. Specs of one process run one after the other
// and mostly wait, so all shards run at once, each in processes of its own and
// against a cluster of its own.
type shard struct {
	name string
	// focus is the pattern of its specs, of those that no shard before it takes.
	focus string
	// real: on this machine as the only node, with containers that run.
	real bool
	// timed: containers are given seconds to answer, so that all else stands back.
	timed bool
	// parts is in how many processes the specs run, against one cluster, when
	// they bear company; 0 is one.
	parts int
}

// shards together are the specs that Garrison must pass.
var shards = []shard{
	{name: "surge", real: true, focus: ` \[sig-apps\] Daemon set .*should surge pods onto nodes`},
	{name: "daemonsets", focus: `^(apps/(daemon_set|controller_revision)|scheduling/limit_range)\.go`},
	{name: "predicates", focus: `^scheduling/predicates\.go`},
	{name: "preemption", focus: `^scheduling/preemption\.go`},
	{name: "priorities", focus: `^scheduling/priorities\.go`},
	// These mostly wait, for minutes, so that many fit beside each other.
	{name: "probes", real: true, timed: true, parts: 16, focus: `^common/node/container_probe\.go`},
	{name: "slow", real: true, parts: 10, focus: `^common/.*\[Slow\]`},
	{name: "containers", real: true, parts: 6, focus: `^(common/(node|storage)/|node/pods\.go)`},
}

// leftOut are the covered specs that cannot run, and why.
var leftOut = []exclusion{
	{`PrivilegedPod \[NodeConformance\] should enable privileged commands`, "it needs the kernel module dummy, which not every machine has"},
	{`should cap back-off at MaxContainerBackOff`, "it takes 27 minutes"},
	{`evicted pods should be terminal`, "nodes under pressure do not evict pods yet"},
	{`Delete Grace Period`, "it asks the agent at port 10250 of the machine, where another one may be"},
	{`common/node/(container_restart_policy|file_key|image_credential_provider|image_volume|lease|node_lease|pod_admission|pod_hostnameoverride|pod_level_resources|podtemplates|runtimeclass|sysctl)\.go`, "it was not tried yet"},
	{`common/node/security_context\.go .*(runAsUser|should run with|privileged|UserNamespaces|SupplementalGroupsPolicy|PrivilegeEscalation)`, "it was not tried yet"},
	{`common/node/runtime\.go .*\[Serial\]`, "it was not tried yet"},
	{`^common/node/pod(_level_resources)?_resize\.go`, "pods are not resized in place: their resources are fixed when they start"},
}

// lasting are specs that take long, with how many seconds; others take about ten.
var lasting = []struct {
	specs   string
	seconds float64
}{
	{`\[Slow\]`, 310},
	{`Probing .*(should have monotonically increasing|should \*not\* be restarted)`, 250},
	{`Probing `, 50},
}

// seconds estimates how long a spec takes.
func seconds(s spec) float64 {
	for _, l := range lasting {
		if matches(l.specs, s) {
			return l.seconds
		}
	}
	return 10
}
