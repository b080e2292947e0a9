package node

import (
	"maps"
	"slices"
	"testing"
	"time"
)

func TestParseThresholds(t *testing.T) {
	for text, want := range map[string]Thresholds{
		"":                        {},
		"memory.available<100Mi":  {MemoryAvailable: {Amount: 100 << 20}},
		"nodefs.available<10%":    {NodeFSAvailable: {Share: 0.1}},
		" pid.available < 1000 ,": {PIDAvailable: {Amount: 1000}},
		"nodefs.inodesFree<0%,imagefs.available<100%,imagefs.inodesFree<5%": {ImageFSInodesFree: {Share: 0.05}},
	} {
		got, err := ParseThresholds(text)
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: %v, %v, want %v", text, got, err, want)
		}
	}
	for text, want := range map[string]string{
		"memory.available":          `"memory.available" is not of the form SIGNAL<QUANTITY`,
		"disk<5%":                   `"disk" is not one of imagefs.available imagefs.inodesFree memory.available nodefs.available nodefs.inodesFree pid.available`,
		"memory.available<-1":       `memory.available: "-1" is not a positive quantity`,
		"memory.available<lots":     `memory.available: "lots" is not a positive quantity`,
		"nodefs.available<101%":     `nodefs.available: "101%" is not a percentage between 0% and 100%`,
		"nodefs.available<some%":    `nodefs.available: "some%" is not a percentage between 0% and 100%`,
		"memory.available<0,a<b<10": `memory.available: "0" is not a positive quantity`,
	} {
		if _, err := ParseThresholds(text); err == nil || err.Error() != want {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}

func TestGauge(t *testing.T) {
	thresholds, err := ParseThresholds("memory.available<100,nodefs.available<10%,imagefs.inodesFree<5%")
	if err != nil {
		t.Fatal(err)
	}
	g := gauge{thresholds: thresholds, period: 5 * time.Minute}
	for _, step := range []struct {
		at    time.Duration
		seen  map[Signal]Observation
		want  Pressure
		short []Signal
	}{
		{0, map[Signal]Observation{MemoryAvailable: {1000, 100}, NodeFSAvailable: {1000, 100}}, Pressure{}, nil},
		{time.Minute, map[Signal]Observation{MemoryAvailable: {1000, 99}}, Pressure{Memory: true}, []Signal{MemoryAvailable}},
		// Gone, but not for long enough.
		{2 * time.Minute, map[Signal]Observation{MemoryAvailable: {1000, 500}}, Pressure{Memory: true}, nil},
		{3 * time.Minute, map[Signal]Observation{NodeFSAvailable: {1000, 99}, ImageFSInodesFree: {1000, 0}}, Pressure{Memory: true, Disk: true}, []Signal{ImageFSInodesFree, NodeFSAvailable}},
		{6 * time.Minute, nil, Pressure{Disk: true}, nil},
		{8 * time.Minute, nil, Pressure{}, nil},
		// A file system that has no inodes cannot run out of them.
		{9 * time.Minute, map[Signal]Observation{ImageFSInodesFree: {0, 0}}, Pressure{}, nil},
	} {
		got, short := g.observe(start.Add(step.at), step.seen)
		if got != step.want || !slices.Equal(short, step.short) {
			t.Errorf("after %v: %+v, short of %v; want %+v, %v", step.at, got, short, step.want, step.short)
		}
	}
}
