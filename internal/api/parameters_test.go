package api_test

import (
	"net/url"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/api"
)

func TestDecodeParameters(t *testing.T) {
	since := metav1.NewTime(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	for query, want := range map[string]runtime.Object{
		"": &corev1.PodLogOptions{},
		"container=a&follow=true&previous=1&sinceSeconds=5&timestamps=true&tailLines=7&limitBytes=9&insecureSkipTLSVerifyBackend=true&stream=Stderr": &corev1.PodLogOptions{
			Container: "a", Follow: true, Previous: true, SinceSeconds: ptr.To[int64](5), Timestamps: true, TailLines: ptr.To[int64](7),
			LimitBytes: ptr.To[int64](9), InsecureSkipTLSVerifyBackend: true, Stream: ptr.To("Stderr"),
		},
		"sinceTime=2026-03-01T12:00:00Z&follow=false": &corev1.PodLogOptions{SinceTime: &since},
		"command=sh&command=-c&command=ls+-l&stdin=1&stdout=true&stderr=true&tty=0&container=b": &corev1.PodExecOptions{
			Command: []string{"sh", "-c", "ls -l"}, Stdin: true, Stdout: true, Stderr: true, Container: "b",
		},
		"stdin=true&tty=true&stdout=true": &corev1.PodAttachOptions{Stdin: true, Stdout: true, TTY: true},
		"ports=80,81&ports=443":           &corev1.PodPortForwardOptions{Ports: []int32{80, 81, 443}},
		"path=a/b":                        &corev1.PodProxyOptions{Path: "a/b"},
		"path=/c":                         &corev1.NodeProxyOptions{Path: "/c"},
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		got, err := api.Scheme.New(kindOf(t, want))
		if err != nil {
			t.Fatal(err)
		}
		if err := api.ParameterCodec.DecodeParameters(values, corev1.SchemeGroupVersion, got); err != nil {
			t.Errorf("%s: %v", query, err)
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got):\n%s", query, d)
		}
	}
}

func TestDecodeBadParameters(t *testing.T) {
	for query, into := range map[string]runtime.Object{
		"tailLines=many":      &corev1.PodLogOptions{},
		"sinceTime=yesterday": &corev1.PodLogOptions{},
		"ports=http":          &corev1.PodPortForwardOptions{},
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if err := api.ParameterCodec.DecodeParameters(values, corev1.SchemeGroupVersion, into); err == nil {
			t.Errorf("%s became %+v", query, into)
		}
	}
}

func kindOf(t *testing.T, obj runtime.Object) schema.GroupVersionKind {
	t.Helper()
	all, _, err := api.Scheme.ObjectKinds(obj)
	if err != nil {
		t.Fatal(err)
	}
	return all[0]
}
