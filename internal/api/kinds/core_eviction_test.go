package kinds

import (
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

var noon = metav1.NewTime(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))

func TestTake(t *testing.T) {
	crowd := map[string]metav1.Time{}
	for i := range maxDisruptedPods + 1 {
		crowd[strconv.Itoa(i)] = noon
	}
	failed := []metav1.Condition{{Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.SyncFailedReason, Message: "no scale"}}
	for _, c := range []struct {
		name       string
		generation int64
		status     policyv1.PodDisruptionBudgetStatus
		want       string // part of the error, empty for none
		is         func(error) bool
	}{
		{"allowed", 2, policyv1.PodDisruptionBudgetStatus{ObservedGeneration: 2, DisruptionsAllowed: 2}, "", nil},
		{"last", 0, policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: 1}, "", nil},
		{"not yet counted", 2, policyv1.PodDisruptionBudgetStatus{ObservedGeneration: 1, DisruptionsAllowed: 2}, "disruption budget", apierrors.IsTooManyRequests},
		{"used up", 0, policyv1.PodDisruptionBudgetStatus{DesiredHealthy: 3, CurrentHealthy: 2}, "disruption budget", apierrors.IsTooManyRequests},
		{"cannot be counted", 0, policyv1.PodDisruptionBudgetStatus{Conditions: failed}, "disruption budget", apierrors.IsTooManyRequests},
		{"negative", 0, policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: -1}, "pdb disruptions allowed is negative", apierrors.IsForbidden},
		{"too many under way", 0, policyv1.PodDisruptionBudgetStatus{DisruptionsAllowed: 1, DisruptedPods: crowd}, "DisruptedPods map too big", apierrors.IsForbidden},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "b", Generation: c.generation}, Status: c.status}
			err := take(b, "web", noon)
			if c.want == "" {
				if err != nil {
					t.Fatal(err)
				}
				if b.Status.DisruptionsAllowed != c.status.DisruptionsAllowed-1 || b.Status.DisruptedPods["web"] != noon {
					t.Errorf("budget is %+v", b.Status)
				}
				return
			}
			if err == nil || !strings.Contains(err.Error(), c.want) || !c.is(err) {
				t.Errorf("error is %v, want %q", err, c.want)
			}
		})
	}
}

func TestInsufficient(t *testing.T) {
	b := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Name: "b"}, Status: policyv1.PodDisruptionBudgetStatus{DesiredHealthy: 3, CurrentHealthy: 2}}
	if got, want := insufficient(b), "The disruption budget b needs 3 healthy pods and has 2 currently"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	b.Status.Conditions = []metav1.Condition{{Type: policyv1.DisruptionAllowedCondition, Status: metav1.ConditionFalse, Reason: policyv1.SyncFailedReason, Message: "no scale"}}
	if got, want := insufficient(b), "The disruption budget b does not allow evicting pods currently because it failed sync: no scale"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestUnhealthyMayGo(t *testing.T) {
	ready := &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}}}}
	sick := &corev1.Pod{Status: corev1.PodStatus{Conditions: []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionFalse}}}}
	always, ifHealthy := ptr.To(policyv1.AlwaysAllow), ptr.To(policyv1.IfHealthyBudget)
	for _, c := range []struct {
		name             string
		pod              *corev1.Pod
		policy           *policyv1.UnhealthyPodEvictionPolicyType
		current, desired int32
		want             bool
	}{
		{"healthy pods are protected", ready, always, 9, 1, false},
		{"enough are healthy", sick, nil, 2, 2, true},
		{"enough are healthy, by policy", sick, ifHealthy, 2, 2, true},
		{"too few are healthy", sick, nil, 1, 2, false},
		{"none are wanted, so nothing is known", sick, nil, 0, 0, false},
		{"too few are healthy, but always allowed", sick, always, 0, 2, true},
	} {
		b := &policyv1.PodDisruptionBudget{
			Spec:   policyv1.PodDisruptionBudgetSpec{UnhealthyPodEvictionPolicy: c.policy},
			Status: policyv1.PodDisruptionBudgetStatus{CurrentHealthy: c.current, DesiredHealthy: c.desired},
		}
		if got := unhealthyMayGo(c.pod, b); got != c.want {
			t.Errorf("%s: %t", c.name, got)
		}
	}
}

func TestCovers(t *testing.T) {
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"app": "web"}}}
	for name, c := range map[string]struct {
		selector *metav1.LabelSelector
		want     bool
	}{
		"none":    {nil, false},
		"empty":   {&metav1.LabelSelector{}, false},
		"other":   {&metav1.LabelSelector{MatchLabels: map[string]string{"app": "db"}}, false},
		"same":    {&metav1.LabelSelector{MatchLabels: map[string]string{"app": "web"}}, true},
		"invalid": {&metav1.LabelSelector{MatchExpressions: []metav1.LabelSelectorRequirement{{Key: "app", Operator: "Like"}}}, false},
	} {
		b := &policyv1.PodDisruptionBudget{Spec: policyv1.PodDisruptionBudgetSpec{Selector: c.selector}}
		if got := covers(b, pod); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
}

func TestEvictionOptions(t *testing.T) {
	all := []string{metav1.DryRunAll}
	for _, c := range []struct {
		name              string
		inBody, inRequest []string
		want              string // the dry run asked for, or "error"
	}{
		{"neither", nil, nil, ""},
		{"request", nil, all, metav1.DryRunAll},
		{"body", all, nil, metav1.DryRunAll},
		{"both", all, all, metav1.DryRunAll},
		{"different", []string{"Some"}, all, "error"},
	} {
		e := &policyv1.Eviction{DeleteOptions: &metav1.DeleteOptions{DryRun: c.inBody, GracePeriodSeconds: ptr.To[int64](3)}}
		o, err := evictionOptions(e, &metav1.CreateOptions{DryRun: c.inRequest})
		switch {
		case c.want == "error":
			if !apierrors.IsBadRequest(err) {
				t.Errorf("%s: error is %v", c.name, err)
			}
		case err != nil:
			t.Errorf("%s: %v", c.name, err)
		case strings.Join(o.DryRun, "") != c.want || *o.GracePeriodSeconds != 3:
			t.Errorf("%s: options are %+v", c.name, o)
		}
	}
}
