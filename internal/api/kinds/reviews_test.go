package kinds

import (
	"testing"

	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Questions about selections of objects reach the authorizer as requests do.
func TestSelectorsOfAccessReviews(t *testing.T) {
	field := func(operator metav1.FieldSelectorOperator, values ...string) metav1.FieldSelectorRequirement {
		return metav1.FieldSelectorRequirement{Key: "spec.nodeName", Operator: operator, Values: values}
	}
	for name, c := range map[string]struct {
		in    *authorizationv1.FieldSelectorAttributes
		want  string
		fault bool
	}{
		"none":           {nil, "", false},
		"raw":            {&authorizationv1.FieldSelectorAttributes{RawSelector: "spec.nodeName=a"}, "spec.nodeName=a", false},
		"raw, unclear":   {&authorizationv1.FieldSelectorAttributes{RawSelector: "a"}, "", true},
		"has":            {&authorizationv1.FieldSelectorAttributes{Requirements: []metav1.FieldSelectorRequirement{field("In", "a")}}, "spec.nodeName=a", false},
		"has not":        {&authorizationv1.FieldSelectorAttributes{Requirements: []metav1.FieldSelectorRequirement{field("NotIn", "a")}}, "spec.nodeName!=a", false},
		"one of several": {&authorizationv1.FieldSelectorAttributes{Requirements: []metav1.FieldSelectorRequirement{field("In", "a", "b"), field("In", "c")}}, "spec.nodeName=c", true},
		"exists":         {&authorizationv1.FieldSelectorAttributes{Requirements: []metav1.FieldSelectorRequirement{field("Exists")}}, "", true},
	} {
		got, err := fieldRequirements(c.in)
		text := ""
		for _, r := range got {
			text += r.Field + string(r.Operator) + r.Value
		}
		if text != c.want || (err != nil) != c.fault {
			t.Errorf("fields, %s: %v, %v", name, got, err)
		}
	}
	for name, c := range map[string]struct {
		in    *authorizationv1.LabelSelectorAttributes
		want  string
		fault bool
	}{
		"none":         {nil, "", false},
		"raw":          {&authorizationv1.LabelSelectorAttributes{RawSelector: "app in (x, y)"}, "app in (x,y)", false},
		"raw, unclear": {&authorizationv1.LabelSelectorAttributes{RawSelector: "app in"}, "", true},
		"requirements": {&authorizationv1.LabelSelectorAttributes{Requirements: []metav1.LabelSelectorRequirement{
			{Key: "app", Operator: "Exists"}, {Key: "odd", Operator: "Near"}}}, "app", true},
	} {
		got, err := labelRequirements(c.in)
		if text := labels.NewSelector().Add(got...).String(); text != c.want || (err != nil) != c.fault {
			t.Errorf("labels, %s: %v, %v", name, got, err)
		}
	}
}
