package agent

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/garrison-project/garrison/internal/core/podstep"
)

// Found is one pod as the machine has it.
type Found struct {
	// Object is what was asked for, with the status that was last reported. It
	// must not be changed.
	Object *corev1.Pod
	// Holding is what the runtime has of it.
	Holding Holding
}

// Container gives the newest attempt of a container, or the one before it.
func (f Found) Container(name string, previous bool) (ContainerRecord, bool) {
	var newest, before *ContainerRecord
	for i := range f.Holding.Containers {
		c := &f.Holding.Containers[i]
		switch {
		case c.Name != name || c.State == podstep.Created:
		case newest == nil || c.Attempt > newest.Attempt:
			newest, before = c, newest
		case before == nil || c.Attempt > before.Attempt:
			before = c
		}
	}
	if previous {
		newest = before
	}
	if newest == nil {
		return ContainerRecord{}, false
	}
	return *newest, true
}

// Sandbox gives the pod's newest sandbox.
func (f Found) Sandbox() (SandboxRecord, bool) {
	newest := newestSandbox(f.Holding)
	if newest == nil {
		return SandboxRecord{}, false
	}
	return *newest, true
}

// Find gives the pod of a name. A UID, if there is one, has to be the pod's, or that
// of its mirror.
func (a *Agent) Find(name types.NamespacedName, uid types.UID) (Found, bool) {
	var found *pod
	for _, p := range a.roster.list() {
		if p.source == fromRuntime || p.name() != name {
			continue
		}
		if api := a.apiObject(p); uid != "" && uid != p.uid && (api == nil || api.UID != uid) {
			continue
		}
		if found == nil || found.isGone() {
			found = p
		}
	}
	if found == nil {
		return Found{}, false
	}
	return a.found(found), true
}

// All gives the pods that the machine runs or is to run, by name.
func (a *Agent) All() []Found {
	var out []Found
	for _, p := range a.roster.list() {
		if p.source != fromRuntime {
			out = append(out, a.found(p))
		}
	}
	return out
}

func (a *Agent) found(p *pod) Found {
	object := p.current()
	if api := a.apiObject(p); api != nil {
		shown := *object
		shown.Status = api.Status
		object = &shown
	}
	return Found{Object: object, Holding: a.sight.holding(p.uid)}
}
