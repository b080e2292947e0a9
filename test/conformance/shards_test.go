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
	{name: "taints", focus: `^node/(taints|node_lifecycle)\.go`},
	// They taint the node, or listen at one of its ports.
	{name: "alone", real: true, focus: `^(common/)?node/runtime(class)?\.go .*\[Serial\]`},
	// These mostly wait, for minutes, so that many fit beside each other.
	{name: "probes", real: true, timed: true, parts: 16, focus: `^common/node/container_probe\.go`},
	{name: "slow", real: true, parts: 10, focus: `^common/.*\[Slow\]`},
	{name: "containers", real: true, parts: 8, focus: `^(common/(node|storage)|node)/`},
}

// leftOut are the covered specs that cannot run, and why.
var leftOut = []exclusion{
	{`PrivilegedPod \[NodeConformance\] should enable privileged commands`, "it needs the kernel module dummy, which not every machine has"},
	{`should cap back-off at MaxContainerBackOff`, "it takes 27 minutes"},
	{`evicted pods should be terminal`, "nodes under pressure do not evict pods yet"},
	{`RestartAllContainers`, "containers are restarted each by itself, not all of a pod when one ends"},
	{`\[Feature:KubeletCredentialProviders\]`, "credentials for registries come from pods alone, not from programs on the node"},
	{`common/node/image_volume\.go`, "images are not mounted as volumes, for which containerd 2.1 would be needed"},
	{`common/node/pod_level_resources\.go`, "they look at control groups of version 2, which not every machine has"},
	{`user namespace (if set to false|in the configured)|hostUsers=false|user namespaced pods|userns pod`, "pods get no user namespaces of their own, for which containerd 1.7 would be needed"},
	{`\[Feature:SupplementalGroupsPolicy\]`, "containerd before 2.0 does not tell who containers run as, and cannot keep groups strict"},
	{`RuntimeClass with (a configured handler|scheduling without taints)`, "it looks for the handler in the machine's /etc/containerd"},
	{`should be able to pull image `, "it pulls from registry.k8s.io"},
	{`SELinux relabeling`, "it needs SELinux, which not every machine has"},
	{`node/apparmor\.go`, "it needs AppArmor, which not every machine has"},
	{`node/mount_propagation\.go`, "it needs mounts of / to be shared, which not every machine does"},
	{`node/(crictl|gpu|node_problem_detector|ssh)\.go|kubelet host cleanup`, "it needs machines of a cloud, or with ssh"},
	{`\[Feature:NodeLogQuery\]`, "nodes do not give out the logs of their machine, and it needs ssh"},
	{`\[FeatureGate:KubeletFineGrainedAuthz\]|PreStop graceful pod terminated|Delete Grace Period`, "it asks the agent at port 10250 of the machine, where another one may be"},
	{`node/container_termination_metrics\.go`, "agents do not count how containers end"},
	{`Clean up pods on node|resource usage tracking`, "it wants a controller of ReplicationControllers"},
	{`node/pod_gc\.go`, "it wants all but 100 pods that have ended to go"},
	{`^(common/)?node/pod(_level_resources)?_resize\.go`, "pods are not resized in place: their resources are fixed when they start"},
}

// lasting are specs that take long, with how many seconds; others take about ten.
var lasting = []struct {
	specs   string
	seconds float64
}{
	{`\[Slow\]`, 310},
	{`Probing .*(should have monotonically increasing|should \*not\* be restarted)`, 250},
	{`Probing `, 50},
	{`issue 500 podspec updates`, 260},
	{`should report node status infrequently|Liveness liveness pods|never report (success|container start)`, 70},
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
