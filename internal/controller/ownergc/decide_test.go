package ownergc

import (
	"fmt"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// TestDecide judges objects. An object is written as
//
//	judge [deleting] [finalizer=NAME] [dependents=N] [staying=N] [blocking=N] [cyclic] [holds-up]
//	OWNER solid|absent|foreground|orphan|unknown
func TestDecide(t *testing.T) {
	standings := map[string]standing{
		"solid": standingSolid, "absent": standingAbsent, "foreground": standingForeground,
		"orphan": standingOrphan, "unknown": standingUnknown,
	}
	datadriven.RunTest(t, "testdata/decide", func(t *testing.T, d *datadriven.TestData) string {
		in := item{BeingDeleted: d.HasArg("deleting"), Cyclic: d.HasArg("cyclic"), HoldsUp: d.HasArg("holds-up")}
		for name, number := range map[string]*int{"dependents": &in.Dependents, "staying": &in.Staying, "blocking": &in.Blocking} {
			d.MaybeScanArgs(t, name, number)
		}
		var finalizer string
		if d.MaybeScanArgs(t, "finalizer", &finalizer) {
			in.Finalizers = []string{"example.com/other", finalizer}
		}
		for line := range strings.Lines(d.Input) {
			owner, word, _ := strings.Cut(strings.TrimSpace(line), " ")
			standing, ok := standings[word]
			if !ok {
				d.Fatalf(t, "unknown standing %q", word)
			}
			in.References = append(in.References, reference{Owner: types.UID(owner), Standing: standing})
		}
		return transcribe(decide(in))
	})
}

func transcribe(v verdict) string {
	var out strings.Builder
	if v.Await {
		out.WriteString("await its dependents\n")
	}
	if v.Release != "" {
		fmt.Fprintf(&out, "release finalizer %s\n", v.Release)
	}
	for _, owner := range v.Drop {
		fmt.Fprintf(&out, "drop the reference to %s\n", owner)
	}
	if v.Unblock {
		out.WriteString("unblock its owners\n")
	}
	if v.Delete != "" {
		fmt.Fprintf(&out, "delete, propagation %s\n", v.Delete)
	}
	if out.Len() == 0 {
		return "leave it\n"
	}
	return out.String()
}

// A collected object is deleted by its own finalizers' wish, never against it.
func TestPolicyFollowsFinalizers(t *testing.T) {
	for finalizer, want := range map[string]metav1.DeletionPropagation{
		metav1.FinalizerOrphanDependents: metav1.DeletePropagationOrphan,
		metav1.FinalizerDeleteDependents: metav1.DeletePropagationForeground,
		"example.com/other":              metav1.DeletePropagationBackground,
	} {
		got := decide(item{Finalizers: []string{finalizer}, References: []reference{{Owner: "a", Standing: standingAbsent}}})
		if got.Delete != want {
			t.Errorf("with finalizer %s: %v, want %v", finalizer, got.Delete, want)
		}
	}
}
