package validation_test

import (
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/api/validation"
)

func TestPodLogOptions(t *testing.T) {
	for _, c := range []struct {
		options corev1.PodLogOptions
		want    string // the end of the only fault, empty for none
	}{
		{corev1.PodLogOptions{}, ""},
		{corev1.PodLogOptions{TailLines: ptr.To[int64](0), LimitBytes: ptr.To[int64](1), SinceSeconds: ptr.To[int64](1), Stream: ptr.To("All")}, ""},
		{corev1.PodLogOptions{Stream: ptr.To("Stdout")}, ""},
		{corev1.PodLogOptions{TailLines: ptr.To[int64](-1)}, "tailLines: Invalid value: -1: must be greater than or equal to 0"},
		{corev1.PodLogOptions{LimitBytes: ptr.To[int64](0)}, "limitBytes: Invalid value: 0: must be greater than 0"},
		{corev1.PodLogOptions{SinceSeconds: ptr.To[int64](0)}, "sinceSeconds: Invalid value: 0: must be greater than 0"},
		{corev1.PodLogOptions{SinceSeconds: ptr.To[int64](1), SinceTime: &metav1.Time{}}, "Forbidden: at most one of `sinceTime` or `sinceSeconds` may be specified"},
		{corev1.PodLogOptions{Stream: ptr.To("stdout")}, `stream: Unsupported value: "stdout": supported values: "All", "Stderr", "Stdout"`},
		{corev1.PodLogOptions{Stream: ptr.To("Stderr"), TailLines: ptr.To[int64](1)}, "Forbidden: `tailLines` and specific `stream` are mutually exclusive for now"},
	} {
		errs := validation.PodLogOptions(&c.options)
		switch {
		case c.want == "" && len(errs) > 0, c.want != "" && len(errs) != 1:
			t.Errorf("%+v: got %v, want %q", c.options, errs, c.want)
		case c.want != "" && !strings.HasSuffix(errs[0].Error(), c.want):
			t.Errorf("%+v: got %v, want %q", c.options, errs[0], c.want)
		}
	}
}
