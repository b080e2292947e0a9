package node

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"pgregory.net/rapid"
)

// somePod draws a pod of few names, so that pods often meet.
func somePod(t *rapid.T) *corev1.Pod {
	of := func(label string, values ...string) string { return rapid.SampledFrom(values).Draw(t, label) }
	pod := &corev1.Pod{}
	pod.Namespace, pod.Name = of("namespace", "n", "m"), of("pod", "p", "q", "r")
	pod.UID = types.UID(of("uid", "1", "2"))
	pod.Spec.NodeName = of("node", "", "a", "b")
	pod.Spec.ServiceAccountName = of("account", "", "x", "y")
	for _, s := range []string{of("pull", "x", "y"), of("pull", "x", "y")} {
		pod.Spec.ImagePullSecrets = append(pod.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: s})
	}
	pod.Spec.Containers = []corev1.Container{{EnvFrom: []corev1.EnvFromSource{
		{ConfigMapRef: &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: of("map", "x", "y")}}},
		{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: of("secret", "x", "y")}}},
	}}}
	if rapid.Bool().Draw(t, "mirror") {
		pod.Annotations = map[string]string{corev1.MirrorPodAnnotationKey: "x"}
	}
	return pod
}

// names tells, without the graph, whether a pod on node names an object: it
// looks into the pod as text.
func names(pod *corev1.Pod, node string, o object) bool {
	if pod.Spec.NodeName != node || pod.Namespace != o.Namespace || len(pod.Annotations) > 0 {
		return false
	}
	switch o.kind {
	case serviceAccount:
		return pod.Spec.ServiceAccountName == o.Name
	case configMap:
		return strings.Contains(pod.Spec.String(), fmt.Sprintf("ConfigMapEnvSource{LocalObjectReference:LocalObjectReference{Name:%s,}", o.Name))
	}
	return slices.Contains(pod.Spec.ImagePullSecrets, corev1.LocalObjectReference{Name: o.Name}) ||
		strings.Contains(pod.Spec.String(), fmt.Sprintf("SecretEnvSource{LocalObjectReference:LocalObjectReference{Name:%s,}", o.Name))
}

// However pods come, change and go, the graph knows what a look at all pods
// would find, and holds nothing beyond.
func TestGraphAgreesWithALookAtAllPods(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		g, pods := NewGraph(), map[types.NamespacedName]*corev1.Pod{}
		t.Repeat(map[string]func(*rapid.T){
			"set": func(t *rapid.T) {
				pod := somePod(t)
				pods[types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}] = pod
				g.Set(pod)
			},
			"remove": func(t *rapid.T) {
				pod := somePod(t)
				name := types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name}
				delete(pods, name)
				g.Remove(name)
			},
			"": func(t *rapid.T) {
				for _, node := range []string{"a", "b"} {
					for _, k := range []kind{secret, configMap, serviceAccount} {
						for _, at := range []string{"n/x", "n/y", "m/x", "m/y"} {
							namespace, name, _ := strings.Cut(at, "/")
							o := object{k, types.NamespacedName{Namespace: namespace, Name: name}}
							want := false
							for _, pod := range pods {
								want = want || names(pod, node, o)
							}
							if got := g.needed(node, o); got != want {
								t.Fatalf("node %s, %v: %t", node, o, got)
							}
						}
					}
				}
				for name, pod := range pods {
					if pod.Spec.NodeName != "" && !g.runs(pod.Spec.NodeName, name) || g.runs("c", name) {
						t.Fatalf("pod %s, on node %q", name, pod.Spec.NodeName)
					}
				}
				if len(pods) == 0 && len(g.pods)+len(g.needs) != 0 {
					t.Fatalf("holds %v and %v of no pods", g.pods, g.needs)
				}
			},
		})
	})
}

// Of a change of a pod the graph hears only what can change its needs.
func TestWhatChangesNeeds(t *testing.T) {
	for name, c := range map[string]struct {
		change func(*corev1.Pod)
		same   bool
	}{
		"status":                {func(p *corev1.Pod) { p.Status.Phase, p.ResourceVersion = corev1.PodRunning, "2" }, true},
		"binding":               {func(p *corev1.Pod) { p.Spec.NodeName = "b" }, false},
		"another of its name":   {func(p *corev1.Pod) { p.UID = "2" }, false},
		"a debugging container": {func(p *corev1.Pod) { p.Spec.EphemeralContainers = make([]corev1.EphemeralContainer, 1) }, false},
	} {
		changed := onA()
		c.change(changed)
		if got := sameNeeds(onA(), changed); got != c.same {
			t.Errorf("%s: %t", name, got)
		}
	}
}

// What a status update costs: with every pod of 5,000 reporting, nothing.
func BenchmarkSet(b *testing.B) {
	g := NewGraph()
	pod := onA()
	for i := range 5000 {
		pod.Name, pod.Spec.NodeName = fmt.Sprint("p", i), fmt.Sprint("n", i)
		g.Set(pod)
	}
	b.ReportAllocs()
	for b.Loop() {
		g.Set(pod)
	}
}
