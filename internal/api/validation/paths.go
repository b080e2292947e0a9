package validation

import (
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation/field"
)

// climbs says whether a path goes up through "..".
func climbs(value string) bool { return slices.Contains(strings.Split(value, "/"), "..") }

// noBacksteps reports a path that climbs through "..".
func (f *faults) noBacksteps(at *field.Path, value string) {
	if climbs(value) {
		f.invalid(at, value, "must not contain '..'")
	}
}

// descending reports a path that can leave the folder it is relative to.
func (f *faults) descending(at *field.Path, value string) {
	if path.IsAbs(value) {
		f.invalid(at, value, "must be a relative path")
	}
	f.noBacksteps(at, value)
}

// unreserved is descending, and leaves names that begin with ".." to the node
// agent, which keeps its own files of a volume under them.
func (f *faults) unreserved(at *field.Path, value string) {
	f.descending(at, value)
	if strings.HasPrefix(value, "..") && !strings.HasPrefix(value, "../") {
		f.invalid(at, value, "must not start with '..'")
	}
}

// fileMode reports permission bits outside 0 to 0777.
func (f *faults) fileMode(at *field.Path, mode *int32) {
	if mode != nil && (*mode < 0 || *mode > 0o777) {
		f.invalid(at, *mode, "must be a number between 0 and 0777 (octal), both inclusive")
	}
}
