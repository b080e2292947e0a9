package simulated

import (
	"context"
	"fmt"
	"hash/fnv"
	"sync"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
)

// leaseDuration is how long a lease speaks for its node.
const leaseDuration = 40 * time.Second

// Leases are renewed every renewOften, and every renewSeldom once there are
// more than fewNodes: half the duration still leaves room for one lost renewal,
// and heartbeats of thousands of nodes stay cheap.
const (
	renewOften  = 10 * time.Second
	renewSeldom = 20 * time.Second
	fewNodes    = 100
)

// defaultGrace is how long upstream's node lifecycle lets a node be silent.
const defaultGrace = 50 * time.Second

// heartbeats remembers the lease of each simulated node as last written.
type heartbeats struct {
	mu     sync.Mutex
	leases map[string]*coordinationv1.Lease
}

func (h *heartbeats) get(node string) *coordinationv1.Lease {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.leases[node]
}

func (h *heartbeats) put(node string, lease *coordinationv1.Lease) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if lease == nil {
		delete(h.leases, node)
		return
	}
	h.leases[node] = lease
}

// interval returns the pause between two renewals of a node: as above, but
// always twice and a half within the grace that silent nodes have.
func (h *heartbeats) interval(grace time.Duration) time.Duration {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.leases) > fewNodes {
		return min(renewSeldom, grace*2/5)
	}
	return min(renewOften, grace*2/5)
}

// StepLease keeps the lease of one node fresh and returns when it is next due.
func (a *Agent) StepLease(ctx context.Context, name string) (time.Time, error) {
	node, err := a.nodes.Get(name)
	if apierrors.IsNotFound(err) || err == nil && !IsSimulated(node) {
		a.heartbeats.put(name, nil)
		return time.Time{}, nil
	}
	if err != nil {
		return time.Time{}, err
	}
	now, interval := a.Clock.Now(), a.heartbeats.interval(a.GracePeriod)
	lease := a.heartbeats.get(name)
	if lease == nil {
		if lease, err = a.claimLease(ctx, node, now); err != nil {
			return time.Time{}, err
		}
		a.heartbeats.put(name, lease)
		return now.Add(firstPause(name, interval)), nil
	}
	if due := lease.Spec.RenewTime.Add(interval / 2); now.Before(due) {
		return due, nil
	}
	renewed, err := a.Writer.UpdateLease(ctx, leaseOf(lease, node, now))
	if err != nil {
		a.heartbeats.put(name, nil)
		return time.Time{}, fmt.Errorf("renew lease of node %s: %w", name, err)
	}
	a.heartbeats.put(name, renewed)
	return now.Add(interval), nil
}

// claimLease writes a node's first lease, or takes over the one it has.
func (a *Agent) claimLease(ctx context.Context, node *corev1.Node, now time.Time) (*coordinationv1.Lease, error) {
	created, err := a.Writer.CreateLease(ctx, leaseOf(nil, node, now))
	if !apierrors.IsAlreadyExists(err) {
		if err != nil {
			return nil, fmt.Errorf("create lease of node %s: %w", node.Name, err)
		}
		return created, nil
	}
	lease, err := a.Client.CoordinationV1().Leases(corev1.NamespaceNodeLease).Get(ctx, node.Name, metav1.GetOptions{})
	if err != nil {
		return nil, fmt.Errorf("get lease of node %s: %w", node.Name, err)
	}
	renewed, err := a.Writer.UpdateLease(ctx, leaseOf(lease, node, now))
	if err != nil {
		return nil, fmt.Errorf("take over lease of node %s: %w", node.Name, err)
	}
	return renewed, nil
}

// leaseOf returns a copy of old, or a new lease, renewed now for node.
func leaseOf(old *coordinationv1.Lease, node *corev1.Node, now time.Time) *coordinationv1.Lease {
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Namespace: corev1.NamespaceNodeLease, Name: node.Name}}
	if old != nil {
		lease = old.DeepCopy()
	}
	lease.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}}
	lease.Spec.HolderIdentity = ptr.To(node.Name)
	lease.Spec.LeaseDurationSeconds = ptr.To(int32(leaseDuration / time.Second))
	lease.Spec.RenewTime = &metav1.MicroTime{Time: now}
	return lease
}

// firstPause spreads the renewals of many nodes evenly over the interval.
func firstPause(name string, interval time.Duration) time.Duration {
	hash := fnv.New32a()
	hash.Write([]byte(name))
	return interval * time.Duration(hash.Sum32()%1000+1) / 1000
}
