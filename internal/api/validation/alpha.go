package validation

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// This file holds the rules of the fields that came with the types of v1.37,
// all of them alpha. They follow the documentation of the fields.

func (f *faults) httpProtocol(get *corev1.HTTPGetAction, at *field.Path) {
	if get.Protocol != nil {
		supported(f, at.Child("protocol"), *get.Protocol, corev1.HTTPProtocolHTTP1, corev1.HTTPProtocolHTTP2)
	}
}

func (f *faults) grpcMode(grpc *corev1.GRPCAction, at *field.Path) {
	if grpc.Mode != nil {
		supported(f, at.Child("mode"), *grpc.Mode, corev1.GRPCProbeModePlaintext, corev1.GRPCProbeModeTLS)
	}
}

// directoryMode is fileMode with the sticky bit.
func (f *faults) directoryMode(dir *corev1.EmptyDirVolumeSource, at *field.Path) {
	if mode := dir.Mode; mode != nil && (*mode < 0 || *mode > 0o1777) {
		f.invalid(at.Child("mode"), *mode, "must be a number between 0 and 01777 (octal), both inclusive")
	}
}

func (f *faults) bindMountOptions(mount *corev1.VolumeMount, at *field.Path) {
	known := seen[string]{}
	for i, option := range mount.BindMountOptions {
		at := at.Child("bindMountOptions").Index(i)
		supported(f, at, corev1.BindMountOption(option),
			corev1.BindMountOptionNoDev, corev1.BindMountOptionNoExec, corev1.BindMountOptionNoSUID)
		if known.again(option) {
			f.duplicate(at, option)
		}
	}
}

// fileOwners checks who the files of a volume belong to.
func (f *faults) fileOwners(v *corev1.VolumeSource, at *field.Path) {
	if s := v.Secret; s != nil {
		f.keyOwners(s.DefaultUser, s.Items, at.Child("secret"))
	}
	if c := v.ConfigMap; c != nil {
		f.keyOwners(c.DefaultUser, c.Items, at.Child("configMap"))
	}
	if d := v.DownwardAPI; d != nil {
		f.fieldOwners(d.DefaultUser, d.Items, at.Child("downwardAPI"))
	}
	if p := v.Projected; p != nil {
		f.owner(p.DefaultUser, at.Child("projected", "defaultUser"))
		for i := range p.Sources {
			f.projectionOwners(&p.Sources[i], at.Child("projected", "sources").Index(i))
		}
	}
}

func (f *faults) projectionOwners(s *corev1.VolumeProjection, at *field.Path) {
	if s.Secret != nil {
		f.keyOwners(nil, s.Secret.Items, at.Child("secret"))
	}
	if s.ConfigMap != nil {
		f.keyOwners(nil, s.ConfigMap.Items, at.Child("configMap"))
	}
	if s.DownwardAPI != nil {
		f.fieldOwners(nil, s.DownwardAPI.Items, at.Child("downwardAPI"))
	}
	if s.ServiceAccountToken != nil {
		f.owner(s.ServiceAccountToken.User, at.Child("serviceAccountToken", "user"))
	}
	if s.ClusterTrustBundle != nil {
		f.owner(s.ClusterTrustBundle.User, at.Child("clusterTrustBundle", "user"))
	}
	if s.PodCertificate != nil {
		f.owner(s.PodCertificate.User, at.Child("podCertificate", "user"))
	}
}

func (f *faults) keyOwners(whole *int64, items []corev1.KeyToPath, at *field.Path) {
	f.owner(whole, at.Child("defaultUser"))
	for i := range items {
		f.owner(items[i].User, at.Child("items").Index(i).Child("user"))
	}
}

func (f *faults) fieldOwners(whole *int64, items []corev1.DownwardAPIVolumeFile, at *field.Path) {
	f.owner(whole, at.Child("defaultUser"))
	for i := range items {
		f.owner(items[i].User, at.Child("items").Index(i).Child("user"))
	}
}

func (f *faults) owner(user *int64, at *field.Path) {
	if user != nil {
		f.messages(at, *user, validation.IsValidUserID(*user))
	}
}

// evictionResponders checks who is asked before the pod is evicted.
func (p *podChecker) evictionResponders(at *field.Path) {
	responders := p.spec.EvictionResponders
	if len(responders) > 10 {
		p.add(field.TooMany(at, len(responders), 10))
	}
	if len(responders) > 0 && p.spec.SchedulingGroup != nil {
		p.forbidden(at, "may not be specified when `schedulingGroup` is set")
	}
	known := seen[string]{}
	for i, responder := range responders {
		at := at.Index(i)
		if p.needs(at.Child("name"), responder.Name) {
			p.add(validation.IsDomainPrefixedKey(at.Child("name"), responder.Name)...)
		}
		if known.again(responder.Name) {
			p.duplicate(at, responder.Name)
		}
		switch priority := responder.Priority; {
		case priority == nil:
			p.required(at.Child("priority"), "")
		case *priority < 0 || *priority > 100000:
			p.invalid(at.Child("priority"), *priority, validation.InclusiveRangeError(0, 100000))
		}
	}
}
