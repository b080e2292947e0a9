package place

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// podTerms is the pod affinity and anti-affinity of a pod.
type podTerms struct {
	// affinity terms must all hold, each by whatever pod.
	affinity []podTerm
	// anti terms must none of them hold.
	anti []podTerm
	// preferred terms add their weight where they hold; it is negative for
	// anti-affinity.
	preferred []weightedPodTerm
}

type weightedPodTerm struct {
	podTerm
	weight int64
}

// podTerm selects pods, and by them domains: all nodes that have the value of
// the topology key that the pod's node has.
type podTerm struct {
	selector labels.Selector
	// namespaces is sorted. A pod counts if it is in one of them, or in one
	// with labels that inNamespaces (nil for none) selects.
	namespaces   []string
	inNamespaces labels.Selector
	topologyKey  string
	// id is equal for terms that mean the same.
	id string
	// invalid is set if the term cannot be parsed, which the API refuses.
	// Such a term selects nothing and never holds.
	invalid string
}

// compilePodTerms returns nil for a pod without terms.
func compilePodTerms(pod *corev1.Pod) *podTerms {
	a := pod.Spec.Affinity
	if a == nil || (a.PodAffinity == nil && a.PodAntiAffinity == nil) {
		return nil
	}
	out := &podTerms{}
	if with := a.PodAffinity; with != nil {
		out.affinity = requiredTerms(pod, with.RequiredDuringSchedulingIgnoredDuringExecution)
		out.prefer(pod, with.PreferredDuringSchedulingIgnoredDuringExecution, 1)
	}
	if without := a.PodAntiAffinity; without != nil {
		out.anti = requiredTerms(pod, without.RequiredDuringSchedulingIgnoredDuringExecution)
		out.prefer(pod, without.PreferredDuringSchedulingIgnoredDuringExecution, -1)
	}
	return out
}

func requiredTerms(pod *corev1.Pod, terms []corev1.PodAffinityTerm) []podTerm {
	out := make([]podTerm, 0, len(terms))
	for i := range terms {
		out = append(out, compilePodTerm(pod, &terms[i]))
	}
	return out
}

func (ts *podTerms) prefer(pod *corev1.Pod, terms []corev1.WeightedPodAffinityTerm, sign int64) {
	for i := range terms {
		ts.preferred = append(ts.preferred, weightedPodTerm{
			podTerm: compilePodTerm(pod, &terms[i].PodAffinityTerm),
			weight:  sign * int64(terms[i].Weight),
		})
	}
}

func compilePodTerm(pod *corev1.Pod, spec *corev1.PodAffinityTerm) podTerm {
	t := podTerm{topologyKey: spec.TopologyKey, namespaces: slices.Compact(slices.Sorted(slices.Values(spec.Namespaces)))}
	if len(t.namespaces) == 0 && spec.NamespaceSelector == nil {
		t.namespaces = []string{pod.Namespace}
	}
	var err error
	if t.selector, err = selectorWithKeys(spec.LabelSelector, pod.Labels, labelKeys{spec.MatchLabelKeys, spec.MismatchLabelKeys}); err != nil {
		t.invalid = err.Error()
		t.selector = labels.Nothing()
	}
	if spec.NamespaceSelector != nil {
		if t.inNamespaces, err = metav1.LabelSelectorAsSelector(spec.NamespaceSelector); err != nil {
			t.invalid = fmt.Sprintf("namespaceSelector: %v", err)
			t.inNamespaces = labels.Nothing()
		}
	}
	t.id = t.identify()
	return t
}

// labelKeys are keys whose value a pod must share, or must not share, with the
// pod that has the term.
type labelKeys struct{ match, mismatch []string }

// selectorWithKeys merges label keys into a selector, as the API server does
// when a pod is created; keys that were merged already are left at that, and
// keys that the pod does not have mean nothing.
func selectorWithKeys(spec *metav1.LabelSelector, podLabels map[string]string, keys labelKeys) (labels.Selector, error) {
	selector, err := metav1.LabelSelectorAsSelector(spec)
	if err != nil {
		return nil, fmt.Errorf("labelSelector: %w", err)
	}
	if spec == nil {
		return selector, nil
	}
	present := map[string]bool{}
	requirements, _ := selector.Requirements()
	for _, r := range requirements {
		present[r.Key()] = true
	}
	add := func(names []string, op selection.Operator) error {
		for _, key := range names {
			value, ok := podLabels[key]
			if !ok || present[key] {
				continue
			}
			r, err := labels.NewRequirement(key, op, []string{value})
			if err != nil {
				return fmt.Errorf("label key %s: %w", key, err)
			}
			selector = selector.Add(*r)
		}
		return nil
	}
	if err := add(keys.match, selection.In); err != nil {
		return nil, err
	}
	if err := add(keys.mismatch, selection.NotIn); err != nil {
		return nil, err
	}
	return selector, nil
}

func (t *podTerm) identify() string {
	in := ""
	if t.inNamespaces != nil {
		in = selectorText(t.inNamespaces)
	}
	return strings.Join([]string{t.topologyKey, selectorText(t.selector), in, strings.Join(t.namespaces, ",")}, "\x00")
}

// selectorText tells apart what the library prints alike: the selector of
// nothing is "-", that of everything "*".
func selectorText(s labels.Selector) string {
	if _, selectable := s.Requirements(); !selectable {
		return "-"
	}
	if s.Empty() {
		return "*"
	}
	return s.String()
}

// wide reports whether a domain of the term may have several nodes.
func (t *podTerm) wide() bool { return t.topologyKey != corev1.LabelHostname }

// selects reports whether the term selects a pod in a namespace with these
// labels.
func (t *podTerm) selects(s *Subject, namespaceLabels map[string]string) bool {
	if !slices.Contains(t.namespaces, s.Key.Namespace) &&
		(t.inNamespaces == nil || !t.inNamespaces.Matches(labels.Set(namespaceLabels))) {
		return false
	}
	return t.selector.Matches(labels.Set(s.labels))
}
