package volume

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/objects"
)

// start is when all transcripts and tests begin.
var start = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// world has the objects that volumes are filled from.
type world struct {
	maps    map[string]*corev1.ConfigMap
	secrets map[string]*corev1.Secret
	token   objects.Token
	noToken error
	pod     *corev1.Pod
}

func newWorld() *world {
	return &world{maps: map[string]*corev1.ConfigMap{}, secrets: map[string]*corev1.Secret{}}
}

func (w *world) ConfigMap(_ context.Context, _, name string) (*corev1.ConfigMap, error) {
	if object, ok := w.maps[name]; ok {
		return object, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("configmap"), name)
}

func (w *world) Secret(_ context.Context, _, name string) (*corev1.Secret, error) {
	if object, ok := w.secrets[name]; ok {
		return object, nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("secret"), name)
}

func (w *world) Token(_ context.Context, pod *corev1.Pod, wish objects.TokenWish) (objects.Token, error) {
	if w.token.Value != "" || w.noToken != nil {
		return w.token, w.noToken
	}
	seconds := time.Duration(3600)
	if wish.ExpirationSeconds != nil {
		seconds = time.Duration(*wish.ExpirationSeconds)
	}
	value := fmt.Sprintf("%s for %q %ds", pod.Spec.ServiceAccountName, wish.Audience, seconds)
	return objects.Token{Value: value, Renew: start.Add(seconds * time.Second * 4 / 5)}, nil
}

func TestContents(t *testing.T) {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	codec := serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
	allocatable := corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("4")}
	decode := func(t *testing.T, d *datadriven.TestData, text string) runtime.Object {
		object, _, err := codec.Decode([]byte(text), nil, nil)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		return object
	}
	datadriven.Walk(t, "testdata/contents", func(t *testing.T, path string) {
		w := newWorld()
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "apply":
				for _, text := range strings.Split(d.Input, "\n---\n") {
					w.apply(decode(t, d, text))
				}
				return ""
			case "no-token":
				w.noToken = errors.New(strings.TrimSpace(d.Input))
				return ""
			case "volume":
				text := "apiVersion: v1\nkind: Pod\nspec:\n  volumes:\n  - name: v\n    " + strings.ReplaceAll(d.Input, "\n", "\n    ")
				v := decode(t, d, text).(*corev1.Pod).Spec.Volumes[0]
				contents, renew, err := filler{w, w.pod, allocatable}.fill(t.Context(), &v)
				return showContents(contents, renew, err)
			case "hosts":
				request := agent.MountRequest{
					ContainerRequest: agent.ContainerRequest{Pod: w.pod, PodIPs: []string{"10.1.0.7", "fd00::7"}}, Hostname: "web-0",
				}
				d.MaybeScanArgs(t, "domain", &request.Domain)
				return string(ownHosts(request))
			}
			d.Fatalf(t, "unknown command %s", d.Cmd)
			return ""
		})
	})
}

func (w *world) apply(object runtime.Object) {
	switch o := object.(type) {
	case *corev1.ConfigMap:
		w.maps[o.Name] = o
	case *corev1.Secret:
		o.Data = map[string][]byte{}
		for key, value := range o.StringData {
			o.Data[key] = []byte(value)
		}
		w.secrets[o.Name] = o
	case *corev1.Pod:
		w.pod = o
	}
}

func showContents(contents payload, renew time.Time, err error) string {
	var out strings.Builder
	if err != nil {
		fmt.Fprintf(&out, "error: %v\n", err)
		return out.String()
	}
	for _, name := range contents.names() {
		f := contents[name]
		fmt.Fprintf(&out, "%v %s %q", f.mode, name, f.data)
		if f.uid != nil {
			fmt.Fprintf(&out, " of user %d", *f.uid)
		}
		out.WriteString("\n")
	}
	if !renew.IsZero() {
		fmt.Fprintf(&out, "renewed after %v\n", renew.Sub(start))
	}
	if out.Len() == 0 {
		return "empty\n"
	}
	return out.String()
}
