package place

import (
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Cluster is what placement knows of nodes and of the pods on them, kept up to
// date event by event: an event costs the same however many nodes there are.
// It is not safe for use by several goroutines at once.
type Cluster struct {
	nodes map[string]*nodeState
	pods  map[types.NamespacedName]placed
	// names lists the known nodes in order; nil if it must be made anew.
	names []string
}

// placed is a pod and the node it is on, or will be.
type placed struct {
	*Subject
	node string
}

// nodeState is a node and what its pods take of it.
type nodeState struct {
	// node is nil while pods are known on a node that is not.
	node        *corev1.Node
	allocatable Resources
	maxPods     int64
	pods        map[types.NamespacedName]*Subject
	used        Resources
	// ports maps each pod that has host ports to them.
	ports map[types.NamespacedName][]HostPort
}

// NewCluster returns a cluster without nodes.
func NewCluster() *Cluster {
	return &Cluster{
		nodes: map[string]*nodeState{},
		pods:  map[types.NamespacedName]placed{},
	}
}

// SetNode adds a node or replaces what is known of it. The node must not
// change afterwards.
func (c *Cluster) SetNode(n *corev1.Node) {
	state := c.state(n.Name)
	if state.node == nil {
		c.names = nil
	}
	state.node = n
	state.allocatable = resourcesOf(n.Status.Allocatable)
	state.maxPods = n.Status.Allocatable.Pods().Value()
}

// RemoveNode forgets a node. Pods on it stay known until they are removed.
func (c *Cluster) RemoveNode(name string) {
	state, ok := c.nodes[name]
	if !ok {
		return
	}
	c.names = nil
	state.node = nil
	c.dropEmpty(name, state)
}

// Node returns a node, or nil if it is not known.
func (c *Cluster) Node(name string) *corev1.Node {
	if state, ok := c.nodes[name]; ok {
		return state.node
	}
	return nil
}

// Nodes returns the names of the known nodes in order. The slice belongs to
// the cluster and is good until the next change.
func (c *Cluster) Nodes() []string {
	if c.names == nil {
		c.names = make([]string, 0, len(c.nodes))
		for name, state := range c.nodes {
			if state.node != nil {
				c.names = append(c.names, name)
			}
		}
		slices.Sort(c.names)
	}
	return c.names
}

// Place puts a pod on a node, in place of any pod of the same name. From now
// on it takes its share, whether it has started or is only about to be bound.
// Pods that have ended take nothing: Remove them.
func (c *Cluster) Place(s *Subject, node string) {
	c.Remove(s.Key)
	c.pods[s.Key] = placed{Subject: s, node: node}
	state := c.state(node)
	state.pods[s.Key] = s
	state.used.add(s.requests, 1)
	if len(s.ports) > 0 {
		state.ports[s.Key] = s.ports
	}
}

// Remove takes a pod off its node; a pod that is not known is nothing.
func (c *Cluster) Remove(key types.NamespacedName) {
	p, ok := c.pods[key]
	if !ok {
		return
	}
	delete(c.pods, key)
	state := c.nodes[p.node]
	delete(state.pods, key)
	delete(state.ports, key)
	state.used.add(p.requests, -1)
	c.dropEmpty(p.node, state)
}

// Placed returns a pod and the node it was placed on; nil if it was not.
func (c *Cluster) Placed(key types.NamespacedName) (*Subject, string) {
	p := c.pods[key]
	return p.Subject, p.node
}

func (c *Cluster) state(name string) *nodeState {
	state, ok := c.nodes[name]
	if !ok {
		state = &nodeState{
			pods:  map[types.NamespacedName]*Subject{},
			ports: map[types.NamespacedName][]HostPort{},
		}
		c.nodes[name] = state
	}
	return state
}

func (c *Cluster) dropEmpty(name string, state *nodeState) {
	if state.node == nil && len(state.pods) == 0 {
		delete(c.nodes, name)
	}
}

func compareKeys(a, b types.NamespacedName) int {
	if d := strings.Compare(a.Namespace, b.Namespace); d != 0 {
		return d
	}
	return strings.Compare(a.Name, b.Name)
}
