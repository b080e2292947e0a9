package validation

import (
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// share checks a share of pods: a number from zero, or a percentage.
func (f *faults) share(s intstr.IntOrString, at *field.Path) {
	switch s.Type {
	case intstr.Int:
		f.nonNegative(at, int64(s.IntVal))
	case intstr.String:
		f.messages(at, s, validation.IsValidPercent(s.StrVal))
	default:
		f.invalid(at, s, "must be an integer or percentage (e.g '5%%')")
	}
}

// atMostAll checks that a percentage does not exceed the whole.
func (f *faults) atMostAll(s intstr.IntOrString, at *field.Path) {
	if percent, ok := percentage(s); ok && percent > 100 {
		f.invalid(at, s, "must not be greater than 100%")
	}
}

func percentage(s intstr.IntOrString) (int, bool) {
	if s.Type != intstr.String || len(validation.IsValidPercent(s.StrVal)) > 0 {
		return 0, false
	}
	// Digits only, so it fails by being too large, and then holds the largest.
	percent, _ := strconv.Atoi(strings.TrimSuffix(s.StrVal, "%"))
	return percent, true
}

// amount is the number in a share, of pods or of percent.
func amount(s intstr.IntOrString) int {
	if percent, ok := percentage(s); ok {
		return percent
	}
	return s.IntValue()
}
