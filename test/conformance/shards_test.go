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
}

// shards together are the specs that Garrison must pass.
var shards = []shard{
	{"daemonsets", []string{`\[sig-apps\] Daemon set `, `\[sig-apps\] ControllerRevision `, `\[sig-scheduling\] LimitRange `}},
	{"predicates", []string{`\[sig-scheduling\] SchedulerPredicates `}},
	{"preemption", []string{`\[sig-scheduling\] SchedulerPreemption `}},
	{"priorities", []string{`\[sig-scheduling\] SchedulerPriorities `}},
}

// focusOf returns the specs of one shard, or of all when name is empty.
func focusOf(t *testing.T, name string) []string {
	t.Helper()
	var focus []string
	for _, s := range shards {
		if name == "" || name == s.name {
			focus = append(focus, s.focus...)
		}
	}
	if len(focus) == 0 {
		t.Fatalf("there is no shard %q", name)
	}
	return focus
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
	for _, s := range shards {
		go func() { ended <- s.run(ctx, filepath.Join(dir, s.name)) }()
	}
	for range shards {
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
