package objects

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"
	"k8s.io/utils/clock"
	"k8s.io/utils/ptr"
)

// backoff spaces attempts to follow an object.
var backoff = wait.Backoff{Duration: 50 * time.Millisecond, Factor: 2, Jitter: 0.5, Steps: 12, Cap: 30 * time.Second}

// steady is how long a watch has to last for the next attempts to be quick again.
const steady = time.Minute

// source reads and watches one object.
type source struct {
	get   func(context.Context, metav1.GetOptions) (runtime.Object, error)
	watch func(context.Context, metav1.ListOptions) (watch.Interface, error)
	// absent is the error if the object is not there.
	absent error
}

// follower keeps one object current. A reflector of client-go would do so, too, but
// its first answer waits for the whole watch cache to be current, and it tells
// nobody why it has none.
type follower struct {
	reference reference
	source    source
	clock     clock.Clock
	changed   func(types.UID)
	// settled is closed once there was a first answer of any kind.
	settled chan struct{}

	mu sync.Mutex
	// holders are the pods that name the object.
	holders map[types.UID]bool
	// object is the last seen; with none, failure says why.
	object  runtime.Object
	failure error
	stop    context.CancelFunc // of the goroutine
	// final tells that the object cannot change and is followed no more.
	final bool
}

// follow reads and watches until ctx is done or the object says that it is
// immutable.
func (f *follower) follow(ctx context.Context) {
	pause := backoff
	for ctx.Err() == nil {
		began := f.clock.Now()
		err := f.once(ctx)
		if ctx.Err() != nil || errors.Is(err, errFinal) {
			return
		}
		if f.clock.Since(began) >= steady {
			pause = backoff
		}
		klog.FromContext(ctx).V(4).Info("Following again", "kind", f.reference.kind,
			"object", klog.KRef(f.reference.namespace, f.reference.name), "reason", err)
		select {
		case <-ctx.Done():
		case <-f.clock.After(pause.Step()):
		}
	}
}

// patiently repeats a request that is refused, for most of a second: a pod may
// arrive here a moment before the authorizer knows what it names.
func patiently(request func() error) error {
	pauses := wait.Backoff{Duration: 10 * time.Millisecond, Factor: 2, Jitter: 0.2, Steps: 7}
	return retry.OnError(pauses, apierrors.IsForbidden, request)
}

var errFinal = errors.New("the object is immutable")

// once reads the object and then watches it until the watch ends.
func (f *follower) once(ctx context.Context) error {
	var object runtime.Object
	err := patiently(func() (err error) {
		object, err = f.source.get(ctx, metav1.GetOptions{})
		return err
	})
	if apierrors.IsNotFound(err) {
		object, err = nil, f.source.absent
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	f.learn(object, err)
	if err != nil && !apierrors.IsNotFound(err) {
		return err
	}
	if f.isFinal() {
		return errFinal
	}
	// The watch begins with the object as it is then, and says where that ends: not
	// from the version just read, which may be long forgotten if it is an old one.
	w, err := f.source.watch(ctx, metav1.ListOptions{
		FieldSelector:        fields.OneTermEqualSelector(metav1.ObjectNameField, f.reference.name).String(),
		AllowWatchBookmarks:  true,
		SendInitialEvents:    ptr.To(true),
		ResourceVersionMatch: metav1.ResourceVersionMatchNotOlderThan,
	})
	if err != nil {
		return fmt.Errorf("watch: %w", err)
	}
	stop := context.AfterFunc(ctx, w.Stop)
	defer w.Stop()
	defer stop()
	return f.listen(w)
}

// listen learns from a watch until it ends.
func (f *follower) listen(w watch.Interface) error {
	seen := false
	for event := range w.ResultChan() {
		switch event.Type {
		case watch.Added, watch.Modified:
			seen = true
			f.learn(event.Object, nil)
		case watch.Deleted:
			seen = true
			f.learn(nil, f.source.absent)
		case watch.Bookmark:
			if !seen && endsInitialEvents(event.Object) {
				f.learn(nil, f.source.absent)
			}
		case watch.Error:
			return apierrors.FromObject(event.Object)
		}
		if f.isFinal() {
			return errFinal
		}
	}
	return errors.New("the watch ended")
}

func endsInitialEvents(bookmark runtime.Object) bool {
	accessor, err := meta.Accessor(bookmark)
	return err == nil && accessor.GetAnnotations()[metav1.InitialEventsAnnotationKey] == "true"
}

// learn takes note of the object, or why there is none. What was known before
// outlives errors other than its absence.
func (f *follower) learn(object runtime.Object, err error) {
	if object != nil {
		object = slim(object)
	}
	f.mu.Lock()
	var tell []types.UID
	if err == nil || apierrors.IsNotFound(err) || f.object == nil {
		if versionOf(f.object) != versionOf(object) || (f.failure == nil) != (err == nil) {
			for uid := range f.holders {
				tell = append(tell, uid)
			}
		}
		f.object, f.failure = object, err
		f.final = isImmutable(object)
	}
	f.mu.Unlock()
	select {
	case <-f.settled:
	default:
		close(f.settled) // only this goroutine does
	}
	if f.changed != nil {
		for _, uid := range tell {
			f.changed(uid)
		}
	}
}

func (f *follower) isFinal() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.final
}

// current gives the object as last seen; it waits for the first answer.
func (f *follower) current(ctx context.Context) (runtime.Object, error) {
	select {
	case <-f.settled:
	case <-ctx.Done():
		return nil, fmt.Errorf("read %s %q: %w", f.reference.kind, f.reference.name, ctx.Err())
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.object, f.failure
}

func versionOf(object runtime.Object) string {
	if object == nil {
		return ""
	}
	accessor, err := meta.Accessor(object)
	if err != nil {
		return ""
	}
	return accessor.GetResourceVersion()
}

// slim is the object without what nobody here reads. The object is ours alone.
func slim(object runtime.Object) runtime.Object {
	if accessor, err := meta.Accessor(object); err == nil {
		accessor.SetManagedFields(nil)
	}
	return object
}
