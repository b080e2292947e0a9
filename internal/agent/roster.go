package agent

import (
	"cmp"
	"maps"
	"slices"
	"sync"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
)

// roster has the pods that the agent deals with.
type roster struct {
	mu   sync.Mutex
	pods map[types.UID]*pod
}

func (r *roster) get(uid types.UID) *pod {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.pods[uid]
}

// list are all pods, by name and then UID.
func (r *roster) list() []*pod {
	r.mu.Lock()
	out := make([]*pod, 0, len(r.pods))
	for _, p := range r.pods {
		out = append(out, p)
	}
	r.mu.Unlock()
	slices.SortFunc(out, func(a, b *pod) int {
		x, y := a.name(), b.name()
		return cmp.Or(cmp.Compare(x.Namespace, y.Namespace), cmp.Compare(x.Name, y.Name), cmp.Compare(a.uid, b.uid))
	})
	return out
}

// named are the pods of a name from one source, by UID.
func (r *roster) named(name types.NamespacedName, from source) []*pod {
	return slices.DeleteFunc(r.list(), func(p *pod) bool { return p.source != from || p.name() != name })
}

// put notes that a pod is asked for. It gives nil if the pod is on its way out
// nonetheless: one that was not asked for once has to end first.
func (r *roster) put(object *corev1.Pod, from source) *pod {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.pods[object.UID]
	if p == nil {
		p = &pod{uid: object.UID, source: from}
		r.pods[object.UID] = p
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.gone {
		return nil
	}
	if before := p.object; before != nil && !sameMetadata(before, object) {
		p.volumes.stale = true // of the downward API
	}
	p.object = object
	return p
}

func sameMetadata(a, b *corev1.Pod) bool {
	return maps.Equal(a.Labels, b.Labels) && maps.Equal(a.Annotations, b.Annotations)
}

// leave notes that a pod is not asked for any more.
func (r *roster) leave(uid types.UID, last *corev1.Pod) {
	p := r.get(uid)
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.gone = true
	if last != nil {
		p.object = last
	}
}

// orphan notes a pod that only the machine still knows of. It reports whether
// that is new.
func (r *roster) orphan(name PodName) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pods[name.UID] != nil {
		return false
	}
	r.pods[name.UID] = &pod{uid: name.UID, source: fromRuntime, gone: true, object: &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: name.Namespace, Name: name.Name, UID: name.UID},
		// Nobody knows any more how long it may take.
		Spec: corev1.PodSpec{TerminationGracePeriodSeconds: ptr.To[int64](1)},
	}}
	return true
}

// drop forgets a pod.
func (r *roster) drop(p *pod) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.pods[p.uid] == p {
		delete(r.pods, p.uid)
	}
}
