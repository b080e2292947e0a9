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
	Objects     Objects
	Files       Files
}

// Objects has what a variable may refer to. An object that does not exist is an
// error that apierrors.IsNotFound knows.
type Objects interface {
	ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
	Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
}

// Files has the files of the pod's volumes.
type Files interface {
	// File reads one; if it is not there, the error is fs.ErrNotExist.
	File(pod *corev1.Pod, volume, path string) ([]byte, error)
}

// Env gives the environment, each name once: envFrom in its order and by key,
// then env in its order, then those of services that are not set otherwise.
func Env(ctx context.Context, in Input) ([]agent.EnvVar, error) {
	services := serviceVariables(in.Pod, in.Services)
	g := gathering{in: &in, values: map[string]string{}, ofServices: among(services)}
	for i := range in.Container.EnvFrom {
		if err := g.importAll(ctx, &in.Container.EnvFrom[i]); err != nil {
			return nil, err
		}
	}
	for i := range in.Container.Env {
		v := &in.Container.Env[i]
		value, set, err := g.value(ctx, v)
		if err != nil {
			return nil, err
		}
		if set {
			g.set(v.Name, value)
		}
	}
	out := make([]agent.EnvVar, 0, len(g.order)+len(services))
	for _, name := range g.order {
		out = append(out, agent.EnvVar{Name: name, Value: g.values[name]})
	}
	for _, v := range services {
		if _, taken := g.values[v.Name]; !taken {
			out = append(out, v)
		}
	}
	return out, nil
}

// gathering is the variables of one container so far.
type gathering struct {
	in         *Input
	values     map[string]string
	order      []string // of values, by first appearance
	ofServices lookup
}

func (g *gathering) set(name, value string) {
	if _, known := g.values[name]; !known {
		g.order = append(g.order, name)
	}
	g.values[name] = value
}

// find sees the variables set so far, which hide those of services.
func (g *gathering) find(name string) (string, bool) {
	if value, found := g.values[name]; found {
		return value, true
	}
	return g.ofServices(name)
}

// importAll sets all that a ConfigMap or Secret has.
func (g *gathering) importAll(ctx context.Context, from *corev1.EnvFromSource) error {
	var data map[string]string
	switch namespace := g.in.Pod.Namespace; {
	case from.ConfigMapRef != nil:
		object, err := g.in.Objects.ConfigMap(ctx, namespace, from.ConfigMapRef.Name)
		if err != nil {
			return unlessOptional(err, from.ConfigMapRef.Optional)
		}
		data = object.Data
	case from.SecretRef != nil:
		object, err := g.in.Objects.Secret(ctx, namespace, from.SecretRef.Name)
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
		g.set(from.Prefix+key, data[key])
	}
	return nil
}

// value gives the value of one variable, and whether it is set at all.
func (g *gathering) value(ctx context.Context, v *corev1.EnvVar) (value string, set bool, err error) {
	from := v.ValueFrom
	switch {
	case v.Value != "" || from == nil:
		return expand(v.Value, g.find), true, nil
	case from.FieldRef != nil:
		value, err = field(g.in, from.FieldRef)
	case from.ResourceFieldRef != nil:
		value, err = Resource(ResourceWish{
			Pod: g.in.Pod, Container: g.in.Container, Ref: from.ResourceFieldRef, Allocatable: g.in.Allocatable,
		})
	case from.ConfigMapKeyRef != nil:
		return g.configMapKey(ctx, from.ConfigMapKeyRef)
	case from.SecretKeyRef != nil:
		return g.secretKey(ctx, from.SecretKeyRef)
	case from.FileKeyRef != nil:
		return g.fileKey(from.FileKeyRef)
	}
	return value, err == nil, err
}

func (g *gathering) configMapKey(ctx context.Context, ref *corev1.ConfigMapKeySelector) (string, bool, error) {
	namespace := g.in.Pod.Namespace
	object, err := g.in.Objects.ConfigMap(ctx, namespace, ref.Name)
	if err != nil {
		return "", false, unlessOptional(err, ref.Optional)
	}
	value, found := object.Data[ref.Key]
	if !found && !isTrue(ref.Optional) {
		return "", false, fmt.Errorf("couldn't find key %s in ConfigMap %s/%s", ref.Key, namespace, ref.Name)
	}
	return value, found, nil
}

func (g *gathering) secretKey(ctx context.Context, ref *corev1.SecretKeySelector) (string, bool, error) {
	namespace := g.in.Pod.Namespace
	object, err := g.in.Objects.Secret(ctx, namespace, ref.Name)
	if err != nil {
		return "", false, unlessOptional(err, ref.Optional)
	}
	value, found := object.Data[ref.Key]
	if !found && !isTrue(ref.Optional) {
		return "", false, fmt.Errorf("couldn't find key %s in Secret %s/%s", ref.Key, namespace, ref.Name)
	}
	return string(value), found, nil
}

func (g *gathering) fileKey(ref *corev1.FileKeySelector) (string, bool, error) {
	text, err := g.in.Files.File(g.in.Pod, ref.VolumeName, ref.Path)
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
