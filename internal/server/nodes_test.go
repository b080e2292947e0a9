package server

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

// whoami asks the server who it takes a client for.
func whoami(t *testing.T, config *rest.Config) string {
	t.Helper()
	reviews := kubernetes.NewForConfigOrDie(config).AuthenticationV1().SelfSubjectReviews()
	got, err := reviews.Create(t.Context(), &authenticationv1.SelfSubjectReview{}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return got.Status.UserInfo.Username
}

// A node is the same user over TLS, with its certificate, and in this process.
func TestNodeIdentity(t *testing.T) {
	file, err := shared.NodeCertificate("node-a", net.IPv4(192, 0, 2, 1))
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	for _, host := range []string{"node-a", "192.0.2.1"} {
		if err := certificate.Leaf.VerifyHostname(host); err != nil {
			t.Error(err)
		}
	}
	overTLS := &rest.Config{Host: shared.URL(), TLSClientConfig: rest.TLSClientConfig{
		CAFile: shared.AuthorityFile(), CertFile: file, KeyFile: file}}
	for name, config := range map[string]*rest.Config{"TLS": overTLS, "in process": shared.NodeRESTConfig("node-a")} {
		if got := whoami(t, config); got != "system:node:node-a" {
			t.Errorf("%s: %s", name, got)
		}
	}
}

func TestNodeCertificateIsRenewed(t *testing.T) {
	s := start(t, Config{DataDir: t.TempDir()})
	file, err := s.NodeCertificate("node-a")
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.renewNodes(time.Now().AddDate(0, 11, 0)); err != nil {
		t.Fatal(err)
	}
	if after, err := os.ReadFile(file); err != nil || string(after) == string(before) {
		t.Errorf("not renewed, error %v", err)
	}
}

func TestNodeCertificateWantsANodeName(t *testing.T) {
	for _, name := range []string{"", "Node", "../ca"} {
		if file, err := shared.NodeCertificate(name); err == nil || !strings.Contains(err.Error(), "cannot be the name of a node") {
			t.Errorf("%q: %s, %v", name, file, err)
		}
	}
}

// What an agent does all day, and what it may not do, on the real server.
func TestNodeDoesItsWork(t *testing.T) {
	ctx, ns := t.Context(), namespace(t)
	admin := shared.Client()
	own := kubernetes.NewForConfigOrDie(shared.NodeRESTConfig("busy"))
	node, err := own.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "busy"}}, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		gone := context.WithoutCancel(ctx)
		if err := errors.Join(
			admin.CoreV1().Nodes().Delete(gone, "busy", metav1.DeleteOptions{}),
			admin.CoordinationV1().Leases("kube-node-lease").Delete(gone, "busy", metav1.DeleteOptions{}),
		); err != nil {
			t.Error(err)
		}
	})
	lease := &coordinationv1.Lease{ObjectMeta: metav1.ObjectMeta{Name: "busy"}}
	if _, err := own.CoordinationV1().Leases("kube-node-lease").Create(ctx, lease, metav1.CreateOptions{}); err != nil {
		t.Error(err)
	}
	node.Status.Phase = corev1.NodeRunning
	if _, err := own.CoreV1().Nodes().UpdateStatus(ctx, node, metav1.UpdateOptions{}); err != nil {
		t.Error(err)
	}
	if _, err := admin.CoreV1().ConfigMaps(ns).Create(ctx, configMap("named"), metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	getMap := func(name string) error {
		_, err := own.CoreV1().ConfigMaps(ns).Get(ctx, name, metav1.GetOptions{})
		return err
	}
	wantForbidden(t, getMap("named"), `configmaps "named" is forbidden: User "system:node:busy" cannot get resource "configmaps" in API group "" in the namespace "`+ns+`": node: no relationship found between node 'busy' and this object`)

	pod := newPod(ns, "p")
	pod.Spec.NodeName = "busy"
	pod.Spec.Volumes = []corev1.Volume{{Name: "m", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: "named"}}}}}
	if pod, err = admin.CoreV1().Pods(ns).Create(ctx, pod, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the config map of its pod", func() bool { return getMap("named") == nil })
	pods, err := own.CoreV1().Pods("").List(ctx, metav1.ListOptions{FieldSelector: "spec.nodeName=busy"})
	if err != nil || len(pods.Items) != 1 {
		t.Errorf("its pods: %v, %v", pods, err)
	}
	pod.Status.Phase = corev1.PodRunning
	if _, err := own.CoreV1().Pods(ns).UpdateStatus(ctx, pod, metav1.UpdateOptions{}); err != nil {
		t.Error(err)
	}
	if err := own.CoreV1().Pods(ns).Delete(ctx, "p", metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
		t.Error(err)
	}
	eventually(t, "the end of the config map's use", func() bool { return apierrors.IsForbidden(getMap("named")) })
}

func TestNodeKeepsToItself(t *testing.T) {
	ctx, ns := t.Context(), namespace(t)
	own := kubernetes.NewForConfigOrDie(shared.NodeRESTConfig("curious"))
	pod := newPod(ns, "p")
	pod.Spec.NodeName = "elsewhere"
	pod, err := shared.Client().CoreV1().Pods(ns).Create(ctx, pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := shared.Client().CoreV1().Pods(ns).Delete(context.Background(), "p", metav1.DeleteOptions{GracePeriodSeconds: new(int64)}); err != nil {
			t.Error(err)
		}
	})
	_, err = own.CoreV1().Pods("").List(ctx, metav1.ListOptions{})
	wantForbidden(t, err, "can only list/watch pods with spec.nodeName field selector")
	_, err = own.CoreV1().Nodes().Create(ctx, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "other"}}, metav1.CreateOptions{})
	wantForbidden(t, err, `node "curious" is not allowed to modify node "other"`)
	_, err = own.CoreV1().Pods(ns).UpdateStatus(ctx, pod, metav1.UpdateOptions{})
	wantForbidden(t, err, `node "curious" can only update pod status for pods with spec.nodeName set to itself`)
	_, err = shared.NodeWriter("curious").UpdatePodStatus(ctx, pod)
	wantForbidden(t, err, `node "curious" can only update pod status for pods with spec.nodeName set to itself`)
	_, err = own.AppsV1().DaemonSets("").List(ctx, metav1.ListOptions{})
	wantForbidden(t, err, `User "system:node:curious" cannot list resource "daemonsets" in API group "apps" at the cluster scope`)
	eventually(t, "deletion to be refused", func() bool {
		err := own.CoreV1().Pods(ns).Delete(ctx, "p", metav1.DeleteOptions{})
		return apierrors.IsForbidden(err) && strings.Contains(err.Error(), `node "curious" can only delete pods with spec.nodeName set to itself`)
	})
}

func wantForbidden(t *testing.T, err error, want string) {
	t.Helper()
	if !apierrors.IsForbidden(err) || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}
