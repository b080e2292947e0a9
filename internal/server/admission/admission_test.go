package admission

import (
	"context"
	"reflect"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apiserver/pkg/admission"
	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/client-go/informers"
	"k8s.io/client-go/kubernetes/fake"

	"github.com/garrison-project/garrison/internal/server/node"
)

// chain is the whole list of plugins over two views of the world: what the
// informers know, and what the server answers.
type chain struct {
	plugins []Plugin
	live    *fake.Clientset
}

// newChain starts the plugins on informers that know the given objects. The
// server behind the live client knows them too.
func newChain(t testing.TB, o Options, known ...runtime.Object) chain {
	t.Helper()
	live := fake.NewClientset(known...)
	o.Client = live
	o.Informers = informers.NewSharedInformerFactory(fake.NewClientset(known...), 0)
	plugins, err := Plugins(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	t.Cleanup(func() { cancel(); o.Informers.Shutdown() })
	o.Informers.Start(ctx.Done())
	for kind, synced := range o.Informers.WaitForCacheSync(ctx.Done()) {
		if !synced {
			t.Fatalf("the informer of %s did not sync", kind)
		}
	}
	return chain{plugins: plugins, live: live}
}

// request is what a test sends through the chain.
type request struct {
	resource    string // "pods", or "priorityclasses.scheduling.k8s.io"
	subresource string
	op          admission.Operation
	old, obj    runtime.Object
	dryRun      bool
	user        string // a node's name, or "" for someone who is no node
}

func (r request) attributes() admission.Attributes {
	accessor, err := meta.Accessor(r.obj)
	if err != nil {
		panic(err)
	}
	gr := schema.ParseGroupResource(r.resource)
	who := &user.DefaultInfo{Name: "someone"}
	if r.user != "" {
		who = node.User(r.user)
	}
	return admission.NewAttributesRecord(r.obj, r.old,
		schema.GroupVersionKind{Group: gr.Group, Version: "v1", Kind: reflect.TypeOf(r.obj).Elem().Name()},
		accessor.GetNamespace(), accessor.GetName(), gr.WithVersion("v1"), r.subresource,
		r.op, nil, r.dryRun, who)
}

// send runs all mutating plugins, then all validating ones, as the server does.
func (c chain) send(r request) error {
	a := r.attributes()
	for _, p := range c.plugins {
		if m, ok := p.Interface.(admission.MutationInterface); ok && m.Handles(a.GetOperation()) {
			if err := m.Admit(context.Background(), a, nil); err != nil {
				return err
			}
		}
	}
	for _, p := range c.plugins {
		if v, ok := p.Interface.(admission.ValidationInterface); ok && v.Handles(a.GetOperation()) {
			if err := v.Validate(context.Background(), a, nil); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c chain) createPod(pod *corev1.Pod) error {
	return c.send(request{resource: "pods", op: admission.Create, obj: pod})
}

// wantError compares the whole text; "" means that there must be no error.
func wantError(t testing.TB, err error, want string) {
	t.Helper()
	got := ""
	if err != nil {
		got = err.Error()
	}
	if got != want {
		t.Errorf("got error\n\t%s\nwant\n\t%s", got, want)
	}
}

func pluginNames(plugins []Plugin) []string {
	var all []string
	for _, p := range plugins {
		all = append(all, p.Name)
	}
	return all
}

func TestPluginsRunInTheOrderOfKubernetes(t *testing.T) {
	c := newChain(t, Options{})
	want := []string{
		"LimitRanger", "ServiceAccount", "NodeRestriction", "TaintNodesByCondition", "PodSecurity",
		"Priority", "DefaultTolerationSeconds", "RuntimeClass", "ResourceQuota",
	}
	if got := pluginNames(c.plugins); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPluginsOfKindsThatAreNotServedAreLeftOut(t *testing.T) {
	c := newChain(t, Options{Serves: func(r schema.GroupResource) bool {
		return r != limitRanges && r != runtimeClasses
	}})
	want := []string{"ServiceAccount", "NodeRestriction", "TaintNodesByCondition", "PodSecurity", "Priority", "DefaultTolerationSeconds", "ResourceQuota"}
	if got := pluginNames(c.plugins); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

// Subresources of pods carry other types, or pods that must not change; an
// object of the wrong type on pods itself is refused and not waved through.
func TestPodOf(t *testing.T) {
	pod := newPod()
	tests := []struct {
		name    string
		r       request
		want    *corev1.Pod
		wantErr string
	}{
		{name: "pod", r: request{resource: "pods", op: admission.Update, obj: pod}, want: pod},
		{name: "status", r: request{resource: "pods", subresource: "status", op: admission.Update, obj: pod}},
		{name: "binding", r: request{resource: "pods", subresource: "binding", op: admission.Create, obj: &corev1.Binding{}}},
		{name: "other resource", r: request{resource: "nodes", op: admission.Create, obj: &corev1.Node{}}},
		{name: "wrong type", r: request{resource: "pods", op: admission.Create, obj: &corev1.Node{}}, wantErr: "expected a Pod but got *v1.Node"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			got, err := podOf(tt.r.attributes())
			wantError(t, err, tt.wantErr)
			if got != tt.want {
				t.Errorf("got %v, want %v", got, tt.want)
			}
		})
	}
}

// A pod as the DaemonSet controller makes it must pass the chain in well under
// 10 µs.
func BenchmarkDaemonPod(b *testing.B) {
	c := newChain(b, Options{}, newNamespace("privileged"), newAccount("default"))
	pod := newPod()
	addDefaultTolerations(pod)
	b.ReportAllocs()
	for b.Loop() {
		if err := c.createPod(pod.DeepCopy()); err != nil {
			b.Fatal(err)
		}
	}
}
