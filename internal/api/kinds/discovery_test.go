package kinds_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// TestDiscovery holds the names, verbs and kinds that clients find.
func TestDiscovery(t *testing.T) {
	c := startCluster(t)
	datadriven.RunTest(t, "testdata/discovery", func(t *testing.T, d *datadriven.TestData) string {
		_, lists, err := c.Discovery().ServerGroupsAndResources()
		if err != nil {
			t.Fatal(err)
		}
		slices.SortFunc(lists, func(a, b *metav1.APIResourceList) int { return strings.Compare(a.GroupVersion, b.GroupVersion) })
		var b strings.Builder
		for _, l := range lists {
			fmt.Fprintln(&b, l.GroupVersion)
			slices.SortFunc(l.APIResources, func(a, b metav1.APIResource) int { return strings.Compare(a.Name, b.Name) })
			for _, r := range l.APIResources {
				fmt.Fprintf(&b, "  %s\n", describe(r))
			}
		}
		return b.String()
	})
}

func describe(r metav1.APIResource) string {
	words := []string{r.Name, r.Kind}
	if r.Group != "" {
		words = append(words, "of "+r.Group+"/"+r.Version)
	}
	if r.SingularName != "" {
		words = append(words, r.SingularName)
	}
	if len(r.ShortNames) > 0 {
		words = append(words, strings.Join(r.ShortNames, ","))
	}
	if !r.Namespaced {
		words = append(words, "cluster-scoped")
	}
	words = append(words, r.Categories...)
	return strings.Join(words, " ") + ": " + strings.Join(r.Verbs, " ")
}

// TestStatusStores wants a status store for each kind with a status, and none
// for others.
func TestStatusStores(t *testing.T) {
	c := startCluster(t)
	for _, gr := range c.set.Resources() {
		obj := c.set.Store(gr).New()
		if has, served := reflect.ValueOf(obj).Elem().FieldByName("Status").IsValid(), c.set.StatusStore(gr) != nil; has != served {
			t.Errorf("%s: has a status: %t, serves it: %t", gr, has, served)
		}
	}
}
