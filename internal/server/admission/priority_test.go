package admission

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	schedulingv1 "k8s.io/api/scheduling/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"
)

func TestSetPriority(t *testing.T) {
	never := newClass("quiet", 10, false)
	never.PreemptionPolicy = ptr.To(corev1.PreemptNever)
	lower, no := ptr.To(corev1.PreemptLowerPriority), ptr.To(corev1.PreemptNever)
	tests := []struct {
		name       string
		class      *schedulingv1.PriorityClass
		spec, want corev1.PodSpec
		wantErr    string
	}{
		{name: "no class", want: corev1.PodSpec{Priority: ptr.To[int32](0), PreemptionPolicy: lower}},
		{name: "class", class: newClass("high", 1000, false), spec: corev1.PodSpec{PriorityClassName: "high"},
			want: corev1.PodSpec{PriorityClassName: "high", Priority: ptr.To[int32](1000), PreemptionPolicy: lower}},
		{name: "default class", class: newClass("usual", 7, true),
			want: corev1.PodSpec{PriorityClassName: "usual", Priority: ptr.To[int32](7), PreemptionPolicy: lower}},
		{name: "never preempts", class: never, spec: corev1.PodSpec{PriorityClassName: "quiet"},
			want: corev1.PodSpec{PriorityClassName: "quiet", Priority: ptr.To[int32](10), PreemptionPolicy: no}},
		{name: "class without policy", class: &schedulingv1.PriorityClass{ObjectMeta: metav1.ObjectMeta{Name: "old"}, Value: 3},
			want: corev1.PodSpec{PriorityClassName: "old", Priority: ptr.To[int32](3)}},
		{name: "right number given", class: newClass("high", 1000, false), spec: corev1.PodSpec{Priority: ptr.To[int32](1000)},
			want: corev1.PodSpec{PriorityClassName: "high", Priority: ptr.To[int32](1000), PreemptionPolicy: lower}},
		{name: "wrong number given", class: newClass("high", 1000, false), spec: corev1.PodSpec{Priority: ptr.To[int32](5)},
			wantErr: "the integer value of priority (5) must not be provided in pod spec; priority admission controller computed 1000 from the given PriorityClass name"},
		{name: "wrong policy given", spec: corev1.PodSpec{PreemptionPolicy: no},
			wantErr: "the string value of PreemptionPolicy (Never) must not be provided in pod spec; priority admission controller computed PreemptLowerPriority from the given PriorityClass name"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pod := &corev1.Pod{Spec: tt.spec}
			err := setPriority(pod, tt.class)
			wantError(t, err, tt.wantErr)
			if err == nil {
				wantSame(t, pod.Spec, tt.want)
			}
		})
	}
}

func TestDefaultClassIsTheLowest(t *testing.T) {
	b, a := newClass("b", 5, true), newClass("a", 5, true)
	all := []*schedulingv1.PriorityClass{newClass("no", 1, false), newClass("high", 9, true), b, a}
	if got := defaultClass(all); got != a {
		t.Errorf("got %v", got)
	}
	if got := defaultClass(all[:1]); got != nil {
		t.Errorf("got %v, want none", got)
	}
}

func TestPriorityOfNewPods(t *testing.T) {
	c := newChain(t, Options{}, newNamespace("privileged"), newAccount("default"), newClass("high", 1000, false))
	// Made a moment ago: the cache has not heard of it.
	if _, err := c.live.SchedulingV1().PriorityClasses().Create(context.Background(), newClass("fresh", 20, false), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		class, wantErr string
		want           int32
	}{
		{class: "", want: 0},
		{class: "high", want: 1000},
		{class: "fresh", want: 20},
		{class: "none", wantErr: `pods "p" is forbidden: no PriorityClass with name none was found`},
	}
	for _, tt := range tests {
		t.Run(tt.class, func(t *testing.T) {
			pod := newPod(func(p *corev1.Pod) { p.Spec.PriorityClassName = tt.class })
			err := c.createPod(pod)
			wantError(t, err, tt.wantErr)
			if err == nil && *pod.Spec.Priority != tt.want {
				t.Errorf("got priority %d, want %d", *pod.Spec.Priority, tt.want)
			}
		})
	}
}

// A client that does not know the fields sends an update without them.
func TestPriorityStaysOnUpdate(t *testing.T) {
	c := newChain(t, Options{}, newNamespace("privileged"))
	old := newPod(func(p *corev1.Pod) {
		p.Spec.Priority = ptr.To[int32](9)
		p.Spec.PreemptionPolicy = ptr.To(corev1.PreemptNever)
	})
	pod := newPod()
	if err := c.send(request{resource: "pods", op: admission.Update, old: old, obj: pod}); err != nil {
		t.Fatal(err)
	}
	wantSame(t, pod.Spec.Priority, old.Spec.Priority)
	wantSame(t, pod.Spec.PreemptionPolicy, old.Spec.PreemptionPolicy)
}

func TestOnlyOneDefaultClass(t *testing.T) {
	c := newChain(t, Options{}, newClass("usual", 7, true), newClass("other", 8, false))
	const taken = ` is forbidden: PriorityClass usual is already marked as default. Only one default can exist`
	tests := []struct {
		name    string
		op      admission.Operation
		class   *schedulingv1.PriorityClass
		wantErr string
	}{
		{"create plain", admission.Create, newClass("new", 1, false), ""},
		{"create default", admission.Create, newClass("new", 1, true), `priorityclasses.scheduling.k8s.io "new"` + taken},
		{"update the default", admission.Update, newClass("usual", 7, true), ""},
		{"promote another", admission.Update, newClass("other", 8, true), `priorityclasses.scheduling.k8s.io "other"` + taken},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantError(t, c.send(request{resource: "priorityclasses.scheduling.k8s.io", op: tt.op, obj: tt.class}), tt.wantErr)
		})
	}
}

func TestEnsureSystemPriorityClasses(t *testing.T) {
	ctx := context.Background()
	client := fake.NewClientset(newClass("system-node-critical", 2000001000, false)) // left by an earlier start
	for range 2 {
		if err := EnsureSystemPriorityClasses(ctx, client); err != nil {
			t.Fatal(err)
		}
	}
	got, err := client.SchedulingV1().PriorityClasses().Get(ctx, "system-cluster-critical", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got.Value != 2000000000 || got.Description != "Used for system critical pods that must run in the cluster, but can be moved to another node if necessary." {
		t.Errorf("got %+v", got)
	}
}
