package objects

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/utils/clock"
)

// patience is how long a caller waits for the first answer about an object, and
// for a token.
const patience = 10 * time.Second

// Options are what a Manager works with.
type Options struct {
	// Client acts with the node's own rights.
	Client kubernetes.Interface
	// Clock is the real one if it is nil.
	Clock clock.Clock
	// Changed, if set, is told of each pod for which an object it names came to
	// be known, changed or went away. It must return soon.
	Changed func(types.UID)
}

// Manager has the objects that the held pods name. Its methods may be called at
// the same time. What they return is shared and must not be changed.
type Manager struct {
	options Options
	// life is that of all followers.
	life context.Context
	end  context.CancelFunc

	mu        sync.Mutex
	running   sync.WaitGroup
	followers map[reference]*follower
	held      map[types.UID][]reference
	tokens    map[tokenKey]Token
}

// New makes a Manager. Close, or the end of ctx, ends what it starts.
func New(ctx context.Context, options Options) *Manager {
	if options.Clock == nil {
		options.Clock = clock.RealClock{}
	}
	m := &Manager{
		options:   options,
		followers: map[reference]*follower{},
		held:      map[types.UID][]reference{},
		tokens:    map[tokenKey]Token{},
	}
	m.life, m.end = context.WithCancel(ctx)
	return m
}

// Close ends all watches and waits for it. Nothing is held afterwards.
func (m *Manager) Close() {
	m.mu.Lock() // nobody begins to follow anything after the end
	m.end()
	m.mu.Unlock()
	m.running.Wait()
}

// Hold follows all that the pod names, from now on until Release. It may be
// repeated, and costs little then.
func (m *Manager) Hold(pod *corev1.Pod) {
	wanted := references(pod)
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.life.Err() != nil {
		return
	}
	before := m.held[pod.UID]
	for _, ref := range wanted {
		if !slices.Contains(before, ref) {
			m.join(ref, pod.UID)
		}
	}
	for _, ref := range before {
		if !slices.Contains(wanted, ref) {
			m.leave(ref, pod.UID)
		}
	}
	m.held[pod.UID] = wanted
}

// Release forgets a pod and its tokens. Objects that no other pod names are not
// followed any more.
func (m *Manager) Release(uid types.UID) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, ref := range m.held[uid] {
		m.leave(ref, uid)
	}
	delete(m.held, uid)
	for key := range m.tokens {
		if key.pod == uid {
			delete(m.tokens, key)
		}
	}
}

// join lets a pod take part in following an object. One that is immutable may
// since have been deleted and made anew, so it is read again.
func (m *Manager) join(ref reference, uid types.UID) {
	f := m.followers[ref]
	if f == nil || f.isFinal() {
		next := m.newFollower(ref)
		if f != nil {
			next.holders = f.leaveAll()
		}
		next.holders[uid] = true
		m.followers[ref] = next
		m.start(next)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.holders[uid] = true
}

func (m *Manager) start(f *follower) {
	var life context.Context
	life, f.stop = context.WithCancel(m.life)
	m.running.Go(func() { f.follow(life) })
}

func (m *Manager) leave(ref reference, uid types.UID) {
	f := m.followers[ref]
	f.mu.Lock()
	delete(f.holders, uid)
	unused := len(f.holders) == 0
	f.mu.Unlock()
	if unused {
		f.stop()
		delete(m.followers, ref)
	}
}

// leaveAll stops the follower and gives its holders away.
func (f *follower) leaveAll() map[types.UID]bool {
	f.stop()
	f.mu.Lock()
	defer f.mu.Unlock()
	holders := f.holders
	f.holders = nil
	return holders
}

// ConfigMap gives a ConfigMap that a held pod names. If it does not exist, the
// error is `configmap "NAME" not found`, which apierrors.IsNotFound knows.
func (m *Manager) ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	object, err := m.current(ctx, reference{configMap, namespace, name})
	if err != nil {
		return nil, err
	}
	return object.(*corev1.ConfigMap), nil
}

// Secret gives a Secret that a held pod names; as with ConfigMap, one that does
// not exist is an error.
func (m *Manager) Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error) {
	object, err := m.current(ctx, reference{secret, namespace, name})
	if err != nil {
		return nil, err
	}
	return object.(*corev1.Secret), nil
}

func (m *Manager) current(ctx context.Context, ref reference) (runtime.Object, error) {
	m.mu.Lock()
	f := m.followers[ref]
	m.mu.Unlock()
	if f == nil {
		return nil, fmt.Errorf("object %q/%q not registered", ref.namespace, ref.name)
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	return f.current(ctx)
}

func (m *Manager) newFollower(ref reference) *follower {
	return &follower{
		reference: ref,
		source:    m.sourceOf(ref),
		clock:     m.options.Clock,
		changed:   m.options.Changed,
		settled:   make(chan struct{}),
		holders:   map[types.UID]bool{},
	}
}

func (m *Manager) sourceOf(ref reference) source {
	core := m.options.Client.CoreV1()
	absent := apierrors.NewNotFound(corev1.Resource(string(ref.kind)), ref.name)
	if ref.kind == configMap {
		client := core.ConfigMaps(ref.namespace)
		return source{absent: absent, watch: client.Watch,
			get: func(ctx context.Context, options metav1.GetOptions) (runtime.Object, error) {
				return orNil(client.Get(ctx, ref.name, options))
			}}
	}
	client := core.Secrets(ref.namespace)
	return source{absent: absent, watch: client.Watch,
		get: func(ctx context.Context, options metav1.GetOptions) (runtime.Object, error) {
			return orNil(client.Get(ctx, ref.name, options))
		}}
}

// orNil keeps a typed nil from becoming an object.
func orNil[T any, P interface {
	*T
	runtime.Object
}](object P, err error) (runtime.Object, error) {
	if err != nil {
		return nil, err
	}
	return object, nil
}

func isImmutable(object runtime.Object) bool {
	switch o := object.(type) {
	case *corev1.ConfigMap:
		return o.Immutable != nil && *o.Immutable
	case *corev1.Secret:
		return o.Immutable != nil && *o.Immutable
	}
	return false
}
