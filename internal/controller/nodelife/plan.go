package nodelife

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// memory is what is known of a node beyond its object.
type memory struct {
	// Heard is when the node last showed that its agent lives, by our clock:
	// the agent's own may be wrong.
	Heard time.Time
	// Heartbeat, Renewed and Said are what was last seen: the time in the Ready
	// condition, that of the lease, and the status of the condition. A change
	// of the first two is a sign of life.
	Heartbeat metav1.Time
	Renewed   metav1.MicroTime
	Said      corev1.ConditionStatus
	// Ready is the last verdict.
	Ready corev1.ConditionStatus
	// Told: the pods have been marked not ready since the node became so.
	Told bool
}

// heartbeat is what a node and its lease say about when they were last
// written by the agent.
type heartbeat struct {
	Node    *corev1.Node
	Renewed metav1.MicroTime // of the lease; zero if there is none
}

// meet returns the memory of a node that is seen for the first time. One that
// never reported is counted from its creation, any other gets a full grace.
func meet(h heartbeat, now time.Time) memory {
	m := memory{Heard: now, Renewed: h.Renewed}
	ready := condition(h.Node, corev1.NodeReady)
	if ready == nil {
		m.Heard = h.Node.CreationTimestamp.Time
		return m
	}
	m.Heartbeat, m.Said, m.Ready = ready.LastHeartbeatTime, ready.Status, ready.Status
	return m
}

// hear notes signs of life.
func hear(m memory, h heartbeat, now time.Time) memory {
	if h.Renewed.After(m.Renewed.Time) {
		m.Renewed, m.Heard = h.Renewed, now
	}
	ready := condition(h.Node, corev1.NodeReady)
	if ready == nil {
		return m
	}
	// Whoever turns Unknown into a verdict has heard from the node.
	revived := m.Said == corev1.ConditionUnknown && ready.Status != corev1.ConditionUnknown
	if !ready.LastHeartbeatTime.Equal(&m.Heartbeat) || revived {
		m.Heartbeat, m.Heard = ready.LastHeartbeatTime, now
	}
	m.Said = ready.Status
	return m
}

// healthView is all that the health of a node depends on. It is not modified.
type healthView struct {
	Node         *corev1.Node
	Memory       memory
	Grace        time.Duration // for a node that has reported
	StartupGrace time.Duration // for one that never has
	Now          time.Time
}

// health is the verdict about a node.
type health struct {
	// Ready is the status of its Ready condition, as it is or is to become;
	// empty for a node that may still report for the first time.
	Ready corev1.ConditionStatus
	// Conditions replace the node's if set.
	Conditions []corev1.NodeCondition
	// Fell: it was ready at the last look and is not any more.
	Fell bool
	// Tell its pods that they are not ready.
	Tell bool
	// Wake is when it will have been silent for too long; zero if it has.
	Wake time.Time
}

// silenced are the conditions that only the agent can know.
var silenced = []corev1.NodeConditionType{corev1.NodeReady, corev1.NodeMemoryPressure, corev1.NodeDiskPressure, corev1.NodePIDPressure}

// judge says how a node is, and with it what is to be remembered.
func judge(v healthView) (health, memory) {
	ready := condition(v.Node, corev1.NodeReady)
	grace, h := v.StartupGrace, health{}
	if ready != nil {
		grace, h.Ready = v.Grace, ready.Status
	}
	if end := v.Memory.Heard.Add(grace); v.Now.Before(end) {
		h.Wake = end
	} else if h.Ready != corev1.ConditionUnknown {
		h.Ready = corev1.ConditionUnknown
		h.Conditions = unknown(v.Node, metav1.NewTime(v.Now))
	}
	m := v.Memory
	h.Fell = m.Ready == corev1.ConditionTrue && h.Ready != corev1.ConditionTrue
	// A node that answers may know better about its pods, so it is told off
	// once; one that is silent cannot object.
	h.Tell = h.Ready == corev1.ConditionUnknown || h.Ready == corev1.ConditionFalse && !m.Told
	m.Ready = h.Ready
	m.Told = m.Told && h.Ready != corev1.ConditionTrue
	return h, m
}

// unknown returns the conditions of a node that nobody reports about.
func unknown(node *corev1.Node, now metav1.Time) []corev1.NodeCondition {
	all := slices.Clone(node.Status.Conditions)
	for _, kind := range silenced {
		at := slices.IndexFunc(all, func(c corev1.NodeCondition) bool { return c.Type == kind })
		switch {
		case at < 0:
			all = append(all, corev1.NodeCondition{
				Type: kind, Status: corev1.ConditionUnknown,
				Reason: "NodeStatusNeverUpdated", Message: "Kubelet never posted node status.",
				LastHeartbeatTime: node.CreationTimestamp, LastTransitionTime: now,
			})
		case all[at].Status != corev1.ConditionUnknown:
			all[at].Status = corev1.ConditionUnknown
			all[at].Reason, all[at].Message = "NodeStatusUnknown", "Kubelet stopped posting node status."
			all[at].LastTransitionTime = now
		}
	}
	return all
}

// condition returns a condition of a node, nil if it has none of that type.
func condition(node *corev1.Node, kind corev1.NodeConditionType) *corev1.NodeCondition {
	for i := range node.Status.Conditions {
		if node.Status.Conditions[i].Type == kind {
			return &node.Status.Conditions[i]
		}
	}
	return nil
}
