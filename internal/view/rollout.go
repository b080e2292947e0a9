package view

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"

	"github.com/garrison-project/garrison/internal/core/place"
	"github.com/garrison-project/garrison/internal/core/rollout"
	"github.com/garrison-project/garrison/internal/prepull"
)

// PlacementGraceAnnotation of a DaemonSet says how long a pod stays on a node
// that qualifies no longer only because other pods have come or gone: a
// duration, or "never".
const PlacementGraceAnnotation = "garrison.dev/placement-grace"

const defaultPlacementGrace = time.Minute

// Observation is what was seen of one DaemonSet.
type Observation struct {
	Now       time.Time
	DaemonSet *appsv1.DaemonSet
	// Hash is the label value of the current revision.
	Hash   string
	Roster *Roster
	// Standings has one entry for every node of the roster, in its order.
	Standings []Standing
	// Pods are the pods that the DaemonSet owns, in any order.
	Pods []*corev1.Pod
	// Crowds are the pods that keep a daemon pod out of a node, by node, in order.
	Crowds map[string][]string
	// The rest goes to rollout.Input as it is.
	TakenNames    []string
	CreateFailure string
	Memory        rollout.Memory
}

// RolloutInput turns an observation into the input of rollout.Plan. Pods that
// name no node are left out. It fails if the update strategy cannot be read.
func RolloutInput(o Observation) (rollout.Input, error) {
	strategy, err := strategyOf(&o.DaemonSet.Spec.UpdateStrategy)
	if err != nil {
		return rollout.Input{}, fmt.Errorf("read update strategy of %s/%s: %w", o.DaemonSet.Namespace, o.DaemonSet.Name, err)
	}
	grace, _ := PlacementGrace(o.DaemonSet)
	in := rollout.Input{
		Now: o.Now,
		Set: rollout.Set{
			Name:       o.DaemonSet.Name,
			UID:        string(o.DaemonSet.UID),
			Hash:       o.Hash,
			Generation: templateGeneration(o.DaemonSet),
		},
		Strategy:       strategy,
		MinReady:       time.Duration(o.DaemonSet.Spec.MinReadySeconds) * time.Second,
		PlacementGrace: grace,
		PrePull:        prepull.Wanted(o.DaemonSet),
		TakenNames:     o.TakenNames,
		CreateFailure:  o.CreateFailure,
		Memory:         o.Memory,
	}
	in.Nodes = make([]rollout.Node, len(o.Roster.nodes))
	for i, n := range o.Roster.nodes {
		h := healthOf(n)
		in.Nodes[i] = rollout.Node{
			Name:     n.Name,
			Verdict:  o.Standings[i].Verdict,
			Score:    o.Standings[i].Score,
			BadSince: h.badSince,
			Away:     h.away,
			PrePulls: prepull.Able(n),
			Crowd:    o.Crowds[n.Name],
		}
	}
	in.Strays = sortOut(o.Pods, o.Roster, in.Nodes)
	if in.PrePull && slices.ContainsFunc(in.Nodes, func(n rollout.Node) bool { return n.PrePulls }) {
		passOver(o, in.Nodes)
	}
	return in, nil
}

// passOver marks the pods whose agents need not fetch anything for their
// successors, or cannot, as if they had.
func passOver(o Observation, nodes []rollout.Node) {
	template := &o.DaemonSet.Spec.Template.Spec
	images := prepull.Images(template)
	done := rollout.Pull{Hash: o.Hash, State: rollout.Pulled}
	for _, pod := range o.Pods {
		i, found := o.Roster.position[pod.Spec.NodeName]
		if !found || !nodes[i].PrePulls || prepull.Useful(&pod.Spec, template, images) {
			continue
		}
		for j := range nodes[i].Pods {
			if p := &nodes[i].Pods[j]; p.UID == string(pod.UID) {
				p.Pull = done
			}
		}
	}
}

// sortOut gives every node its pods, in order, and returns those that are left.
// All nodes share one array: nodes have one pod each, as a rule.
func sortOut(pods []*corev1.Pod, roster *Roster, nodes []rollout.Node) []rollout.Pod {
	var strays []rollout.Pod
	at := make([]int, 0, len(pods))
	count := make([]int, len(nodes)+1)
	seen := make([]rollout.Pod, 0, len(pods))
	for _, pod := range pods {
		p, ok := podOf(pod)
		if !ok {
			continue
		}
		i, found := roster.position[p.Node]
		if !found {
			strays = append(strays, p)
			continue
		}
		seen, at = append(seen, p), append(at, i)
		count[i+1]++
	}
	for i := range nodes {
		count[i+1] += count[i]
	}
	sorted := make([]rollout.Pod, len(seen))
	next := slices.Clone(count)
	for k, i := range at {
		sorted[next[i]] = seen[k]
		next[i]++
	}
	for i := range nodes {
		if own := sorted[count[i]:count[i+1]:count[i+1]]; len(own) > 0 {
			slices.SortFunc(own, comparePods)
			nodes[i].Pods = own
		}
	}
	slices.SortFunc(strays, func(a, b rollout.Pod) int {
		return cmp.Or(cmp.Compare(a.Node, b.Node), cmp.Compare(a.Name, b.Name))
	})
	return strays
}

// comparePods orders the pods of one node: bound before unbound, then the
// oldest, then by name.
func comparePods(a, b rollout.Pod) int {
	switch {
	case a.Bound && !b.Bound:
		return -1
	case b.Bound && !a.Bound:
		return 1
	}
	return cmp.Or(a.Created.Compare(b.Created), cmp.Compare(a.Name, b.Name))
}

// podOf is a pod as rollout sees it; false if it names no node.
func podOf(pod *corev1.Pod) (rollout.Pod, bool) {
	node, ok := place.PinnedNode(pod)
	if !ok {
		return rollout.Pod{}, false
	}
	p := rollout.Pod{
		Name:       pod.Name,
		UID:        string(pod.UID),
		Node:       node,
		Bound:      pod.Spec.NodeName != "",
		Created:    pod.CreationTimestamp.Time,
		Hash:       pod.Labels[appsv1.DefaultDaemonSetUniqueLabelKey],
		Generation: pod.Labels[templateGenerationLabel],
	}
	switch pod.Status.Phase {
	case corev1.PodFailed:
		p.Phase = rollout.Failed
	case corev1.PodSucceeded:
		p.Phase = rollout.Succeeded
	}
	if pod.DeletionTimestamp != nil {
		p.DeleteBy = pod.DeletionTimestamp.Time
	}
	if ready := podCondition(pod, corev1.PodReady); ready != nil && ready.Status == corev1.ConditionTrue {
		p.ReadySince = ready.LastTransitionTime.Time
		if p.ReadySince.IsZero() {
			p.ReadySince = p.Created
		}
	} else {
		p.Waiting = waiting(pod)
		p.Scheduler = awaitedScheduler(pod)
	}
	p.Pull = pullOf(pod)
	return p, true
}

// awaitedScheduler is the scheduler that the pod names, if it is not the usual one
// and has not yet said anything of the pod.
func awaitedScheduler(pod *corev1.Pod) string {
	if pod.Spec.NodeName != "" || pod.Spec.SchedulerName == corev1.DefaultSchedulerName || podCondition(pod, corev1.PodScheduled) != nil {
		return ""
	}
	return pod.Spec.SchedulerName
}

// pullOf is what the pod's agent was asked to fetch, and what became of it.
func pullOf(pod *corev1.Pod) rollout.Pull {
	request, asked := prepull.RequestOf(pod)
	if !asked {
		return rollout.Pull{}
	}
	pull := rollout.Pull{Hash: request.Revision, Since: request.Since}
	switch answer, ok := prepull.AnswerOf(pod); {
	case !ok || answer.Revision != request.Revision:
	case answer.Pulled:
		pull.State = rollout.Pulled
	default:
		pull.State, pull.Reason = rollout.PullFailed, answer.Reason
	}
	return pull
}

// PullRequest is what the agent of an outdated pod is asked to fetch.
func PullRequest(ds *appsv1.DaemonSet, hash string, now time.Time) prepull.Request {
	return prepull.Request{
		Revision: hash,
		Since:    now.UTC().Truncate(time.Second),
		Images:   prepull.Images(&ds.Spec.Template.Spec),
	}
}

// waiting is why a pod cannot start, or "" if it is on its way.
func waiting(pod *corev1.Pod) string {
	for _, statuses := range [][]corev1.ContainerStatus{pod.Status.InitContainerStatuses, pod.Status.ContainerStatuses} {
		for i := range statuses {
			w := statuses[i].State.Waiting
			if w != nil && w.Reason != "" && w.Reason != "ContainerCreating" && w.Reason != "PodInitializing" {
				return w.Reason
			}
		}
	}
	if s := podCondition(pod, corev1.PodScheduled); s != nil && s.Status == corev1.ConditionFalse {
		return s.Reason
	}
	return ""
}

func strategyOf(s *appsv1.DaemonSetUpdateStrategy) (rollout.Strategy, error) {
	if s.Type == appsv1.OnDeleteDaemonSetStrategyType {
		return rollout.Strategy{OnDelete: true}, nil
	}
	strategy := rollout.Strategy{MaxUnavailable: rollout.Amount{Value: 1}}
	if s.RollingUpdate == nil {
		return strategy, nil
	}
	if v := s.RollingUpdate.MaxUnavailable; v != nil {
		amount, err := amountOf(v)
		if err != nil {
			return strategy, fmt.Errorf("maxUnavailable: %w", err)
		}
		strategy.MaxUnavailable = amount
	}
	if v := s.RollingUpdate.MaxSurge; v != nil {
		amount, err := amountOf(v)
		if err != nil {
			return strategy, fmt.Errorf("maxSurge: %w", err)
		}
		strategy.MaxSurge = amount
	}
	return strategy, nil
}

func amountOf(v *intstr.IntOrString) (rollout.Amount, error) {
	if v.Type == intstr.Int {
		return rollout.Amount{Value: int(v.IntVal)}, nil
	}
	digits, percent := strings.CutSuffix(v.StrVal, "%")
	n, err := strconv.Atoi(digits)
	if err != nil || !percent {
		return rollout.Amount{}, fmt.Errorf("%q is neither a number nor a percentage", v.StrVal)
	}
	return rollout.Amount{Value: n, Percent: true}, nil
}

// PlacementGrace reads the annotation: negative means for ever. With an error
// comes the default.
func PlacementGrace(ds *appsv1.DaemonSet) (time.Duration, error) {
	text, found := ds.Annotations[PlacementGraceAnnotation]
	switch {
	case !found:
		return defaultPlacementGrace, nil
	case text == "never":
		return -1, nil
	}
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return d, nil
	}
	return defaultPlacementGrace, fmt.Errorf(
		"annotation %s: %q is neither a duration such as 90s nor \"never\"; pods stay for the default, %s",
		PlacementGraceAnnotation, text, defaultPlacementGrace)
}

// PodChanged reports whether two states of a pod differ in anything that plans
// see.
func PodChanged(old, now *corev1.Pod) bool {
	before, pinnedBefore := podOf(old)
	after, pinnedAfter := podOf(now)
	return pinnedBefore != pinnedAfter || before != after
}
