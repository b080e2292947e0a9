package admission

import (
	"context"
	"errors"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apiserver/pkg/admission"
	clienttesting "k8s.io/client-go/testing"
)

func newQuota(hard, used corev1.ResourceList) *corev1.ResourceQuota {
	return &corev1.ResourceQuota{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "q"},
		Spec:       corev1.ResourceQuotaSpec{Hard: hard},
		Status:     corev1.ResourceQuotaStatus{Hard: hard, Used: used},
	}
}

func (c chain) used(t *testing.T) corev1.ResourceList {
	t.Helper()
	q, err := c.live.CoreV1().ResourceQuotas("ns").Get(context.Background(), "q", metav1.GetOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return q.Status.Used
}

func TestQuota(t *testing.T) {
	cpu := func(request string) *corev1.Pod {
		return newPod(func(p *corev1.Pod) { p.Spec.Containers[0].Resources.Requests = list("cpu", request) })
	}
	config := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "x"}}
	tests := []struct {
		name       string
		hard, used corev1.ResourceList
		resource   string
		obj        runtime.Object
		wantUsed   corev1.ResourceList
		wantErr    string
	}{
		{name: "room", hard: list("pods", "2"), used: list("pods", "1"), resource: "pods", obj: newPod(), wantUsed: list("pods", "2")},
		{name: "full", hard: list("pods", "1"), used: list("pods", "1"), resource: "pods", obj: newPod(),
			wantErr: `pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1`},
		{name: "compute", hard: list("requests.cpu", "1"), used: list("requests.cpu", "600m"), resource: "pods", obj: cpu("500m"),
			wantErr: `pods "p" is forbidden: exceeded quota: q, requested: requests.cpu=500m, used: requests.cpu=600m, limited: requests.cpu=1`},
		{name: "compute with room", hard: list("requests.cpu", "2"), used: list("requests.cpu", "600m"), resource: "pods", obj: cpu("500m"),
			wantUsed: list("requests.cpu", "1100m")},
		{name: "asks for nothing", hard: list("cpu", "2"), used: list("cpu", "0"), resource: "pods", obj: newPod(),
			wantErr: `pods "p" is forbidden: failed quota: q: must specify cpu for: c`},
		{name: "not summed up yet", hard: list("pods", "2"), used: nil, resource: "pods", obj: newPod(),
			wantErr: `pods "p" is forbidden: status unknown for quota: q, resources: pods`},
		{name: "other kinds", hard: list("configmaps", "1"), used: list("configmaps", "1"), resource: "configmaps", obj: config,
			wantErr: `configmaps "x" is forbidden: exceeded quota: q, requested: configmaps=1, used: configmaps=1, limited: configmaps=1`},
		{name: "kinds of no quota", hard: list("pods", "1"), used: list("pods", "1"), resource: "configmaps", obj: config, wantUsed: list("pods", "1")},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newChain(t, Options{}, newNamespace("privileged"), newAccount("default"), newQuota(tt.hard, tt.used))
			wantError(t, c.send(request{resource: tt.resource, op: admission.Create, obj: tt.obj}), tt.wantErr)
			if tt.wantErr == "" {
				wantSame(t, c.used(t), tt.wantUsed)
			} else {
				wantSame(t, c.used(t), tt.used)
			}
		})
	}
}

// The second pod is refused although the cache still shows an empty quota.
func TestQuotaIsBookedOnTheServer(t *testing.T) {
	c := newChain(t, Options{}, newNamespace("privileged"), newAccount("default"), newQuota(list("pods", "1"), list("pods", "0")))
	wantError(t, c.createPod(newPod()), "")
	wantError(t, c.createPod(newPod()), `pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1`)
}

// Another server booked in between: the request is booked on what that left.
func TestQuotaIsBookedAgainAfterAConflict(t *testing.T) {
	c := newChain(t, Options{}, newNamespace("privileged"), newAccount("default"), newQuota(list("pods", "3"), list("pods", "0")))
	first := true
	c.live.PrependReactor("update", "resourcequotas", func(clienttesting.Action) (bool, runtime.Object, error) {
		if !first {
			return false, nil, nil
		}
		first = false
		other := newQuota(list("pods", "3"), list("pods", "1"))
		if err := c.live.Tracker().Update(corev1.SchemeGroupVersion.WithResource("resourcequotas"), other, "ns"); err != nil {
			t.Error(err)
		}
		return true, nil, apierrors.NewConflict(resourceQuotas, "q", errors.New("changed"))
	})
	wantError(t, c.createPod(newPod()), "")
	wantSame(t, c.used(t), list("pods", "2"))
}

func TestDryRunsAreCheckedAndNotBooked(t *testing.T) {
	c := newChain(t, Options{}, newNamespace("privileged"), newAccount("default"), newQuota(list("pods", "1"), list("pods", "0")))
	wantError(t, c.send(request{resource: "pods", op: admission.Create, obj: newPod(), dryRun: true}), "")
	wantSame(t, c.used(t), list("pods", "0"))
	wantError(t, c.createPod(newPod()), "")
	wantError(t, c.send(request{resource: "pods", op: admission.Create, obj: newPod(), dryRun: true}),
		`pods "p" is forbidden: exceeded quota: q, requested: pods=1, used: pods=1, limited: pods=1`)
}
