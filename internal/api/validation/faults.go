package validation

import (
	"slices"

	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// faults collects what is wrong with an object, in the order in which it is
// found. The zero value is ready for use.
type faults struct {
	list field.ErrorList
}

func (f *faults) add(errs ...*field.Error) { f.list = append(f.list, errs...) }

func (f *faults) required(at *field.Path, detail string) { f.add(field.Required(at, detail)) }

func (f *faults) forbidden(at *field.Path, detail string) { f.add(field.Forbidden(at, detail)) }

func (f *faults) invalid(at *field.Path, value any, detail string) {
	f.add(field.Invalid(at, value, detail))
}

func (f *faults) duplicate(at *field.Path, value any) { f.add(field.Duplicate(at, value)) }

func (f *faults) notFound(at *field.Path, value any) { f.add(field.NotFound(at, value)) }

// needs reports a string that was left out, and whether it is there.
func (f *faults) needs(at *field.Path, value string) bool {
	if value == "" {
		f.required(at, "")
	}
	return value != ""
}

// messages reports value once for each message, as the syntax checks of
// apimachinery return them.
func (f *faults) messages(at *field.Path, value any, msgs []string) {
	for _, msg := range msgs {
		f.invalid(at, value, msg)
	}
}

func (f *faults) label(at *field.Path, value string) {
	f.messages(at, value, validation.IsDNS1123Label(value))
}

func (f *faults) subdomain(at *field.Path, value string) {
	f.messages(at, value, validation.IsDNS1123Subdomain(value))
}

func (f *faults) qualifiedName(at *field.Path, value string) {
	f.messages(at, value, validation.IsQualifiedName(value))
}

// nonNegative reports a number below zero.
func (f *faults) nonNegative(at *field.Path, value int64) {
	if value < 0 {
		f.invalid(at, value, "must be greater than or equal to 0")
	}
}

// positive reports a number below one.
func (f *faults) positive(at *field.Path, value int64) {
	if value <= 0 {
		f.invalid(at, value, "must be greater than zero")
	}
}

// supported reports a value that is none of those allowed.
func supported[T ~string](f *faults, at *field.Path, value T, allowed ...T) {
	if !slices.Contains(allowed, value) {
		f.add(field.NotSupported(at, value, allowed))
	}
}

// choice reports a value that was left out or is none of those allowed.
func choice[T ~string](f *faults, at *field.Path, value T, allowed ...T) {
	if f.needs(at, string(value)) {
		supported(f, at, value, allowed...)
	}
}

// seen remembers values of a list, to find the second of two equal ones.
type seen[T comparable] map[T]bool

// again says whether the value was met before.
func (s seen[T]) again(value T) bool {
	if s[value] {
		return true
	}
	s[value] = true
	return false
}
