package validation

import "k8s.io/apimachinery/pkg/util/validation/field"

// oneOf checks a union: of several fields, one may be set. The first that is
// set is examined, any further one is refused.
type oneOf struct {
	*faults
	at    *field.Path
	what  string // what there may be one of, for the message
	found bool
}

// check looks at one member of the union. examine is given the member's path.
func (o *oneOf) check(name string, set bool, examine func(at *field.Path)) {
	switch {
	case !set:
	case o.found:
		o.forbidden(o.at.Child(name), "may not specify more than 1 "+o.what)
	default:
		o.found = true
		examine(o.at.Child(name))
	}
}
