package place

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// question is one pod's, asked of one node or of many.
type question struct {
	c *Cluster
	s *Subject
	// asDaemon asks for the eligibility of a daemon: what its own pods do to
	// each other is settled by Coverage.
	asDaemon bool
	// spread counts pods for the spread constraints, once they were needed.
	spread []spreadTally
}

// Fits lists all that keeps the pod from being bound to the node now, in the
// order of the filters; nothing if it fits. The node must be known.
func (c *Cluster) Fits(s *Subject, node string) []Reason {
	q := &question{c: c, s: s}
	return q.fits(c.nodes[node])
}

func (q *question) fits(state *nodeState) []Reason {
	var out []Reason
	if state.node.Spec.Unschedulable && !tolerates(q.s.tolerations, &unschedulableTaint) {
		out = append(out, NodeUnschedulable{})
	}
	out = q.s.againstNode(state.node, out)
	out = q.s.againstPorts(state, out)
	out = q.s.againstResources(state, out)
	out = q.againstSpread(state, out)
	out = q.againstAffinity(state, out)
	out = q.againstAntiAffinity(state, out)
	return q.againstHolders(state, out)
}

// unschedulableTaint stands for a cordon: who tolerates the taint tolerates
// spec.unschedulable.
var unschedulableTaint = corev1.Taint{Key: corev1.TaintNodeUnschedulable, Effect: corev1.TaintEffectNoSchedule}

// againstPorts appends one conflict for each wanted port that is taken; of
// several pods in the way, the first by name.
func (s *Subject) againstPorts(state *nodeState, out []Reason) []Reason {
	for _, wanted := range s.ports {
		var first *types.NamespacedName
		for key, taken := range state.ports {
			for _, p := range taken {
				if p.conflicts(wanted) && (first == nil || compareKeys(key, *first) < 0) {
					first = &key
				}
			}
		}
		if first != nil {
			out = append(out, PortConflict{Port: wanted, Pod: *first})
		}
	}
	return out
}

func (s *Subject) againstResources(state *nodeState, out []Reason) []Reason {
	if used := int64(len(state.pods)); used+1 > state.maxPods {
		out = append(out, TooManyPods{Used: used, Allowed: state.maxPods})
	}
	return append(out, shortfall(s.requests, state.used, state.allocatable)...)
}
