package kinds

//lint:file-ignore SA1019 Endpoints are deprecated, but clients still keep them.

import (
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"

	"github.com/garrison-project/garrison/internal/api/validation"
)

// Endpoints and their slices are stored for those that write them: no controller here
// makes them for services.

func endpoints() entry {
	return kind[*corev1.Endpoints]{gv: coreV1, name: "endpoints", obj: &corev1.Endpoints{}, list: &corev1.EndpointsList{},
		shortNames: words{"ep"},
		rules: rules[*corev1.Endpoints]{
			validate:       validation.Endpoints,
			validateUpdate: validation.EndpointsUpdate,
		},
	}
}

func endpointSlices() entry {
	return kind[*discoveryv1.EndpointSlice]{gv: discoveryV1, name: "endpointslices", obj: &discoveryv1.EndpointSlice{}, list: &discoveryv1.EndpointSliceList{},
		rules: rules[*discoveryv1.EndpointSlice]{
			prepareCreate:  func(s *discoveryv1.EndpointSlice) { s.Generation = 1 },
			prepareUpdate:  countSliceChanges,
			validate:       validation.EndpointSlice,
			validateUpdate: validation.EndpointSliceUpdate,
		},
	}
}

// countSliceChanges counts all changes but those of metadata that the server makes.
func countSliceChanges(s, old *discoveryv1.EndpointSlice) {
	content := func(s *discoveryv1.EndpointSlice) []any {
		return []any{s.Labels, s.Annotations, s.AddressType, s.Endpoints, s.Ports}
	}
	s.Generation = old.Generation
	if !apiequality.Semantic.DeepEqual(content(s), content(old)) {
		s.Generation++
	}
}
