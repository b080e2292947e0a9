package node

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Signal names something that can run short, as kubelets name it.
type Signal string

// The signals. The image file system is the one that the runtime keeps images
// and containers in, and often the same as the node's.
const (
	MemoryAvailable   Signal = "memory.available"
	NodeFSAvailable   Signal = "nodefs.available"
	NodeFSInodesFree  Signal = "nodefs.inodesFree"
	ImageFSAvailable  Signal = "imagefs.available"
	ImageFSInodesFree Signal = "imagefs.inodesFree"
	PIDAvailable      Signal = "pid.available"
)

// DefaultEviction is what kubelets have.
const DefaultEviction = "memory.available<100Mi,nodefs.available<10%,nodefs.inodesFree<5%,imagefs.available<15%,imagefs.inodesFree<5%"

// pressureOf tells which condition follows from a shortage.
var pressureOf = map[Signal]corev1.NodeConditionType{
	MemoryAvailable:   corev1.NodeMemoryPressure,
	NodeFSAvailable:   corev1.NodeDiskPressure,
	NodeFSInodesFree:  corev1.NodeDiskPressure,
	ImageFSAvailable:  corev1.NodeDiskPressure,
	ImageFSInodesFree: corev1.NodeDiskPressure,
	PIDAvailable:      corev1.NodePIDPressure,
}

// Thresholds tell how much of what must stay free.
type Thresholds map[Signal]Threshold

// Threshold is an amount, or a share of what there is; one of them is zero.
type Threshold struct {
	Amount int64 // bytes, inodes or processes
	Share  float64
}

// of is the threshold in the unit of its signal.
func (t Threshold) of(capacity int64) int64 {
	if t.Share > 0 {
		return int64(float64(capacity) * t.Share)
	}
	return t.Amount
}

// ParseThresholds reads such as memory.available<100Mi,nodefs.available<10%. A
// threshold of 0% or 100% is none.
func ParseThresholds(text string) (Thresholds, error) {
	all := Thresholds{}
	for statement := range strings.SplitSeq(text, ",") {
		if statement = strings.TrimSpace(statement); statement == "" {
			continue
		}
		name, value, found := strings.Cut(statement, "<")
		signal := Signal(strings.TrimSpace(name))
		if !found {
			return nil, fmt.Errorf("%q is not of the form SIGNAL<QUANTITY", statement)
		}
		if pressureOf[signal] == "" {
			known := slices.Sorted(maps.Keys(pressureOf))
			return nil, fmt.Errorf("%q is not one of %s", signal, strings.Trim(fmt.Sprint(known), "[]"))
		}
		threshold, err := parseThreshold(strings.TrimSpace(value))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", signal, err)
		}
		if threshold != (Threshold{}) {
			all[signal] = threshold
		}
	}
	return all, nil
}

func parseThreshold(value string) (Threshold, error) {
	if percentage, found := strings.CutSuffix(value, "%"); found {
		share, err := strconv.ParseFloat(percentage, 64)
		if err != nil || share < 0 || share > 100 {
			return Threshold{}, fmt.Errorf("%q is not a percentage between 0%% and 100%%", value)
		}
		if share == 100 {
			return Threshold{}, nil
		}
		return Threshold{Share: share / 100}, nil
	}
	amount, err := resource.ParseQuantity(value)
	if err != nil || amount.Sign() <= 0 {
		return Threshold{}, fmt.Errorf("%q is not a positive quantity", value)
	}
	return Threshold{Amount: amount.Value()}, nil
}

// reserved is what pods cannot be given, because they would be evicted before they
// had used it.
func (t Thresholds) reserved(capacity corev1.ResourceList) corev1.ResourceList {
	list := corev1.ResourceList{}
	for signal, name := range map[Signal]corev1.ResourceName{
		MemoryAvailable: corev1.ResourceMemory,
		NodeFSAvailable: corev1.ResourceEphemeralStorage,
	} {
		if threshold, found := t[signal]; found {
			whole := capacity[name]
			list[name] = *resource.NewQuantity(threshold.of(whole.Value()), resource.BinarySI)
		}
	}
	return list
}

// Observation is how much there is of something, and how much is free.
type Observation struct{ Capacity, Available int64 }

// Pressure tells what has run short, now or within the transition period.
type Pressure struct{ Memory, Disk, PID bool }

// gauge remembers when each kind of pressure was last seen: a condition that came
// and went every few seconds would be of no use to anyone.
type gauge struct {
	thresholds Thresholds
	period     time.Duration
	last       map[corev1.NodeConditionType]time.Time
}

// observe takes what is free at a time and returns the pressure at that time, and
// the signals that are short right then, sorted.
func (g *gauge) observe(now time.Time, observed map[Signal]Observation) (Pressure, []Signal) {
	if g.last == nil {
		g.last = map[corev1.NodeConditionType]time.Time{}
	}
	var short []Signal
	for signal, threshold := range g.thresholds {
		o, found := observed[signal]
		if found && o.Available < threshold.of(o.Capacity) {
			short = append(short, signal)
			g.last[pressureOf[signal]] = now
		}
	}
	slices.Sort(short)
	under := func(kind corev1.NodeConditionType) bool {
		last, seen := g.last[kind]
		return seen && (now.Equal(last) || now.Sub(last) < g.period)
	}
	return Pressure{
		Memory: under(corev1.NodeMemoryPressure),
		Disk:   under(corev1.NodeDiskPressure),
		PID:    under(corev1.NodePIDPressure),
	}, short
}
