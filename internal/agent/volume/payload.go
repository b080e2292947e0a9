package volume

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	utilerrors "k8s.io/apimachinery/pkg/util/errors"

	"github.com/garrison-project/garrison/internal/agent/environ"
	"github.com/garrison-project/garrison/internal/agent/objects"
)

// Objects has what volumes are filled from; see agent/objects for the errors.
type Objects interface {
	ConfigMap(ctx context.Context, namespace, name string) (*corev1.ConfigMap, error)
	Secret(ctx context.Context, namespace, name string) (*corev1.Secret, error)
	Token(ctx context.Context, pod *corev1.Pod, wish objects.TokenWish) (objects.Token, error)
}

// defaultMode is that of files where neither the item nor the volume says another.
const defaultMode = 0o644

// file is one file of a volume.
type file struct {
	data []byte
	mode fs.FileMode
	// uid owns the file, root if nil.
	uid *int64
}

// payload is the contents of a volume, by path.
type payload map[string]file

// filler gathers the contents of volumes of a pod.
type filler struct {
	objects Objects
	pod     *corev1.Pod
	// allocatable is what the node can give.
	allocatable corev1.ResourceList
}

// fill gives the contents, and when they have to be renewed: zero is never. All
// that is missing is named in the error.
func (f filler) fill(ctx context.Context, v *corev1.Volume) (payload, time.Time, error) {
	switch {
	case v.ConfigMap != nil:
		s := v.ConfigMap
		out, err := f.configMap(ctx, wish{s.Name, s.Items, s.DefaultMode, s.Optional})
		return out, time.Time{}, err
	case v.Secret != nil:
		s := v.Secret
		out, err := f.secret(ctx, wish{s.SecretName, s.Items, s.DefaultMode, s.Optional})
		return out, time.Time{}, err
	case v.DownwardAPI != nil:
		out, err := f.downwardAPI(v.DownwardAPI.Items, v.DownwardAPI.DefaultMode)
		return out, time.Time{}, err
	}
	return f.projected(ctx, v.Projected)
}

// projected is all sources together; later ones win.
func (f filler) projected(ctx context.Context, p *corev1.ProjectedVolumeSource) (payload, time.Time, error) {
	all := payload{}
	var renew time.Time
	var failed []error
	for i := range p.Sources {
		var out payload
		var err error
		switch s := &p.Sources[i]; {
		case s.ConfigMap != nil:
			out, err = f.configMap(ctx, wish{s.ConfigMap.Name, s.ConfigMap.Items, p.DefaultMode, s.ConfigMap.Optional})
		case s.Secret != nil:
			out, err = f.secret(ctx, wish{s.Secret.Name, s.Secret.Items, p.DefaultMode, s.Secret.Optional})
		case s.DownwardAPI != nil:
			out, err = f.downwardAPI(s.DownwardAPI.Items, p.DefaultMode)
		case s.ServiceAccountToken != nil:
			var due time.Time
			out, due, err = f.token(ctx, s.ServiceAccountToken, p.DefaultMode)
			renew = earliest(renew, due)
		default:
			err = fmt.Errorf("projection of %s is not supported", kindOf(*s))
		}
		if err != nil {
			failed = append(failed, err)
		}
		for name, content := range out {
			all[name] = content
		}
	}
	return all, renew, utilerrors.NewAggregate(failed)
}

// wish says what is wanted of an object.
type wish struct {
	name     string
	items    []corev1.KeyToPath
	mode     *int32
	optional *bool
}

func (f filler) configMap(ctx context.Context, w wish) (payload, error) {
	object, err := f.objects.ConfigMap(ctx, f.pod.Namespace, w.name)
	if err != nil {
		return nil, w.unlessOptional(err)
	}
	data := make(map[string][]byte, len(object.Data)+len(object.BinaryData))
	for key, value := range object.Data {
		data[key] = []byte(value)
	}
	for key, value := range object.BinaryData {
		data[key] = value
	}
	return w.choose(data, "configmap references non-existent config key: ")
}

func (f filler) secret(ctx context.Context, w wish) (payload, error) {
	object, err := f.objects.Secret(ctx, f.pod.Namespace, w.name)
	if err != nil {
		return nil, w.unlessOptional(err)
	}
	return w.choose(object.Data, "references non-existent secret key: ")
}

// choose takes the items from the data, or all of it if there are none.
func (w wish) choose(data map[string][]byte, complaint string) (payload, error) {
	out := payload{}
	if len(w.items) == 0 {
		for key, value := range data {
			out[key] = file{data: value, mode: modeOf(nil, w.mode)}
		}
	}
	for _, item := range w.items {
		value, found := data[item.Key]
		if !found && !isTrue(w.optional) {
			return nil, errors.New(complaint + item.Key)
		}
		if found {
			out[path.Clean(item.Path)] = file{data: value, mode: modeOf(item.Mode, w.mode)}
		}
	}
	return out, nil
}

func (w wish) unlessOptional(err error) error {
	if isTrue(w.optional) && apierrors.IsNotFound(err) {
		return nil
	}
	return err
}

func (f filler) downwardAPI(items []corev1.DownwardAPIVolumeFile, mode *int32) (payload, error) {
	out := payload{}
	var failed []error
	for _, item := range items {
		var value string
		var err error
		switch {
		case item.FieldRef != nil:
			value, err = environ.PodField(f.pod, item.FieldRef.FieldPath)
		case item.ResourceFieldRef != nil:
			value, err = environ.Resource(environ.ResourceWish{Pod: f.pod, Ref: item.ResourceFieldRef, Allocatable: f.allocatable})
		}
		if err != nil {
			failed = append(failed, err)
		}
		out[path.Clean(item.Path)] = file{data: []byte(value), mode: modeOf(item.Mode, mode)}
	}
	return out, utilerrors.NewAggregate(failed)
}

// token is for its user's eyes only, where it is known who that is. A group of
// the pod is let in when the files are given to it.
func (f filler) token(ctx context.Context, s *corev1.ServiceAccountTokenProjection, mode *int32) (payload, time.Time, error) {
	token, err := f.objects.Token(ctx, f.pod, objects.TokenWish{Audience: s.Audience, ExpirationSeconds: s.ExpirationSeconds})
	if err != nil {
		return nil, time.Time{}, err
	}
	content := file{data: []byte(token.Value), mode: modeOf(nil, mode), uid: onlyUser(f.pod)}
	if content.uid != nil || fsGroup(f.pod) != nil {
		content.mode = 0o600
	}
	return payload{path.Clean(s.Path): content}, token.Renew, nil
}

// onlyUser is the user that all containers of the pod run as, if the pod says so.
func onlyUser(pod *corev1.Pod) *int64 {
	var common *int64
	if pod.Spec.SecurityContext != nil {
		common = pod.Spec.SecurityContext.RunAsUser
	}
	var only *int64
	agree := func(own *corev1.SecurityContext) bool {
		user := common
		if own != nil && own.RunAsUser != nil {
			user = own.RunAsUser
		}
		if user == nil || (only != nil && *only != *user) {
			return false
		}
		only = user
		return true
	}
	for _, container := range containers(pod) {
		if !agree(container.SecurityContext) {
			return nil
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if !agree(pod.Spec.EphemeralContainers[i].SecurityContext) {
			return nil
		}
	}
	return only
}

func fsGroup(pod *corev1.Pod) *int64 {
	if pod.Spec.SecurityContext == nil {
		return nil
	}
	return pod.Spec.SecurityContext.FSGroup
}

// modeOf is the first mode that is set.
func modeOf(modes ...*int32) fs.FileMode {
	for _, mode := range modes {
		if mode != nil {
			return fs.FileMode(*mode) & fs.ModePerm
		}
	}
	return defaultMode
}

func isTrue(b *bool) bool { return b != nil && *b }

// earliest is the earlier of two times, of which zero means never.
func earliest(a, b time.Time) time.Time {
	if a.IsZero() || (!b.IsZero() && b.Before(a)) {
		return b
	}
	return a
}
