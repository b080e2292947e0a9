// Package kinds is the table of resources the API server serves: for each kind
// its names, its strategy (what a write may change and what the server fills
// in) and its subresources. Build turns the table into storage.
//
// Adding a plain kind is one entry in table.go. Defaults come from package
// defaults, validation from package validation, columns from package tables.
// Authentication, admission and the store itself are left to package server
// and package store.
package kinds

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/generic"
	genericregistry "k8s.io/apiserver/pkg/registry/generic/registry"
	"k8s.io/apiserver/pkg/registry/rest"
	genericapiserver "k8s.io/apiserver/pkg/server"

	"github.com/garrison-project/garrison/internal/api"
	"github.com/garrison-project/garrison/internal/api/token"
)

// Options is what the table needs from the server that serves it.
type Options struct {
	// RESTOptions says how and where each resource is stored. Required.
	RESTOptions generic.RESTOptionsGetter
	// Tokens issues the tokens of service accounts, which are not served without
	// it.
	Tokens *token.Issuer
	// ServiceNetwork is the IPv4 network that services get their IPs from,
	// DefaultServiceNetwork if it is not set. It holds at least 512 addresses.
	ServiceNetwork netip.Prefix
}

// DefaultServiceNetwork is where services have their IPs unless told otherwise.
var DefaultServiceNetwork = netip.MustParsePrefix("10.96.0.0/16")

// Set is the storage of every kind, built from the table.
type Set struct {
	storage map[schema.GroupVersion]map[string]rest.Storage
	main    map[schema.GroupResource]*genericregistry.Store
	status  map[schema.GroupResource]*genericregistry.Store
	placing *placing
}

// Build makes the storage of all kinds. Both groups of events share one store.
func Build(o Options) (*Set, error) {
	if o.RESTOptions == nil {
		return nil, errors.New("build kinds: no REST options")
	}
	if !o.ServiceNetwork.IsValid() {
		o.ServiceNetwork = DefaultServiceNetwork
	}
	if !o.ServiceNetwork.Addr().Is4() || o.ServiceNetwork.Bits() > 23 {
		return nil, fmt.Errorf("build kinds: the service network %s is no IPv4 network of 512 addresses or more", o.ServiceNetwork)
	}
	s := &Set{
		storage: map[schema.GroupVersion]map[string]rest.Storage{},
		main:    map[schema.GroupResource]*genericregistry.Store{},
		status:  map[schema.GroupResource]*genericregistry.Store{},
		placing: &placing{},
	}
	o.RESTOptions = s.placing.over(o.RESTOptions)
	for _, e := range table() {
		if err := e.install(s, o); err != nil {
			return nil, fmt.Errorf("build storage of %s: %w", e.resource(), err)
		}
	}
	s.giveClusterIPs(o.ServiceNetwork)
	s.addSubresources(o)
	return s, nil
}

// Store returns the store of a resource, or nil if it is not served.
func (s *Set) Store(gr schema.GroupResource) *genericregistry.Store { return s.main[gr] }

// StatusStore returns the store through which the status of a resource is
// written, or nil if it has none.
func (s *Set) StatusStore(gr schema.GroupResource) *genericregistry.Store { return s.status[gr] }

// Storage returns what serves a resource ("pods") or a subresource
// ("pods/binding") of a group version, or nil.
func (s *Set) Storage(gv schema.GroupVersion, resource string) rest.Storage {
	return s.storage[gv][resource]
}

// Resources returns the resources that have a store, sorted by name and group.
func (s *Set) Resources() []schema.GroupResource {
	out := slices.Collect(maps.Keys(s.main))
	slices.SortFunc(out, func(a, b schema.GroupResource) int { return strings.Compare(a.String(), b.String()) })
	return out
}

// APIGroups returns the groups in the order they are to be installed, the
// legacy group (Group "") first.
func (s *Set) APIGroups() []*genericapiserver.APIGroupInfo {
	var out []*genericapiserver.APIGroupInfo
	for _, gv := range api.GroupVersions() {
		resources, ok := s.storage[gv]
		if !ok {
			continue
		}
		info := genericapiserver.NewDefaultAPIGroupInfo(gv.Group, api.Scheme, api.ParameterCodec, api.Codecs)
		info.VersionedResourcesStorageMap[gv.Version] = resources
		out = append(out, &info)
	}
	return out
}

// add serves storage at a resource or subresource.
func (s *Set) add(gv schema.GroupVersion, resource string, storage rest.Storage) {
	if s.storage[gv] == nil {
		s.storage[gv] = map[string]rest.Storage{}
	}
	s.storage[gv][resource] = storage
}
