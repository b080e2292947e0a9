package script

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// beating is an agent that leaves a sign of life on the machine every tenth of a
// second.
const beating = `
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: beating}
spec:
  selector: {matchLabels: {app: beating}}
  template:
    metadata: {labels: {app: beating}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
      - name: main
        image: busybox:1.36
        command: [sh, -c, 'while true; do echo beat >>/signs/beats; sleep 0.1; done']
        volumeMounts: [{name: signs, mountPath: /signs}]
      volumes:
      - {name: signs, hostPath: {path: DIR/signs, type: DirectoryOrCreate}}
`

// TestContainersOutliveGarrison kills and stops garrison while a DaemonSet runs on
// its machine: containers go on, and are taken over. garrison reset ends them, and
// leaves nothing of them.
func TestContainersOutliveGarrison(t *testing.T) {
	needMachine(t)
	dir := machineDir(t)
	images := filepath.Join(dir, "images")
	if err := os.Mkdir(images, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := makeImage(filepath.Join(images, "busybox.tar"), "busybox:1.36"); err != nil {
		t.Fatal(err)
	}
	manifest := filepath.Join(dir, "beating.yaml")
	if err := os.WriteFile(manifest, []byte(strings.ReplaceAll(beating, "DIR", dir)), 0o600); err != nil {
		t.Fatal(err)
	}
	s := &session{t, []string{"HOME=" + dir, "GARRISON_DATA_DIR=" + dir, "KUBECTL_KUBERC=false"}}
	flags := []string{"--image-gc-high-threshold", "100"}

	plane := startMachine(t, dir, flags...)
	s.quiet("apply", "-f", manifest)
	s.quiet("rollout", "status", "daemonset/beating", "--timeout=90s")
	first := s.container(t)
	plane.end()
	goesOn(t, dir)

	plane = startMachine(t, dir, flags...)
	s.adopts(t, first)
	if err := plane.stop(); err != nil {
		t.Error(err)
	}
	goesOn(t, dir)

	plane = startMachine(t, dir, flags...)
	s.adopts(t, first)
	s.quiet("delete", "daemonset", "beating")
	s.quiet("wait", "--for=delete", "pod", "-l", "app=beating", "--timeout=90s")
	if logs, err := os.ReadDir(filepath.Join(dir, "pod-logs")); err != nil || len(logs) > 0 {
		t.Errorf("logs of a deleted pod are left: %v, %v", logs, err)
	}
	s.quiet("apply", "-f", manifest)
	s.quiet("rollout", "status", "daemonset/beating", "--timeout=90s")
	plane.end()

	reset := exec.Command(binary, "reset", "--yes", "--data-dir", dir, "--pod-logs-dir", filepath.Join(dir, "pod-logs"))
	if out, err := reset.CombinedOutput(); err != nil || string(out) != "no container of "+dir+" is left\n" {
		t.Errorf("garrison reset: %v\n%s", err, out)
	}
	leavesNothing(t, dir)
}

// container tells which container runs, and how often it was restarted.
func (s *session) container(t *testing.T) string {
	t.Helper()
	out, stderr, err := s.kubectl("get", "pods", "-l", "app=beating", "-o",
		`jsonpath={range .items[*]}{.metadata.uid} {.status.phase} {.status.containerStatuses[0].containerID} restarted {.status.containerStatuses[0].restartCount}{"\n"}{end}`)
	if err != nil || !strings.Contains(out, " Running containerd://") || !strings.Contains(out, "restarted 0") || strings.Count(out, "\n") != 1 {
		t.Fatalf("pods: %v\n%s%s", err, out, stderr)
	}
	return out
}

// adopts waits for the agent to have looked at its pods, and tells whether they
// are what they were.
func (s *session) adopts(t *testing.T, before string) {
	t.Helper()
	s.quiet("wait", "--for=condition=Ready", "node/here", "--timeout=90s")
	s.quiet("wait", "--for=condition=Ready", "pod", "-l", "app=beating", "--timeout=90s")
	// What an agent does not take over it ends at its first look; when it answers
	// for the pod it has had it.
	deadline := time.Now().Add(patience)
	for {
		out, _, err := s.kubectl("exec", "daemonset/beating", "--", "echo", "here")
		if err == nil && out == "here\n" {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the agent does not know its pod: %v, %q", err, out)
		}
		time.Sleep(glance)
	}
	if now := s.container(t); now != before {
		t.Errorf("was %snow %s", before, now)
	}
}

// goesOn waits for new signs of life.
func goesOn(t *testing.T, dir string) {
	t.Helper()
	size := func() int64 {
		info, err := os.Stat(filepath.Join(dir, "signs", "beats"))
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	for begin, deadline := size(), time.Now().Add(patience); size() < begin+3*int64(len("beat\n")); time.Sleep(glance) {
		if time.Now().After(deadline) {
			t.Fatal("the container does not go on without garrison")
		}
	}
}

// leavesNothing looks for what containers leave: processes, mounts, folders.
func leavesNothing(t *testing.T, dir string) {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(mounts)) {
		if strings.Contains(line, dir+"/") {
			t.Errorf("mounted still: %s", line)
		}
	}
	commands, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range commands {
		if line, err := os.ReadFile(file); err == nil && strings.Contains(string(line), dir+"/") {
			t.Errorf("runs still: %q", line)
		}
	}
	for _, folder := range []string{"agent", "pod-logs/*"} {
		if left, err := filepath.Glob(filepath.Join(dir, folder)); err != nil || len(left) > 0 {
			t.Error(fmt.Sprint("left: ", left, err))
		}
	}
}
