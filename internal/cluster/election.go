package cluster

import (
	"context"
	"fmt"
	"os"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/uuid"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/leaderelection"
	"k8s.io/client-go/tools/leaderelection/resourcelock"
	"k8s.io/client-go/util/retry"
	"k8s.io/klog/v2"
)

// Election is how several processes agree on the one that works: all but the
// holder of a Lease stand by.
type Election struct {
	Namespace, Name string // of the Lease
	Identity        string // of this process, unlike any other's
	// LeaseDuration is how long the others wait after the holder's last sign of
	// life; it must exceed RenewDeadline.
	LeaseDuration time.Duration
	// RenewDeadline is how long the holder tries to renew before it gives up.
	RenewDeadline time.Duration
	// RetryPeriod is the pause between two tries.
	RetryPeriod time.Duration
}

// The times of an election unless others are asked for, as Kubernetes' own parts
// have them.
const (
	DefaultLeaseDuration = 15 * time.Second
	DefaultRenewDeadline = 10 * time.Second
	DefaultRetryPeriod   = 2 * time.Second
)

// NewIdentity returns a name for this process that no other has.
func NewIdentity() (string, error) {
	host, err := os.Hostname()
	if err != nil {
		return "", fmt.Errorf("find the host's name: %w", err)
	}
	return host + "_" + string(uuid.NewUUID()), nil
}

// serversElection decides which of several servers on one etcd has working
// parts. Those of an embedded etcd are alone.
func serversElection() (*Election, error) {
	identity, err := NewIdentity()
	return &Election{
		Namespace: metav1.NamespaceSystem, Name: "garrison-server", Identity: identity,
		LeaseDuration: DefaultLeaseDuration, RenewDeadline: DefaultRenewDeadline, RetryPeriod: DefaultRetryPeriod,
	}, err
}

// elected makes one part of several that work only while this process holds a
// lease. Like a part, it does not end by itself unless something is wrong: to
// lose the lease is.
func (e *Election) elected(api *rest.Config, all []part) part {
	return part{"leader-election", func(ctx context.Context) {
		won, err := e.win(ctx, api)
		if err == nil {
			err = lead(ctx, won, all, func() {})
		}
		if err != nil && ctx.Err() == nil {
			klog.FromContext(ctx).Error(err, "The parts of this server work no more", "lease", klog.KRef(e.Namespace, e.Name))
		}
	}}
}

// leadership is a lease that this process has won. The zero value is that of a
// process that was not asked to stand for election: it is never lost.
type leadership struct {
	lock   resourcelock.Interface
	cancel context.CancelFunc
	// lost is closed when the lease is renewed no more, for whatever reason.
	lost chan struct{}
}

// win waits until this process holds the lease. From then on the lease is
// renewed until resign is called, or it is lost.
func (e *Election) win(ctx context.Context, api *rest.Config) (*leadership, error) {
	lock, err := resourcelock.NewFromKubeconfig(resourcelock.LeasesResourceLock, e.Namespace, e.Name,
		resourcelock.ResourceLockConfig{Identity: e.Identity}, api, e.RenewDeadline)
	if err != nil {
		return nil, fmt.Errorf("make a lock of lease %s/%s: %w", e.Namespace, e.Name, err)
	}
	won := make(chan struct{})
	elector, err := leaderelection.NewLeaderElector(leaderelection.LeaderElectionConfig{
		Name:          e.Name,
		Lock:          lock,
		LeaseDuration: e.LeaseDuration,
		RenewDeadline: e.RenewDeadline,
		RetryPeriod:   e.RetryPeriod,
		Callbacks: leaderelection.LeaderCallbacks{
			OnStartedLeading: func(context.Context) { close(won) },
			OnStoppedLeading: func() {},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("stand for election: %w", err)
	}
	// The end of ctx must not end the renewing: the parts need time to end, and
	// nobody else may begin before they have.
	renewing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	l := &leadership{lock: lock, cancel: cancel, lost: make(chan struct{})}
	go func() {
		defer close(l.lost)
		elector.Run(renewing)
	}()
	select {
	case <-won:
		return l, nil
	case <-l.lost:
		return nil, fmt.Errorf("the election for lease %s ended by itself", lock.Describe())
	case <-ctx.Done():
		l.resign(context.WithoutCancel(ctx), e.RetryPeriod)
		return nil, context.Cause(ctx)
	}
}

// resign ends the renewing and, within limit, frees the lease, so that the next
// holder need not wait until it expires. It is to be called when what the lease
// guards has ended.
func (l *leadership) resign(ctx context.Context, limit time.Duration) {
	if l.lock == nil {
		return
	}
	l.cancel()
	<-l.lost
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	// A renewal that was cut short may have been stored meanwhile.
	if err := retry.RetryOnConflict(retry.DefaultRetry, func() error { return l.free(ctx) }); err != nil {
		klog.FromContext(ctx).V(1).Info("Lease not freed, it will expire", "lease", l.lock.Describe(), "reason", err.Error())
	}
}

// free takes this process's name off the lease, if it is there.
func (l *leadership) free(ctx context.Context) error {
	record, _, err := l.lock.Get(ctx)
	if err != nil || record.HolderIdentity != l.lock.Identity() {
		return err
	}
	now := metav1.Now()
	return l.lock.Update(ctx, resourcelock.LeaderElectionRecord{
		LeaseDurationSeconds: 1,
		AcquireTime:          now,
		RenewTime:            now,
		LeaderTransitions:    record.LeaderTransitions,
	})
}
