package cluster

import (
	"context"
	"fmt"

	"k8s.io/client-go/metadata"

	"github.com/garrison-project/garrison/internal/agent/simulated"
	"github.com/garrison-project/garrison/internal/controller/daemonset"
	"github.com/garrison-project/garrison/internal/controller/namespace"
	"github.com/garrison-project/garrison/internal/controller/nodelife"
	"github.com/garrison-project/garrison/internal/controller/ownergc"
	"github.com/garrison-project/garrison/internal/controller/podgc"
	"github.com/garrison-project/garrison/internal/controller/quota"
	"github.com/garrison-project/garrison/internal/scheduler"
	"github.com/garrison-project/garrison/internal/server"
)

// runner is what every part is: something that runs until its context is done.
type runner interface{ Run(ctx context.Context) }

// assemble makes every part that works on the server. Making a part registers it
// with the informers, so all are made before the first informer starts.
func assemble(s *server.Server, cfg Config) ([]part, error) {
	client, informers, writer := s.Client(), s.Informers(), s.Writer()
	objects, err := metadata.NewForConfig(s.RESTConfig())
	if err != nil {
		return nil, fmt.Errorf("make a metadata client: %w", err)
	}
	var all []part
	for _, made := range []struct {
		name string
		new  func() (runner, error)
	}{
		{"daemon set controller", func() (runner, error) {
			return daemonset.New(daemonset.Options{Client: client, Informers: informers, Writer: writer})
		}},
		{"scheduler", func() (runner, error) {
			b, err := scheduler.New(scheduler.Options{Writer: writer, Informers: informers})
			return binder{b}, err
		}},
		{"simulated nodes", func() (runner, error) {
			return simulated.New(simulated.Options{Client: client, Informers: informers, Writer: writer})
		}},
		{"garbage collector", func() (runner, error) {
			return ownergc.New(ownergc.Options{Discovery: client.Discovery(), Metadata: objects, Informers: informers, Writer: writer})
		}},
		{"node lifecycle controller", func() (runner, error) {
			return nodelife.New(nodelife.Options{Client: client, Informers: informers, Writer: writer, GracePeriod: cfg.NodeMonitorGracePeriod})
		}},
		{"pod garbage collector", func() (runner, error) {
			return podgc.New(podgc.Options{Client: client, Informers: informers, Writer: writer})
		}},
		{"namespace controller", func() (runner, error) {
			return namespace.New(namespace.Options{Client: client, Metadata: objects, Informers: informers, Writer: writer, RootCA: s.CABundle()})
		}},
		{"quota controller", func() (runner, error) {
			return quota.New(quota.Options{Client: client, Informers: informers})
		}},
	} {
		one, err := made.new()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", made.name, err)
		}
		all = append(all, part{made.name, one.Run})
	}
	return all, nil
}

// binder is the scheduler, whose Run has nothing to say but that ctx is done.
type binder struct{ *scheduler.Scheduler }

func (b binder) Run(ctx context.Context) { _ = b.Scheduler.Run(ctx) }
