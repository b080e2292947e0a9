package rollout

import "time"

// Decision is what Plan proposes. It shares no memory with the Input.
type Decision struct {
	// Actions are in order of urgency. Any part of them may be carried out and
	// the rest dropped: none relies on another, and the next Plan goes on.
	Actions []Action
	// Reasons has one entry for every node that exists, and one for every node
	// that only pods still name, in order of node name.
	Reasons []Reason
	// Status is counted from the same input.
	Status Status
	// Memory is to be given back with the next Input.
	Memory Memory
	// WakeAt is when to plan again although nothing happened; zero if only an
	// event can change the decision.
	WakeAt time.Time
}

// Verb is what an action does.
type Verb int

const (
	// Create a pod.
	Create Verb = iota
	// Delete a pod.
	Delete
	// Fetch asks the agent of a pod to fetch the images of the current revision.
	Fetch
)

// Action is one write.
type Action struct {
	Verb Verb
	Node string
	// Pod is the name. The name of a pod to create is a function of the
	// DaemonSet, the node, the revision and the pod's predecessor, so that a
	// repeated create is refused instead of making a second pod.
	Pod string
	// UID is the identity of the pod, unless it is to be created.
	UID string
	Why Kind
}

// Kind says why a node is treated as it is.
type Kind int

// The kinds of reason. Those up to SurgeDone come with an action.
const (
	// CreateMissing: the node must have a pod and has none.
	CreateMissing Kind = iota
	// CreateBeside: the old pod is unavailable, so a new one starts beside it.
	CreateBeside
	// Surge: a new pod starts beside an available old one, within maxSurge.
	Surge
	// RemoveIneligible: no pod may be here.
	RemoveIneligible
	// RemoveLapsed: the placement grace is over.
	RemoveLapsed
	// RemoveFailed: the pod has failed and makes room for its successor.
	RemoveFailed
	// RemoveSucceeded: the pod has ended and makes room for its successor.
	RemoveSucceeded
	// RemoveDuplicate: the node has more pods than it may have.
	RemoveDuplicate
	// RemoveUnbound: the pod waits for a node that does not exist.
	RemoveUnbound
	// ReplaceUnavailable: the old pod serves nobody, so replacing it is free.
	ReplaceUnavailable
	// Replace: the old pod is taken down within maxUnavailable.
	Replace
	// PrePull: the new images are fetched while the old pod serves.
	PrePull
	// RemoveOutdated: an old pod where no new one may follow.
	RemoveOutdated
	// RemoveUnready: the old pod is no longer ready and its successor is here.
	RemoveUnready
	// SurgeDone: the new pod is available, the old one goes.
	SurgeDone

	// UpToDate: the pod is current and available.
	UpToDate
	// Starting: the pod is current and not yet available.
	Starting
	// SurgeStarting: the new pod is not yet available, the old one still serves.
	SurgeStarting
	// BadNode: the pod is current; its node was bad before it came.
	BadNode
	// FailedWithUpdate: the node went bad after it got the current revision.
	FailedWithUpdate
	// Terminating: the pod is ending; its successor follows.
	Terminating
	// Leaving: the pod is ending and none may follow.
	Leaving
	// BackOff: the pod failed again and is kept until the back-off ends.
	BackOff
	// HoldBudget: the old pod waits for its turn.
	HoldBudget
	// HoldTurn: the old pod serves; others have the new images fetched first.
	HoldTurn
	// HoldPulling: the old pod serves until the new images are there.
	HoldPulling
	// HoldNotPulled: the old pod serves, for the new images cannot be fetched.
	HoldNotPulled
	// HoldBadNode: the old pod waits until its node is well.
	HoldBadNode
	// HoldOnDelete: the old pod stays until someone deletes it.
	HoldOnDelete
	// HoldDeparture: the old pod may go once enough others are available.
	HoldDeparture
	// Lapsing: the pod stays until the placement grace ends.
	Lapsing
	// Closed: no pod may come here now, and there is none.
	Closed
	// NotEligible: no pod may be here, and there is none.
	NotEligible
	// NodeGone: the pod is bound to a node that no longer exists.
	NodeGone
)

// Reason says of one node what is done there and why.
type Reason struct {
	Node string
	Kind Kind
	// Pod is the pod that the reason is about, if there is one.
	Pod string
	// Budget is set where a budget decided.
	Budget Budget
	// Until is when time alone changes the reason; zero if it does not.
	Until time.Time
	// Waiting is the pod's own reason for not starting, if it gave one, or why the
	// images for its successor are not there.
	Waiting string
	// Scheduler is the scheduler that has not taken up the pod.
	Scheduler string
}

// Budget is how much of a limit is in use, and where.
type Budget struct {
	Spent, Limit int
	// By names some of the nodes that spend it, at most namesShown.
	By []string
}

// Status has the counters of a DaemonSet's status, and its conditions.
type Status struct {
	Desired, Current, Misscheduled         int
	Ready, Updated, Available, Unavailable int
	// Conditions are Available, Progressing and Blocked, in that order.
	Conditions []Condition
}

// Condition is one condition of the status.
type Condition struct {
	Type    string
	Holds   bool
	Reason  string
	Message string
}
