package place

import (
	"maps"
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
	// namespaces maps the known namespaces to their labels.
	namespaces map[string]map[string]string
	index      index
	// owned finds the pods of each DaemonSet.
	owned map[types.UID]map[types.NamespacedName]struct{}
	// nodesBy finds the known nodes by topology key and value, for the keys
	// of the terms that are followed.
	nodesBy map[string]map[string]map[string]struct{}
	// imageNodes counts the nodes that have an image.
	imageNodes map[string]int
	// nominated are the pods that wait for room on a node, which is to be kept
	// for them, by node and name.
	nominated map[string]map[types.NamespacedName]*Subject
	// cursor is where the search for a node begins next time.
	cursor int
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
	// typical is used, with a guess for containers that request nothing.
	typical Resources
	// ports maps each pod that has host ports to them.
	ports map[types.NamespacedName][]HostPort
	// images maps the images on the node to their size in bytes.
	images map[string]int64
}

// NewCluster returns a cluster without nodes.
func NewCluster() *Cluster {
	return &Cluster{
		nodes:      map[string]*nodeState{},
		pods:       map[types.NamespacedName]placed{},
		namespaces: map[string]map[string]string{},
		index:      newIndex(),
		owned:      map[types.UID]map[types.NamespacedName]struct{}{},
		nodesBy:    map[string]map[string]map[string]struct{}{},
		imageNodes: map[string]int{},
		nominated:  map[string]map[types.NamespacedName]*Subject{},
	}
}

// SetNode adds a node or replaces what is known of it. The node must not
// change afterwards. The pods on it count under its new labels, which may
// affect daemons on other nodes; the node itself is not reported.
func (c *Cluster) SetNode(n *corev1.Node) []Affected {
	state := c.state(n.Name)
	var out []Affected
	switch {
	case state.node == nil:
		c.names = nil
		state.node = n
		out = c.relabel(state, nil)
	case !maps.Equal(state.node.Labels, n.Labels):
		old := state.node
		state.node = n
		out = c.relabel(state, old)
	default:
		state.node = n
	}
	c.setImages(state, n.Status.Images)
	state.allocatable = resourcesOf(n.Status.Allocatable)
	state.maxPods = n.Status.Allocatable.Pods().Value()
	return out
}

// RemoveNode forgets a node. Pods on it stay known until they are removed.
func (c *Cluster) RemoveNode(name string) []Affected {
	state, ok := c.nodes[name]
	if !ok || state.node == nil {
		return nil
	}
	c.names = nil
	old := state.node
	state.node = nil
	c.setImages(state, nil)
	out := c.relabel(state, old)
	c.dropEmpty(name, state)
	return out
}

func (c *Cluster) setImages(state *nodeState, images []corev1.ContainerImage) {
	for name := range state.images {
		decrement(c.imageNodes, name)
	}
	state.images = nil
	if len(images) == 0 {
		return
	}
	state.images = map[string]int64{}
	for i := range images {
		for _, name := range images[i].Names {
			if _, twice := state.images[name]; !twice {
				c.imageNodes[name]++
			}
			state.images[name] = images[i].SizeBytes
		}
	}
}

// relabel counts the pods of a node under its labels, and no longer under its
// old ones; either state of the node may be nil.
func (c *Cluster) relabel(state *nodeState, old *corev1.Node) []Affected {
	c.refile(old, state.node)
	var out []Affected
	for _, s := range state.pods {
		if old != nil {
			out = append(out, c.exit(s, old)...)
		}
		if state.node != nil {
			out = append(out, c.enter(s, state.node)...)
		}
	}
	return compactAffected(out)
}

// SetNamespace tells the labels of a namespace, by which terms select it; nil
// for one that is gone.
func (c *Cluster) SetNamespace(name string, labels map[string]string) []Affected {
	if maps.Equal(c.namespaces[name], labels) {
		return nil
	}
	var out []Affected
	each := func(visit func(*Subject, *corev1.Node) []Affected) {
		for key, p := range c.pods {
			if n := c.nodes[p.node].node; n != nil && key.Namespace == name {
				out = append(out, visit(p.Subject, n)...)
			}
		}
	}
	each(c.exit)
	if labels == nil {
		delete(c.namespaces, name)
	} else {
		c.namespaces[name] = maps.Clone(labels)
	}
	each(c.enter)
	// Whether a daemon selects itself may have changed as well.
	for _, t := range c.index.askedAnywhere {
		for _, f := range t.followers {
			if f.Key.Namespace == name {
				out = append(out, Affected{Daemon: f.Key})
			}
		}
	}
	return compactAffected(out)
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
// Pods that have ended take nothing: Remove them. It returns whose eligibility
// may have changed by that, in order.
func (c *Cluster) Place(s *Subject, node string) []Affected {
	out := c.Remove(s.Key)
	c.pods[s.Key] = placed{Subject: s, node: node}
	state := c.state(node)
	state.pods[s.Key] = s
	state.used.add(s.requests, 1)
	state.typical.add(s.typical, 1)
	if len(s.ports) > 0 {
		state.ports[s.Key] = s.ports
	}
	if s.owner != "" {
		if c.owned[s.owner] == nil {
			c.owned[s.owner] = map[types.NamespacedName]struct{}{}
		}
		c.owned[s.owner][s.Key] = struct{}{}
	}
	if state.node != nil {
		out = compactAffected(append(out, c.enter(s, state.node)...))
	}
	return out
}

// Remove takes a pod off its node; a pod that is not known is nothing. It
// returns whose eligibility may have changed by that, in order.
func (c *Cluster) Remove(key types.NamespacedName) []Affected {
	p, ok := c.pods[key]
	if !ok {
		return nil
	}
	delete(c.pods, key)
	state := c.nodes[p.node]
	delete(state.pods, key)
	delete(state.ports, key)
	state.used.add(p.requests, -1)
	state.typical.add(p.typical, -1)
	if p.owner != "" {
		if delete(c.owned[p.owner], key); len(c.owned[p.owner]) == 0 {
			delete(c.owned, p.owner)
		}
	}
	var out []Affected
	if state.node != nil {
		out = c.exit(p.Subject, state.node)
	}
	c.dropEmpty(p.node, state)
	return out
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
