// Package writer holds the writes that the parts of a control plane make most
// often, behind one interface with two implementations: Direct, straight into
// the store of an API server in the same process, and Client, through any API
// server.
//
// Both give the same results and the same API errors, and both leave the
// object they are given as it was. They differ in one thing: Direct keeps no
// managed fields, and so server-side apply does not know of its writes.
//
// What to write, and when to try again, is left to the callers, who declare
// interfaces of their own with the methods that they use.
package writer

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// Writer writes objects through the rules of the API: defaults, admission,
// validation. Errors are API errors (k8s.io/apimachinery/pkg/api/errors). An
// update of an object with a resourceVersion fails with a Conflict if the
// stored object has another; without one it wins.
type Writer interface {
	// CreatePod stores a new pod and returns it as stored.
	CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	// DeletePod starts the deletion of a pod. Preconditions are honoured.
	DeletePod(ctx context.Context, pod types.NamespacedName, options metav1.DeleteOptions) error
	// BindPod binds the pod that has the name of the binding to its target.
	BindPod(ctx context.Context, binding *corev1.Binding) error
	// UpdatePodStatus replaces the status of a pod.
	UpdatePodStatus(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error)
	// UpdateNodeStatus replaces the status of a node.
	UpdateNodeStatus(ctx context.Context, node *corev1.Node) (*corev1.Node, error)
	// UpdateDaemonSetStatus replaces the status of a DaemonSet.
	UpdateDaemonSetStatus(ctx context.Context, ds *appsv1.DaemonSet) (*appsv1.DaemonSet, error)
	// CreateLease stores a new lease.
	CreateLease(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error)
	// UpdateLease replaces a lease; leases demand a resourceVersion.
	UpdateLease(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error)
	// CreateEvent stores a new event.
	CreateEvent(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error)
	// UpdateEvent replaces an event, say to count one more of a series.
	UpdateEvent(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error)
}
