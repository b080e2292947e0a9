package cluster

import (
	"context"
	"fmt"
	"net/netip"
	"time"

	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/metadata"

	"github.com/garrison-project/garrison/internal/agent/simulated"
	"github.com/garrison-project/garrison/internal/api/kinds"
	"github.com/garrison-project/garrison/internal/api/token"
	"github.com/garrison-project/garrison/internal/controller/accounttoken"
	"github.com/garrison-project/garrison/internal/controller/daemonset"
	"github.com/garrison-project/garrison/internal/controller/namespace"
	"github.com/garrison-project/garrison/internal/controller/nodeipam"
	"github.com/garrison-project/garrison/internal/controller/nodelife"
	"github.com/garrison-project/garrison/internal/controller/ownergc"
	"github.com/garrison-project/garrison/internal/controller/podgc"
	"github.com/garrison-project/garrison/internal/controller/quota"
	"github.com/garrison-project/garrison/internal/controller/replicaset"
	"github.com/garrison-project/garrison/internal/scheduler"
	"github.com/garrison-project/garrison/internal/server"
	"github.com/garrison-project/garrison/internal/writer"
)

// The parts that can also run in a process of their own.
const (
	DaemonSetController = "daemonset-controller"
	Scheduler           = "scheduler"
)

// runner is what every part is: something that runs until its context is done.
type runner interface{ Run(ctx context.Context) }

// workplace is what parts work with: an API server, of this process or another.
type workplace struct {
	client    kubernetes.Interface
	objects   metadata.Interface
	informers informers.SharedInformerFactory
	writer    writer.Writer
	rootCA    []byte        // PEM, for those that reach the API server from a namespace
	tokens    *token.Issuer // nil where no tokens are made
	grace     time.Duration // of nodes that are silent; 0 means the default
	podRange  netip.Prefix  // that nodes get parts of; the zero value means the default
	// placeWith lets a scheduler place pods while they are stored; nil where the
	// store is that of another process.
	placeWith func(kinds.Placer)
}

// maker makes a part.
type maker struct {
	name string
	make func(workplace) (runner, error)
}

// makers make all parts, named as Kubernetes names them.
var makers = []maker{
	{DaemonSetController, func(w workplace) (runner, error) {
		return daemonset.New(daemonset.Options{Client: w.client, Informers: w.informers, Writer: w.writer})
	}},
	{Scheduler, func(w workplace) (runner, error) {
		b, err := scheduler.New(scheduler.Options{Writer: w.writer, Informers: w.informers})
		if err == nil && w.placeWith != nil {
			w.placeWith(b)
		}
		return binder{b}, err
	}},
	{"node-simulator", func(w workplace) (runner, error) {
		return simulated.New(simulated.Options{Client: w.client, Informers: w.informers, Writer: w.writer, GracePeriod: w.grace})
	}},
	{"garbage-collector-controller", func(w workplace) (runner, error) {
		return ownergc.New(ownergc.Options{Discovery: w.client.Discovery(), Metadata: w.objects, Informers: w.informers, Writer: w.writer})
	}},
	{"node-lifecycle-controller", func(w workplace) (runner, error) {
		return nodelife.New(nodelife.Options{Client: w.client, Informers: w.informers, Writer: w.writer, GracePeriod: w.grace})
	}},
	{"node-ipam-controller", func(w workplace) (runner, error) {
		return nodeipam.New(nodeipam.Options{Client: w.client, Informers: w.informers, ClusterCIDR: w.podRange})
	}},
	{"pod-garbage-collector-controller", func(w workplace) (runner, error) {
		return podgc.New(podgc.Options{Client: w.client, Informers: w.informers, Writer: w.writer})
	}},
	{"namespace-controller", func(w workplace) (runner, error) {
		return namespace.New(namespace.Options{Client: w.client, Metadata: w.objects, Informers: w.informers, Writer: w.writer, RootCA: w.rootCA})
	}},
	{"serviceaccount-token-controller", func(w workplace) (runner, error) {
		return accounttoken.New(accounttoken.Options{Client: w.client, Informers: w.informers, Issuer: w.tokens, RootCA: w.rootCA})
	}},
	{"replicaset-controller", func(w workplace) (runner, error) {
		return replicaset.New(replicaset.Options{Client: w.client, Informers: w.informers, Writer: w.writer})
	}},
	{"resourcequota-controller", func(w workplace) (runner, error) {
		return quota.New(quota.Options{Client: w.client, Informers: w.informers})
	}},
}

// assemble makes the parts that are to work on the server of this process.
func assemble(s *server.Server, cfg Config) ([]part, error) {
	objects, err := metadata.NewForConfig(s.RESTConfig())
	if err != nil {
		return nil, fmt.Errorf("make a metadata client: %w", err)
	}
	return build(workplace{
		client:    s.Client(),
		objects:   objects,
		informers: s.Informers(),
		writer:    s.Writer(),
		rootCA:    s.CABundle(),
		tokens:    s.Tokens(),
		grace:     cfg.NodeMonitorGracePeriod,
		podRange:  cfg.ClusterCIDR,
		placeWith: s.PlaceWith,
	}, cfg.Controllers.wants)
}

// build makes the parts that are wanted. Making a part registers it with the
// informers, so all are made before the first informer starts.
func build(w workplace, wanted func(name string) bool) ([]part, error) {
	var all []part
	for _, m := range makers {
		if !wanted(m.name) {
			continue
		}
		one, err := m.make(w)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.name, err)
		}
		all = append(all, part{m.name, one.Run})
	}
	return all, nil
}

// binder is the scheduler, whose Run has nothing to say but that ctx is done.
type binder struct{ *scheduler.Scheduler }

func (b binder) Run(ctx context.Context) { _ = b.Scheduler.Run(ctx) }
