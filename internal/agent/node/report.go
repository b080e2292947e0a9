package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/component-helpers/apimachinery/lease"
	"k8s.io/component-helpers/node/util"
	"k8s.io/klog/v2"

	"github.com/garrison-project/garrison/internal/prepull"
)

const (
	// runtimePatience is how long the runtime may take to say how it is.
	runtimePatience = 30 * time.Second
	// renewals are how often a lease is renewed in the time that it is good for.
	renewals = 4
	// simulatedAnnotation marks nodes that have no machine.
	simulatedAnnotation = "garrison.dev/simulated"
)

// keepLease renews the lease of the node from when the node is known.
func (n *Node) keepLease(ctx context.Context) {
	select {
	case <-n.known:
	case <-ctx.Done():
		return
	}
	good := n.Settings.LeaseDuration
	lease.NewController(n.Clock, n.Client, n.Settings.Name, int32(good/time.Second), func() {}, good/renewals,
		n.Settings.Name, corev1.NamespaceNodeLease, n.ownLease).Run(ctx)
}

// ownLease lets the lease go with the node. Without a node there is none.
func (n *Node) ownLease(l *coordinationv1.Lease) error {
	if len(l.OwnerReferences) > 0 {
		return nil
	}
	node := n.Current()
	if node == nil {
		return fmt.Errorf("node %s is not registered", n.Settings.Name)
	}
	l.OwnerReferences = []metav1.OwnerReference{{APIVersion: "v1", Kind: "Node", Name: node.Name, UID: node.UID}}
	return nil
}

// stepStatus registers the node if that has not been done, and writes its status
// if it has changed or has not been written for long.
func (n *Node) stepStatus(ctx context.Context) (time.Time, error) {
	v := n.look(ctx)
	if !n.registered {
		if err := n.register(ctx, v); err != nil {
			return time.Time{}, err
		}
		n.registered = true
	}
	// Until the informer has the node, which calls for a step of its own.
	v.Node = n.latest()
	if v.Node == nil {
		return v.Now.Add(lookInterval), nil
	}
	status, told := judge(v)
	interval := lookInterval
	if !isReady(&status) {
		interval = unreadyInterval
	}
	if !changed(&v.Node.Status, &status) && v.Now.Sub(n.reported) < reportInterval {
		return v.Now.Add(interval), nil
	}
	if err := n.write(ctx, v.Node, status); err != nil {
		return time.Time{}, err
	}
	n.reported = v.Now
	n.setReadiness(&status)
	for _, e := range told {
		n.tell(e)
	}
	return v.Now.Add(interval), nil
}

// look reads all that the status depends on, but for the Node. What cannot be
// read is as it was, or said in the view.
func (n *Node) look(ctx context.Context) view {
	log := klog.FromContext(ctx)
	v := view{Settings: &n.Settings, Facts: n.facts, Now: n.Clock.Now()}
	// Others must hear in time of a runtime that hangs.
	asking, cancel := context.WithTimeout(ctx, runtimePatience)
	defer cancel()
	v.Runtime, v.RuntimeErr = n.Runtime.Condition(asking)
	if v.RuntimeErr == nil && v.Now.Sub(n.listed) >= imagesInterval {
		images, err := n.Runtime.Images(asking)
		if err == nil {
			n.seen, n.listed = images, v.Now
		} else if ctx.Err() == nil {
			log.Error(err, "Cannot list the images")
		}
	}
	v.Images = n.seen
	observed, err := n.observe()
	v.Storage = n.storage
	if err != nil {
		log.Error(err, "Cannot read how much of the machine is in use")
	}
	pressure, short := n.gauge.observe(v.Now, observed)
	v.Pressure = pressure
	n.mu.Lock()
	disk := !n.pressure.Disk && pressure.Disk
	n.pressure, n.short = pressure, short
	n.mu.Unlock()
	if disk {
		n.steps.Add(keyImages)
	}
	return v
}

// observe reads what can run short. What cannot be read is left out.
func (n *Node) observe() (map[Signal]Observation, error) {
	observed := map[Signal]Observation{}
	memory, err := n.Machine.Memory()
	if err == nil {
		observed[MemoryAvailable] = Observation{memory.Total, memory.Available()}
	}
	pids, failure := n.Machine.PIDs()
	if failure == nil {
		observed[PIDAvailable] = Observation{pids.Max, pids.Max - pids.Running}
	}
	err = errors.Join(err, failure)
	for _, fs := range []struct {
		dir               string
		available, inodes Signal
	}{
		{n.Settings.StorageDir, NodeFSAvailable, NodeFSInodesFree},
		{n.Settings.ImageDir, ImageFSAvailable, ImageFSInodesFree},
	} {
		usage, failure := n.Filesystem(fs.dir)
		if failure != nil {
			err = errors.Join(err, failure)
			continue
		}
		observed[fs.available] = Observation{usage.Capacity, usage.Available}
		observed[fs.inodes] = Observation{usage.Inodes, usage.InodesFree}
		if fs.dir == n.Settings.StorageDir {
			n.storage = usage
		}
	}
	return observed, err
}

// register creates the Node, or puts the labels of one that exists in order.
func (n *Node) register(ctx context.Context, v view) error {
	v.Node = n.blank()
	status, told := judge(v)
	v.Node.Status = status
	_, err := n.Client.CoreV1().Nodes().Create(ctx, v.Node, metav1.CreateOptions{})
	if err == nil {
		n.reported = v.Now
		for _, e := range told {
			n.tell(e)
		}
		return nil
	}
	if !apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("register node %s: %w", n.Settings.Name, err)
	}
	existing, err := n.Client.CoreV1().Nodes().Get(ctx, n.Settings.Name, metav1.GetOptions{})
	if err != nil {
		return fmt.Errorf("get node %s: %w", n.Settings.Name, err)
	}
	if existing.Annotations[simulatedAnnotation] == "true" {
		return fmt.Errorf("node %s exists and is simulated: delete it, or give this one another name", n.Settings.Name)
	}
	return n.reconcile(ctx, existing)
}

// blank is the Node as it is created, but for its status.
func (n *Node) blank() *corev1.Node {
	node := &corev1.Node{
		ObjectMeta: metav1.ObjectMeta{Name: n.Settings.Name, Labels: defaultLabels(n.Settings)},
		Spec:       corev1.NodeSpec{Taints: slices.Clone(n.Settings.Taints)},
	}
	maps.Copy(node.Labels, n.Settings.Labels)
	if n.Settings.Features != "" {
		node.Annotations = map[string]string{prepull.FeaturesAnnotation: n.Settings.Features}
	}
	if n.Settings.PodCIDR != "" {
		node.Spec.PodCIDR, node.Spec.PodCIDRs = n.Settings.PodCIDR, []string{n.Settings.PodCIDR}
	}
	return node
}

// reconcile gives an existing Node the default labels and the features of this
// agent. Labels that a flag named at registration are the administrator's now.
func (n *Node) reconcile(ctx context.Context, existing *corev1.Node) error {
	labels, annotations := map[string]any{}, map[string]any{}
	for name, value := range defaultLabels(n.Settings) {
		if _, override := n.Settings.Labels[name]; !override && existing.Labels[name] != value {
			labels[name] = value
		}
	}
	if existing.Annotations[prepull.FeaturesAnnotation] != n.Settings.Features {
		annotations[prepull.FeaturesAnnotation] = n.Settings.Features
		if n.Settings.Features == "" {
			annotations[prepull.FeaturesAnnotation] = nil
		}
	}
	if len(labels) == 0 && len(annotations) == 0 {
		return nil
	}
	patch, err := json.Marshal(map[string]any{"metadata": map[string]any{"labels": labels, "annotations": annotations}})
	if err != nil {
		return err
	}
	if _, err := n.Client.CoreV1().Nodes().Patch(ctx, n.Settings.Name, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("reconcile node %s: %w", n.Settings.Name, err)
	}
	return nil
}

// write patches what has changed of the status, so that it neither conflicts with
// what others write nor undoes it.
func (n *Node) write(ctx context.Context, old *corev1.Node, status corev1.NodeStatus) error {
	if err := ctx.Err(); err != nil {
		return err // the patch below does not take ctx
	}
	fresh := old.DeepCopy()
	fresh.Status = status
	written, _, err := util.PatchNodeStatus(n.Client.CoreV1(), types.NodeName(n.Settings.Name), old, fresh)
	if err != nil {
		return fmt.Errorf("report the status of node %s: %w", n.Settings.Name, err)
	}
	n.written, n.replaced = written, old.ResourceVersion
	return nil
}

// latest is the Node as last seen, or as last written while nothing has been seen
// since; nil if there is none.
func (n *Node) latest() *corev1.Node {
	seen := n.Current()
	if seen != nil && n.written != nil && seen.UID == n.written.UID && seen.ResourceVersion == n.replaced {
		return n.written
	}
	return seen
}

// changed compares two statuses. That time has passed is no change.
func changed(before, after *corev1.NodeStatus) bool {
	return !equality.Semantic.DeepEqual(timeless(before), timeless(after))
}

// timeless is a copy of a status without the times of its heartbeats.
func timeless(status *corev1.NodeStatus) *corev1.NodeStatus {
	bare := status.DeepCopy()
	for i := range bare.Conditions {
		bare.Conditions[i].LastHeartbeatTime = metav1.Time{}
	}
	return bare
}

// setReadiness keeps the condition Ready of a status that was written.
func (n *Node) setReadiness(status *corev1.NodeStatus) {
	_, ready := util.GetNodeCondition(status, corev1.NodeReady)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.readiness = ready
}

// Readiness is the condition Ready as this process has reported it, nil before. What
// the Node says may be the report of an earlier one. It must not be changed.
func (n *Node) Readiness() *corev1.NodeCondition {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.readiness
}

func isReady(status *corev1.NodeStatus) bool {
	_, condition := util.GetNodeCondition(status, corev1.NodeReady)
	return condition != nil && condition.Status == corev1.ConditionTrue
}
