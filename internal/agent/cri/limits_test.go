package cri_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// unified tells whether the machine has control groups of version 2.
func unified() bool {
	_, err := os.Stat("/sys/fs/cgroup/cgroup.controllers")
	return err == nil
}

func testLimits(t *testing.T, l *lab) {
	b := l.open(t, `{containers: [
		{resources: {limits: {cpu: 200m, memory: 32Mi}, requests: {cpu: 100m, memory: 32Mi}}},
		{resources: {limits: {cpu: 300m, memory: 32Mi}, requests: {cpu: 300m}}}]}`)
	id := b.start(b.config(0))
	pod := l.options.CgroupRoot + "/pod" + string(b.pod.UID)
	if unified() {
		b.says(id, "cd /sys/fs/cgroup; cat cpu.max memory.max", "20000 100000\n33554432")
		wantFile(t, filepath.Join("/sys/fs/cgroup", pod, "memory.max"), "67108864")
		wantFile(t, filepath.Join("/sys/fs/cgroup", pod, "cpu.max"), "50000 100000")
	} else {
		b.says(id, "cd /sys/fs/cgroup; cat cpu/cpu.cfs_quota_us cpu/cpu.shares memory/memory.limit_in_bytes", "20000\n102\n33554432")
		wantFile(t, filepath.Join("/sys/fs/cgroup/memory", pod, "memory.limit_in_bytes"), "67108864")
		wantFile(t, filepath.Join("/sys/fs/cgroup/cpu", pod, "cpu.cfs_quota_us"), "50000")
		wantFile(t, filepath.Join("/sys/fs/cgroup/cpu", pod, "cpu.shares"), "409")
	}
	// A 256th of the machine's memory is asked for.
	b.says(id, "cat /proc/1/oom_score_adj", "997")
}

func wantFile(t *testing.T, name, want string) {
	t.Helper()
	got, err := os.ReadFile(name)
	if err != nil || strings.TrimSpace(string(got)) != want {
		t.Errorf("%s: got %q (%v), want %q", name, got, err, want)
	}
}

func testOutOfMemory(t *testing.T, l *lab) {
	b := l.open(t, `{containers: [{resources: {limits: {memory: 16Mi}}}]}`)
	id := b.start(b.config(0, "tail", "/dev/zero"))
	c := b.ended(id)
	if c.ExitCode != 137 {
		t.Errorf("want exit code 137, not %+v", c)
	}
	for deadline := time.Now().Add(patience); c.Reason != "OOMKilled"; c = b.ended(id) { // it may be known a little later
		if time.Now().After(deadline) {
			t.Fatalf("want OOMKilled, not %+v", c)
		}
	}
}

func testStats(t *testing.T, l *lab) {
	b := l.open(t, `{containers: [{}, {}]}`)
	b.start(b.config(0, "sh", "-c", "while :; do :; done"))
	b.start(b.config(1))
	began := time.Now()
	eventually(t, "there is a rate of CPU use", func() bool {
		stats, err := b.Stats(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range stats {
			if p.PodRef.UID != string(b.pod.UID) || len(p.Containers) != 2 {
				continue
			}
			busy := p.Containers[0]
			if busy.Name != "c0" || busy.Memory == nil || *busy.Memory.WorkingSetBytes == 0 || p.Memory == nil || p.CPU == nil || busy.StartTime.IsZero() {
				t.Fatalf("incomplete: %+v", p)
			}
			if busy.CPU == nil || busy.CPU.UsageNanoCores == nil {
				return false
			}
			if rate := *busy.CPU.UsageNanoCores; rate < 10e6 || rate > 1.5e9 || time.Since(began) < time.Second {
				t.Errorf("one busy process uses %d billionths of a CPU, known after %v", rate, time.Since(began))
			}
			return true
		}
		return false
	})
	places, err := b.ImageFilesystems(t.Context())
	if err != nil || len(places) == 0 || places[0].Mountpoint == "" {
		t.Errorf("want a place where images are, not %+v (%v)", places, err)
	}
}
