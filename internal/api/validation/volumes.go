package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// podVolumes checks the volumes of a pod and remembers those without faults,
// so that no mount is refused for a volume that is itself to be mended first.
func (p *podChecker) podVolumes(at *field.Path) {
	p.volumes = map[string]*corev1.VolumeSource{}
	created := p.createdClaims()
	for i := range p.spec.Volumes {
		v, at := &p.spec.Volumes[i], at.Index(i)
		before := len(p.list)
		p.volumeSource(v, at)
		if p.needs(at.Child("name"), v.Name) {
			p.label(at.Child("name"), v.Name)
		}
		if p.volumes[v.Name] != nil {
			p.duplicate(at.Child("name"), v.Name)
		}
		if len(p.list) == before {
			p.volumes[v.Name] = &v.VolumeSource
		}
		if claim := v.PersistentVolumeClaim; claim != nil && created[claim.ClaimName] {
			p.invalid(at.Child("persistentVolumeClaim", "claimName"), claim.ClaimName,
				"must not reference a PVC that gets created for an ephemeral volume")
		}
	}
}

// createdClaims names the claims that ephemeral volumes will bring about. Of a
// template's pods the names are not known.
func (p *podChecker) createdClaims() seen[string] {
	created := seen[string]{}
	if p.pod == nil || p.pod.Name == "" {
		return created
	}
	for i := range p.spec.Volumes {
		if p.spec.Volumes[i].Ephemeral != nil {
			created[p.pod.Name+"-"+p.spec.Volumes[i].Name] = true
		}
	}
	return created
}

// volumeSource checks that a volume comes from exactly one source, and that
// one in depth.
func (p *podChecker) volumeSource(v *corev1.Volume, at *field.Path) {
	one := oneOf{faults: &p.faults, at: at, what: "volume type"}
	p.localSource(v, &one)
	p.remoteSource(v, &one)
	one.check("projected", v.Projected != nil, func(at *field.Path) { p.projected(v.Projected, at) })
	one.check("scaleIO", v.ScaleIO != nil, func(at *field.Path) {
		p.needs(at.Child("gateway"), v.ScaleIO.Gateway)
		p.needs(at.Child("system"), v.ScaleIO.System)
		p.needs(at.Child("volumeName"), v.ScaleIO.VolumeName)
	})
	one.check("csi", v.CSI != nil, func(at *field.Path) { p.csi(v.CSI, at) })
	one.check("ephemeral", v.Ephemeral != nil, func(*field.Path) { p.ephemeralVolume(v, at) })
	one.check("image", v.Image != nil, func(at *field.Path) {
		if p.pod != nil {
			p.needs(at.Child("reference"), v.Image.Reference)
		}
		p.pullPolicy(v.Image.PullPolicy, at.Child("pullPolicy"))
	})
	if !one.found {
		p.required(at, "must specify a volume type")
	}
	p.fileOwners(&v.VolumeSource, at)
}

// localSource checks the sources that a node has by itself.
func (p *podChecker) localSource(v *corev1.Volume, one *oneOf) {
	one.check("emptyDir", v.EmptyDir != nil, func(at *field.Path) {
		if size := v.EmptyDir.SizeLimit; size != nil && size.Sign() < 0 {
			p.forbidden(at.Child("sizeLimit"), "SizeLimit field must be a valid resource quantity")
		}
		p.directoryMode(v.EmptyDir, at)
	})
	one.check("hostPath", v.HostPath != nil, func(at *field.Path) { p.hostPath(v.HostPath, at) })
	one.check("gitRepo", v.GitRepo != nil, func(at *field.Path) {
		p.needs(at.Child("repository"), v.GitRepo.Repository)
		p.descending(at.Child("directory"), v.GitRepo.Directory)
	})
}

func (p *podChecker) hostPath(h *corev1.HostPathVolumeSource, at *field.Path) {
	if !p.needs(at.Child("path"), h.Path) {
		return
	}
	p.noBacksteps(at.Child("path"), h.Path)
	if h.Type != nil {
		supported(&p.faults, at.Child("type"), *h.Type,
			corev1.HostPathUnset, corev1.HostPathBlockDev, corev1.HostPathCharDev, corev1.HostPathDirectory,
			corev1.HostPathDirectoryOrCreate, corev1.HostPathFile, corev1.HostPathFileOrCreate, corev1.HostPathSocket)
	}
}

// ephemeralVolume checks the template of the claim that is made for a pod, and
// that the claim will have a good name.
func (p *podChecker) ephemeralVolume(v *corev1.Volume, at *field.Path) {
	claimPath := at.Child("ephemeral", "volumeClaimTemplate")
	if template := v.Ephemeral.VolumeClaimTemplate; template == nil {
		p.required(claimPath, "")
	} else {
		p.claimTemplate(template, claimPath)
	}
	if p.pod == nil || p.pod.Name == "" || v.Name == "" {
		return
	}
	claim := p.pod.Name + "-" + v.Name
	for _, msg := range isSubdomain(claim) {
		p.invalid(at.Child("name"), v.Name, fmt.Sprintf("PVC name %q: %v", claim, msg))
	}
}
