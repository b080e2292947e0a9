package kinds

import (
	"maps"

	corev1 "k8s.io/api/core/v1"
	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/util/validation/field"

	"github.com/garrison-project/garrison/internal/api/validation"
)

func configMaps() entry {
	return kind[*corev1.ConfigMap]{gv: coreV1, name: "configmaps", obj: &corev1.ConfigMap{}, list: &corev1.ConfigMapList{},
		indexed: "metadata.name", indexedValue: func(c *corev1.ConfigMap) string { return c.Name },
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
		indexed:    "metadata.name", indexedValue: func(s *corev1.Secret) string { return s.Name },
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
			validateUpdate: func(l, _ *corev1.LimitRange) field.ErrorList { return validation.LimitRange(l) },
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
