package quota

import (
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"
	"k8s.io/utils/ptr"
)

var noon = time.Date(2026, 1, 1, 12, 0, 0, 0, time.UTC)

func list(pairs ...string) corev1.ResourceList {
	l := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		l[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return l
}

func newPod(change ...func(*corev1.Pod)) *corev1.Pod {
	pod := &corev1.Pod{Spec: corev1.PodSpec{Containers: []corev1.Container{{Name: "c"}}}}
	for _, c := range change {
		c(pod)
	}
	return pod
}

func resources(requests, limits corev1.ResourceList) func(*corev1.Pod) {
	return func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: requests, Limits: limits}
	}
}

func TestPodUsage(t *testing.T) {
	ended := func(p *corev1.Pod) { p.Status.Phase = corev1.PodSucceeded }
	deleted := func(ago time.Duration) func(*corev1.Pod) {
		return func(p *corev1.Pod) {
			p.DeletionTimestamp = ptr.To(metav1.NewTime(noon.Add(-ago)))
			p.DeletionGracePeriodSeconds = ptr.To[int64](30)
		}
	}
	cpu := resources(list("cpu", "1"), list("cpu", "2"))
	full := list("count/pods", "1", "pods", "1", "cpu", "1", "requests.cpu", "1", "limits.cpu", "2")
	tests := []struct {
		name string
		pod  *corev1.Pod
		want corev1.ResourceList
	}{
		{"asks for nothing", newPod(), list("count/pods", "1", "pods", "1")},
		{"cpu", newPod(cpu), full},
		{"ended", newPod(cpu, ended), list("count/pods", "1")},
		{"leaving", newPod(cpu, deleted(10*time.Second)), full},
		{"should have left", newPod(cpu, deleted(time.Minute)), list("count/pods", "1")},
		{"sidecars and overhead", newPod(cpu, func(p *corev1.Pod) {
			p.Spec.Overhead = list("cpu", "1")
			p.Spec.InitContainers = []corev1.Container{{
				Name: "s", RestartPolicy: ptr.To(corev1.ContainerRestartPolicyAlways),
				Resources: corev1.ResourceRequirements{Requests: list("cpu", "3")},
			}}
		}), list("count/pods", "1", "pods", "1", "cpu", "5", "requests.cpu", "5", "limits.cpu", "3")},
		{"devices and pages", newPod(resources(list("example.com/gpu", "2", "hugepages-2Mi", "4Mi"), list("example.com/gpu", "2"))),
			list("count/pods", "1", "pods", "1", "requests.example.com/gpu", "2", "hugepages-2Mi", "4Mi", "requests.hugepages-2Mi", "4Mi")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if got := podUsage(tt.pod, noon); !equality.Semantic.DeepEqual(got, tt.want) {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

func TestConstraints(t *testing.T) {
	e := podEvaluator{now: testclock.NewFakePassiveClock(noon)}
	twice := newPod(func(p *corev1.Pod) { p.Spec.InitContainers = []corev1.Container{{Name: "a"}} })
	podLevel := newPod(func(p *corev1.Pod) { p.Spec.Resources = &corev1.ResourceRequirements{Requests: list("cpu", "1")} })
	required := []corev1.ResourceName{"requests.cpu", "limits.memory", "pods", "requests.ephemeral-storage"}
	tests := []struct {
		name, want string
		pod        *corev1.Pod
	}{
		{"missing", "must specify limits.memory for: a,c; requests.cpu for: a,c", twice},
		{"given", "", newPod(resources(list("cpu", "1"), list("memory", "1Mi")))},
		{"given for the pod", "", podLevel},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got := ""
			if err := e.Constraints(required, tt.pod); err != nil {
				got = err.Error()
			}
			if got != tt.want {
				t.Errorf("got %q, want %q", got, tt.want)
			}
		})
	}
}

func TestMatchingResources(t *testing.T) {
	in := []corev1.ResourceName{"pods", "configmaps", "requests.cpu", "requests.example.com/gpu", "limits.example.com/gpu", "hugepages-1Gi", "requests.storage", "count/pods"}
	want := []corev1.ResourceName{"pods", "requests.cpu", "requests.example.com/gpu", "hugepages-1Gi", "count/pods"}
	if got := (podEvaluator{}).MatchingResources(in); !equality.Semantic.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestScopes(t *testing.T) {
	plain := newPod()
	sized := newPod(resources(nil, list("memory", "1Mi")))
	timed := newPod(func(p *corev1.Pod) { p.Spec.ActiveDeadlineSeconds = ptr.To[int64](5) })
	high := newPod(func(p *corev1.Pod) { p.Spec.PriorityClassName = "high" })
	nosy := newPod(func(p *corev1.Pod) {
		p.Spec.Affinity = &corev1.Affinity{PodAntiAffinity: &corev1.PodAntiAffinity{
			PreferredDuringSchedulingIgnoredDuringExecution: []corev1.WeightedPodAffinityTerm{{PodAffinityTerm: corev1.PodAffinityTerm{Namespaces: []string{"other"}}}},
		}}
	})
	const in, notIn, exists, absent = corev1.ScopeSelectorOpIn, corev1.ScopeSelectorOpNotIn, corev1.ScopeSelectorOpExists, corev1.ScopeSelectorOpDoesNotExist
	tests := []struct {
		scope corev1.ResourceQuotaScope
		op    corev1.ScopeSelectorOperator
		pod   *corev1.Pod
		want  bool
	}{
		{corev1.ResourceQuotaScopeTerminating, exists, timed, true},
		{corev1.ResourceQuotaScopeTerminating, exists, plain, false},
		{corev1.ResourceQuotaScopeNotTerminating, exists, plain, true},
		{corev1.ResourceQuotaScopeBestEffort, exists, plain, true},
		{corev1.ResourceQuotaScopeBestEffort, exists, sized, false},
		{corev1.ResourceQuotaScopeNotBestEffort, exists, sized, true},
		{corev1.ResourceQuotaScopePriorityClass, exists, high, true},
		{corev1.ResourceQuotaScopePriorityClass, exists, plain, false},
		{corev1.ResourceQuotaScopePriorityClass, absent, plain, true},
		{corev1.ResourceQuotaScopePriorityClass, in, high, true},
		{corev1.ResourceQuotaScopePriorityClass, in, plain, false},
		{corev1.ResourceQuotaScopePriorityClass, notIn, high, false},
		{corev1.ResourceQuotaScopePriorityClass, notIn, plain, true},
		{corev1.ResourceQuotaScopeCrossNamespacePodAffinity, exists, nosy, true},
		{corev1.ResourceQuotaScopeCrossNamespacePodAffinity, exists, plain, false},
	}
	for _, tt := range tests {
		got, err := inScope(corev1.ScopedResourceSelectorRequirement{ScopeName: tt.scope, Operator: tt.op, Values: []string{"high", "higher"}}, tt.pod)
		if err != nil || got != tt.want {
			t.Errorf("%s %s: got %v, %v, want %v", tt.scope, tt.op, got, err, tt.want)
		}
	}
}
