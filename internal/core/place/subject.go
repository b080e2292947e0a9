package place

import (
	"maps"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	schedulingv1 "k8s.io/component-helpers/scheduling/corev1"
)

// Subject is the pod's side of placement, compiled once and asked of many
// nodes. It does not change after it was made, so goroutines may share it; it
// refers to the object it was made from, which must not change either.
type Subject struct {
	// Key is the pod's namespace and name; a daemon that has no pod yet goes
	// by the name of its DaemonSet.
	Key types.NamespacedName
	// UID tells the pod from others of its name.
	UID types.UID
	// Priority decides who may preempt whom; higher wins.
	Priority int32
	// Pinned is the one node that the pod can be on, or "" if it has a choice.
	Pinned string

	nodeName string
	// affinityPin is the node that the node affinity pins the pod to, or "".
	affinityPin  string
	nodeSelector []labelPair
	// required is nil without required node affinity; empty but not nil if
	// there is one that no node can satisfy.
	required    nodeTerms
	preferred   []preferredTerm
	tolerations []corev1.Toleration

	labels map[string]string
	// owner is the DaemonSet that controls the pod, or "".
	owner types.UID
	// pods is nil without pod affinity and anti-affinity, spread without
	// topology spread constraints.
	pods   *podTerms
	spread *spreadConstraints
	// terminating pods are about to leave; started is when the pod was
	// started, zero if it was not yet.
	terminating bool
	started     metav1.Time
	// neverPreempts is preemptionPolicy Never.
	neverPreempts bool

	requests Resources
	// typical is requests with a guess for containers that request nothing,
	// for scores only.
	typical Resources
	ports   []HostPort
	images  []string
}

// ForDaemon compiles the pods that the DaemonSet would create: its template
// with the automatic tolerations of daemon pods.
func ForDaemon(ds *appsv1.DaemonSet) *Subject { return ForRevision(ds, "") }

// ForRevision is ForDaemon for pods that carry the hash of the revision, which
// terms may go by (matchLabelKeys).
func ForRevision(ds *appsv1.DaemonSet, hash string) *Subject {
	labels := ds.Spec.Template.Labels
	if hash != "" {
		labels = maps.Clone(labels)
		if labels == nil {
			labels = map[string]string{}
		}
		labels[appsv1.DefaultDaemonSetUniqueLabelKey] = hash
	}
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: ds.Namespace,
			Name:      ds.Name,
			Labels:    labels,
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(ds, appsv1.SchemeGroupVersion.WithKind("DaemonSet")),
			},
		},
		Spec: ds.Spec.Template.Spec,
	}
	pod.Spec.Tolerations = DaemonTolerations(pod.Spec.Tolerations, pod.Spec.HostNetwork)
	return ForPod(pod)
}

// ForPod compiles a pod as it is.
func ForPod(pod *corev1.Pod) *Subject {
	spec := &pod.Spec
	pinned, _ := PinnedNode(pod)
	s := &Subject{
		Key:          types.NamespacedName{Namespace: pod.Namespace, Name: pod.Name},
		UID:          pod.UID,
		Priority:     schedulingv1.PodPriority(pod),
		Pinned:       pinned,
		nodeName:     spec.NodeName,
		affinityPin:  affinityPin(spec),
		nodeSelector: sortedPairs(spec.NodeSelector),
		tolerations:  spec.Tolerations,
		labels:       pod.Labels,
		owner:        daemonSetOf(pod),
		pods:         compilePodTerms(pod),
		spread:       compileSpread(pod),
		terminating:  pod.DeletionTimestamp != nil,
		requests:     requestsOf(pod),
		ports:        hostPortsOf(spec),
		images:       imagesOf(spec),
	}
	s.typical = typicalOf(s.requests, spec.Containers)
	if pod.Status.StartTime != nil {
		s.started = *pod.Status.StartTime
	}
	if spec.PreemptionPolicy != nil {
		s.neverPreempts = *spec.PreemptionPolicy == corev1.PreemptNever
	}
	if affinity := nodeAffinity(spec); affinity != nil {
		if required := affinity.RequiredDuringSchedulingIgnoredDuringExecution; required != nil {
			s.required = compileTerms(required.NodeSelectorTerms)
		}
		s.preferred = compilePreferred(affinity.PreferredDuringSchedulingIgnoredDuringExecution)
	}
	return s
}

func nodeAffinity(spec *corev1.PodSpec) *corev1.NodeAffinity {
	if spec.Affinity == nil {
		return nil
	}
	return spec.Affinity.NodeAffinity
}

// daemonSetOf returns the UID of the DaemonSet that controls the pod, or "".
func daemonSetOf(pod *corev1.Pod) types.UID {
	if ref := metav1.GetControllerOfNoCopy(pod); ref != nil && ref.Kind == "DaemonSet" {
		return ref.UID
	}
	return ""
}
