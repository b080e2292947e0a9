// Package placetest reads nodes and pods from the short notation of golden
// tests. Only tests import it.
//
// A node or pod is a line of words: its name, then labels as KEY=VALUE and
// settings as KEY:VALUE, in any order.
package placetest

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"
)

// Node reads NAME LABEL=VALUE… !TAINT… RESOURCE:AMOUNT… cordoned. Unless it
// says otherwise a node has 32 cpu, 128Gi of memory and room for 110 pods.
func Node(line string) (*corev1.Node, error) {
	words := strings.Fields(line)
	n := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: words[0], Labels: map[string]string{}}}
	n.Status.Allocatable = corev1.ResourceList{
		"cpu": resource.MustParse("32"), "memory": resource.MustParse("128Gi"), "pods": resource.MustParse("110"),
	}
	for _, word := range words[1:] {
		if taint, ok := strings.CutPrefix(word, "!"); ok {
			n.Spec.Taints = append(n.Spec.Taints, parseTaint(taint))
			continue
		}
		if word == "cordoned" {
			n.Spec.Unschedulable = true
			continue
		}
		if key, value, ok := strings.Cut(word, "="); ok {
			n.Labels[key] = value
			continue
		}
		name, amount, _ := strings.Cut(word, ":")
		quantity, err := resource.ParseQuantity(amount)
		if err != nil {
			return nil, fmt.Errorf("node %s: %q: %w", n.Name, word, err)
		}
		n.Status.Allocatable[corev1.ResourceName(name)] = quantity
	}
	return n, nil
}

// parseTaint reads KEY[=VALUE]:EFFECT.
func parseTaint(s string) corev1.Taint {
	left, effect, _ := strings.Cut(s, ":")
	key, value, _ := strings.Cut(left, "=")
	return corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)}
}

// Pod reads a line [NAMESPACE/]NAME LABEL=VALUE… SETTING:VALUE…, and after it,
// if there is more text, further parts of the spec in YAML. The settings are
//
//	node:NAME           bound to the node
//	pin:NAME            can only be on the node, as the pods of a DaemonSet
//	priority:N
//	scheduler:NAME      instead of default-scheduler
//	gate:NAME           a scheduling gate
//	port:N              a host port
//	owner:NAME          the DaemonSet that controls it
//	started:N           when it was started, in seconds
//	terminating         it is being deleted
//	never-preempts      preemptionPolicy Never
//	#TEXT               nothing
//	RESOURCE:AMOUNT     a request, such as cpu:2
//
// The UID is "NAMESPACE/NAME".
func Pod(text string) (*corev1.Pod, error) {
	line, spec, _ := strings.Cut(text, "\n")
	words := strings.Fields(line)
	pod := &corev1.Pod{}
	if err := yaml.UnmarshalStrict([]byte(spec), &pod.Spec); err != nil {
		return nil, fmt.Errorf("pod %s: %w", words[0], err)
	}
	namespace, name, ok := strings.Cut(words[0], "/")
	if !ok {
		namespace, name = "default", words[0]
	}
	pod.ObjectMeta = metav1.ObjectMeta{
		Namespace: namespace, Name: name, UID: types.UID(namespace + "/" + name), Labels: map[string]string{},
	}
	if pod.Spec.SchedulerName == "" {
		pod.Spec.SchedulerName = corev1.DefaultSchedulerName
	}
	if len(pod.Spec.Containers) == 0 {
		pod.Spec.Containers = []corev1.Container{{Name: "c", Image: "image"}}
	}
	for _, word := range words[1:] {
		if err := set(pod, word); err != nil {
			return nil, fmt.Errorf("pod %s: %q: %w", words[0], word, err)
		}
	}
	return pod, nil
}

func set(pod *corev1.Pod, word string) error {
	if strings.HasPrefix(word, "#") {
		return nil
	}
	if key, value, ok := strings.Cut(word, "="); ok {
		pod.Labels[key] = value
		return nil
	}
	switch word {
	case "terminating":
		pod.DeletionTimestamp = &metav1.Time{Time: time.Unix(1, 0)}
		return nil
	case "never-preempts":
		never := corev1.PreemptNever
		pod.Spec.PreemptionPolicy = &never
		return nil
	}
	key, value, _ := strings.Cut(word, ":")
	container := &pod.Spec.Containers[0]
	switch key {
	case "node":
		pod.Spec.NodeName = value
	case "pin":
		Pin(&pod.Spec, value)
	case "priority":
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil {
			return err
		}
		priority := int32(n)
		pod.Spec.Priority = &priority
	case "scheduler":
		pod.Spec.SchedulerName = value
	case "gate":
		pod.Spec.SchedulingGates = append(pod.Spec.SchedulingGates, corev1.PodSchedulingGate{Name: value})
	case "port":
		n, err := strconv.ParseInt(value, 10, 32)
		if err != nil {
			return err
		}
		container.Ports = append(container.Ports, corev1.ContainerPort{HostPort: int32(n), ContainerPort: int32(n)})
	case "started":
		n, err := strconv.ParseInt(value, 10, 64)
		if err != nil {
			return err
		}
		pod.Status.StartTime = &metav1.Time{Time: time.Unix(n, 0)}
	case "owner":
		yes := true
		pod.OwnerReferences = []metav1.OwnerReference{{
			APIVersion: "apps/v1", Kind: "DaemonSet", Name: value, UID: types.UID(value), Controller: &yes,
		}}
	default:
		quantity, err := resource.ParseQuantity(value)
		if err != nil {
			return err
		}
		if container.Resources.Requests == nil {
			container.Resources.Requests = corev1.ResourceList{}
		}
		container.Resources.Requests[corev1.ResourceName(key)] = quantity
	}
	return nil
}

// Pin makes the node the only one that a pod with this spec can be on.
func Pin(spec *corev1.PodSpec, node string) {
	if spec.Affinity == nil {
		spec.Affinity = &corev1.Affinity{}
	}
	if spec.Affinity.NodeAffinity == nil {
		spec.Affinity.NodeAffinity = &corev1.NodeAffinity{}
	}
	spec.Affinity.NodeAffinity.RequiredDuringSchedulingIgnoredDuringExecution = &corev1.NodeSelector{
		NodeSelectorTerms: []corev1.NodeSelectorTerm{{MatchFields: []corev1.NodeSelectorRequirement{{
			Key: metav1.ObjectNameField, Operator: corev1.NodeSelectorOpIn, Values: []string{node},
		}}}},
	}
}

// Budget reads NAME LABEL=VALUE… allowed:N, a PodDisruptionBudget in the
// namespace default.
func Budget(line string) (*policyv1.PodDisruptionBudget, error) {
	words := strings.Fields(line)
	b := &policyv1.PodDisruptionBudget{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: words[0]}}
	b.Spec.Selector = &metav1.LabelSelector{MatchLabels: map[string]string{}}
	for _, word := range words[1:] {
		if n, ok := strings.CutPrefix(word, "allowed:"); ok {
			allowed, err := strconv.ParseInt(n, 10, 32)
			if err != nil {
				return nil, fmt.Errorf("budget %s: %w", b.Name, err)
			}
			b.Status.DisruptionsAllowed = int32(allowed)
			continue
		}
		key, value, _ := strings.Cut(word, "=")
		b.Spec.Selector.MatchLabels[key] = value
	}
	return b, nil
}

// Transcripts lists the golden files of the package under test: those directly
// in testdata.
func Transcripts(t *testing.T) []string {
	entries, err := os.ReadDir("testdata")
	if err != nil {
		t.Fatal(err)
	}
	var paths []string
	for _, e := range entries {
		if e.Type().IsRegular() {
			paths = append(paths, filepath.Join("testdata", e.Name()))
		}
	}
	if len(paths) == 0 {
		t.Fatal("no transcripts in testdata")
	}
	return paths
}
