package conformance

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"
)

const (
	startWithin = time.Minute
	stopWithin  = 10 * time.Second
)

// startGarrison starts a control plane with an empty data directory and only
// simulated nodes, and returns its kubeconfig once it is ready. The test's end
// stops it, and fails if it does not stop cleanly.
func startGarrison(t *testing.T, dir string) string {
	t.Helper()
	kubeconfig := filepath.Join(dir, "kubeconfig")
	log, err := os.Create(filepath.Join(dir, "garrison.log"))
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(*binary, "up",
		"--data-dir", filepath.Join(dir, "data"),
		"--port", "0",
		"--kubeconfig-out", kubeconfig,
		"--no-agent",
		"--simulate-nodes", strconv.Itoa(*simulated))
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
