package tables

import (
	"fmt"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"
)

var (
	containersColumn = wide(text("Containers", "Names of each container in the template."))
	imagesColumn     = wide(text("Images", "Images referenced by each container in the template."))
	selectorColumn   = wide(text("Selector", "The pods that belong to it."))

	daemonSetDoc  = appsv1.DaemonSetStatus{}.SwaggerDoc()
	replicaSetDoc = appsv1.ReplicaSetStatus{}.SwaggerDoc()
)

var daemonSets = table[*appsv1.DaemonSet]{
	head: head(name(),
		number("Desired", daemonSetDoc["desiredNumberScheduled"]),
		number("Current", daemonSetDoc["currentNumberScheduled"]),
		number("Ready", daemonSetDoc["numberReady"]),
		number("Up-to-date", daemonSetDoc["updatedNumberScheduled"]),
		number("Available", daemonSetDoc["numberAvailable"]),
		text("Node Selector", corev1.PodSpec{}.SwaggerDoc()["nodeSelector"]),
		age(), containersColumn, imagesColumn, selectorColumn),
	cells: func(d *appsv1.DaemonSet, now at) []any {
		s := d.Status
		names, images := containers(&d.Spec.Template.Spec)
		return []any{d.Name, int64(s.DesiredNumberScheduled), int64(s.CurrentNumberScheduled), int64(s.NumberReady),
			int64(s.UpdatedNumberScheduled), int64(s.NumberAvailable), labels.FormatLabels(d.Spec.Template.Spec.NodeSelector),
			now.age(d.CreationTimestamp), names, images, metav1.FormatLabelSelector(d.Spec.Selector)}
	},
}

var controllerRevisions = table[*appsv1.ControllerRevision]{
	head: head(name(),
		text("Controller", "Controller of the object"),
		number("Revision", appsv1.ControllerRevision{}.SwaggerDoc()["revision"]),
		age()),
	cells: func(r *appsv1.ControllerRevision, now at) []any {
		return []any{r.Name, controller(r), r.Revision, now.age(r.CreationTimestamp)}
	},
}

// controller names the owner in charge, such as daemonset.apps/fluentd.
func controller(o metav1.Object) string {
	ref := metav1.GetControllerOf(o)
	if ref == nil {
		return none
	}
	gk := schema.FromAPIVersionAndKind(ref.APIVersion, ref.Kind).GroupKind()
	return strings.ToLower(gk.String()) + "/" + ref.Name
}

var replicaSets = table[*appsv1.ReplicaSet]{
	head: head(name(),
		number("Desired", appsv1.ReplicaSetSpec{}.SwaggerDoc()["replicas"]),
		number("Current", replicaSetDoc["replicas"]),
		number("Ready", replicaSetDoc["readyReplicas"]),
		age(), containersColumn, imagesColumn, selectorColumn),
	cells: func(r *appsv1.ReplicaSet, now at) []any {
		names, images := containers(&r.Spec.Template.Spec)
		return []any{r.Name, int64(ptr.Deref(r.Spec.Replicas, 0)), int64(r.Status.Replicas), int64(r.Status.ReadyReplicas),
			now.age(r.CreationTimestamp), names, images, metav1.FormatLabelSelector(r.Spec.Selector)}
	},
}

var replicationControllers = table[*corev1.ReplicationController]{
	head: head(name(),
		number("Desired", corev1.ReplicationControllerSpec{}.SwaggerDoc()["replicas"]),
		number("Current", corev1.ReplicationControllerStatus{}.SwaggerDoc()["replicas"]),
		number("Ready", corev1.ReplicationControllerStatus{}.SwaggerDoc()["readyReplicas"]),
		age(), containersColumn, imagesColumn, selectorColumn),
	cells: func(r *corev1.ReplicationController, now at) []any {
		var names, images string
		if r.Spec.Template != nil {
			names, images = containers(&r.Spec.Template.Spec)
		}
		return []any{r.Name, int64(ptr.Deref(r.Spec.Replicas, 0)), int64(r.Status.Replicas), int64(r.Status.ReadyReplicas),
			now.age(r.CreationTimestamp), names, images, labels.FormatLabels(r.Spec.Selector)}
	},
}

var deployments = table[*appsv1.Deployment]{
	head: head(name(),
		text("Ready", "Number of the pod with ready state"),
		number("Up-to-date", appsv1.DeploymentStatus{}.SwaggerDoc()["updatedReplicas"]),
		number("Available", appsv1.DeploymentStatus{}.SwaggerDoc()["availableReplicas"]),
		age(), containersColumn, imagesColumn, selectorColumn),
	cells: func(d *appsv1.Deployment, now at) []any {
		names, images := containers(&d.Spec.Template.Spec)
		selector, err := metav1.LabelSelectorAsSelector(d.Spec.Selector)
		shown := "<invalid>"
		if err == nil {
			shown = selector.String()
		}
		return []any{d.Name, fmt.Sprintf("%d/%d", d.Status.ReadyReplicas, ptr.Deref(d.Spec.Replicas, 0)), int64(d.Status.UpdatedReplicas),
			int64(d.Status.AvailableReplicas), now.age(d.CreationTimestamp), names, images, shown}
	},
}

var statefulSets = table[*appsv1.StatefulSet]{
	head: head(name(),
		text("Ready", "Number of the pod with ready state"),
		age(), containersColumn, imagesColumn),
	cells: func(s *appsv1.StatefulSet, now at) []any {
		names, images := containers(&s.Spec.Template.Spec)
		return []any{s.Name, fmt.Sprintf("%d/%d", s.Status.ReadyReplicas, ptr.Deref(s.Spec.Replicas, 0)), now.age(s.CreationTimestamp), names, images}
	},
}

var podTemplates = table[*corev1.PodTemplate]{
	head: head(name(),
		text("Containers", "Names of each container in the template."),
		text("Images", "Images referenced by each container in the template."),
		text("Pod Labels", "The labels for the pod template.")),
	cells: func(t *corev1.PodTemplate, _ at) []any {
		names, images := containers(&t.Template.Spec)
		return []any{t.Name, names, images, labels.FormatLabels(t.Template.Labels)}
	},
}

// containers lists the names and the images of the containers.
func containers(spec *corev1.PodSpec) (names, images string) {
	n := make([]string, len(spec.Containers))
	i := make([]string, len(spec.Containers))
	for k, c := range spec.Containers {
		n[k], i[k] = c.Name, c.Image
	}
	return strings.Join(n, ","), strings.Join(i, ",")
}
