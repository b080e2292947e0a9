package kinds

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/fields"
	"k8s.io/apimachinery/pkg/labels"
)

func TestPodsAreSelectedByFields(t *testing.T) {
	pod := func(name string, change func(*corev1.Pod)) *corev1.Pod {
		p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: "ns"}}
		p.Spec.RestartPolicy, p.Status.Phase = corev1.RestartPolicyAlways, corev1.PodPending
		if change != nil {
			change(p)
		}
		return p
	}
	all := []*corev1.Pod{
		pod("waiting", nil),
		pod("nominated", func(p *corev1.Pod) { p.Status.NominatedNodeName = "a" }),
		pod("running", func(p *corev1.Pod) {
			p.Spec.NodeName, p.Spec.HostNetwork, p.Status.Phase = "a", true, corev1.PodRunning
			p.Status.PodIPs = []corev1.PodIP{{IP: "10.0.0.1"}, {IP: "fd00::1"}}
		}),
	}
	for selector, want := range map[string]string{
		"spec.nodeName=":                        "waiting nominated ",
		"spec.nodeName!=":                       "running ",
		"spec.nodeName=a":                       "running ",
		"status.podIP=":                         "waiting nominated ",
		"status.podIP=10.0.0.1":                 "running ",
		"status.podIP!=10.0.0.1":                "waiting nominated ",
		"status.nominatedNodeName=":             "waiting running ",
		"status.nominatedNodeName=a":            "nominated ",
		"spec.hostNetwork=false":                "waiting nominated ",
		"status.phase!=Running":                 "waiting nominated ",
		"metadata.name=waiting,spec.nodeName=":  "waiting ",
		"metadata.namespace=ns,spec.nodeName=b": "",
	} {
		matches, got := pods().(kind[*corev1.Pod]).predicate(labels.Everything(), fields.ParseSelectorOrDie(selector)), ""
		for _, p := range all {
			ok, err := matches.Matches(p)
			if err != nil {
				t.Fatal(err)
			}
			if ok {
				got += p.Name + " "
			}
		}
		if got != want {
			t.Errorf("%s selects %q, want %q", selector, got, want)
		}
	}
}
