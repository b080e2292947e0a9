package place

// Decision is where a pod goes, or why it goes nowhere.
type Decision struct {
	// Node is where to bind the pod; "" if it fits nowhere.
	Node string
	// Refusals says of each node that was looked at why it does not take the
	// pod, in the order of node names. Of the nodes that a pinned pod cannot
	// be on it says nothing. Set only if Node is "".
	Refusals []Refusal
	// Nodes is how many nodes there are.
	Nodes int
}

// Refusal is one node that does not take a pod.
type Refusal struct {
	Node    string
	Reasons []Reason // never empty
}

// Schedule decides on which node to bind the pod. A pinned pod costs a look at
// its one node, whatever the size of the cluster.
func (c *Cluster) Schedule(s *Subject) Decision {
	d := Decision{Nodes: len(c.Nodes())}
	for _, name := range c.candidates(s) {
		reasons := c.Fits(s, name)
		if len(reasons) == 0 {
			return Decision{Node: name, Nodes: d.Nodes}
		}
		d.Refusals = append(d.Refusals, Refusal{Node: name, Reasons: reasons})
	}
	return d
}

// candidates lists the known nodes that the pod could be on.
func (c *Cluster) candidates(s *Subject) []string {
	if s.Pinned == "" {
		return c.Nodes()
	}
	if c.Node(s.Pinned) == nil {
		return nil
	}
	return []string{s.Pinned}
}
