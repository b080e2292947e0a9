package place

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Occupant is a pod that a node has accepted, as its own preemption sees it.
type Occupant struct {
	*Subject
	// Critical pods are those that the machine itself asks for, and those of the
	// priorities that are kept for the system.
	Critical bool
	// Ranked pods have a priority, by which they yield to others that have one.
	Ranked bool
	QOS    corev1.PodQOSClass
}

// yields tells whether a pod has to leave for another one.
func (o Occupant) yields(to Occupant) bool {
	return to.Critical && !o.Critical || to.Ranked && o.Ranked && to.Priority > o.Priority
}

// NoRoom is the reason why no pods can make room for another: what would still be
// missing without all that would have to yield to it.
type NoRoom struct{ Missing []Shortage }

// Shortage is how much of a resource is missing, in the units of
// InsufficientResource.
type Shortage struct {
	Name   corev1.ResourceName
	Amount int64
}

func (n *NoRoom) Error() string {
	var b strings.Builder
	b.WriteString("no set of running pods found to reclaim resources: [")
	for _, s := range n.Missing {
		fmt.Fprintf(&b, "(res: %s, q: %d), ", s.Name, s.Amount)
	}
	b.WriteString("]")
	return b.String()
}

// MakeRoom chooses which of the others are to leave a node, lest a critical pod that
// was bound to it be refused for what it is short of, as Admit has found. Guaranteed
// pods leave only if all the others that would have to yield are not enough, and
// burstable ones only if those of best effort are not; among pods of one class those
// leave that together come nearest to what is missing, the smaller first. The error
// is a *NoRoom.
func MakeRoom(s Occupant, short []Reason, others []Occupant) ([]Occupant, error) {
	missing := shortagesOf(short)
	var bestEffort, burstable, guaranteed []Occupant
	for _, o := range others {
		switch {
		case !o.yields(s):
		case o.QOS == corev1.PodQOSGuaranteed:
			guaranteed = append(guaranteed, o)
		case o.QOS == corev1.PodQOSBurstable:
			burstable = append(burstable, o)
		default:
			bestEffort = append(bestEffort, o)
		}
	}
	if left := without(missing, slices.Concat(bestEffort, burstable, guaranteed)); len(left) > 0 {
		return nil, &NoRoom{Missing: left}
	}
	guaranteed = nearest(guaranteed, without(missing, slices.Concat(bestEffort, burstable)))
	burstable = nearest(burstable, without(missing, slices.Concat(bestEffort, guaranteed)))
	bestEffort = nearest(bestEffort, without(missing, slices.Concat(burstable, guaranteed)))
	return slices.Concat(bestEffort, burstable, guaranteed), nil
}

// shortagesOf reads what is missing from the reasons of a refusal.
func shortagesOf(reasons []Reason) []Shortage {
	var out []Shortage
	for _, reason := range reasons {
		switch r := reason.(type) {
		case InsufficientResource:
			out = append(out, Shortage{r.Name, r.Requested - (r.Allocatable - r.Used)})
		case TooManyPods:
			out = append(out, Shortage{corev1.ResourcePods, r.Used + 1 - r.Allowed})
		}
	}
	return out
}

// without is what is still missing once some pods have left.
func without(missing []Shortage, leaving []Occupant) []Shortage {
	var out []Shortage
	for _, m := range missing {
		for _, o := range leaving {
			m.Amount -= o.takes(m.Name)
		}
		if m.Amount > 0 {
			out = append(out, m)
		}
	}
	return out
}

// nearest picks pods until nothing is missing, each time the one that leaves least
// missing.
func nearest(pods []Occupant, missing []Shortage) []Occupant {
	var out []Occupant
	pods = slices.Clone(pods)
	for len(missing) > 0 && len(pods) > 0 {
		best := slices.MinFunc(pods, func(a, b Occupant) int {
			return cmp.Or(
				cmp.Compare(a.distance(missing), b.distance(missing)),
				cmp.Compare(a.requests.Memory, b.requests.Memory),
				cmp.Compare(a.requests.MilliCPU, b.requests.MilliCPU),
				compareKeys(a.Key, b.Key),
			)
		})
		out = append(out, best)
		pods = slices.DeleteFunc(pods, func(o Occupant) bool { return o.Subject == best.Subject })
		missing = without(missing, []Occupant{best})
	}
	return out
}

// distance is how far what a pod takes is from what is missing: the sum of squares
// of the parts that would still be.
func (o Occupant) distance(missing []Shortage) float64 {
	sum := 0.0
	for _, m := range missing {
		if left := float64(m.Amount-o.takes(m.Name)) / float64(m.Amount); left > 0 {
			sum += left * left
		}
	}
	return sum
}

// takes is what a pod takes of a resource, in the units of InsufficientResource.
func (s *Subject) takes(name corev1.ResourceName) int64 {
	switch name {
	case corev1.ResourcePods:
		return 1
	case corev1.ResourceCPU:
		return s.requests.MilliCPU
	case corev1.ResourceMemory:
		return s.requests.Memory
	case corev1.ResourceEphemeralStorage:
		return s.requests.EphemeralStorage
	}
	return s.requests.Other[name]
}
