package conformance

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// process is this binary once more, for some of the specs.
type process struct {
	name  string // of its folder of logs
	flags []string
	// nice is how much it stands back for others, as nice(1) counts.
	nice int
	// patience is how long it may take to stop.
	patience time.Duration
}

// stopBeforeDeadline is the time that processes get to stop their garrisons
// when the time of the test runs out.
const stopBeforeDeadline = time.Minute

// shardProcesses are the processes of the shards that this machine can run.
func shardProcesses() []process {
	var all []process
	lacks := lacking()
	for _, s := range shards {
		if s.real && lacks != "" {
			fmt.Printf("%s does not run: this machine lacks %s\n", s.name, lacks)
			continue
		}
		p := process{name: s.name, flags: []string{"-shard", s.name}, nice: 10, patience: stopBeforeDeadline * 3 / 4}
		if s.timed {
			p.nice = 0
		}
		all = append(all, p)
	}
	return all
}

// partProcesses are the processes of the parts of one shard, whose cluster runs.
func partProcesses(s shard, kubeconfig string) []process {
	var all []process
	for i := range s.parts {
		flags := []string{"-shard", s.name, "-part", strconv.Itoa(i), "-kubeconfig", kubeconfig}
		all = append(all, process{name: "part-" + strconv.Itoa(i), flags: flags, patience: stopBeforeDeadline / 4})
	}
	return all
}

// runProcesses runs all at once, and prints the results of each as it ends.
func runProcesses(t *testing.T, dir string, all []process) {
	ctx, stop := signal.NotifyContext(t.Context(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if deadline, ok := t.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, deadline.Add(-stopBeforeDeadline))
		defer cancel()
	}
	ended := make(chan outcome)
	for _, p := range all {
		go func() { ended <- p.run(ctx, filepath.Join(dir, p.name)) }()
	}
	for range all {
		o := <-ended
		if o.err != nil {
			fmt.Printf("%s\n", o.output) // has the lines too
			t.Errorf("%s: %v", o.process, o.err)
		} else {
			fmt.Print(strings.Join(o.lines, ""))
		}
		results = append(results, o.lines...)
	}
}

// lacking says what this machine lacks to run containers: nothing when empty.
func lacking() string {
	if os.Geteuid() != 0 {
		return "root's rights"
	}
	for _, program := range []string{"containerd", "runc", "iptables", "busybox"} {
		if programPath(program) == "" {
			return program
		}
	}
	return ""
}

// programPath finds a program on the PATH, or where it often lacks administrators'
// programs; empty if it is not there.
func programPath(name string) string {
	for _, file := range []string{name, filepath.Join("/usr/sbin", name)} {
		if path, err := exec.LookPath(file); err == nil {
			return path
		}
	}
	return ""
}

type outcome struct {
	process string
	output  []byte   // what the process said
	lines   []string // one for each spec that ran
	err     error
}

func (p process) run(ctx context.Context, dir string) outcome {
	o := outcome{process: p.name}
	if o.err = os.Mkdir(dir, 0o755); o.err != nil {
		return o
	}
	args := slices.Concat([]string{"-n", strconv.Itoa(p.nice), os.Args[0]}, os.Args[1:], p.flags, []string{"-artifacts", dir, "-test.run", "^TestConformance$"})
	cmd := exec.CommandContext(ctx, "nice", args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGINT) }
	cmd.WaitDelay = p.patience
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
