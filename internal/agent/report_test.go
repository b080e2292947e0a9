package agent

import (
	"context"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// deletions notes what is to be deleted.
type deletions struct {
	Writer
	name    types.NamespacedName
	options metav1.DeleteOptions
}

func (d *deletions) DeletePod(_ context.Context, name types.NamespacedName, options metav1.DeleteOptions) error {
	d.name, d.options = name, options
	return nil
}

// A pod may have been made anew under its name since it was seen: only the very pod
// that has ended is deleted.
func TestOnlyThePodThatEndedIsDeleted(t *testing.T) {
	d := &deletions{}
	a := &Agent{Options: Options{Writer: d}}
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "web", UID: "former"}}
	if err := a.deleteObject(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	if d.name != (types.NamespacedName{Namespace: "default", Name: "web"}) || *d.options.GracePeriodSeconds != 0 {
		t.Errorf("deletes %v with grace %d", d.name, *d.options.GracePeriodSeconds)
	}
	if p := d.options.Preconditions; p == nil || p.UID == nil || *p.UID != "former" {
		t.Errorf("deletes whatever has the name: %+v", p)
	}
}
