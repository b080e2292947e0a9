package static

import (
	"bufio"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/api/defaults"
	"github.com/garrison-project/garrison/internal/api/validation"
)

// Origin is where pods come from.
type Origin struct{ Path, NodeName string }

// Parse reads the pods of a manifest: documents of kind Pod or List, separated by
// lines of three dashes. One that is of no use spoils them all.
func Parse(text string, from Origin) ([]*corev1.Pod, error) {
	var out []*corev1.Pod
	reader := utilyaml.NewYAMLReader(bufio.NewReader(strings.NewReader(text)))
	for {
		doc, err := reader.Read()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read document: %w", err)
		}
		asJSON, err := yaml.YAMLToJSON(doc)
		if err != nil {
			return nil, err
		}
		if string(asJSON) == "null" {
			continue
		}
		pods, err := parseObject(asJSON, from)
		if err != nil {
			return nil, err
		}
		out = append(out, pods...)
	}
}

// parseObject reads a Pod or a List of them.
func parseObject(text []byte, from Origin) ([]*corev1.Pod, error) {
	var kind metav1.TypeMeta
	if err := json.Unmarshal(text, &kind); err != nil {
		return nil, err
	}
	switch kind.GroupVersionKind() {
	case corev1.SchemeGroupVersion.WithKind("Pod"):
		pod := &corev1.Pod{}
		if err := json.Unmarshal(text, pod); err != nil {
			return nil, err
		}
		return finish(pod, from)
	case corev1.SchemeGroupVersion.WithKind("List"), corev1.SchemeGroupVersion.WithKind("PodList"):
		var list struct{ Items []runtime.RawExtension }
		if err := json.Unmarshal(text, &list); err != nil {
			return nil, err
		}
		var out []*corev1.Pod
		for _, item := range list.Items {
			pods, err := parseObject(item.Raw, from)
			if err != nil {
				return nil, err
			}
			out = append(out, pods...)
		}
		return out, nil
	}
	return nil, fmt.Errorf("%q is not a kind of static pods, which are v1 Pods", kind.GroupVersionKind())
}

// finish makes a pod of this node of what a manifest says, and checks it.
func finish(pod *corev1.Pod, from Origin) ([]*corev1.Pod, error) {
	if pod.Name == "" {
		return nil, errors.New("a static pod needs a name")
	}
	if pod.UID == "" {
		uid, err := uidOf(pod, from)
		if err != nil {
			return nil, err
		}
		pod.UID = uid
	}
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
	pod.Name += "-" + strings.ToLower(from.NodeName)
	if pod.Namespace == "" {
		pod.Namespace = metav1.NamespaceDefault
	}
	pod.Spec.NodeName = from.NodeName
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, agent.HashAnnotation, string(pod.UID))
	metav1.SetMetaDataAnnotation(&pod.ObjectMeta, agent.SourceAnnotation, "file")
	// What is wrong with the node is no reason for the machine to give it up.
	always := corev1.Toleration{Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute}
	if !slices.Contains(pod.Spec.Tolerations, always) {
		pod.Spec.Tolerations = append(pod.Spec.Tolerations, always)
	}
	defaults.Pod(pod)
	if problems := validation.Pod(pod); len(problems) > 0 {
		return nil, fmt.Errorf("pod %s: %w", pod.Name, problems.ToAggregate())
	}
	return []*corev1.Pod{pod}, nil
}

// uidOf follows from the contents, the file and the node.
func uidOf(pod *corev1.Pod, from Origin) (types.UID, error) {
	text, err := json.Marshal(pod)
	if err != nil {
		return "", fmt.Errorf("hash pod %s: %w", pod.Name, err)
	}
	sum := sha256.New()
	fmt.Fprintf(sum, "%s\x00host:%s\x00file:%s", text, from.NodeName, from.Path)
	return types.UID(hex.EncodeToString(sum.Sum(nil)[:16])), nil
}
