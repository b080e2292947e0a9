package cluster

import (
	"context"
	"fmt"

	"k8s.io/client-go/metadata"

	"github.com/garrison-project/garrison/internal/agent/simulated"
	"github.com/garrison-project/garrison/internal/controller/ownergc"
	"github.com/garrison-project/garrison/internal/scheduler"
	"github.com/garrison-project/garrison/internal/server"
)

// assemble makes every part that works on the server. Making a part registers it
// with the informers, so all are made before the first informer starts.
func assemble(s *server.Server, cfg Config) ([]part, error) {
	objects, err := metadata.NewForConfig(s.RESTConfig())
	if err != nil {
		return nil, fmt.Errorf("make a metadata client: %w", err)
	}
	collector, err := ownergc.New(ownergc.Options{
		Discovery: s.Client().Discovery(),
		Metadata:  objects,
		Informers: s.Informers(),
		Writer:    s.Writer(),
	})
	if err != nil {
		return nil, err
	}
	binder, err := scheduler.New(scheduler.Options{Writer: s.Writer(), Informers: s.Informers()})
	if err != nil {
		return nil, err
	}
	nodes, err := simulated.New(simulated.Options{Client: s.Client(), Informers: s.Informers(), Writer: s.Writer()})
	if err != nil {
		return nil, err
	}
	return []part{
		{"garbage collector", collector.Run},
		{"scheduler", func(ctx context.Context) { _ = binder.Run(ctx) }}, // says only that ctx is done
		{"simulated nodes", nodes.Run},
	}, nil
}
