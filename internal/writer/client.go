package writer

import (
	"context"

	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	eventsv1 "k8s.io/api/events/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
)

// Client writes through an API server.
type Client struct {
	client kubernetes.Interface
}

var _ Writer = &Client{}

// NewClient returns a writer that uses client.
func NewClient(client kubernetes.Interface) *Client { return &Client{client} }

// CreatePod implements Writer.
func (c *Client) CreatePod(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return c.client.CoreV1().Pods(pod.Namespace).Create(ctx, pod, metav1.CreateOptions{})
}

// DeletePod implements Writer.
func (c *Client) DeletePod(ctx context.Context, pod types.NamespacedName, options metav1.DeleteOptions) error {
	return c.client.CoreV1().Pods(pod.Namespace).Delete(ctx, pod.Name, options)
}

// BindPod implements Writer.
func (c *Client) BindPod(ctx context.Context, binding *corev1.Binding) error {
	return c.client.CoreV1().Pods(binding.Namespace).Bind(ctx, binding, metav1.CreateOptions{})
}

// UpdatePodStatus implements Writer.
func (c *Client) UpdatePodStatus(ctx context.Context, pod *corev1.Pod) (*corev1.Pod, error) {
	return c.client.CoreV1().Pods(pod.Namespace).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
}

// UpdateNodeStatus implements Writer.
func (c *Client) UpdateNodeStatus(ctx context.Context, node *corev1.Node) (*corev1.Node, error) {
	return c.client.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{})
}

// UpdateDaemonSetStatus implements Writer.
func (c *Client) UpdateDaemonSetStatus(ctx context.Context, ds *appsv1.DaemonSet) (*appsv1.DaemonSet, error) {
	return c.client.AppsV1().DaemonSets(ds.Namespace).UpdateStatus(ctx, ds, metav1.UpdateOptions{})
}

// CreateLease implements Writer.
func (c *Client) CreateLease(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	return c.client.CoordinationV1().Leases(lease.Namespace).Create(ctx, lease, metav1.CreateOptions{})
}

// UpdateLease implements Writer.
func (c *Client) UpdateLease(ctx context.Context, lease *coordinationv1.Lease) (*coordinationv1.Lease, error) {
	return c.client.CoordinationV1().Leases(lease.Namespace).Update(ctx, lease, metav1.UpdateOptions{})
}

// CreateEvent implements Writer.
func (c *Client) CreateEvent(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	return c.client.EventsV1().Events(event.Namespace).Create(ctx, event, metav1.CreateOptions{})
}

// UpdateEvent implements Writer.
func (c *Client) UpdateEvent(ctx context.Context, event *eventsv1.Event) (*eventsv1.Event, error) {
	return c.client.EventsV1().Events(event.Namespace).Update(ctx, event, metav1.UpdateOptions{})
}
