package validation

import (
	"fmt"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// The fields of a pod that can be shown to its containers: in variables, and
// in files.
var (
	envFields = []string{
		"metadata.name", "metadata.namespace", "metadata.uid",
		"spec.nodeName", "spec.serviceAccountName",
		"status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
	}
	fileFields = []string{
		"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid",
	}
	// selectableFields have names that are known, though not all are of use
	// everywhere.
	selectableFields = []string{
		"metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid",
		"spec.nodeName", "spec.restartPolicy", "spec.serviceAccountName", "spec.schedulerName",
		"status.phase", "status.hostIP", "status.hostIPs", "status.podIP", "status.podIPs",
	}
	resourceFields = []string{
		"limits.cpu", "limits.ephemeral-storage", "limits.memory",
		"requests.cpu", "requests.ephemeral-storage", "requests.memory",
	}
)

func (f *faults) env(vars []corev1.EnvVar, at *field.Path) {
	for i := range vars {
		v, at := &vars[i], at.Index(i)
		if f.needs(at.Child("name"), v.Name) {
			f.messages(at.Child("name"), v.Name, validation.IsRelaxedEnvVarName(v.Name))
		}
		if v.ValueFrom != nil {
			f.envSource(v, at.Child("valueFrom"))
		}
	}
}

func (f *faults) envSource(v *corev1.EnvVar, at *field.Path) {
	from, sources := v.ValueFrom, 0
	if ref := from.FieldRef; ref != nil {
		sources++
		f.fieldRef(ref, envFields, at.Child("fieldRef"))
	}
	if ref := from.ResourceFieldRef; ref != nil {
		sources++
		f.resourceFieldRef(ref, at.Child("resourceFieldRef"))
	}
	if ref := from.ConfigMapKeyRef; ref != nil {
		sources++
		f.keyRef(ref.Name, ref.Key, at.Child("configMapKeyRef"))
	}
	if ref := from.SecretKeyRef; ref != nil {
		sources++
		f.keyRef(ref.Name, ref.Key, at.Child("secretKeyRef"))
	}
	if ref := from.FileKeyRef; ref != nil {
		sources++
		f.fileKeyRef(ref, at.Child("fileKeyRef"))
	}
	switch {
	case sources == 0:
		f.invalid(at, "", "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`")
	case v.Value != "":
		f.invalid(at, "", "may not be specified when `value` is not empty")
	case sources > 1:
		f.invalid(at, "", "may not have more than one field specified at a time")
	}
}

// keyRef checks the name of a ConfigMap or Secret, and the key in it.
func (f *faults) keyRef(name, key string, at *field.Path) {
	f.messages(at.Child("name"), name, apivalidation.NameIsDNSSubdomain(name, false))
	if f.needs(at.Child("key"), key) {
		f.messages(at.Child("key"), key, validation.IsConfigMapKey(key))
	}
}

func (f *faults) fileKeyRef(ref *corev1.FileKeySelector, at *field.Path) {
	if f.needs(at.Child("key"), ref.Key) {
		f.messages(at.Child("key"), ref.Key, validation.IsRelaxedEnvVarName(ref.Key))
	}
	if f.needs(at.Child("volumeName"), ref.VolumeName) {
		f.label(at.Child("volumeName"), ref.VolumeName)
	}
	if f.needs(at.Child("path"), ref.Path) {
		f.noBacksteps(at.Child("path"), ref.Path)
	}
}

func (f *faults) envFrom(sources []corev1.EnvFromSource, at *field.Path) {
	for i, from := range sources {
		item := at.Index(i)
		if from.Prefix != "" {
			f.messages(item.Child("prefix"), from.Prefix, validation.IsRelaxedEnvVarName(from.Prefix))
		}
		if from.ConfigMapRef != nil {
			f.nameRef(from.ConfigMapRef.Name, item.Child("configMapRef", "name"))
		}
		if from.SecretRef != nil {
			f.nameRef(from.SecretRef.Name, item.Child("secretRef", "name"))
		}
		switch {
		case from.ConfigMapRef == nil && from.SecretRef == nil:
			f.invalid(at, "", "must specify one of: `configMapRef` or `secretRef`")
		case from.ConfigMapRef != nil && from.SecretRef != nil:
			f.invalid(at, "", "may not have more than one field specified at a time")
		}
	}
}

// nameRef checks a reference that upstream lets end in a dash.
func (f *faults) nameRef(name string, at *field.Path) {
	if f.needs(at, name) {
		f.messages(at, name, apivalidation.NameIsDNSSubdomain(name, true))
	}
}

// fieldRef checks the choice of a pod's field. Of labels and annotations one
// can be picked by a subscript, as in metadata.labels['app'].
func (f *faults) fieldRef(ref *corev1.ObjectFieldSelector, allowed []string, at *field.Path) {
	if !f.needs(at.Child("apiVersion"), ref.APIVersion) || !f.needs(at.Child("fieldPath"), ref.FieldPath) {
		return
	}
	name, subscript, subscripted := splitSubscript(ref.FieldPath)
	if reason := unknownField(ref.APIVersion, name, subscripted, ref.FieldPath); reason != "" {
		f.invalid(at.Child("fieldPath"), ref.FieldPath, "error converting fieldPath: "+reason)
		return
	}
	if name == "spec.host" { // what v1beta clients called it
		name = "spec.nodeName"
	}
	switch {
	case subscripted && name == "metadata.annotations":
		f.qualifiedName(at, strings.ToLower(subscript))
	case subscripted:
		f.qualifiedName(at, subscript)
	default:
		supported(f, at.Child("fieldPath"), name, allowed...)
	}
}

// unknownField says why a field cannot be chosen at all, or nothing.
func unknownField(version, name string, subscripted bool, whole string) string {
	switch {
	case version != "v1":
		return "unsupported pod version: " + version
	case subscripted && name != "metadata.annotations" && name != "metadata.labels":
		return "field label does not support subscript: " + whole
	case !subscripted && name != "spec.host" && !slices.Contains(selectableFields, name):
		return "field label not supported: " + name
	}
	return ""
}

// splitSubscript takes metadata.labels['app'] apart.
func splitSubscript(fieldPath string) (name, subscript string, ok bool) {
	inner, closed := strings.CutSuffix(fieldPath, "']")
	name, subscript, opened := strings.Cut(inner, "['")
	if !closed || !opened || name == "" {
		return fieldPath, "", false
	}
	return name, subscript, true
}

// resourceFieldRef checks the choice of one of a container's resources.
func (f *faults) resourceFieldRef(ref *corev1.ResourceFieldSelector, at *field.Path) {
	if f.needs(at.Child("resource"), ref.Resource) && !isHugePagesField(ref.Resource) {
		supported(f, at.Child("resource"), ref.Resource, resourceFields...)
	}
	f.divisor(ref, at.Child("divisor"))
}

func isHugePagesField(name string) bool {
	return strings.HasPrefix(name, "requests.hugepages-") || strings.HasPrefix(name, "limits.hugepages-")
}

// divisor checks the unit in which a resource is shown.
func (f *faults) divisor(ref *corev1.ResourceFieldSelector, at *field.Path) {
	if ref.Divisor.IsZero() {
		return
	}
	units := []string{"1", "1k", "1M", "1G", "1T", "1P", "1E", "1Ki", "1Mi", "1Gi", "1Ti", "1Pi", "1Ei"}
	text, called := strings.Join(units, ", "), ""
	switch _, name, _ := strings.Cut(ref.Resource, "."); {
	case isHugePagesField(ref.Resource):
		called = "hugepages"
	case !slices.Contains(resourceFields, ref.Resource):
		return
	case name == "cpu":
		units, text, called = []string{"1m", "1"}, "1m and 1", "cpu"
	case name == "memory":
		called = "memory"
	default:
		called = "local ephemeral storage"
	}
	if !slices.Contains(units, unit(ref.Divisor)) {
		f.invalid(at, ref.Resource, fmt.Sprintf("only divisor's values %s are supported with the %s resource", text, called))
	}
}

// unit is the canonical text of a quantity. String caches in its receiver, so
// it gets a copy.
func unit(q resource.Quantity) string { return q.String() }
