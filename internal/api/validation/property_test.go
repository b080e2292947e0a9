package validation_test

import (
	"fmt"
	"math/rand"
	"reflect"
	"slices"
	"strings"
	"testing"

	apiequality "k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"pgregory.net/rapid"
	"sigs.k8s.io/randfill"
)

// words are texts that some rule takes notice of.
var words = []string{
	"", "a", "A_b", "..", "../x", "/abs", "a/b", "v1", "metadata.name", "metadata.labels['a']", "limits.cpu",
	"Always", "Never", "In", "Exists", "Gt", "Equal", "NoExecute", "Localhost", "linux", "windows", "TCP",
	"None", "10.0.0.1", "::1", "10.0.0.0/8", "iqn", "localhost/x", "x\\y", "kubernetes.io/x", "50%",
	"LoadBalancer", "ExternalName", "ClientIP", "RollingUpdate", "Container", "Terminating", "system-x",
	"hugepages-2Mi", "hugepages-", "cpu", "example.com/gpu", "kubernetes.io/tls", "ServiceAccount", "claim:a",
	"seccomp.security.alpha.kubernetes.io/pod", "scheduler.alpha.kubernetes.io/tolerations", strings.Repeat("a", 300),
}

// filler fills objects at random, the same way for the same seed.
func filler(seed int64) *randfill.Filler {
	return randfill.NewWithSeed(seed).NilChance(0.6).NumElements(0, 2).MaxDepth(20).Funcs(
		func(q *resource.Quantity, c randfill.Continue) {
			*q = resource.MustParse([]string{"0", "1", "-1", "1500m", "2Mi", "1e18"}[c.Intn(6)])
		},
		func(v *intstr.IntOrString, c randfill.Continue) {
			*v = intstr.FromString(words[c.Intn(len(words))])
			if c.Bool() {
				*v = intstr.FromInt32(int32(c.Intn(70000) - 1))
			}
		},
		func(r *runtime.RawExtension, c randfill.Continue) {
			r.Raw = [][]byte{nil, []byte("{}"), []byte("null"), []byte("[")}[c.Intn(4)]
		},
		func(t *metav1.Time, c randfill.Continue) { *t = metav1.Unix(int64(c.Intn(3)), 0) },
		func(t *metav1.MicroTime, c randfill.Continue) {
			*t = metav1.NewMicroTime(metav1.Unix(int64(c.Intn(3)), 0).Time)
		},
		func(*metav1.FieldsV1, randfill.Continue) {},
	)
}

func random[T runtime.Object](like T, seed int64) T {
	obj := reflect.New(reflect.TypeOf(like).Elem()).Interface().(T)
	filler(seed).Fill(obj)
	respell(reflect.ValueOf(obj), rand.New(rand.NewSource(seed)))
	return obj
}

// respell puts words in the place of random texts, of whatever string type.
func respell(v reflect.Value, r *rand.Rand) {
	switch v.Kind() {
	case reflect.String:
		if v.CanSet() {
			v.SetString(words[r.Intn(len(words))])
		}
	case reflect.Pointer:
		if !v.IsNil() {
			respell(v.Elem(), r)
		}
	case reflect.Slice:
		for i := range v.Len() {
			respell(v.Index(i), r)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			if v.Type().Field(i).IsExported() {
				respell(v.Field(i), r)
			}
		}
	case reflect.Map:
		respelled := reflect.MakeMap(v.Type())
		for range v.Len() {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			if q, ok := value.Addr().Interface().(*resource.Quantity); ok {
				*q = resource.MustParse([]string{"1", "-1", "1500m", "3Mi"}[r.Intn(4)])
			}
			respell(key, r)
			respell(value, r)
			respelled.SetMapIndex(key, value)
		}
		v.Set(respelled)
	}
}

// harmless judges twice, and fails if the judgement depends on anything but
// the object, or changes it.
func harmless(t *rapid.T, judge func() field.ErrorList, objects ...runtime.Object) {
	var before []runtime.Object
	for _, obj := range objects {
		before = append(before, obj.DeepCopyObject())
	}
	first, again := texts(judge()), texts(judge())
	if !slices.Equal(first, again) {
		t.Fatalf("the second verdict differs:\n%s\n---\n%s", strings.Join(first, "\n"), strings.Join(again, "\n"))
	}
	for i, obj := range objects {
		if !apiequality.Semantic.DeepEqual(before[i], obj) {
			t.Fatalf("%T was changed", obj)
		}
	}
}

// TestNothingPanics judges objects that no client would send, with and without
// the defaults.
func TestNothingPanics(t *testing.T) {
	for _, c := range creations {
		t.Run(fmt.Sprintf("%T", c.of), func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				obj := random(c.of, rapid.Int64().Draw(t, "seed"))
				if rapid.Bool().Draw(t, "defaulted") {
					scheme.Default(obj)
				}
				harmless(t, func() field.ErrorList { return c.run(obj) }, obj)
			})
		})
	}
}

func TestNoUpdatePanics(t *testing.T) {
	for _, command := range sortedCommands() {
		_, kind, _ := strings.Cut(command, " ")
		like := ofKind(kind)
		t.Run(command, func(t *testing.T) {
			rapid.Check(t, func(t *rapid.T) {
				seed := rapid.Int64().Draw(t, "seed")
				now, was := random(like, seed), random(like, seed)
				if rapid.Bool().Draw(t, "unrelated") {
					was = random(like, seed+1)
				} else {
					disturb(was, rand.New(rand.NewSource(seed)))
				}
				scheme.Default(now)
				scheme.Default(was)
				harmless(t, func() field.ErrorList { return updates[command](now, was) }, now, was)
			})
		})
	}
}

// disturb changes one field of the spec or, without one, of the object.
func disturb(obj runtime.Object, r *rand.Rand) {
	v := reflect.ValueOf(obj).Elem()
	if spec := v.FieldByName("Spec"); spec.IsValid() {
		v = spec
	}
	f := v.Field(r.Intn(v.NumField()))
	f.Set(reflect.Zero(f.Type()))
}

func sortedCommands() []string {
	var out []string
	for command := range updates {
		out = append(out, command)
	}
	slices.Sort(out)
	return out
}

func ofKind(kind string) runtime.Object {
	for _, c := range creations {
		if reflect.TypeOf(c.of).Elem().Name() == kind {
			return c.of
		}
	}
	panic("no kind " + kind)
}

// TestRandomObjectsAreRefused makes sure that the properties above see the
// rules at work.
func TestRandomObjectsAreRefused(t *testing.T) {
	found := map[string]bool{}
	for _, c := range creations {
		for seed := range int64(200) {
			for _, err := range c.run(random(c.of, seed)) {
				found[string(err.Type)+err.Detail] = true
			}
		}
	}
	if len(found) < 300 {
		t.Errorf("only %d sorts of fault in random objects", len(found))
	}
}
