package podstep

import (
	"fmt"
	"strings"
)

// conditions are the conditions of a pod, for the rest of its status.
func (p *machine) conditions(s *Status) []Condition {
	containers := p.containersReady(s)
	return []Condition{
		{Type: "PodReadyToStartContainers", Holds: p.sandboxReady()},
		p.initialized(s),
		p.podReady(containers),
		containers,
	}
}

// initialized holds once all init containers have done their part; and as soon
// as an app container was started, they have.
func (p *machine) initialized(s *Status) Condition {
	c := Condition{Type: "Initialized", Holds: true}
	if s.Phase == PhaseSucceeded {
		c.Reason = "PodCompleted"
		return c
	}
	if s.hasInitialized() {
		return c
	}
	var incomplete []string
	for i, init := range s.Init {
		if p.units[i].role == initRole && !init.Ready || p.units[i].role == sidecarRole && !init.Started {
			incomplete = append(incomplete, init.Name)
		}
	}
	if len(incomplete) > 0 {
		c.Holds, c.Reason = false, "ContainersNotInitialized"
		c.Message = fmt.Sprintf("containers with incomplete status: [%s]", strings.Join(incomplete, " "))
	}
	return c
}

// containersReady holds if all app containers and sidecars are ready.
func (p *machine) containersReady(s *Status) Condition {
	c := Condition{Type: "ContainersReady"}
	switch s.Phase {
	case PhaseSucceeded:
		c.Reason = "PodCompleted"
		return c
	case PhaseFailed:
		c.Reason = "PodFailed"
		return c
	}
	var unready []string
	for i, init := range s.Init {
		if p.units[i].role == sidecarRole && !init.Ready {
			unready = append(unready, init.Name)
		}
	}
	for _, app := range s.Containers {
		if !app.Ready {
			unready = append(unready, app.Name)
		}
	}
	if len(unready) == 0 {
		c.Holds = true
		return c
	}
	c.Reason = "ContainersNotReady"
	c.Message = fmt.Sprintf("containers with unready status: [%s]", strings.Join(unready, " "))
	return c
}

// podReady holds if the containers are ready and so are all readiness gates.
func (p *machine) podReady(containers Condition) Condition {
	c := containers
	c.Type = "Ready"
	if !c.Holds {
		return c
	}
	var missing []string
	for _, gate := range p.in.Pod.ReadinessGates {
		switch gate.Status {
		case "True":
		case "":
			missing = append(missing, fmt.Sprintf("corresponding condition of pod readiness gate %q does not exist.", gate.Type))
		default:
			missing = append(missing, fmt.Sprintf("the status of pod readiness gate %q is not \"True\", but %s", gate.Type, gate.Status))
		}
	}
	if len(missing) > 0 {
		c.Holds, c.Reason, c.Message = false, "ReadinessGatesNotReady", strings.Join(missing, ", ")
	}
	return c
}
