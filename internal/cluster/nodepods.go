package cluster

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/types"
	coreinformers "k8s.io/client-go/informers/core/v1"
	corelisters "k8s.io/client-go/listers/core/v1"
	"k8s.io/client-go/tools/cache"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/environ"
	"github.com/garrison-project/garrison/internal/agent/machine"
	"github.com/garrison-project/garrison/internal/agent/objects"
	"github.com/garrison-project/garrison/internal/agent/probe"
	"github.com/garrison-project/garrison/internal/agent/static"
	"github.com/garrison-project/garrison/internal/agent/volume"
	"github.com/garrison-project/garrison/internal/loop"
)

// podInformer follows the pods of the node.
func (a *nodeAgent) podInformer() (cache.SharedIndexInformer, error) {
	informer := coreinformers.NewFilteredPodInformer(a.client, metav1.NamespaceAll, 0, cache.Indexers{}, func(o *metav1.ListOptions) {
		o.FieldSelector = fields.OneTermEqualSelector("spec.nodeName", a.cfg.Node.Name).String()
	})
	return informer, informer.SetTransform(withoutManagers)
}

// serviceInformer follows the services of the cluster, for the environment of
// containers and for the address of the API server.
func (a *nodeAgent) serviceInformer() (cache.SharedIndexInformer, error) {
	informer := coreinformers.NewServiceInformer(a.client, metav1.NamespaceAll, 0, cache.Indexers{cache.NamespaceIndex: cache.MetaNamespaceIndexFunc})
	a.services, a.servicesKnown = corelisters.NewServiceLister(informer.GetIndexer()), informer.HasSynced
	return informer, informer.SetTransform(withoutManagers)
}

// podParts makes the parts that run pods.
func (a *nodeAgent) podParts(ctx context.Context) ([]part, error) {
	facts, err := machine.Open("/").Facts()
	if err != nil {
		return nil, err
	}
	pods, err := a.podInformer()
	if err != nil {
		return nil, err
	}
	services, err := a.serviceInformer()
	if err != nil {
		return nil, err
	}
	var loop *agent.Agent
	a.objects = objects.New(context.WithoutCancel(ctx), objects.Options{Client: a.client, Changed: func(uid types.UID) { loop.ObjectsChanged(uid) }})
	features, err := a.runtime.Features(ctx)
	if err != nil {
		return nil, err
	}
	volumes, err := volume.New(volume.Options{
		Directory: a.cfg.podsFolder(), Objects: a.objects, Node: a.record.Current, RecursiveReadOnly: features.RecursiveReadOnly,
	})
	if err != nil {
		return nil, err
	}
	manifests, err := static.New(static.Options{Directory: a.cfg.ManifestFolder, NodeName: a.cfg.Node.Name})
	if err != nil {
		return nil, err
	}
	prober := probe.New(probe.Options{Exec: a.runtime, Recorder: a.recorder, Wake: func(uid types.UID) { loop.Wake(uid) }})
	loop, err = agent.New(agent.Options{
		Settings: agent.Settings{
			NodeName: a.cfg.Node.Name, Hostname: a.cfg.hostname,
			ClusterDNS: a.cfg.ClusterDNS, ClusterDomain: a.cfg.ClusterDomain,
			PodLogs: a.cfg.PodLogs, Memory: facts.Memory, AllowedUnsafeSysctls: a.cfg.AllowedUnsafeSysctls,
		},
		Pods: pods, Node: a.record.Current, Runtime: a.runtime, Volumes: volumes,
		Environment: &environ.Resolver{
			Node: a.record.Current, Services: a.services, ServicesSynced: a.servicesKnown,
			Objects: a.objects, Files: volumes,
		},
		Prober: prober, Hooks: probe.NewHooks(a.runtime, a.recorder),
		Writer: a.writer, Recorder: a.recorder, Objects: a.objects, Static: manifests,
	})
	if err != nil {
		return nil, fmt.Errorf("put the agent together: %w", err)
	}
	if a.importer != nil {
		a.importer.OnImport(loop.ImagesChanged)
	}
	served, err := a.serve(loop, volumes, prober)
	if err != nil {
		return nil, err
	}
	return append(served, []part{
		{"pods of the node", following(pods)},
		{"services", following(services)},
		{"prober", prober.Run},
		{"agent", func(ctx context.Context) { a.runPods(ctx, loop) }},
	}...), nil
}

// following is the work of a part that keeps an informer.
func following(informer loop.Informer) func(context.Context) {
	return func(ctx context.Context) { loop.Watch(ctx, informer) }
}

// runPods runs pods once the images are there that an archive has: a pod that
// started earlier would try to pull them.
func (a *nodeAgent) runPods(ctx context.Context, loop *agent.Agent) {
	if a.importer != nil {
		select {
		case <-a.importer.Ready():
		case <-a.importing:
		case <-ctx.Done():
			return
		}
	}
	loop.Run(ctx)
}
