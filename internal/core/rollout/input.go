package rollout

import "time"

// Input is everything that Plan may know. Plan reads it and never changes it.
type Input struct {
	Now      time.Time
	Set      Set
	Strategy Strategy
	// MinReady is how long a pod must have been ready to count as available.
	MinReady time.Duration
	// PlacementGrace is how long a pod stays on a node whose verdict is Lapse;
	// negative means for ever.
	PlacementGrace time.Duration
	// PrePull has nodes whose agent can do it fetch the images of the current
	// revision before an available pod makes way for it.
	PrePull bool
	// Nodes are in order of name, without repetition.
	Nodes []Node
	// Strays are the pods whose target node does not exist, in order of name.
	Strays []Pod
	// TakenNames are pod names that others hold, in order.
	TakenNames []string
	// CreateFailure is why the latest attempt to create a pod failed; empty
	// once one has succeeded.
	CreateFailure string
	// Memory is what the previous Plan for this DaemonSet returned; the zero
	// value after a restart.
	Memory Memory
}

// Set identifies the DaemonSet and its current revision.
type Set struct {
	Name, UID string
	// Hash is the label value of the current revision.
	Hash string
	// Generation is the template generation that pods of the current template
	// carry; empty if the DaemonSet names none.
	Generation string
}

// Strategy says how pods of an older revision are replaced.
type Strategy struct {
	// OnDelete leaves replacement to whoever deletes the pods; the two amounts
	// then mean nothing.
	OnDelete       bool
	MaxUnavailable Amount
	MaxSurge       Amount
}

// Amount is a number of nodes, or a percentage of them.
type Amount struct {
	Value   int
	Percent bool
}

// Of resolves the amount for a number of nodes, rounding up.
func (a Amount) Of(nodes int) int {
	if !a.Percent {
		return a.Value
	}
	return (a.Value*nodes + 99) / 100
}

// Verdict says what a DaemonSet may do on a node.
type Verdict int

const (
	// Leave: no pod may be here.
	Leave Verdict = iota
	// Lapse: no pod may come, and one that is here leaves after the grace.
	Lapse
	// Keep: no pod may come, but one that is here stays.
	Keep
	// Run: there must be a pod here.
	Run
)

// Node is one node as the DaemonSet sees it.
type Node struct {
	Name    string
	Verdict Verdict
	// Score ranks nodes by the template's preferences; higher goes first.
	Score int64
	// BadSince is when the node stopped being ready or began to go away; zero
	// for a node in good health.
	BadSince time.Time
	// Away says that a bad node is out of reach or going away: nothing that is
	// done to its pods takes effect before it returns. A bad node that is not
	// away still starts and stops pods, and a new one may be what it needs.
	Away bool
	// PrePulls says that the node's agent fetches images when it is asked.
	PrePulls bool
	// Crowd are the pods, in order, that take the room of the DaemonSet's pod,
	// which can be on no other node, though each of them could.
	Crowd []string
	// Pods are the DaemonSet's pods that target this node: bound before
	// unbound, then the oldest, then by name.
	Pods []Pod
}

// Phase is as much of a pod's phase as matters here.
type Phase int

const (
	// Active: pending or running.
	Active Phase = iota
	// Succeeded: every container has ended well.
	Succeeded
	// Failed: the pod has ended, and not well.
	Failed
)

// Pod is one pod that the DaemonSet owns.
type Pod struct {
	Name, UID string
	// Node is the target, whether the pod is bound to it or not.
	Node    string
	Bound   bool
	Created time.Time
	Phase   Phase
	// DeleteBy is when the grace of a deletion ends; zero if nobody deletes it.
	DeleteBy time.Time
	// ReadySince is when the pod became ready; zero while it is not.
	ReadySince time.Time
	// Hash and Generation name the revision and the template generation that
	// the pod was made from.
	Hash, Generation string
	// Waiting is why the pod cannot start, in the cluster's own word, such as
	// ImagePullBackOff; empty for a pod that is on its way.
	Waiting string
	// Scheduler is whom the pod waits for: a scheduler that may not run here, and
	// that has not said anything of the pod. Empty if there is none.
	Scheduler string
	// Pull is what its agent was asked to fetch for its successor.
	Pull Pull
}

// Pull is a request to the agent of a pod to fetch the images of a revision.
type Pull struct {
	// Hash names the revision; empty if nothing was asked for.
	Hash  string
	State PullState
	// Since is when it was asked for.
	Since time.Time
	// Reason is why it failed, in the cluster's own word, such as ErrImagePull.
	Reason string
}

// PullState is how far a pull has come.
type PullState int

const (
	// Pulling: there is no answer yet.
	Pulling PullState = iota
	// Pulled: the images are there.
	Pulled
	// PullFailed: they are not, and the agent tries again.
	PullFailed
)

func (p *Pod) deleting() bool { return !p.DeleteBy.IsZero() }

func (p *Pod) ready() bool { return !p.ReadySince.IsZero() && p.Phase == Active }

// current reports whether the pod was made from the current template.
func (s Set) current(p *Pod) bool {
	return p.Hash == s.Hash || s.Generation != "" && p.Generation == s.Generation
}

// surges reports whether a new pod is started beside the old one.
func (s Strategy) surges() bool { return !s.OnDelete && s.MaxSurge.Value > 0 }
