package validation

import (
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"k8s.io/utils/ptr"
)

// minTokenSeconds is the shortest life a token may have.
const minTokenSeconds = 10 * 60

// TokenRequest checks a request for a token.
func TokenRequest(r *authenticationv1.TokenRequest) field.ErrorList {
	var f faults
	seconds, at := ptr.Deref(r.Spec.ExpirationSeconds, 0), field.NewPath("spec", "expirationSeconds")
	if seconds < minTokenSeconds {
		f.invalid(at, seconds, "may not specify a duration less than 10 minutes")
	}
	if seconds > 1<<32 {
		f.invalid(at, seconds, "may not specify a duration larger than 2^32 seconds")
	}
	return f.list
}
