package environ

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"slices"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"

	"github.com/garrison-project/garrison/internal/agent"
)

// Input is all that the environment of a container depends on. It is not changed.
type Input struct {
	Pod       *corev1.Pod
	Container *corev1.Container
	// PodIPs and HostIPs have the main address first; of a pod on the host's
	// network both are the host's.
	PodIPs, HostIPs []string
	// Services are those of the pod's namespace and of default; others do not
	// matter.
	Services    []*corev1.Service
	Allocatable corev1.ResourceList
	Sources     Sources
}

// Sources gives what a variable may refer to. An object that does not exist is an
// error that apierrors.IsNotFound knows.
type Sources interface {
	ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
	Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
	// File reads a file of one of the pod's volumes; one that is not there is
	// fs.ErrNotExist.
	File(ctx context.Context, pod *corev1.Pod, volume, path string) ([]byte, error)
}

// Resolve gives the environment, each name once: envFrom in its order and by key,
// then env in its order, then those of services that are not set otherwise.
func Resolve(ctx context.Context, in Input) ([]agent.EnvVar, error) {
	r := resolver{in: &in, values: map[string]string{}, services: serviceVariables(in.Pod, in.Services)}
	for i := range in.Container.EnvFrom {
		if err := r.importAll(ctx, &in.Container.EnvFrom[i]); err != nil {
			return nil, err
		}
	}
	for i := range in.Container.Env {
		v := &in.Container.Env[i]
		value, set, err := r.value(ctx, v)
		if err != nil {
			return nil, err
		}
		if set {
			r.set(v.Name, value)
		}
	}
	out := make([]agent.EnvVar, 0, len(r.order)+len(r.services))
	for _, name := range r.order {
		out = append(out, agent.EnvVar{Name: name, Value: r.values[name]})
	}
	for _, v := range r.services {
		if _, taken := r.values[v.Name]; !taken {
			out = append(out, v)
		}
	}
	return out, nil
}

// resolver gathers the variables of one container.
type resolver struct {
	in       *Input
	values   map[string]string
	order    []string // of values, by first appearance
	services []agent.EnvVar
}

func (r *resolver) set(name, value string) {
	if _, known := r.values[name]; !known {
		r.order = append(r.order, name)
	}
	r.values[name] = value
}

// find sees the variables set so far, which hide those of services.
func (r *resolver) find(name string) (string, bool) {
	if value, found := r.values[name]; found {
		return value, true
	}
	return among(r.services)(name)
}

// importAll sets all that a ConfigMap or Secret has.
func (r *resolver) importAll(ctx context.Context, from *corev1.EnvFromSource) error {
	var data map[string]string
	switch namespace := r.in.Pod.Namespace; {
	case from.ConfigMapRef != nil:
		object, err := r.in.Sources.ConfigMap(ctx, namespace, from.ConfigMapRef.Name)
		if err != nil {
			return unlessOptional(err, from.ConfigMapRef.Optional)
		}
		data = object.Data
	case from.SecretRef != nil:
		object, err := r.in.Sources.Secret(ctx, namespace, from.SecretRef.Name)
		if err != nil {
			return unlessOptional(err, from.SecretRef.Optional)
		}
		data = texts(object.Data)
	}
	keys := make([]string, 0, len(data))
	for key := range data {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	for _, key := range keys {
		r.set(from.Prefix+key, data[key])
	}
	return nil
}

// value gives the value of one variable, and whether it is set at all.
func (r *resolver) value(ctx context.Context, v *corev1.EnvVar) (value string, set bool, err error) {
	from := v.ValueFrom
	switch {
	case v.Value != "" || from == nil:
		return expand(v.Value, r.find), true, nil
	case from.FieldRef != nil:
		value, err = field(r.in, from.FieldRef)
	case from.ResourceFieldRef != nil:
		value, err = Resource(ResourceWish{
			Pod: r.in.Pod, Container: r.in.Container, Ref: from.ResourceFieldRef, Allocatable: r.in.Allocatable,
		})
	case from.ConfigMapKeyRef != nil:
		return r.configMapKey(ctx, from.ConfigMapKeyRef)
	case from.SecretKeyRef != nil:
		return r.secretKey(ctx, from.SecretKeyRef)
	case from.FileKeyRef != nil:
		return r.fileKey(ctx, from.FileKeyRef)
	}
	return value, err == nil, err
}

func (r *resolver) configMapKey(ctx context.Context, ref *corev1.ConfigMapKeySelector) (string, bool, error) {
	namespace := r.in.Pod.Namespace
	object, err := r.in.Sources.ConfigMap(ctx, namespace, ref.Name)
	if err != nil {
		return "", false, unlessOptional(err, ref.Optional)
	}
	value, found := object.Data[ref.Key]
	if !found && !isTrue(ref.Optional) {
		return "", false, fmt.Errorf("couldn't find key %s in ConfigMap %s/%s", ref.Key, namespace, ref.Name)
	}
	return value, found, nil
}

func (r *resolver) secretKey(ctx context.Context, ref *corev1.SecretKeySelector) (string, bool, error) {
	namespace := r.in.Pod.Namespace
	object, err := r.in.Sources.Secret(ctx, namespace, ref.Name)
	if err != nil {
		return "", false, unlessOptional(err, ref.Optional)
	}
	value, found := object.Data[ref.Key]
	if !found && !isTrue(ref.Optional) {
		return "", false, fmt.Errorf("couldn't find key %s in Secret %s/%s", ref.Key, namespace, ref.Name)
	}
	return string(value), found, nil
}

func (r *resolver) fileKey(ctx context.Context, ref *corev1.FileKeySelector) (string, bool, error) {
	text, err := r.in.Sources.File(ctx, r.in.Pod, ref.VolumeName, ref.Path)
	if errors.Is(err, fs.ErrNotExist) && isTrue(ref.Optional) {
		return "", false, nil
	}
	if err != nil {
		return "", false, fmt.Errorf("read environment file %q of volume %q: %w", ref.Path, ref.VolumeName, err)
	}
	value, found, err := fromFile(string(text), ref.Key)
	if err != nil {
		return "", false, fmt.Errorf("couldn't parse env file: %w", err)
	}
	if (!found || value == "") && !isTrue(ref.Optional) {
		return "", false, fmt.Errorf("environment variable key %q not found in file %q", ref.Key, ref.Path)
	}
	return value, found && value != "", nil
}

// unlessOptional forgives that something is missing which may be.
func unlessOptional(err error, optional *bool) error {
	if isTrue(optional) && apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func isTrue(b *bool) bool { return b != nil && *b }

func texts(data map[string][]byte) map[string]string {
	out := make(map[string]string, len(data))
	for key, value := range data {
		out[key] = string(value)
	}
	return out
}
