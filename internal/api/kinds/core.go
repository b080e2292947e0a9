package kinds

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/garrison-project/garrison/internal/api/validation"
)

// eventTTL is how long an event is kept, in seconds.
const eventTTL = 60 * 60

func events() entry {
	return kind[*corev1.Event]{gv: coreV1, name: "events", obj: &corev1.Event{}, list: &corev1.EventList{},
		shortNames: words{"ev"}, createOnUpdate: true, gc: rest.Unsupported, ttl: eventTTL,
		alsoServed: []schema.GroupVersion{eventsv1.SchemeGroupVersion},
		selectable: eventFields,
		rules: rules[*corev1.Event]{
			validate:       validation.Event,
			validateUpdate: validation.EventUpdate,
		},
	}
}

func eventFields(e *corev1.Event) fields.Set {
	source := e.Source.Component
	if source == "" {
		source = e.ReportingController
	}
	return fields.Set{
		"involvedObject.kind":            e.InvolvedObject.Kind,
		"involvedObject.namespace":       e.InvolvedObject.Namespace,
		"involvedObject.name":            e.InvolvedObject.Name,
		"involvedObject.uid":             string(e.InvolvedObject.UID),
		"involvedObject.apiVersion":      e.InvolvedObject.APIVersion,
		"involvedObject.resourceVersion": e.InvolvedObject.ResourceVersion,
		"involvedObject.fieldPath":       e.InvolvedObject.FieldPath,
		"reason":                         e.Reason,
		"reportingComponent":             e.ReportingController,
		"source":                         source,
		"type":                           e.Type,
	}
}

func configMaps() entry {
	return kind[*corev1.ConfigMap]{gv: coreV1, name: "configmaps", obj: &corev1.ConfigMap{}, list: &corev1.ConfigMapList{},
		shortNames: words{"cm"},
		rules: rules[*corev1.ConfigMap]{
			validate:       validation.ConfigMap,
			validateUpdate: validation.ConfigMapUpdate,
		},
	}
}

func secrets() entry {
	return kind[*corev1.Secret]{gv: coreV1, name: "secrets", obj: &corev1.Secret{}, list: &corev1.SecretList{},
		selectable: func(s *corev1.Secret) fields.Set { return fields.Set{"type": string(s.Type)} },
		rules: rules[*corev1.Secret]{
			prepareCreate:  storeStringData,
			prepareUpdate:  prepareSecretUpdate,
			validate:       validation.Secret,
			validateUpdate: validation.SecretUpdate,
		},
	}
}

// storeStringData moves stringData, which is write-only, to data.
func storeStringData(s *corev1.Secret) {
	if len(s.StringData) == 0 {
		return
	}
	data := maps.Clone(s.Data)
	if data == nil {
		data = make(map[string][]byte, len(s.StringData))
	}
	for k, v := range s.StringData {
		data[k] = []byte(v)
	}
	s.Data, s.StringData = data, nil
}

func prepareSecretUpdate(s, old *corev1.Secret) {
	storeStringData(s)
	if s.Type == "" {
		s.Type = old.Type
	}
}

func serviceAccounts() entry {
	return kind[*corev1.ServiceAccount]{gv: coreV1, name: "serviceaccounts", obj: &corev1.ServiceAccount{}, list: &corev1.ServiceAccountList{},
		shortNames: words{"sa"}, returnsDeleted: true,
		rules: rules[*corev1.ServiceAccount]{
			validate:       validation.ServiceAccount,
			validateUpdate: validation.ServiceAccountUpdate,
		},
	}
}

func limitRanges() entry {
	return kind[*corev1.LimitRange]{gv: coreV1, name: "limitranges", obj: &corev1.LimitRange{}, list: &corev1.LimitRangeList{},
		shortNames: words{"limits"}, createOnUpdate: true,
		rules: rules[*corev1.LimitRange]{
			validate:       validation.LimitRange,
			validateUpdate: func(l, _ *corev1.LimitRange) fieldErrors { return validation.LimitRange(l) },
		},
	}
}

func resourceQuotas() entry {
	return kind[*corev1.ResourceQuota]{gv: coreV1, name: "resourcequotas", obj: &corev1.ResourceQuota{}, list: &corev1.ResourceQuotaList{},
		shortNames: words{"quota"}, hasStatus: true, returnsDeleted: true,
		rules: rules[*corev1.ResourceQuota]{
			validate:       validation.ResourceQuota,
			validateUpdate: validation.ResourceQuotaUpdate,
			validateStatus: validation.ResourceQuotaStatusUpdate,
		},
	}
}

func podTemplates() entry {
	return kind[*corev1.PodTemplate]{gv: coreV1, name: "podtemplates", obj: &corev1.PodTemplate{}, list: &corev1.PodTemplateList{},
		returnsDeleted: true,
		rules: rules[*corev1.PodTemplate]{
			prepareCreate: func(t *corev1.PodTemplate) { t.Generation = 1 },
			prepareUpdate: func(t, old *corev1.PodTemplate) {
				if !apiequality.Semantic.DeepEqual(t.Template, old.Template) {
					t.Generation = old.Generation + 1
				}
			},
			validate:       validation.PodTemplate,
			validateUpdate: validation.PodTemplateUpdate,
		},
	}
}
