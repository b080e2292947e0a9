package namespace

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// survey is what a round of emptying a namespace has left behind.
type survey struct {
	// Discovery says why not all kinds are known, if so.
	Discovery string
	// Remaining counts objects by resource, Finalizers by what holds them.
	Remaining  map[schema.GroupResource]int
	Finalizers map[string]int
	// Failures say what could not be deleted or counted.
	Failures []string
}

func newSurvey() *survey {
	return &survey{Remaining: map[schema.GroupResource]int{}, Finalizers: map[string]int{}}
}

// empty tells whether nothing is left, as far as anyone can know.
func (s *survey) empty() bool {
	return s.Discovery == "" && len(s.Failures) == 0 && len(s.Remaining) == 0
}

// finding is one condition: what it says when there is something to say, and
// when there is not.
type finding struct {
	kind              corev1.NamespaceConditionType
	message           string // empty: all is well
	reason            string
	okReason, okWords string
}

// findings words a survey as Kubernetes does.
func (s *survey) findings() []finding {
	found := []finding{
		{kind: corev1.NamespaceDeletionDiscoveryFailure, reason: "DiscoveryFailed", message: s.Discovery,
			okReason: "ResourcesDiscovered", okWords: "All resources successfully discovered"},
		{kind: corev1.NamespaceDeletionGVParsingFailure, reason: "GroupVersionParsingFailed",
			okReason: "ParsedGroupVersions", okWords: "All legacy kube types successfully parsed"},
		{kind: corev1.NamespaceDeletionContentFailure, reason: "ContentDeletionFailed", message: s.failures(),
			okReason: "ContentDeleted", okWords: "All content successfully deleted, may be waiting on finalization"},
		{kind: corev1.NamespaceContentRemaining, reason: "SomeResourcesRemain", message: s.remaining(),
			okReason: "ContentRemoved", okWords: "All content successfully removed"},
		{kind: corev1.NamespaceFinalizersRemaining, reason: "SomeFinalizersRemain", message: s.finalizers(),
			okReason: "ContentHasNoFinalizers", okWords: "All content-preserving finalizers finished"},
	}
	return found
}

func (s *survey) failures() string {
	if len(s.Failures) == 0 {
		return ""
	}
	sorted := slices.Sorted(slices.Values(s.Failures))
	return fmt.Sprintf("Failed to delete all resource types, %d remaining: %s", len(sorted), strings.Join(sorted, ", "))
}

func (s *survey) remaining() string {
	var parts []string
	for resource, count := range s.Remaining {
		parts = append(parts, fmt.Sprintf("%s.%s has %d resource instances", resource.Resource, resource.Group, count))
	}
	if len(parts) == 0 {
		return ""
	}
	slices.Sort(parts)
	return "Some resources are remaining: " + strings.Join(parts, ", ")
}

func (s *survey) finalizers() string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(s.Finalizers)) {
		parts = append(parts, fmt.Sprintf("%s in %d resource instances", name, s.Finalizers[name]))
	}
	if len(parts) == 0 {
		return ""
	}
	return "Some content in the namespace has finalizers remaining: " + strings.Join(parts, ", ")
}

// conditions returns old with the survey's findings in it. A condition's time
// moves only when its status does.
func (s *survey) conditions(old []corev1.NamespaceCondition, now metav1.Time) []corev1.NamespaceCondition {
	all := slices.Clone(old)
	for _, f := range s.findings() {
		next := corev1.NamespaceCondition{Type: f.kind, Status: corev1.ConditionTrue, Reason: f.reason, Message: f.message, LastTransitionTime: now}
		if f.message == "" {
			next.Status, next.Reason, next.Message = corev1.ConditionFalse, f.okReason, f.okWords
		}
		at := slices.IndexFunc(all, func(c corev1.NamespaceCondition) bool { return c.Type == f.kind })
		if at < 0 {
			all = append(all, next)
			continue
		}
		if all[at].Status == next.Status {
			next.LastTransitionTime = all[at].LastTransitionTime
		}
		all[at] = next
	}
	return all
}
