package admission

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	nodev1 "k8s.io/api/node/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/utils/dump"
	"k8s.io/utils/ptr"
)

func wantSame(t testing.TB, got, want any) {
	t.Helper()
	if !equality.Semantic.DeepEqual(got, want) {
		t.Errorf("got\n%s\nwant\n%s", dump.Pretty(got), dump.Pretty(want))
	}
}

func TestNodesStartNotReady(t *testing.T) {
	c := newChain(t, Options{})
	notReady := corev1.Taint{Key: "node.kubernetes.io/not-ready", Effect: corev1.TaintEffectNoSchedule}
	own := corev1.Taint{Key: "dedicated", Value: "db", Effect: corev1.TaintEffectNoExecute}
	tests := []struct {
		name         string
		op           admission.Operation
		sub          string
		taints, want []corev1.Taint
	}{
		{name: "bare", op: admission.Create, want: []corev1.Taint{notReady}},
		{name: "other taint", op: admission.Create, taints: []corev1.Taint{own}, want: []corev1.Taint{own, notReady}},
		{name: "already there", op: admission.Create, taints: []corev1.Taint{notReady}, want: []corev1.Taint{notReady}},
		{name: "update", op: admission.Update},
		{name: "status", op: admission.Update, sub: "status"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "n"}, Spec: corev1.NodeSpec{Taints: tt.taints}}
			if err := c.send(request{resource: "nodes", subresource: tt.sub, op: tt.op, obj: node, old: node}); err != nil {
				t.Fatal(err)
			}
			wantSame(t, node.Spec.Taints, tt.want)
		})
	}
}

func toleration(key string, effect corev1.TaintEffect, seconds *int64) corev1.Toleration {
	return corev1.Toleration{Key: key, Operator: corev1.TolerationOpExists, Effect: effect, TolerationSeconds: seconds}
}

func TestDefaultTolerations(t *testing.T) {
	const notReady, unreachable, noExecute = "node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable", corev1.TaintEffectNoExecute
	five := ptr.To[int64](300)
	both := []corev1.Toleration{toleration(notReady, noExecute, five), toleration(unreachable, noExecute, five)}
	tests := []struct {
		name        string
		given, want []corev1.Toleration
	}{
		{name: "none", want: both},
		{name: "own seconds", given: []corev1.Toleration{toleration(notReady, noExecute, ptr.To[int64](5))},
			want: []corev1.Toleration{toleration(notReady, noExecute, ptr.To[int64](5)), both[1]}},
		{name: "every effect", given: []corev1.Toleration{toleration(unreachable, "", nil)},
			want: []corev1.Toleration{toleration(unreachable, "", nil), both[0]}},
		{name: "every taint", given: []corev1.Toleration{toleration("", "", nil)}, want: []corev1.Toleration{toleration("", "", nil)}},
		{name: "another effect", given: []corev1.Toleration{toleration("", corev1.TaintEffectNoSchedule, nil)},
			want: append([]corev1.Toleration{toleration("", corev1.TaintEffectNoSchedule, nil)}, both...)},
		{name: "daemon pod", given: []corev1.Toleration{toleration(notReady, noExecute, nil), toleration(unreachable, noExecute, nil)},
			want: []corev1.Toleration{toleration(notReady, noExecute, nil), toleration(unreachable, noExecute, nil)}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pod := newPod(func(p *corev1.Pod) { p.Spec.Tolerations = tt.given })
			addDefaultTolerations(pod)
			wantSame(t, pod.Spec.Tolerations, tt.want)
			addDefaultTolerations(pod) // as on the next update
			wantSame(t, pod.Spec.Tolerations, tt.want)
		})
	}
}

func TestMergeTolerations(t *testing.T) {
	every := toleration("", "", nil)
	foo := toleration("foo", "", nil)
	fooIsBar := corev1.Toleration{Key: "foo", Operator: corev1.TolerationOpEqual, Value: "bar"}
	fooIsBaz := corev1.Toleration{Key: "foo", Value: "baz"}
	ten := toleration("foo", corev1.TaintEffectNoExecute, ptr.To[int64](10))
	zero := toleration("foo", corev1.TaintEffectNoExecute, ptr.To[int64](0))
	ever := toleration("foo", corev1.TaintEffectNoExecute, nil)
	tests := []struct {
		name                string
		first, second, want []corev1.Toleration
	}{
		{name: "nothing"},
		{"equal", []corev1.Toleration{foo}, []corev1.Toleration{foo}, []corev1.Toleration{foo}},
		{"a later one covers", []corev1.Toleration{fooIsBar, ten}, []corev1.Toleration{foo}, []corev1.Toleration{foo}},
		{"an earlier one covers", []corev1.Toleration{every}, []corev1.Toleration{foo, zero}, []corev1.Toleration{every}},
		{"different values", []corev1.Toleration{fooIsBar}, []corev1.Toleration{fooIsBaz}, []corev1.Toleration{fooIsBar, fooIsBaz}},
		{"longer covers shorter", []corev1.Toleration{zero}, []corev1.Toleration{ten}, []corev1.Toleration{ten}},
		{"without end covers both", []corev1.Toleration{zero, ten}, []corev1.Toleration{ever}, []corev1.Toleration{ever}},
		{"one effect does not cover all", []corev1.Toleration{ever}, []corev1.Toleration{foo}, []corev1.Toleration{foo}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { wantSame(t, mergeTolerations(tt.first, tt.second), tt.want) })
	}
}

func TestRuntimeClass(t *testing.T) {
	heavy := &nodev1.RuntimeClass{
		ObjectMeta: metav1.ObjectMeta{Name: "heavy"},
		Overhead:   &nodev1.Overhead{PodFixed: list("cpu", "250m")},
		Scheduling: &nodev1.Scheduling{
			NodeSelector: map[string]string{"runtime": "vm"},
			Tolerations:  []corev1.Toleration{toleration("vm", "", nil)},
		},
	}
	plain := &nodev1.RuntimeClass{ObjectMeta: metav1.ObjectMeta{Name: "plain"}}
	c := newChain(t, Options{}, newNamespace("privileged"), newAccount("default"), heavy, plain)
	named := func(name string, selector map[string]string, overhead corev1.ResourceList) corev1.PodSpec {
		spec := newPod().Spec
		spec.RuntimeClassName, spec.NodeSelector, spec.Overhead = &name, selector, overhead
		return spec
	}
	unnamed := newPod().Spec
	unnamed.Overhead = list("cpu", "1")
	tests := []struct {
		name         string
		spec         corev1.PodSpec
		wantSelector map[string]string
		wantOverhead corev1.ResourceList
		wantErr      string
	}{
		{name: "plain", spec: named("plain", nil, nil)},
		{name: "heavy", spec: named("heavy", map[string]string{"disk": "ssd"}, nil),
			wantSelector: map[string]string{"disk": "ssd", "runtime": "vm"}, wantOverhead: list("cpu", "250m")},
		{name: "the same overhead given", spec: named("heavy", nil, list("cpu", "0.25")),
			wantSelector: map[string]string{"runtime": "vm"}, wantOverhead: list("cpu", "250m")},
		{name: "another overhead given", spec: named("heavy", nil, list("cpu", "1m")),
			wantErr: `pods "p" is forbidden: pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead`},
		{name: "overhead without class", spec: unnamed,
			wantErr: `pods "p" is forbidden: pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead`},
		{name: "another selector given", spec: named("heavy", map[string]string{"runtime": "gvisor"}, nil),
			wantErr: `pods "p" is forbidden: conflict: runtimeClass.scheduling.nodeSelector[runtime] = vm; pod.spec.nodeSelector[runtime] = gvisor`},
		{name: "unknown class", spec: named("none", nil, nil),
			wantErr: `pods "p" is forbidden: pod rejected: RuntimeClass "none" not found`},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			pod := newPod(func(p *corev1.Pod) { p.Spec = tt.spec })
			err := c.createPod(pod)
			wantError(t, err, tt.wantErr)
			if err != nil {
				return
			}
			wantSame(t, pod.Spec.NodeSelector, tt.wantSelector)
			wantSame(t, pod.Spec.Overhead, tt.wantOverhead)
		})
	}
}

func TestPodSecurity(t *testing.T) {
	privileged := func(p *corev1.Pod) {
		p.Spec.Containers[0].SecurityContext = &corev1.SecurityContext{Privileged: ptr.To(true)}
	}
	const refused = `pods "p" is forbidden: violates PodSecurity "baseline:latest": privileged (container "c" must not set securityContext.privileged=true)`
	tests := []struct {
		level   string
		pod     *corev1.Pod
		wantErr string
	}{
		{"privileged", newPod(privileged), ""},
		{"baseline", newPod(), ""},
		{"baseline", newPod(privileged), refused},
	}
	for _, tt := range tests {
		t.Run(tt.level, func(t *testing.T) {
			c := newChain(t, Options{}, newNamespace(tt.level), newAccount("default"))
			wantError(t, c.createPod(tt.pod), tt.wantErr)
		})
	}
}

func TestPodSecurityRefusesUnknownLevels(t *testing.T) {
	c := newChain(t, Options{})
	err := c.send(request{resource: "namespaces", op: admission.Create, obj: newNamespace("lax")})
	wantError(t, err, `Namespace "ns" is invalid: metadata.labels[pod-security.kubernetes.io/enforce]: Invalid value: "lax": must be one of privileged, baseline, restricted`)
}
