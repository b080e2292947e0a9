package server

import (
	"fmt"
	"time"

	apidiscoveryv2 "k8s.io/api/apidiscovery/v2"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/util/managedfields"
	genericapi "k8s.io/apiserver/pkg/endpoints"
	"k8s.io/apiserver/pkg/endpoints/discovery"
	"k8s.io/apiserver/pkg/endpoints/discovery/aggregated"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/garrison-project/garrison/internal/api/kinds"
)

// installer adds groups of kinds to a generic server. It does what InstallAPIGroups of
// that does, which leaves nobody the choice of a type converter.
type installer struct {
	server *genericapiserver.GenericAPIServer
	config *genericapiserver.Config
	types  managedfields.TypeConverter
}

// install serves the kinds, the legacy group under /api and the others under /apis.
// The config is the completed one that the server was made with.
func install(server *genericapiserver.GenericAPIServer, config *genericapiserver.Config, served *kinds.Set) error {
	groups := served.APIGroups()
	types, err := newTypeConverter(config.OpenAPIV3Config, groups)
	if err != nil {
		return fmt.Errorf("read the schemas of the API: %w", err)
	}
	in := installer{server, config, types}
	for _, group := range groups {
		if err := in.install(group); err != nil {
			return fmt.Errorf("install the API group %q: %w", group.PrioritizedVersions[0].Group, err)
		}
	}
	return nil
}

func (in installer) install(group *genericapiserver.APIGroupInfo) error {
	name := group.PrioritizedVersions[0].Group
	prefix, discovered := genericapiserver.APIGroupPrefix, in.server.AggregatedDiscoveryGroupManager
	if name == "" {
		prefix, discovered = genericapiserver.DefaultLegacyAPIPrefix, in.server.AggregatedLegacyDiscoveryGroupManager
	}
	for _, gv := range group.PrioritizedVersions {
		storages := group.VersionedResourcesStorageMap[gv.Version]
		resources, _, err := in.version(prefix, gv, group, storages).InstallREST(in.server.Handler.GoRestfulContainer)
		if err != nil {
			return err
		}
		discovered.AddGroupVersion(name, apidiscoveryv2.APIVersionDiscovery{
			Freshness: apidiscoveryv2.DiscoveryFreshnessCurrent,
			Version:   gv.Version,
			Resources: resources,
		})
		in.adopt(gv, storages)
	}
	if name == "" {
		in.serveLegacyRoot(prefix, discovered)
	} else {
		in.serveRoot(name, group.PrioritizedVersions)
	}
	return nil
}

// version is what the generic server makes of a version of a group.
func (in installer) version(prefix string, gv schema.GroupVersion, group *genericapiserver.APIGroupInfo, storages map[string]rest.Storage) *genericapi.APIGroupVersion {
	return &genericapi.APIGroupVersion{
		Root:                       prefix,
		GroupVersion:               gv,
		Storage:                    storages,
		OptionsExternalVersion:     group.OptionsExternalVersion,
		MetaGroupVersion:           group.MetaGroupVersion,
		ParameterCodec:             group.ParameterCodec,
		Serializer:                 group.NegotiatedSerializer,
		Creater:                    group.Scheme,
		Convertor:                  group.Scheme,
		ConvertabilityChecker:      group.Scheme,
		UnsafeConvertor:            runtime.UnsafeObjectConvertor(group.Scheme),
		Defaulter:                  group.Scheme,
		Typer:                      group.Scheme,
		Namer:                      runtime.Namer(meta.NewAccessor()),
		TypeConverter:              in.types,
		EquivalentResourceRegistry: in.server.EquivalentResourceRegistry,
		Admit:                      in.config.AdmissionControl,
		Authorizer:                 in.server.Authorizer,
		MinRequestTimeout:          time.Duration(in.config.MinRequestTimeout) * time.Second,
		MaxRequestBodyBytes:        in.config.MaxRequestBodyBytes,
	}
}

// adopt lets the server wait for the storages when it starts, and end them with it.
func (in installer) adopt(gv schema.GroupVersion, storages map[string]rest.Storage) {
	for resource, storage := range storages {
		in.server.RegisterDestroyFunc(storage.Destroy)
		if caching, ok := storage.(rest.StorageWithReadiness); ok {
			in.server.StorageReadinessHook.RegisterStorage(metav1.GroupVersionResource(gv.WithResource(resource)), caching)
		}
	}
}

// serveLegacyRoot answers which versions of the legacy group there are.
func (in installer) serveLegacyRoot(prefix string, discovered aggregated.ResourceManager) {
	root := discovery.NewLegacyRootAPIHandler(in.config.DiscoveryAddresses, in.server.Serializer, prefix)
	wrapped := aggregated.WrapAggregatedDiscoveryToHandler(root, discovered, discovered)
	in.server.Handler.GoRestfulContainer.Add(wrapped.GenerateWebService(prefix, metav1.APIVersions{}))
}

// serveRoot answers which versions of a group there are, the preferred one first.
func (in installer) serveRoot(name string, versions []schema.GroupVersion) {
	group := metav1.APIGroup{Name: name}
	for _, gv := range versions {
		group.Versions = append(group.Versions, metav1.GroupVersionForDiscovery{GroupVersion: gv.String(), Version: gv.Version})
	}
	group.PreferredVersion = group.Versions[0]
	in.server.DiscoveryGroupManager.AddGroup(group)
	in.server.Handler.GoRestfulContainer.Add(discovery.NewAPIGroupHandler(in.server.Serializer, group).WebService())
}
