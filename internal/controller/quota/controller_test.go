package quota

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"
	"k8s.io/utils/ptr"
)

func list(pairs ...string) corev1.ResourceList {
	l := corev1.ResourceList{}
	for i := 0; i < len(pairs); i += 2 {
		l[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
	}
	return l
}

func newPod(i int) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: fmt.Sprintf("p%d", i)},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "c", Resources: corev1.ResourceRequirements{Requests: list("cpu", "100m")},
		}}},
	}
}

// The status follows the limits at once, and what leaves within a moment.
func TestStatusIsKeptTrue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		quota := &corev1.ResourceQuota{
			ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "q"},
			Spec:       corev1.ResourceQuotaSpec{Hard: list("pods", "5", "requests.cpu", "1", "configmaps", "2", "count/pods", "9")},
		}
		client := fake.NewClientset(quota, newPod(1), newPod(2), newPod(3),
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "ns", Name: "c"}},
			&corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Namespace: "elsewhere", Name: "c"}})
		factory := informers.NewSharedInformerFactory(client, 0)
		c, err := New(Options{Client: client, Informers: factory})
		if err != nil {
			t.Fatal(err)
		}
		factory.Start(ctx.Done())
		ended := make(chan struct{})
		go func() { defer close(ended); c.Run(ctx) }()
		defer func() { cancel(); factory.Shutdown(); <-ended }()

		want := func(used corev1.ResourceList) {
			t.Helper()
			time.Sleep(time.Second) // of the bubble's clock: longer than the gathering
			synctest.Wait()
			q, err := client.CoreV1().ResourceQuotas("ns").Get(ctx, "q", metav1.GetOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if !equality.Semantic.DeepEqual(q.Status.Used, used) || !equality.Semantic.DeepEqual(q.Status.Hard, q.Spec.Hard) {
				t.Errorf("got used %v of %v, want %v", q.Status.Used, q.Status.Hard, used)
			}
		}
		want(list("pods", "3", "requests.cpu", "300m", "configmaps", "1", "count/pods", "3"))

		failed := newPod(1)
		failed.Status.Phase = corev1.PodFailed
		if _, err := client.CoreV1().Pods("ns").UpdateStatus(ctx, failed, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		want(list("pods", "2", "requests.cpu", "200m", "configmaps", "1", "count/pods", "3"))

		if err := client.CoreV1().Pods("ns").Delete(ctx, "p2", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		if err := client.CoreV1().ConfigMaps("ns").Delete(ctx, "c", metav1.DeleteOptions{}); err != nil {
			t.Fatal(err)
		}
		want(list("pods", "1", "requests.cpu", "100m", "configmaps", "0", "count/pods", "2"))

		scoped := quota.DeepCopy()
		scoped.Spec.Hard, scoped.Spec.Scopes = list("pods", "5"), []corev1.ResourceQuotaScope{corev1.ResourceQuotaScopeNotTerminating}
		if _, err := client.CoreV1().ResourceQuotas("ns").Update(ctx, scoped, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		want(list("pods", "1"))
		timed := newPod(3)
		timed.Spec.ActiveDeadlineSeconds = ptr.To[int64](30) // moves to another scope
		if _, err := client.CoreV1().Pods("ns").Update(ctx, timed, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		want(list("pods", "0"))

		narrow := quota.DeepCopy()
		narrow.Spec.Hard = list("pods", "1")
		if _, err := client.CoreV1().ResourceQuotas("ns").Update(ctx, narrow, metav1.UpdateOptions{}); err != nil {
			t.Fatal(err)
		}
		want(list("pods", "1"))
	})
}
