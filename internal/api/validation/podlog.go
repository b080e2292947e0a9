package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// PodLogOptions validates what is asked of the log of a container.
func PodLogOptions(o *corev1.PodLogOptions) field.ErrorList {
	f := faults{}
	if o.TailLines != nil {
		f.nonNegative(field.NewPath("tailLines"), *o.TailLines)
	}
	if o.LimitBytes != nil && *o.LimitBytes < 1 {
		f.invalid(field.NewPath("limitBytes"), *o.LimitBytes, "must be greater than 0")
	}
	switch {
	case o.SinceSeconds != nil && o.SinceTime != nil:
		f.forbidden(field.NewPath(""), "at most one of `sinceTime` or `sinceSeconds` may be specified")
	case o.SinceSeconds != nil && *o.SinceSeconds < 1:
		f.invalid(field.NewPath("sinceSeconds"), *o.SinceSeconds, "must be greater than 0")
	}
	if o.Stream != nil {
		supported(&f, field.NewPath("stream"), *o.Stream, corev1.LogStreamAll, corev1.LogStreamStderr, corev1.LogStreamStdout)
		if *o.Stream != corev1.LogStreamAll && o.TailLines != nil {
			f.forbidden(field.NewPath(""), "`tailLines` and specific `stream` are mutually exclusive for now")
		}
	}
	return f.list
}
