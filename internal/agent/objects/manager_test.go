package objects_test

import (
	"fmt"
	"os"
	"sync/atomic"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	"k8s.io/utils/clock"
	clocktesting "k8s.io/utils/clock/testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/garrison-project/garrison/internal/agent/objects"
	"github.com/garrison-project/garrison/internal/apitest"
)

var api *apitest.API

func TestMain(m *testing.M) {
	os.Exit(apitest.Main(m, func(a *apitest.API) ([]apitest.Part, error) {
		api = a
		return nil, nil
	}))
}

// overHTTP is a client as agents of other machines have it.
func overHTTP(t *testing.T) kubernetes.Interface {
	client, err := kubernetes.NewForConfig(api.RESTConfig())
	if err != nil {
		t.Fatal(err)
	}
	return client
}

// podNaming names ConfigMap conf in a volume and Secret key in its environment.
func podNaming(ns, uid string) *corev1.Pod {
	return &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "pod-" + uid, UID: types.UID(uid)},
		Spec: corev1.PodSpec{
			ServiceAccountName: "default",
			Volumes: []corev1.Volume{{Name: "v", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: "conf"}}}}},
			Containers: []corev1.Container{{Name: "main", Env: []corev1.EnvVar{{Name: "A", ValueFrom: &corev1.EnvVarSource{
				SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "key"}, Key: "a"}}}}}},
		},
	}
}

func TestObjectsAreKeptCurrent(t *testing.T) {
	ns := api.Namespace(t)
	var told atomic.Int64
	m := objects.New(t.Context(), objects.Options{
		Client: overHTTP(t), Clock: clock.RealClock{},
		Changed: func(uid types.UID) {
			if uid == "a" {
				told.Add(1)
			}
		},
	})
	t.Cleanup(m.Close)
	if _, err := m.ConfigMap(t.Context(), ns, "conf"); err == nil || apierrors.IsNotFound(err) {
		t.Errorf("what no pod names: %v", err)
	}
	m.Hold(podNaming(ns, "a"))
	_, err := m.ConfigMap(t.Context(), ns, "conf")
	if !apierrors.IsNotFound(err) || err.Error() != `configmap "conf" not found` {
		t.Errorf("absent: %v", err)
	}
	_, err = m.Secret(t.Context(), ns, "key")
	if !apierrors.IsNotFound(err) || err.Error() != `secret "key" not found` {
		t.Errorf("absent: %v", err)
	}

	maps := api.Client().CoreV1().ConfigMaps(ns)
	conf := &corev1.ConfigMap{ObjectMeta: metav1.ObjectMeta{Name: "conf"}, Data: map[string]string{"a": "1"}}
	conf, err = maps.Create(t.Context(), conf, metav1.CreateOptions{})
	apitest.Must(t)(conf, err)
	became := func(want string) func() error {
		return func() error {
			got, err := m.ConfigMap(t.Context(), ns, "conf")
			if err == nil && got.Data["a"] != want {
				err = fmt.Errorf("%v", got.Data)
			}
			return err
		}
	}
	apitest.Eventually(t, became("1"))
	before := told.Load()
	conf.Data["a"] = "2"
	apitest.Must(t)(maps.Update(t.Context(), conf, metav1.UpdateOptions{}))
	apitest.Eventually(t, became("2"))
	apitest.Eventually(t, func() error {
		if told.Load() == before {
			return fmt.Errorf("told %d times", before)
		}
		return nil
	})
	// A second pod knows it at once; and it is known until nobody names it.
	m.Hold(podNaming(ns, "b"))
	m.Release("a")
	if err := became("2")(); err != nil {
		t.Error(err)
	}
	m.Release("b")
	if _, err := m.ConfigMap(t.Context(), ns, "conf"); err == nil || apierrors.IsNotFound(err) {
		t.Errorf("what no pod names any more: %v", err)
	}
}

// An immutable object is not watched, but a pod that comes later reads it again.
func TestImmutableObjectsMadeAnewAreSeenByNewPods(t *testing.T) {
	ns := api.Namespace(t)
	m := objects.New(t.Context(), objects.Options{Client: overHTTP(t), Clock: clock.RealClock{}})
	t.Cleanup(m.Close)
	maps := api.Client().CoreV1().ConfigMaps(ns)
	yes := true
	for i, uid := range []string{"a", "b"} {
		conf := &corev1.ConfigMap{
			ObjectMeta: metav1.ObjectMeta{Name: "conf"}, Immutable: &yes, Data: map[string]string{"i": fmt.Sprint(i)}}
		apitest.Must(t)(maps.Create(t.Context(), conf, metav1.CreateOptions{}))
		m.Hold(podNaming(ns, uid))
		got, err := m.ConfigMap(t.Context(), ns, "conf")
		if err != nil || got.Data["i"] != fmt.Sprint(i) {
			t.Errorf("pod %s sees %v, %v", uid, got, err)
		}
		apitest.Must(t)(nil, maps.Delete(t.Context(), "conf", metav1.DeleteOptions{}))
	}
}

func TestTokensAreRenewedInTime(t *testing.T) {
	client := fake.NewClientset()
	var asked []authenticationv1.TokenRequestSpec
	var refuse error
	client.PrependReactor("create", "serviceaccounts", func(action clienttesting.Action) (bool, runtime.Object, error) {
		request := action.(clienttesting.CreateAction).GetObject().(*authenticationv1.TokenRequest).DeepCopy()
		asked = append(asked, request.Spec)
		request.Status.Token = fmt.Sprint("token-", len(asked))
		return true, request, refuse
	})
	now := clocktesting.NewFakeClock(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	m := objects.New(t.Context(), objects.Options{Client: client, Clock: now})
	t.Cleanup(m.Close)
	pod := podNaming("ns", "a")
	m.Hold(pod)

	hour, week := int64(3600), int64(7*24*3600)
	steps := []struct {
		after   time.Duration
		seconds *int64
		refuse  error
		want    string
		renewIn time.Duration
	}{
		{0, &hour, nil, "token-1", 48 * time.Minute},
		{0, &week, nil, "token-2", 24 * time.Hour},
		{47 * time.Minute, &hour, nil, "token-1", time.Minute},
		{time.Minute, &hour, nil, "token-3", 48 * time.Minute},
		{48 * time.Minute, &hour, fmt.Errorf("down"), "token-3", 30 * time.Second},
		{12 * time.Minute, &hour, fmt.Errorf("down"), "error: failed to fetch token: down", 0},
		{0, &hour, nil, "token-6", 48 * time.Minute},
		{0, &week, nil, "token-2", 24*time.Hour - 108*time.Minute},
	}
	for i, step := range steps {
		now.Step(step.after)
		refuse = step.refuse
		token, err := m.Token(t.Context(), pod, objects.TokenWish{Audience: "vault", ExpirationSeconds: step.seconds})
		got := token.Value
		if err != nil {
			got = "error: " + err.Error()
		} else if in := token.Renew.Sub(now.Now()); in != step.renewIn {
			t.Errorf("step %d: renew in %v, want %v", i, in, step.renewIn)
		}
		if got != step.want {
			t.Errorf("step %d: %s, want %s", i, got, step.want)
		}
	}
	ref := asked[0].BoundObjectRef
	if ref == nil || *ref != (authenticationv1.BoundObjectReference{Kind: "Pod", APIVersion: "v1", Name: "pod-a", UID: "a"}) {
		t.Errorf("bound to %v", ref)
	}
	if fmt.Sprint(asked[0].Audiences) != "[vault]" || *asked[1].ExpirationSeconds != week {
		t.Errorf("asked for %v", asked[:2])
	}
	// What was known goes with the pod.
	m.Release("a")
	m.Hold(pod)
	if token, err := m.Token(t.Context(), pod, objects.TokenWish{Audience: "vault", ExpirationSeconds: &week}); err != nil || token.Value != "token-7" {
		t.Errorf("after release: %v, %v", token, err)
	}
}
