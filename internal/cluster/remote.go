package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"

	"github.com/garrison-project/garrison/internal/writer"
)

const (
	// endTimeout is how long the part may take to end. Who loses the lease has
	// used up the retry period and the renew deadline by then; all three fit into
	// the default duration of a lease, which is when another may begin.
	endTimeout = 2 * time.Second
	// resignTimeout is how long freeing the lease may take at the end.
	resignTimeout = time.Second
	// unwatchTimeout is how long to wait for the informers. One that waits for an
	// API server to come back may not notice the end for half a minute.
	unwatchTimeout = time.Second
)

// RemoteConfig says which part works on the API server of another process.
type RemoteConfig struct {
	// Part is DaemonSetController or Scheduler.
	Part string
	// API is how to reach the server, and at what rate.
	API *rest.Config
	// Election, if not nil, lets the part work only while it holds a lease.
	Election *Election
}

// RunRemote runs one part on the API server of another process until ctx is
// done. It calls ready once the part works: when all that is stored has been
// read, and the election is won. It returns nil if it ended because of ctx and
// ended well; to lose the lease is an error.
func RunRemote(ctx context.Context, cfg RemoteConfig, ready func()) error {
	w, err := remoteWorkplace(cfg.API)
	if err != nil {
		return err
	}
	all, err := build(w, func(name string) bool { return name == cfg.Part })
	if err != nil {
		return fmt.Errorf("put the part together: %w", err)
	}
	hail(ctx, w.client)
	defer watch(w.informers)()
	// Whoever cannot read must not lead.
	for _, synced := range w.informers.WaitForCacheSync(ctx.Done()) {
		if !synced {
			return nil // asked to end before it worked
		}
	}
	won := &leadership{}
	if cfg.Election != nil {
		if won, err = cfg.Election.win(ctx, cfg.API); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return err
		}
	}
	return lead(ctx, won, all, ready)
}

// hail says in the log if the API server does not answer: informers wait for it in
// silence.
func hail(ctx context.Context, client kubernetes.Interface) {
	err := client.Discovery().RESTClient().Get().AbsPath("/version").Do(ctx).Error()
	if err != nil && ctx.Err() == nil {
		klog.FromContext(ctx).Error(err, "The API server does not answer, waiting for it")
	}
}

// watch starts informers and returns what stops them.
func watch(all informers.SharedInformerFactory) (stop func()) {
	end := make(chan struct{})
	all.Start(end)
	return func() {
		close(end)
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			all.Shutdown()
		}()
		select {
		case <-ended:
		case <-time.After(unwatchTimeout):
		}
	}
}

// remoteWorkplace prepares to work on the API server of another process.
func remoteWorkplace(api *rest.Config) (workplace, error) {
	client, err := kubernetes.NewForConfig(api)
	if err != nil {
		return workplace{}, fmt.Errorf("make a client: %w", err)
	}
	objects, err := metadata.NewForConfig(api)
	if err != nil {
		return workplace{}, fmt.Errorf("make a metadata client: %w", err)
	}
	return workplace{
		client:    client,
		objects:   objects,
		informers: informers.NewSharedInformerFactoryWithOptions(client, 0, informers.WithTransform(withoutManagers)),
		writer:    writer.NewClient(client),
	}, nil
}

// lead runs parts until ctx is done, one of them ends by itself, or the lease is
// lost. The lease is freed after all parts have ended.
func lead(ctx context.Context, won *leadership, all []part, ready func()) error {
	unending := context.WithoutCancel(ctx)
	working := startParts(unending, all)
	ready()
	var err error
	select {
	case <-ctx.Done():
	case <-working.failed:
	case <-won.lost:
		err = fmt.Errorf("lost the lease %s: another process may have taken over", won.lock.Describe())
	}
	stopping, cancel := context.WithTimeout(unending, endTimeout)
	defer cancel()
	err = errors.Join(err, working.stop(stopping))
	select {
	case <-working.ended:
		won.resign(unending, resignTimeout)
	default: // what still runs may still write: the lease is left to expire
	}
	return err
}

// withoutManagers strips from an object who manages which field: that can be half
// of it, and no part reads it. The API server keeps it in an update without it.
func withoutManagers(obj any) (any, error) {
	if object, err := meta.Accessor(obj); err == nil {
		object.SetManagedFields(nil)
	}
	return obj, nil
}
