package replicaset

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/garrison-project/garrison/internal/podstatus"
)

// input is all that a decision depends on.
type input struct {
	Replicas int
	// MinReady is how long a pod must have been ready to count as available.
	MinReady time.Duration
	// Labels are those of the template.
	Labels map[string]string
	// Pods are all that the ReplicaSet controls, in any order.
	Pods []*corev1.Pod
	Now  time.Time
}

// decision is what to do about the pods. At most one of Create and Delete is
// not empty.
type decision struct {
	Create int
	Delete []*corev1.Pod // the most dispensable first
	Counts counts
	WakeAt time.Time // when a pod becomes available; zero if none will by itself
}

// counts are those of the status.
type counts struct{ Replicas, Labelled, Ready, Available, Terminating int32 }

// plan decides how to get from the pods that are there to as many as are wanted.
func plan(in input) decision {
	var d decision
	active := make([]*corev1.Pod, 0, len(in.Pods))
	for _, pod := range in.Pods {
		switch {
		case podstatus.IsTerminal(pod):
		case pod.DeletionTimestamp != nil:
			d.Counts.Terminating++
		default:
			active = append(active, pod)
			d.count(in, pod)
		}
	}
	if excess := len(active) - in.Replicas; excess > 0 {
		d.Delete = dispensable(active)[:excess]
	} else {
		d.Create = -excess
	}
	return d
}

// count counts an active pod.
func (d *decision) count(in input, pod *corev1.Pod) {
	d.Counts.Replicas++
	if containsAll(pod.Labels, in.Labels) {
		d.Counts.Labelled++
	}
	if !podstatus.IsReady(&pod.Status) {
		return
	}
	d.Counts.Ready++
	available := readySince(pod).Add(in.MinReady)
	if in.MinReady == 0 || !in.Now.Before(available) {
		d.Counts.Available++
	} else if d.WakeAt.IsZero() || available.Before(d.WakeAt) {
		d.WakeAt = available
	}
}

func containsAll(labels, wanted map[string]string) bool {
	for key, value := range wanted {
		if has, ok := labels[key]; !ok || has != value {
			return false
		}
	}
	return true
}

// readySince is when the Ready condition last changed.
func readySince(pod *corev1.Pod) time.Time {
	if c := podstatus.Condition(&pod.Status, corev1.PodReady); c != nil {
		return c.LastTransitionTime.Time
	}
	return time.Time{}
}

// dispensable sorts pods: those first whose end costs least.
func dispensable(pods []*corev1.Pod) []*corev1.Pod {
	ranks := make([]rank, 0, len(pods))
	left := map[string]int{} // on each node
	for _, pod := range pods {
		ranks = append(ranks, rankOf(pod))
		left[pod.Spec.NodeName]++
	}
	slices.SortFunc(ranks, rank.compare)
	// Company counts as it will be when it is the pod's turn, so that what remains
	// is spread.
	for i := range ranks {
		node := ranks[i].pod.Spec.NodeName
		ranks[i].company = -left[node]
		left[node]--
	}
	slices.SortFunc(ranks, rank.compare)
	sorted := make([]*corev1.Pod, 0, len(ranks))
	for _, r := range ranks {
		sorted = append(sorted, r.pod)
	}
	return sorted
}

// rank says how dispensable a pod is. The fields count in their order, and at last
// the name; a lower value goes first.
type rank struct {
	pod        *corev1.Pod
	bound      int // to a node
	phase      int
	ready      int
	cost       int       // as its owner puts it
	company    int       // of pods on the same node: the fewer the better
	readySince time.Time // the latest goes first
	restarts   int32     // the most go first
	created    time.Time // the latest goes first
}

var phases = map[corev1.PodPhase]int{corev1.PodPending: 0, corev1.PodUnknown: 1, corev1.PodRunning: 2}

func rankOf(pod *corev1.Pod) rank {
	r := rank{
		pod:     pod,
		bound:   truth(pod.Spec.NodeName != ""),
		phase:   phases[pod.Status.Phase],
		ready:   truth(podstatus.IsReady(&pod.Status)),
		created: pod.CreationTimestamp.Time,
	}
	// What is not a number does not count; the API server refuses it.
	if cost, err := strconv.ParseInt(pod.Annotations[corev1.PodDeletionCost], 10, 32); err == nil {
		r.cost = int(cost)
	}
	if r.ready == 1 {
		r.readySince = readySince(pod)
	}
	for _, c := range pod.Status.ContainerStatuses {
		r.restarts = max(r.restarts, c.RestartCount)
	}
	return r
}

func (r rank) compare(other rank) int {
	return cmp.Or(
		cmp.Compare(r.bound, other.bound),
		cmp.Compare(r.phase, other.phase),
		cmp.Compare(r.ready, other.ready),
		cmp.Compare(r.cost, other.cost),
		cmp.Compare(r.company, other.company),
		other.readySince.Compare(r.readySince),
		cmp.Compare(other.restarts, r.restarts),
		other.created.Compare(r.created),
		cmp.Compare(r.pod.Name, other.pod.Name),
	)
}

func truth(b bool) int {
	if b {
		return 1
	}
	return 0
}
