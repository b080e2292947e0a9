package environ

import (
	"context"
	"fmt"
	"io/fs"
	"reflect"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"pgregory.net/rapid"

	"github.com/garrison-project/garrison/internal/agent"
)

// world is what a transcript has set up. Objects that are applied again under
// their name are replaced.
type world struct {
	objects map[string]runtime.Object
	files   map[string]string
	input   Input
}

func (w *world) apply(object runtime.Object) {
	switch o := object.(type) {
	case *corev1.Pod:
		w.input.Pod = o
		w.input.PodIPs = nil
		for _, ip := range o.Status.PodIPs {
			w.input.PodIPs = append(w.input.PodIPs, ip.IP)
		}
	case *corev1.Node:
		w.input.Allocatable = o.Status.Allocatable
		w.input.HostIPs = nil
		for _, a := range o.Status.Addresses {
			w.input.HostIPs = append(w.input.HostIPs, a.Address)
		}
	case *corev1.Service:
		w.input.Services = append(w.input.Services, o)
	case *corev1.ConfigMap:
		w.objects["configmap "+o.Namespace+"/"+o.Name] = o
	case *corev1.Secret:
		for key, value := range o.StringData {
			if o.Data == nil {
				o.Data = map[string][]byte{}
			}
			o.Data[key] = []byte(value)
		}
		w.objects["secret "+o.Namespace+"/"+o.Name] = o
	}
}

func (w *world) ConfigMap(_ context.Context, namespace, name string) (*corev1.ConfigMap, error) {
	if o, ok := w.objects["configmap "+namespace+"/"+name]; ok {
		return o.(*corev1.ConfigMap), nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("configmap"), name)
}

func (w *world) Secret(_ context.Context, namespace, name string) (*corev1.Secret, error) {
	if o, ok := w.objects["secret "+namespace+"/"+name]; ok {
		return o.(*corev1.Secret), nil
	}
	return nil, apierrors.NewNotFound(corev1.Resource("secret"), name)
}

func (w *world) File(_ *corev1.Pod, volume, path string) ([]byte, error) {
	text, ok := w.files[volume+" "+path]
	if !ok {
		return nil, fs.ErrNotExist
	}
	return []byte(text), nil
}

func decoder(t *testing.T) runtime.Decoder {
	scheme := runtime.NewScheme()
	if err := corev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	return serializer.NewCodecFactory(scheme, serializer.EnableStrict).UniversalDeserializer()
}

func TestEnvironments(t *testing.T) {
	codec := decoder(t)
	datadriven.Walk(t, "testdata", func(t *testing.T, path string) {
		w := &world{objects: map[string]runtime.Object{}, files: map[string]string{}}
		w.input.Objects, w.input.Files = w, w
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			switch d.Cmd {
			case "apply":
				for _, text := range strings.Split(d.Input, "\n---\n") {
					object, _, err := codec.Decode([]byte(text), nil, nil)
					if err != nil {
						d.Fatalf(t, "%v", err)
					}
					w.apply(object)
				}
				return ""
			case "file":
				var volume, name string
				d.ScanArgs(t, "volume", &volume)
				d.ScanArgs(t, "path", &name)
				w.files[volume+" "+name] = d.Input
				return ""
			case "container":
				return w.container(t, d, codec)
			}
			d.Fatalf(t, "unknown command %s", d.Cmd)
			return ""
		})
	})
}

// container resolves a container of a pod that is written out as the input, or the
// first one of the pod applied.
func (w *world) container(t *testing.T, d *datadriven.TestData, codec runtime.Decoder) string {
	in := w.input
	in.Pod = in.Pod.DeepCopy()
	in.Container = &in.Pod.Spec.Containers[0]
	if d.Input != "" {
		wrapped := "apiVersion: v1\nkind: Pod\nspec:\n  containers:\n  - name: main\n    " +
			strings.ReplaceAll(d.Input, "\n", "\n    ")
		object, _, err := codec.Decode([]byte(wrapped), nil, nil)
		if err != nil {
			d.Fatalf(t, "%v", err)
		}
		in.Container = &object.(*corev1.Pod).Spec.Containers[0]
	}
	if d.HasArg("no-links") {
		no := false
		in.Pod.Spec.EnableServiceLinks = &no
	}
	before := [2]any{in.Pod.DeepCopy(), in.Container.DeepCopy()}
	env, err := Env(t.Context(), in)
	for range 20 {
		again, errAgain := Env(t.Context(), in)
		if !reflect.DeepEqual(env, again) || fmt.Sprint(err) != fmt.Sprint(errAgain) {
			d.Fatalf(t, "another answer to the same question")
		}
	}
	if !reflect.DeepEqual(before, [2]any{in.Pod, in.Container}) {
		d.Fatalf(t, "the input was changed")
	}
	if err != nil {
		return "error: " + err.Error() + "\n"
	}
	return render(in.Container, env)
}

func render(container *corev1.Container, env []agent.EnvVar) string {
	var out strings.Builder
	for _, v := range env {
		if strings.ContainsAny(v.Value, "\n ") || v.Value == "" {
			fmt.Fprintf(&out, "%s=%q\n", v.Name, v.Value)
			continue
		}
		fmt.Fprintf(&out, "%s=%s\n", v.Name, v.Value)
	}
	command, args := Command(container, env)
	if len(command)+len(args) > 0 {
		fmt.Fprintf(&out, "runs %q %q\n", command, args)
	}
	for i := range container.VolumeMounts {
		path, err := SubPath(&container.VolumeMounts[i], env)
		if err != nil {
			path = "error: " + err.Error()
		}
		fmt.Fprintf(&out, "mounts %s of %s\n", path, container.VolumeMounts[i].Name)
	}
	return out.String()
}

// A text without dollars is left alone; escaping a text undoes what expansion
// does; and a text made of references and plain pieces comes out as the pieces.
func TestExpansion(t *testing.T) {
	values := map[string]string{"A": "one", "B": "$(A)", "": "empty"}
	find := func(name string) (string, bool) {
		value, found := values[name]
		return value, found
	}
	rapid.Check(t, func(t *rapid.T) {
		text := rapid.StringOf(rapid.RuneFrom([]rune("ab$()AB{}ü"))).Draw(t, "text")
		if got := expand(strings.ReplaceAll(text, "$", "$$"), find); got != text {
			t.Fatalf("escaped %q came out as %q", text, got)
		}
		pieces := rapid.SliceOf(rapid.SampledFrom([]string{"$(A)", "$(B)", "$()", "$(C)", "$$", "x", "(", ")"})).Draw(t, "pieces")
		want := ""
		for _, piece := range pieces {
			want += map[string]string{"$(A)": "one", "$(B)": "$(A)", "$()": "empty", "$$": "$"}[piece]
			if piece == "$(C)" || len(piece) == 1 {
				want += piece
			}
		}
		if got := expand(strings.Join(pieces, ""), find); got != want {
			t.Fatalf("%q came out as %q, not %q", pieces, got, want)
		}
	})
}
