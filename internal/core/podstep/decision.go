package podstep

import "time"

// Decision is what Step proposes. It shares no memory with the Input.
type Decision struct {
	// Operations are in order. The first is to be begun; then the next Step,
	// which knows it as ongoing, says what may be begun beside it.
	Operations []Operation
	// Cancel are ongoing operations that are of no use any more.
	Cancel []Operation
	Status Status
	// Done tells that the runtime holds nothing of a pod that is being deleted.
	Done bool
	// Memory is to be given back with the next Input.
	Memory Memory
	// WakeAt is when to step again although nothing happened; zero if only an
	// event can change the decision.
	WakeAt time.Time
}

// Kind is what an operation does.
type Kind int

// The kinds of operation, with the fields of Operation they use besides Why.
const (
	// CreateSandbox makes and starts the sandbox. Attempt.
	CreateSandbox Kind = iota
	// PullImage. Image, and the Container and Attempt that want it.
	PullImage
	// StartContainer creates and starts a container. Container, Attempt, Image,
	// and ID, the sandbox.
	StartContainer
	// RunPostStart runs the hook in a container. Container, Attempt, ID.
	RunPostStart
	// RunPreStop runs the hook, until By at most. Container, Attempt, ID, By.
	RunPreStop
	// KillContainer asks the container to stop, and makes it at By. Container,
	// Attempt, ID, By. A second one with an earlier By overtakes the first.
	KillContainer
	// RemoveContainer deletes a container that does not run. Container, Attempt, ID.
	RemoveContainer
	// StopSandbox releases the network and all that runs. Attempt, ID. It is
	// asked for sandboxes that died, too, and may be repeated.
	StopSandbox
	// RemoveSandbox deletes a sandbox that was stopped. Attempt, ID.
	RemoveSandbox
)

var kindNames = [...]string{
	"create sandbox", "pull", "start", "run postStart of", "run preStop of",
	"kill", "remove", "stop sandbox", "remove sandbox",
}

func (k Kind) String() string { return kindNames[k] }

// Why says what an operation is for.
type Why int

// The reasons of operations.
const (
	// Wanted: the pod is to run.
	Wanted Why = iota
	// Superfluous: it is left over from before.
	Superfluous
	// SandboxDied: the container's sandbox is no more.
	SandboxDied
	// SpecChanged: the container's definition changed.
	SpecChanged
	StartupFailed
	LivenessFailed
	PostStartFailed
	// StateUnknown: the runtime has lost sight of the container.
	StateUnknown
	// PodCompleted: the containers that matter have ended for good.
	PodCompleted
	// PodFailed: the pod was rejected, evicted, or ran too long.
	PodFailed
	PodDeleted
)

var whyNames = [...]string{
	"wanted", "superfluous", "sandbox died", "spec changed", "startup probe failed",
	"liveness probe failed", "postStart failed", "state unknown", "pod completed",
	"pod failed", "pod deleted",
}

func (w Why) String() string { return whyNames[w] }

// Operation is one thing to do with the runtime.
type Operation struct {
	Kind      Kind
	Container string
	Attempt   int
	ID        string
	Image     string
	// By is when patience ends. The grace to give is what is left until then.
	By  time.Time
	Why Why
}

// Phase is the phase of a pod.
type Phase string

// The phases.
const (
	PhasePending   Phase = "Pending"
	PhaseRunning   Phase = "Running"
	PhaseSucceeded Phase = "Succeeded"
	PhaseFailed    Phase = "Failed"
)

// Ended tells whether the phase is final.
func (p Phase) Ended() bool { return p == PhaseSucceeded || p == PhaseFailed }

// Status is the status of the pod.
type Status struct {
	Phase           Phase
	Reason, Message string
	// Start is when the agent first saw the pod.
	Start time.Time
	// Conditions are PodReadyToStartContainers, Initialized, Ready and
	// ContainersReady, in that order.
	Conditions []Condition
	// The statuses of containers are in order of the spec.
	Init, Containers, Ephemeral []ContainerStatus
}

// Condition is one condition of the status.
type Condition struct {
	Type            string
	Holds           bool
	Reason, Message string
}

// ContainerStatus is the status of one container. Exactly one of Waiting,
// Running and Terminated is set.
type ContainerStatus struct {
	Name, ID   string
	Waiting    *Waiting
	Running    *RunningSince
	Terminated *Terminated
	// Last is how the attempt before ended, if there was one and it is known.
	Last           *Terminated
	RestartCount   int
	Started, Ready bool
}

// Waiting says why a container does not run yet.
type Waiting struct{ Reason, Message string }

// RunningSince says since when a container runs.
type RunningSince struct{ Started time.Time }

// Terminated says how a container ended.
type Terminated struct {
	ID                string
	ExitCode          int32
	Reason, Message   string
	Started, Finished time.Time
}
