package objects

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/utils/clock"
)

// script is an API server of one object. Each field is what it does from now on.
type script struct {
	mu       sync.Mutex
	object   *corev1.ConfigMap // nil: it does not exist
	getErr   error
	watchErr error
	watcher  *watch.RaceFreeFakeWatcher
	gets     int
	watches  int
	changed  []types.UID
}

func (s *script) get(context.Context, metav1.GetOptions) (runtime.Object, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gets++
	if s.getErr != nil {
		return nil, s.getErr
	}
	if s.object == nil {
		return nil, apierrors.NewNotFound(corev1.Resource("configmaps"), "x")
	}
	return s.object.DeepCopy(), nil
}

func (s *script) watch(_ context.Context, options metav1.ListOptions) (watch.Interface, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.watches++
	if options.FieldSelector != "metadata.name=x" {
		return nil, fmt.Errorf("watches %q", options.FieldSelector)
	}
	if s.watchErr != nil {
		return nil, s.watchErr
	}
	s.watcher = watch.NewRaceFreeFake()
	return s.watcher, nil
}

// change lets the test alter the script.
func (s *script) change(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f()
}

func version(v string, immutable bool) *corev1.ConfigMap {
	return &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Name: "x", ResourceVersion: v, ManagedFields: []metav1.ManagedFieldsEntry{{}}},
		Immutable:  &immutable,
	}
}

// following runs a follower of the script in a bubble. Show tells what it knows.
func following(t *testing.T, s *script, body func(show func() string)) {
	synctest.Test(t, func(t *testing.T) {
		f := &follower{
			reference: reference{configMap, "ns", "x"},
			source:    source{get: s.get, watch: s.watch, absent: apierrors.NewNotFound(corev1.Resource("configmap"), "x")},
			clock:     clock.RealClock{},
			settled:   make(chan struct{}),
			holders:   map[types.UID]bool{"pod": true},
			changed:   func(uid types.UID) { s.change(func() { s.changed = append(s.changed, uid) }) },
		}
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan struct{})
		go func() { defer close(ended); f.follow(ctx) }()
		body(func() string {
			synctest.Wait()
			object, err := f.current(t.Context())
			if err != nil {
				return err.Error()
			}
			if fields := object.(*corev1.ConfigMap).ManagedFields; fields != nil {
				t.Errorf("managed fields are kept: %v", fields)
			}
			return "version " + versionOf(object)
		})
		cancel()
		<-ended
	})
}

// pass lets time go by in the bubble.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func TestFollowerLearnsChanges(t *testing.T) {
	s := &script{object: version("1", false)}
	following(t, s, func(show func() string) {
		expect(t, "read", show(), "version 1")
		s.watcher.Add(version("1", false))
		expect(t, "the watch begins with it", show(), "version 1")
		expect(t, "told so far", fmt.Sprint(s.changed), "[pod]")
		s.watcher.Modify(version("2", false))
		expect(t, "modified", show(), "version 2")
		s.watcher.Delete(version("3", false))
		expect(t, "deleted", show(), `configmap "x" not found`)
		s.watcher.Add(version("4", false))
		expect(t, "made anew", show(), "version 4")
		expect(t, "told", fmt.Sprint(s.changed), "[pod pod pod pod]")
	})
}

func TestFollowerWaitsForWhatDoesNotExist(t *testing.T) {
	s := &script{}
	following(t, s, func(show func() string) {
		expect(t, "absent", show(), `configmap "x" not found`)
		s.watcher.Add(version("1", false))
		expect(t, "created", show(), "version 1")
	})
}

// It was read, and deleted before the watch began.
func TestFollowerSeesWhatIsGoneWhenTheWatchBegins(t *testing.T) {
	s := &script{object: version("1", false)}
	following(t, s, func(show func() string) {
		expect(t, "read", show(), "version 1")
		s.watcher.Action(watch.Bookmark, &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{
			Annotations: map[string]string{metav1.InitialEventsAnnotationKey: "true"}}})
		expect(t, "after the initial events", show(), `configmap "x" not found`)
	})
}

func TestFollowerOutlivesErrors(t *testing.T) {
	forbidden := apierrors.NewForbidden(corev1.Resource("configmaps"), "x", errors.New("no relationship found"))
	s := &script{getErr: forbidden}
	following(t, s, func(show func() string) {
		expect(t, "refused", show(), forbidden.Error())
		s.change(func() { s.getErr = nil; s.object = version("1", false) })
		pass(time.Second)
		expect(t, "allowed", show(), "version 1")

		s.change(func() { s.getErr = errors.New("connection refused") })
		s.watcher.Stop()
		pass(time.Hour)
		expect(t, "not reached", show(), "version 1")
		if s.gets > 200 {
			t.Errorf("asked %d times in an hour", s.gets)
		}

		s.change(func() { s.getErr = nil; s.object = version("2", false) })
		pass(time.Minute)
		expect(t, "reached again", show(), "version 2")
	})
}

func TestFollowerReadsAgainIfTheWatchFails(t *testing.T) {
	s := &script{object: version("1", false), watchErr: errors.New("no watch")}
	following(t, s, func(show func() string) {
		expect(t, "read", show(), "version 1")
		s.change(func() { s.object = version("2", false) })
		pass(time.Minute)
		expect(t, "read again", show(), "version 2")
		s.change(func() { s.watchErr = nil })
		pass(time.Minute)
		s.watcher.Error(&metav1.Status{Reason: metav1.StatusReasonExpired})
		s.change(func() { s.object = version("3", false) })
		pass(time.Minute)
		expect(t, "after the watch expired", show(), "version 3")
	})
}

func TestFollowerStopsAtTheImmutable(t *testing.T) {
	s := &script{object: version("1", true)}
	following(t, s, func(show func() string) {
		expect(t, "read", show(), "version 1")
		pass(time.Hour)
		expect(t, "requests", fmt.Sprint(s.gets, s.watches), "1 0")
	})
	s = &script{object: version("1", false)}
	following(t, s, func(show func() string) {
		expect(t, "read", show(), "version 1")
		s.watcher.Modify(version("2", true))
		pass(time.Hour)
		expect(t, "modified", show(), "version 2")
		expect(t, "requests", fmt.Sprint(s.gets, s.watches), "1 1")
	})
}

func TestCurrentWaitsOnlySoLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &follower{reference: reference{secret, "ns", "x"}, settled: make(chan struct{})}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := f.current(ctx)
		if err == nil || !strings.Contains(err.Error(), `read secret "x"`) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}
