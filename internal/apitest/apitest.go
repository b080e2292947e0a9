// Package apitest gives the tests of controllers and agents a real API server
// in their own process. Only tests import it; what they run against the server
// is their choice.
package apitest

import (
	"context"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/metadata"

	"github.com/garrison-project/garrison/internal/server"
)

// patience is how long a condition may take to come true on a busy machine.
const patience = 60 * time.Second

// Part is something that runs against the server until its context is done.
type Part interface{ Run(ctx context.Context) }

// API is a running API server.
type API struct {
	*server.Server
	Metadata metadata.Interface
}

// Main runs the tests of a package against one server, with the parts that
// assemble returns at work. It is what TestMain calls with os.Exit.
func Main(m *testing.M, assemble func(*API) ([]Part, error)) int {
	code, err := run(m, assemble)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return code
}

func run(m *testing.M, assemble func(*API) ([]Part, error)) (code int, err error) {
	dir, err := os.MkdirTemp("", "garrison-api-")
	if err != nil {
		return 0, err
	}
	defer os.RemoveAll(dir)
	s, err := server.Start(context.Background(), server.Config{DataDir: dir})
	if err != nil {
		return 0, err
	}
	defer func() {
		if failure := s.Shutdown(); err == nil {
			err = failure
		}
	}()
	api := &API{Server: s}
	if api.Metadata, err = metadata.NewForConfig(s.RESTConfig()); err != nil {
		return 0, err
	}
	parts, err := assemble(api)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	api.Informers().Start(ctx.Done())
	ended := make(chan struct{})
	for _, part := range parts {
		go func() { part.Run(ctx); ended <- struct{}{} }()
	}
	code = m.Run()
	cancel()
	for range parts {
		<-ended
	}
	return code, nil
}

// Namespace creates a namespace with a service account for one test.
func (a *API) Namespace(t testing.TB) string {
	t.Helper()
	prefix := strings.ToLower(strings.NewReplacer("/", "-", "_", "-").Replace(t.Name())) + "-"
	ns, err := a.Client().CoreV1().Namespaces().Create(t.Context(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatalf("create namespace: %v", err)
	}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default"}}
	_, err = a.Client().CoreV1().ServiceAccounts(ns.Name).Create(t.Context(), account, metav1.CreateOptions{})
	if err != nil && !apierrors.IsAlreadyExists(err) {
		t.Fatalf("create service account: %v", err)
	}
	return ns.Name
}

// Must ends the test if a call has failed. The value of the call is dropped.
func Must(t testing.TB) func(value any, err error) {
	t.Helper()
	return func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
}

// Eventually waits until holds returns nil, and ends the test with the last
// error if that takes too long.
func Eventually(t testing.TB, holds func() error) {
	t.Helper()
	var last error
	err := wait.PollUntilContextTimeout(t.Context(), 5*time.Millisecond, patience, true, func(context.Context) (bool, error) {
		last = holds()
		return last == nil, nil
	})
	if err != nil {
		t.Fatalf("waited in vain: %v", last)
	}
}

// Throughout asserts that holds returns nil for as long as d lasts.
func Throughout(t testing.TB, d time.Duration, holds func() error) {
	t.Helper()
	var broken error
	err := wait.PollUntilContextTimeout(t.Context(), 20*time.Millisecond, d, true, func(context.Context) (bool, error) {
		broken = holds()
		return broken != nil, nil
	})
	if err == nil {
		t.Fatal(broken)
	}
}

// Gone turns the error of a get into nil if the object does not exist.
func Gone[T any](object T, err error) error {
	switch {
	case apierrors.IsNotFound(err):
		return nil
	case err != nil:
		return err
	}
	return fmt.Errorf("still there: %v", object)
}
