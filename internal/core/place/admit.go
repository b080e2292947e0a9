package place

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
)

// Admit lists all that keeps a node from starting a pod that was bound to it,
// in the order of the filters; nothing if it may start. Others are the pods
// that the node has accepted before. It is the node's own check, so only what
// concerns the node counts: its name, its labels, taints that drive pods out,
// host ports and resources.
func Admit(s *Subject, n *corev1.Node, others []*Subject) []Reason {
	c := NewCluster()
	c.SetNode(n)
	for _, other := range others {
		if other.Key != s.Key {
			c.Place(other, n.Name)
		}
	}
	state := c.nodes[n.Name]
	out := slices.DeleteFunc(s.againstNode(n, nil), func(r Reason) bool { return !drivesOut(r) })
	out = s.againstPorts(state, out)
	return s.againstResources(state, out)
}
