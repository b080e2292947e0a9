package view

import (
	"maps"
	"slices"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/garrison-project/garrison/internal/core/revision"
)

// defaultHistoryLimit is how many old revisions are kept unless told.
const defaultHistoryLimit = 10

// History is what was seen of the history of a DaemonSet.
type History struct {
	DaemonSet *appsv1.DaemonSet
	// Data and Hash are RevisionData and TemplateHash of its template.
	Data []byte
	Hash string
	// Revisions and Pods are those that the DaemonSet owns, in any order.
	Revisions []*appsv1.ControllerRevision
	Pods      []*corev1.Pod
}

// RevisionInput turns a history into the input of revision.Plan.
func RevisionInput(h History) revision.Input {
	in := revision.Input{
		Set:   h.DaemonSet.Name,
		Data:  h.Data,
		Hash:  h.Hash,
		Limit: defaultHistoryLimit,
	}
	if limit := h.DaemonSet.Spec.RevisionHistoryLimit; limit != nil {
		in.Limit = int(*limit)
	}
	for _, r := range h.Revisions {
		in.Stored = append(in.Stored, revision.Revision{
			Name:    r.Name,
			Number:  r.Revision,
			Created: r.CreationTimestamp.Time,
			Hash:    r.Labels[appsv1.DefaultDaemonSetUniqueLabelKey],
			Data:    r.Data.Raw,
		})
	}
	live := map[string]bool{}
	for _, pod := range h.Pods {
		if hash := pod.Labels[appsv1.DefaultDaemonSetUniqueLabelKey]; hash != "" {
			live[hash] = true
		}
	}
	in.LiveHashes = slices.Sorted(maps.Keys(live))
	return in
}

// NewRevision is the revision to create.
func NewRevision(ds *appsv1.DaemonSet, c revision.Creation, data []byte) *appsv1.ControllerRevision {
	labels := map[string]string{}
	maps.Copy(labels, ds.Spec.Template.Labels)
	labels[appsv1.DefaultDaemonSetUniqueLabelKey] = c.Hash
	return &appsv1.ControllerRevision{
		ObjectMeta: metav1.ObjectMeta{
			Name:            c.Name,
			Namespace:       ds.Namespace,
			Labels:          labels,
			Annotations:     maps.Clone(ds.Annotations),
			OwnerReferences: []metav1.OwnerReference{ControllerRef(ds)},
		},
		Data:     runtime.RawExtension{Raw: data},
		Revision: c.Number,
	}
}
