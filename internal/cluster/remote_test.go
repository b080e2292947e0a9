package cluster

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"k8s.io/utils/ptr"
)

// candidate is one RunRemote under way.
type candidate struct {
	cancel context.CancelFunc
	ready  chan struct{}
	ended  chan error
}

func (c *candidate) await(t *testing.T, what string, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	case err := <-c.ended:
		t.Fatalf("ended instead of %s: %v", what, err)
	case <-time.After(patience):
		t.Fatalf("waited in vain for %s", what)
	}
}

func (c *candidate) end(t *testing.T) error {
	t.Helper()
	select {
	case err := <-c.ended:
		return err
	case <-time.After(patience):
		t.Fatal("does not end")
		return nil
	}
}

// stand starts a scheduler that takes part in an election.
func stand(t *testing.T, kubeconfig, identity string) *candidate {
	t.Helper()
	api, err := clientcmd.BuildConfigFromFlags("", kubeconfig)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	c := &candidate{cancel: cancel, ready: make(chan struct{}), ended: make(chan error, 1)}
	cfg := RemoteConfig{Part: Scheduler, API: api, Election: &Election{
		Namespace: "kube-system", Name: "test", Identity: identity,
		LeaseDuration: 4 * time.Second, RenewDeadline: 3 * time.Second, RetryPeriod: 100 * time.Millisecond,
	}}
	go func() { c.ended <- RunRemote(ctx, cfg, func() { close(c.ready) }) }()
	return c
}

func TestElection(t *testing.T) {
	without, err := ParseSelection([]string{"*", "-scheduler"})
	if err != nil {
		t.Fatal(err)
	}
	c := startCluster(t, Config{DataDir: filepath.Join(t.TempDir(), "data"), Controllers: without})
	defer stopCluster(t, c)
	leases := c.Client().CoordinationV1().Leases("kube-system")
	lease := func() coordinationv1.LeaseSpec {
		got, err := leases.Get(t.Context(), "test", metav1.GetOptions{})
		if err != nil {
			t.Fatal(err)
		}
		return got.Spec
	}

	first := stand(t, c.Kubeconfig(), "first")
	first.await(t, "leading", first.ready)
	second := stand(t, c.Kubeconfig(), "second")
	if holder := ptr.Deref(lease().HolderIdentity, ""); holder != "first" {
		t.Errorf("held by %q", holder)
	}

	// Who ends well frees the lease, and nobody waits for it to expire.
	first.cancel()
	if err := first.end(t); err != nil {
		t.Errorf("asked to end: %v", err)
	}
	second.await(t, "leading", second.ready)

	// Who stands by ends well too, and leaves the lease alone.
	third := stand(t, c.Kubeconfig(), "third")
	third.cancel()
	if err := third.end(t); err != nil {
		t.Errorf("asked to end while standing by: %v", err)
	}
	if spec := lease(); ptr.Deref(spec.HolderIdentity, "") != "second" || ptr.Deref(spec.LeaseDurationSeconds, 0) != 4 {
		t.Errorf("lease %+v", spec)
	}

	// Who loses the lease ends, and says so.
	patch := []byte(`{"spec":{"holderIdentity":"usurper"}}`)
	if _, err := leases.Patch(t.Context(), "test", types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := second.end(t); err == nil || !strings.HasPrefix(err.Error(), "lost the lease kube-system/test: ") {
		t.Errorf("lost the lease: %v", err)
	}
	if holder := ptr.Deref(lease().HolderIdentity, ""); holder != "usurper" {
		t.Errorf("freed a lease of %q", holder)
	}
}

func TestRemoteEndsWhileNobodyAnswers(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	api := &rest.Config{Host: "https://nobody.invalid", Dial: func(context.Context, string, string) (net.Conn, error) {
		defer cancel()
		return nil, errors.New("nobody answers")
	}}
	err := RunRemote(ctx, RemoteConfig{Part: DaemonSetController, API: api, Election: &Election{}}, func() { t.Error("is ready") })
	if err != nil {
		t.Errorf("asked to end: %v", err)
	}
}

func TestRemotePartThatEndsIsAFailure(t *testing.T) {
	err := lead(t.Context(), &leadership{}, []part{untilDone("steady"), {"lazy", func(context.Context) { panic("boom") }}}, func() {})
	if err == nil || !strings.HasPrefix(err.Error(), "lazy: panic: boom\n") {
		t.Errorf("lead: %v", err)
	}
}
