package place

import (
	"fmt"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
)

// labelPair is one entry of a nodeSelector.
type labelPair struct{ key, value string }

func sortedPairs(m map[string]string) []labelPair {
	pairs := make([]labelPair, 0, len(m))
	for _, k := range slices.Sorted(maps.Keys(m)) {
		pairs = append(pairs, labelPair{k, m[k]})
	}
	return pairs
}

func (p labelPair) matches(n *corev1.Node) bool {
	v, ok := n.Labels[p.key]
	return ok && v == p.value
}

// nodeTerms is a node selector: alternatives, of which one must hold.
type nodeTerms []nodeTerm

// nodeTerm is a node selector term: requirements that must all hold.
type nodeTerm struct {
	index        int
	requirements []nodeRequirement
	// invalid is set if the term cannot be parsed. The API server refuses
	// such terms; one that is met all the same matches nothing.
	invalid string
}

// nodeRequirement is one expression or field requirement, parsed.
type nodeRequirement struct {
	field bool
	spec  corev1.NodeSelectorRequirement
	// label is the parsed form of an expression; unset for a field.
	label labels.Requirement
}

func compileTerms(terms []corev1.NodeSelectorTerm) nodeTerms {
	out := make(nodeTerms, 0, len(terms))
	for i := range terms {
		// An empty term selects nothing, so it is no alternative.
		if isEmptyTerm(&terms[i]) {
			continue
		}
		out = append(out, compileTerm(i, &terms[i]))
	}
	return out
}

func isEmptyTerm(t *corev1.NodeSelectorTerm) bool {
	return len(t.MatchExpressions) == 0 && len(t.MatchFields) == 0
}

func compileTerm(index int, t *corev1.NodeSelectorTerm) nodeTerm {
	out := nodeTerm{index: index}
	for _, spec := range t.MatchExpressions {
		label, err := parseExpression(spec)
		if err != nil && out.invalid == "" {
			out.invalid = err.Error()
		}
		out.requirements = append(out.requirements, nodeRequirement{spec: spec, label: label})
	}
	for _, spec := range t.MatchFields {
		if err := checkField(spec); err != nil && out.invalid == "" {
			out.invalid = err.Error()
		}
		out.requirements = append(out.requirements, nodeRequirement{spec: spec, field: true})
	}
	return out
}

var labelOperators = map[corev1.NodeSelectorOperator]selection.Operator{
	corev1.NodeSelectorOpIn:           selection.In,
	corev1.NodeSelectorOpNotIn:        selection.NotIn,
	corev1.NodeSelectorOpExists:       selection.Exists,
	corev1.NodeSelectorOpDoesNotExist: selection.DoesNotExist,
	corev1.NodeSelectorOpGt:           selection.GreaterThan,
	corev1.NodeSelectorOpLt:           selection.LessThan,
}

func parseExpression(spec corev1.NodeSelectorRequirement) (labels.Requirement, error) {
	op, ok := labelOperators[spec.Operator]
	if !ok {
		return labels.Requirement{}, fmt.Errorf("matchExpressions key %s: unknown operator %q", spec.Key, spec.Operator)
	}
	r, err := labels.NewRequirement(spec.Key, op, spec.Values)
	if err != nil {
		return labels.Requirement{}, fmt.Errorf("matchExpressions key %s: %w", spec.Key, err)
	}
	return *r, nil
}

// checkField refuses what a field requirement cannot say: it compares with
// exactly one value.
func checkField(spec corev1.NodeSelectorRequirement) error {
	if spec.Operator != corev1.NodeSelectorOpIn && spec.Operator != corev1.NodeSelectorOpNotIn {
		return fmt.Errorf("matchFields key %s: unknown operator %q", spec.Key, spec.Operator)
	}
	if len(spec.Values) != 1 {
		return fmt.Errorf("matchFields key %s: must have one value, has %d", spec.Key, len(spec.Values))
	}
	return nil
}

func (ts nodeTerms) match(n *corev1.Node) bool {
	for i := range ts {
		if ts[i].match(n) {
			return true
		}
	}
	return false
}

func (t *nodeTerm) match(n *corev1.Node) bool {
	if t.invalid != "" {
		return false
	}
	for i := range t.requirements {
		if !t.requirements[i].match(n) {
			return false
		}
	}
	return true
}

func (r *nodeRequirement) match(n *corev1.Node) bool {
	if r.field {
		equal := fieldOf(n, r.spec.Key).Value == r.spec.Values[0]
		return equal == (r.spec.Operator == corev1.NodeSelectorOpIn)
	}
	return r.label.Matches(labels.Set(n.Labels))
}

// fieldOf returns a node's value for matchFields; the name is the only field.
func fieldOf(n *corev1.Node, key string) Label {
	if key == metav1.ObjectNameField {
		return Label{Value: n.Name, Present: true}
	}
	return Label{}
}

// mismatch says of every alternative why it does not hold.
func (ts nodeTerms) mismatch(n *corev1.Node) NodeAffinityMismatch {
	var out NodeAffinityMismatch
	for i := range ts {
		t := &ts[i]
		m := TermMismatch{Index: t.index, Invalid: t.invalid}
		if t.invalid == "" {
			m.Failed = t.failed(n)
		}
		out.Terms = append(out.Terms, m)
	}
	return out
}

func (t *nodeTerm) failed(n *corev1.Node) []RequirementMismatch {
	var out []RequirementMismatch
	for i := range t.requirements {
		r := &t.requirements[i]
		if r.match(n) {
			continue
		}
		got := labelOf(n, r.spec.Key)
		if r.field {
			got = fieldOf(n, r.spec.Key)
		}
		out = append(out, RequirementMismatch{
			Field: r.field, Key: r.spec.Key, Operator: r.spec.Operator, Values: r.spec.Values, Got: got,
		})
	}
	return out
}

func labelOf(n *corev1.Node, key string) Label {
	v, ok := n.Labels[key]
	return Label{Value: v, Present: ok}
}
