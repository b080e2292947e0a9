package conformance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A shard is a share of the specs. Specs of one cluster must run one after the
// other and mostly wait, so each shard gets a process and a cluster of its own
// and all run at once.
type shard struct {
	name  string
	focus []string
	skip  []exclusion
	// real: on this machine as the only node, with containers that run.
	real bool
}

// exclusion is a spec that is left out.
type exclusion struct{ spec, why string }

// shards together are the specs that Garrison must pass.
var shards = []shard{
	{name: "daemonsets", focus: []string{`\[sig-apps\] Daemon set `, `\[sig-apps\] ControllerRevision `, `\[sig-scheduling\] LimitRange `},
		skip: []exclusion{{surging, "it runs commands in its containers: the shard surge has it"}}},
	{name: "predicates", focus: []string{`\[sig-scheduling\] SchedulerPredicates `}},
	{name: "preemption", focus: []string{`\[sig-scheduling\] SchedulerPreemption `}},
	{name: "priorities", focus: []string{`\[sig-scheduling\] SchedulerPriorities `}},
	{name: "surge", real: true, focus: []string{surging}},
	{name: "pods", real: true, focus: []string{`\[sig-node\] (Pods|Containers|InitContainer|Variable Expansion|Kubelet|KubeletManagedEtcHosts|PrivilegedPod|Ephemeral Containers) `},
		skip: []exclusion{slow,
			{"PrivilegedPod [NodeConformance] should enable privileged commands", "it needs the kernel module dummy, which not every machine has"},
			{"allow almost all printable ASCII characters as environment variable names", noIdentifier},
		}},
	{name: "lifecycle", real: true, focus: []string{
		`\[sig-node\] Container Runtime blackbox test on terminated container `,
		`\[sig-node\] Security Context .*(readOnlyRootFilesystem=|should not run with)`,
		`\[sig-node\] Probing container should be restarted with (a /healthz http|an exec) liveness probe (with timeout )?\[`,
		`\[sig-node\] Probing container (should override timeoutGracePeriodSeconds when StartupProbe|with readiness probe should not be ready before initial delay)`,
	}},
	{name: "hooks", real: true, focus: []string{`\[sig-node\] (Container Lifecycle Hook|Lifecycle Sleep Hook|Lifecycle sleep action) `}},
	{name: "volumes", real: true, focus: []string{`\[sig-(node|storage)\] (ConfigMap|Secrets|Downward API|Downward API volume|Projected [A-Za-z]+) `},
		skip: []exclusion{slow,
			{"ConfigMap should be consumable via the environment", noIdentifier},
			{"Secrets should be consumable via the environment", noIdentifier},
			{"should be consumable as environment variable names", noIdentifier},
		}},
	{name: "directories", real: true, skip: []exclusion{slow},
		focus: []string{`\[sig-storage\] (EmptyDir volumes|EmptyDir wrapper volumes|HostPath) `}},
}

const surging = "should surge pods onto nodes when spec was updated"

// noIdentifier: upstream's image has a busybox that is built otherwise.
const noIdentifier = "it has the shell of the image list variables whose names are no identifiers, and that of Debian's busybox drops them"

// slow is upstream's own mark.
var slow = exclusion{"[Slow]", "it watches for minutes that nothing happens"}

// shardNamed finds a shard.
func shardNamed(t *testing.T, name string) shard {
	t.Helper()
	for _, s := range shards {
		if s.name == name {
			return s
		}
	}
	t.Fatalf("there is no shard %q", name)
	return shard{}
}

// stopBeforeDeadline is the time that shards get to stop their garrisons when
// the time of the test runs out.
const stopBeforeDeadline = time.Minute

// runShards runs every shard in a process of its own, and prints the results
// of each as it ends.
func runShards(t *testing.T, dir string) {
	ctx := t.Context()
	if deadline, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-stopBeforeDeadline))
		defer cancel()
	}
	ended := make(chan outcome)
	running := runnable()
	for _, s := range running {
		go func() { ended <- s.run(ctx, filepath.Join(dir, s.name)) }()
	}
	for range running {
		o := <-ended
		if o.err != nil {
			fmt.Printf("%s\n", o.output) // has the lines too
			t.Errorf("%s: %v", o.shard, o.err)
		} else {
			fmt.Print(strings.Join(o.lines, ""))
		}
		results = append(results, o.lines...)
	}
}

// runnable are the shards that this machine can run.
func runnable() []shard {
	lacks := lacking()
	return slices.DeleteFunc(slices.Clone(shards), func(s shard) bool {
		if s.real && lacks != "" {
			fmt.Printf("%s does not run: this machine lacks %s\n", s.name, lacks)
			return true
		}
		return false
	})
}

// lacking says what this machine lacks to run containers: nothing when empty.
func lacking() string {
	if os.Geteuid() != 0 {
		return "root's rights"
	}
	for _, program := range []string{"containerd", "runc", "iptables", "busybox"} {
		_, found := exec.LookPath(program)
		_, beside := os.Stat(filepath.Join("/usr/sbin", program))
		if found != nil && beside != nil {
			return program
		}
	}
	return ""
}

type outcome struct {
	shard  string
	output []byte   // what the process said
	lines  []string // one for each spec that ran
	err    error
}

func (s shard) run(ctx context.Context, dir string) outcome {
	o := outcome{shard: s.name}
	if o.err = os.Mkdir(dir, 0o755); o.err != nil {
		return o
	}
	args := append(slices.Clone(os.Args[1:]), "-shard", s.name, "-artifacts", dir)
	cmd := exec.CommandContext(ctx, os.Args[0], args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = stopBeforeDeadline / 2
	o.output, o.err = cmd.CombinedOutput()
	written, err := os.ReadFile(filepath.Join(dir, "results"))
	if o.err == nil {
		o.err = err
	}
	o.lines = slices.Collect(strings.Lines(string(written)))
	return o
}

// summary counts the specs that passed and those that did anything else, such
// as to skip themselves.
func summary(lines []string) (passed, failed int) {
	for _, line := range lines {
		if strings.HasPrefix(line, "PASSED ") {
			passed++
		} else {
			failed++
		}
	}
	return passed, failed
}
