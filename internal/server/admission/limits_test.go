package admission

import (
	"context"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	testclock "k8s.io/utils/clock/testing"
)

func newLimitRange(name string, items ...corev1.LimitRangeItem) *corev1.LimitRange {
	return &corev1.LimitRange{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: name},
		Spec:       corev1.LimitRangeSpec{Limits: items},
	}
}

func TestApplyLimitRange(t *testing.T) {
	r := newLimitRange("r",
		corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, DefaultRequest: list("memory", "1Mi", "cpu", "100m"), Default: list("cpu", "1")},
		corev1.LimitRangeItem{Type: corev1.LimitTypePod, Default: list("cpu", "64")})
	pod := newPod(func(p *corev1.Pod) {
		p.Spec.Containers[0].Resources.Requests = list("cpu", "5m")
		p.Spec.InitContainers = []corev1.Container{{Name: "i"}}
	})
	applyLimitRange(r, pod)
	wantSame(t, pod.Spec.Containers[0].Resources, corev1.ResourceRequirements{Requests: list("cpu", "5m", "memory", "1Mi"), Limits: list("cpu", "1")})
	wantSame(t, pod.Spec.InitContainers[0].Resources, corev1.ResourceRequirements{Requests: list("cpu", "100m", "memory", "1Mi"), Limits: list("cpu", "1")})
	wantSame(t, pod.Annotations, map[string]string{"kubernetes.io/limit-ranger": "LimitRanger plugin set: memory request for container c; cpu limit for container c; cpu, memory request for init container i; cpu limit for init container i"})

	full := pod.DeepCopy()
	full.Annotations = nil
	applyLimitRange(r, full)
	wantSame(t, full.Annotations, map[string]string(nil))
}

func TestCheckLimitRange(t *testing.T) {
	of := func(requests, limits corev1.ResourceList) *corev1.Pod {
		return newPod(func(p *corev1.Pod) {
			p.Spec.Containers[0].Resources = corev1.ResourceRequirements{Requests: requests, Limits: limits}
		})
	}
	container := corev1.LimitRangeItem{
		Type: corev1.LimitTypeContainer,
		Min:  list("cpu", "50m"), Max: list("cpu", "1"), MaxLimitRequestRatio: list("cpu", "3"),
	}
	minimum := corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Min: list("memory", "64Mi")}
	perPod := corev1.LimitRangeItem{Type: corev1.LimitTypePod, Max: list("cpu", "300m")}
	tests := []struct {
		name    string
		item    corev1.LimitRangeItem
		pod     *corev1.Pod
		wantErr string
	}{
		{"within", container, of(list("cpu", "100m"), list("cpu", "300m")), ""},
		{"no request", minimum, of(nil, nil), "minimum memory usage per Container is 64Mi.  No request is specified"},
		{"request too small", minimum, of(list("memory", "1Mi"), nil), "minimum memory usage per Container is 64Mi, but request is 1Mi"},
		{"limit too small", minimum, of(list("memory", "64Mi"), list("memory", "32Mi")), "minimum memory usage per Container is 64Mi, but limit is 32Mi"},
		{"all that is wrong is named", container, of(nil, nil),
			"[minimum cpu usage per Container is 50m.  No request is specified, maximum cpu usage per Container is 1.  No limit is specified, cpu max limit to request ratio per Container is 3, but no request is specified or request is 0]"},
		{"limit too large", container, of(list("cpu", "1"), list("cpu", "2")), "maximum cpu usage per Container is 1, but limit is 2"},
		{"request too large", corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Max: list("cpu", "1")},
			of(list("cpu", "2"), list("cpu", "1")), "maximum cpu usage per Container is 1, but request is 2"},
		{"ratio too large", container, of(list("cpu", "100m"), list("cpu", "350m")), "cpu max limit to request ratio per Container is 3, but provided ratio is 3.500000"},
		{"pod too large", perPod, newPod(func(p *corev1.Pod) {
			half := corev1.ResourceRequirements{Requests: list("cpu", "200m"), Limits: list("cpu", "200m")}
			p.Spec.Containers = []corev1.Container{{Name: "a", Resources: half}, {Name: "b", Resources: half}}
		}), "maximum cpu usage per Pod is 300m, but limit is 400m"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			wantError(t, checkLimitRange(newLimitRange("r", tt.item), tt.pod), tt.wantErr)
		})
	}
}

// A limit range made a moment ago holds at once in a namespace that was not
// asked about before; a namespace known to have none is not asked about for
// half a minute.
func TestLimitRangesTheCacheHasNotHeardOf(t *testing.T) {
	now := testclock.NewFakeClock(time.Unix(1_700_000_000, 0))
	c := newChain(t, Options{Clock: now}, newNamespace("privileged"), newAccount("default"))
	maximum := newLimitRange("r", corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Max: list("cpu", "1")})
	const refused = `pods "p" is forbidden: maximum cpu usage per Container is 1.  No limit is specified`

	wantError(t, c.createPod(newPod()), "")
	if _, err := c.live.CoreV1().LimitRanges("ns").Create(context.Background(), maximum, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	wantError(t, c.createPod(newPod()), "")
	now.Step(liveLimitRangesTTL + time.Second)
	wantError(t, c.createPod(newPod()), refused)
}

func TestLimitRangesAreAppliedByName(t *testing.T) {
	c := newChain(t, Options{}, newNamespace("privileged"), newAccount("default"),
		newLimitRange("b", corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Default: list("cpu", "2")}),
		newLimitRange("a", corev1.LimitRangeItem{Type: corev1.LimitTypeContainer, Default: list("cpu", "1")}))
	for range 20 {
		pod := newPod()
		wantError(t, c.createPod(pod), "")
		wantSame(t, pod.Spec.Containers[0].Resources.Limits, list("cpu", "1"))
	}
}
