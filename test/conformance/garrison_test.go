package conformance

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"
)

const (
	startWithin = time.Minute
	stopWithin  = 10 * time.Second
)

// startSimulation starts a control plane with only simulated nodes, and returns
// its kubeconfig once it is ready.
func startSimulation(t *testing.T, dir string) string {
	t.Helper()
	return startGarrison(t, dir, filepath.Join(dir, "data"), "--no-agent", "--simulate-nodes", strconv.Itoa(*simulated))
}

// startRealNode starts a control plane with this machine as its only node, and
// returns its kubeconfig once it is ready. The test's end removes all that ran.
func startRealNode(t *testing.T, dir string) string {
	t.Helper()
	data := filepath.Join(dir, "data")
	makeImages(t, filepath.Join(data, "images"))
	t.Cleanup(func() {
		if out, err := exec.Command(*binary, "reset", "--data-dir", data, "--yes").CombinedOutput(); err != nil {
			t.Errorf("clean up: %v\n%s", err, out)
		}
	})
	// Shards run at once on one machine: each has a range of addresses of its own.
	number := slices.IndexFunc(shards, func(s shard) bool { return s.name == *only })
	cidr := fmt.Sprintf("10.%d.0.0/16", *addresses+1+number)
	return startGarrison(t, dir, data,
		"--cluster-cidr", cidr,
		"--agent-port", "0",
		"--node-name", "real",
		"--runtime-handlers", "test-handler="+programPath("runc"),
		"--eviction-hard", "memory.available<50Mi",
		"--pod-logs-dir", filepath.Join(dir, "pod-logs"),
		// No registry gives an image back that a full disk has cost.
		"--image-gc-high-threshold", "100")
}

// startGarrison starts a garrison with an empty data directory. The test's end
// stops it, and fails if it does not stop cleanly.
func startGarrison(t *testing.T, dir, data string, flags ...string) string {
	t.Helper()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	log, err := os.Create(filepath.Join(dir, "garrison.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(*binary, append([]string{"up", "--data-dir", data, "--port", "0", "--kubeconfig-out", kubeconfig}, flags...)...)
	cmd.Stderr = log
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start garrison: %v", err)
	}
	ready, done := make(chan string, 1), make(chan error, 1)
	go func() {
		lines := bufio.NewReader(stdout)
		if line, err := lines.ReadString('\n'); err == nil {
			ready <- line
		}
		_, copied := io.Copy(log, lines)
		done <- firstError(cmd.Wait(), copied, log.Close())
	}()
	t.Cleanup(func() { stopGarrison(t, cmd.Process, done) })
	select {
	case line := <-ready:
		fmt.Print(line)
	case err := <-done:
		done <- err // for the end of the test
		t.Fatalf("garrison ended before it was ready: %v; see %s", err, log.Name())
	case <-time.After(startWithin):
		t.Fatalf("garrison was not ready within %v; see %s", startWithin, log.Name())
	}
	return kubeconfig
}

func stopGarrison(t *testing.T, process *os.Process, done <-chan error) {
	select {
	case err := <-done:
		t.Errorf("garrison ended before it was asked to: %v", err)
		return
	default:
	}
	// An error means that it has just ended, and then done says why.
	_ = process.Signal(syscall.SIGTERM)
	select {
	case err := <-done:
		if err != nil {
			t.Errorf("garrison ended badly: %v", err)
		}
	case <-time.After(stopWithin):
		t.Errorf("garrison did not stop within %v", stopWithin)
		if err := process.Kill(); err != nil {
			t.Error(err)
		}
		<-done
	}
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}
