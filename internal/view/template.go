package view

import (
	"encoding/json"
	"fmt"
	"strconv"

	appsv1 "k8s.io/api/apps/v1"
	"k8s.io/utils/dump"

	"github.com/garrison-project/garrison/internal/core/revision"
)

// RevisionData is what a revision of the DaemonSet's present template stores.
// Clients tell revisions apart by these bytes.
func RevisionData(ds *appsv1.DaemonSet) ([]byte, error) {
	template, err := json.Marshal(&ds.Spec.Template)
	if err != nil {
		return nil, fmt.Errorf("encode template of %s/%s: %w", ds.Namespace, ds.Name, err)
	}
	data, err := revision.Data(template)
	if err != nil {
		return nil, fmt.Errorf("revision data of %s/%s: %w", ds.Namespace, ds.Name, err)
	}
	return data, nil
}

// TemplateHash is the hash that names a revision of the present template.
func TemplateHash(ds *appsv1.DaemonSet) string {
	return revision.Hash([]byte(dump.ForHash(ds.Spec.Template)), ds.Status.CollisionCount)
}

// templateGeneration is the generation that pods of the present template carry,
// or "" if the DaemonSet does not say.
func templateGeneration(ds *appsv1.DaemonSet) string {
	n, err := strconv.ParseInt(ds.Annotations[appsv1.DeprecatedTemplateGeneration], 10, 64)
	if err != nil {
		return ""
	}
	return strconv.FormatInt(n, 10)
}
