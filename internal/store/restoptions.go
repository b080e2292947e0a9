package store

import (
	"fmt"
	"sync"
	"time"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apiserver/pkg/registry/generic"
	serverstorage "k8s.io/apiserver/pkg/server/storage"
	"k8s.io/apiserver/pkg/storage"
	"k8s.io/apiserver/pkg/storage/cacher"
	"k8s.io/apiserver/pkg/storage/etcd3"
	"k8s.io/apiserver/pkg/storage/storagebackend"
	"k8s.io/apiserver/pkg/storage/storagebackend/factory"
	"k8s.io/apiserver/pkg/storage/value/encrypt/identity"
	"k8s.io/client-go/tools/cache"

	"github.com/garrison-project/garrison/internal/api"
)

var _ generic.RESTOptionsGetter = &Store{}

// keys lists the resources that Kubernetes does not store under their own name.
var keys = map[schema.GroupResource]string{
	{Resource: "nodes"}:    "minions",
	{Resource: "services"}: "services/specs",
}

// uncached lists the resources that have no watch cache, as in Kubernetes: events
// are written often and read seldom.
var uncached = map[schema.GroupResource]bool{
	{Resource: "events"}: true,
}

// GetRESTOptions says how a resource is stored: as protobuf, under the key that
// Kubernetes uses, most behind a watch cache.
func (s *Store) GetRESTOptions(resource schema.GroupResource, _ runtime.Object) (generic.RESTOptions, error) {
	codec, err := s.codecs.of(resource.Group)
	if err != nil {
		return generic.RESTOptions{}, fmt.Errorf("find the stored form of %s: %w", resource, err)
	}
	prefix, ok := keys[resource]
	if !ok {
		prefix = resource.Resource
	}
	return generic.RESTOptions{
		StorageConfig:           storagebackend.NewDefaultConfig(keyPrefix, codec).ForResource(resource),
		Decorator:               s.storage,
		DeleteCollectionWorkers: 1,
		EnableGarbageCollection: true,
		ResourcePrefix:          prefix,
		CountMetricPollPeriod:   time.Minute,
	}, nil
}

// storage builds the storage of one resource on the store's own client. (The
// library's factory connects by itself, and only over a network.)
func (s *Store) storage(
	cfg *storagebackend.ConfigForResource,
	prefix string,
	keyFunc func(runtime.Object) (string, error),
	newFunc, newListFunc func() runtime.Object,
	attrs storage.AttrFunc,
	triggers storage.IndexerFuncs,
	indexers *cache.Indexers,
) (storage.Interface, factory.DestroyFunc, error) {
	versioner := storage.APIObjectVersioner{}
	raw, err := etcd3.New(s.client, s.compactor, cfg.Codec, newFunc, newListFunc, cfg.Prefix, prefix, cfg.GroupResource,
		identity.NewEncryptCheckTransformer(), cfg.LeaseManagerConfig, etcd3.NewDefaultDecoder(cfg.Codec, versioner), versioner)
	if err != nil {
		return nil, nil, fmt.Errorf("store %s in etcd: %w", cfg.GroupResource, err)
	}
	if uncached[cfg.GroupResource] {
		return raw, raw.Close, nil
	}
	shared := &sharing{Interface: raw}
	s.shared.Store(cfg.GroupResource, shared)
	c, err := cacher.NewCacherFromConfig(cacher.Config{
		Storage:             shared,
		Versioner:           versioner,
		GroupResource:       cfg.GroupResource,
		EventsHistoryWindow: cfg.EventsHistoryWindow,
		ResourcePrefix:      prefix,
		KeyFunc:             keyFunc,
		NewFunc:             newFunc,
		NewListFunc:         newListFunc,
		GetAttrsFunc:        attrs,
		IndexerFuncs:        triggers,
		Indexers:            indexers,
		Codec:               cfg.Codec,
	})
	if err != nil {
		raw.Close()
		return nil, nil, fmt.Errorf("cache %s: %w", cfg.GroupResource, err)
	}
	delegator := cacher.NewCacheDelegator(c, raw)
	// Subresources share a storage, and each destroys it.
	destroy := sync.OnceFunc(func() {
		delegator.Stop()
		c.Stop()
		raw.Close()
	})
	return delegator, destroy, nil
}

// Latest returns an object as the watch cache of its resource holds it, if that is
// at this version, else nil. It shares memory with what every client reads:
// nobody may change it.
func (s *Store) Latest(resource schema.GroupResource, uid types.UID, version string) runtime.Object {
	if shared, ok := s.shared.Load(resource); ok {
		return shared.(*sharing).latest(uid, version)
	}
	return nil
}

// codecs holds the codec of each group once it was asked for.
type codecs struct {
	mu    sync.Mutex
	known map[string]runtime.Codec
}

func (c *codecs) of(group string) (runtime.Codec, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if codec, ok := c.known[group]; ok {
		return codec, nil
	}
	versions := api.Scheme.PrioritizedVersionsForGroup(group)
	if len(versions) == 0 {
		return nil, fmt.Errorf("the group %q is not known", group)
	}
	codec, _, err := serverstorage.NewStorageCodec(serverstorage.StorageCodecConfig{
		StorageMediaType:  runtime.ContentTypeProtobuf,
		StorageSerializer: api.Codecs,
		StorageVersion:    versions[0],
		MemoryVersion:     schema.GroupVersion{Group: group, Version: runtime.APIVersionInternal},
	})
	if err != nil {
		return nil, err
	}
	if c.known == nil {
		c.known = map[string]runtime.Codec{}
	}
	c.known[group] = codec
	return codec, nil
}
