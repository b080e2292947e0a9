package agent

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/garrison-project/garrison/internal/core/podstep"
)

// probe tells the prober what runs, and gives the results so far.
func (a *Agent) probe(p *pod, s sighting, in *podstep.Input) []podstep.ProbeResult {
	if p.source == fromRuntime {
		return nil
	}
	ips := a.podIPs(task{pod: s.object, holding: s.holding})
	ip := ""
	if len(ips) > 0 {
		ip = ips[0]
	}
	var targets []ProbeTarget
	for _, list := range [][]corev1.Container{s.object.Spec.InitContainers, s.object.Spec.Containers} {
		for i := range list {
			record := newest(in.Containers, list[i].Name)
			if !hasProbes(&list[i]) || record == nil || record.State != podstep.Running || s.starting(&list[i], record) {
				continue
			}
			targets = append(targets, ProbeTarget{
				Spec: &list[i], Attempt: record.Attempt, ID: record.ID, Started: record.Started, PodIP: ip,
				Known:  known(&in.Reported, record),
				Ending: in.Deletion != nil || in.Failure != nil,
			})
		}
	}
	return a.Prober.Sync(s.object, targets)
}

func hasProbes(c *corev1.Container) bool {
	return c.StartupProbe != nil || c.LivenessProbe != nil || c.ReadinessProbe != nil
}

// newest is the record of the last attempt of a container, nil if there is none.
func newest(records []podstep.Record, name string) *podstep.Record {
	var last *podstep.Record
	for i := range records {
		if r := &records[i]; r.Name == name && (last == nil || r.Attempt > last.Attempt) {
			last = r
		}
	}
	return last
}

// starting tells whether a container runs whose postStart hook has not ended yet.
func (s *sighting) starting(spec *corev1.Container, record *podstep.Record) bool {
	if spec.Lifecycle == nil || spec.Lifecycle.PostStart == nil {
		return false
	}
	for _, op := range s.ongoing {
		if op.Container == spec.Name && op.Attempt == record.Attempt &&
			(op.Kind == podstep.StartContainer || op.Kind == podstep.RunPostStart) {
			return true
		}
	}
	for _, out := range s.outcomes {
		if out.Operation.Kind == podstep.StartContainer && out.Operation.Container == spec.Name {
			return true
		}
	}
	return false
}

// known is what was reported of the same attempt.
func known(reported *podstep.Status, record *podstep.Record) podstep.ProbeResult {
	out := podstep.ProbeResult{Container: record.Name, Attempt: record.Attempt}
	for _, list := range [][]podstep.ContainerStatus{reported.Init, reported.Containers} {
		for i := range list {
			if c := &list[i]; c.Name == record.Name && c.ID == record.ID && c.Running != nil {
				if c.Started {
					out.Startup = podstep.Success
				}
				if c.Ready {
					out.Readiness = podstep.Success
				}
			}
		}
	}
	return out
}
