package simulated

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/util/workqueue"
	"k8s.io/component-base/version"
)

// creators is how many nodes are created at once.
const creators = 32

// zones are dealt out to created nodes in turn.
var zones = []string{"zone-a", "zone-b", "zone-c"}

// region is the one that all created nodes are in.
const region = "region-1"

// CreateNodes makes sure that n simulated nodes exist, sim-0001 and up. Nodes
// that exist are left as they are.
func CreateNodes(ctx context.Context, client kubernetes.Interface, n int) error {
	var mu sync.Mutex
	var failures []error
	now := time.Now()
	workqueue.ParallelizeUntil(ctx, creators, n, func(i int) {
		node := newNode(i+1, now)
		_, err := client.CoreV1().Nodes().Create(ctx, node, metav1.CreateOptions{})
		if err == nil || apierrors.IsAlreadyExists(err) {
			return
		}
		mu.Lock()
		defer mu.Unlock()
		failures = append(failures, fmt.Errorf("create simulated node %s: %w", node.Name, err))
	})
	if err := ctx.Err(); err != nil {
		return err
	}
	return errors.Join(failures...)
}

// newNode returns the simulated node of a number, counted from 1, healthy from
// its first moment.
func newNode(number int, now time.Time) *corev1.Node {
	name := fmt.Sprintf("sim-%04d", number)
	node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{
		Name:        name,
		Annotations: map[string]string{Annotation: "true"},
		Labels: map[string]string{
			corev1.LabelHostname:       name,
			corev1.LabelOSStable:       "linux",
			corev1.LabelArchStable:     "amd64",
			corev1.LabelTopologyZone:   zones[(number-1)%len(zones)],
			corev1.LabelTopologyRegion: region,
		},
	}}
	node.Status = *nodeStatus(nodeView{Node: node, Address: numbered(number), Version: kubeletVersion(), Now: now})
	return node
}

// numbered returns the address of the created node of a number.
func numbered(number int) string {
	address := createdNodes.Addr().As4()
	address[1] += byte(number >> 16)
	address[2], address[3] = byte(number>>8), byte(number)
	return fmt.Sprintf("%d.%d.%d.%d", address[0], address[1], address[2], address[3])
}

// kubeletVersion is the version that nodes report: the server's own.
func kubeletVersion() string { return version.Get().GitVersion }
