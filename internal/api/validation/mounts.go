package validation

import (
	"slices"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// mounts checks where a container sees the pod's volumes as files.
func (p *podChecker) mounts(c *corev1.Container, at *field.Path) {
	points := seen[string]{}
	for i := range c.VolumeMounts {
		mount, list, at := &c.VolumeMounts[i], at, at.Index(i)
		p.needs(at.Child("name"), mount.Name)
		if p.volumes[mount.Name] == nil {
			p.notFound(at.Child("name"), mount.Name)
		}
		p.needs(at.Child("mountPath"), mount.MountPath)
		if points.again(mount.MountPath) {
			p.invalid(at.Child("mountPath"), mount.MountPath, "must be unique")
		}
		if slices.ContainsFunc(c.VolumeDevices, func(d corev1.VolumeDevice) bool { return d.Name == mount.Name }) {
			p.invalid(at.Child("name"), mount.Name, "must not already exist in volumeDevices")
		}
		if slices.ContainsFunc(c.VolumeDevices, func(d corev1.VolumeDevice) bool { return d.DevicePath == mount.MountPath }) {
			p.invalid(at.Child("mountPath"), mount.MountPath, "must not already exist as a path in volumeDevices")
		}
		if mount.SubPath != "" {
			p.descending(list.Child("subPath"), mount.SubPath)
		}
		if mount.SubPathExpr != "" {
			if mount.SubPath != "" {
				p.invalid(at.Child("subPathExpr"), mount.SubPathExpr, "subPathExpr and subPath are mutually exclusive")
			}
			p.descending(list.Child("subPathExpr"), mount.SubPathExpr)
		}
		p.propagation(c, mount, list.Child("mountPropagation"))
		p.recursiveReadOnly(mount, list.Child("recursiveReadOnly"))
		p.bindMountOptions(mount, at)
	}
}

// propagation checks that only a privileged container changes the mounts of
// its node.
func (p *podChecker) propagation(c *corev1.Container, mount *corev1.VolumeMount, at *field.Path) {
	if mount.MountPropagation == nil {
		return
	}
	supported(&p.faults, at, *mount.MountPropagation,
		corev1.MountPropagationBidirectional, corev1.MountPropagationHostToContainer, corev1.MountPropagationNone)
	if *mount.MountPropagation == corev1.MountPropagationBidirectional && !isPrivileged(c) {
		p.forbidden(at, "Bidirectional mount propagation is available only to privileged containers")
	}
}

func isPrivileged(c *corev1.Container) bool {
	return c.SecurityContext != nil && isTrue(c.SecurityContext.Privileged)
}

func isTrue(b *bool) bool { return b != nil && *b }

func (p *podChecker) recursiveReadOnly(mount *corev1.VolumeMount, at *field.Path) {
	if mount.RecursiveReadOnly == nil {
		return
	}
	switch mode := *mount.RecursiveReadOnly; mode {
	case corev1.RecursiveReadOnlyDisabled:
	case corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible:
		if !mount.ReadOnly {
			p.forbidden(at, "may only be specified when readOnly is true")
		}
		if mount.MountPropagation != nil && *mount.MountPropagation != corev1.MountPropagationNone {
			p.forbidden(at, "may only be specified when mountPropagation is None or not specified")
		}
	default:
		supported(&p.faults, at, mode,
			corev1.RecursiveReadOnlyDisabled, corev1.RecursiveReadOnlyEnabled, corev1.RecursiveReadOnlyIfPossible)
	}
}

// devices checks where a container sees the pod's volumes as block devices.
func (p *podChecker) devices(c *corev1.Container, at *field.Path) {
	paths, names := seen[string]{}, seen[string]{}
	for i := range c.VolumeDevices {
		device, at := &c.VolumeDevices[i], at.Index(i)
		name, path := at.Child("name"), at.Child("devicePath")
		p.needs(name, device.Name)
		if device.Name != "" && names.again(device.Name) {
			p.invalid(name, device.Name, "must be unique")
		}
		switch v := p.volumes[device.Name]; {
		case v == nil:
			p.notFound(name, device.Name)
		case v.PersistentVolumeClaim == nil && v.Ephemeral == nil:
			p.invalid(name, device.Name,
				"can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode")
		}
		p.needs(path, device.DevicePath)
		if paths[device.DevicePath] {
			p.invalid(path, device.DevicePath, "must be unique")
		}
		if climbs(device.DevicePath) {
			p.invalid(path, device.DevicePath, "can not contain backsteps ('..')")
		} else {
			paths[device.DevicePath] = true
		}
		if slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.Name == device.Name }) {
			p.invalid(name, device.Name, "must not already exist in volumeMounts")
		}
		if slices.ContainsFunc(c.VolumeMounts, func(m corev1.VolumeMount) bool { return m.MountPath == device.DevicePath }) {
			p.invalid(path, device.DevicePath, "must not already exist as a path in volumeMounts")
		}
	}
}

// envFiles checks that variables are read from files of an empty directory,
// which only the pod itself can have filled.
func (p *podChecker) envFiles() {
	volumes := map[string]*corev1.Volume{}
	for i := range p.spec.Volumes {
		volumes[p.spec.Volumes[i].Name] = &p.spec.Volumes[i]
	}
	p.eachContainer(func(c *corev1.Container, at *field.Path) {
		for i := range c.Env {
			if c.Env[i].ValueFrom == nil || c.Env[i].ValueFrom.FileKeyRef == nil {
				continue
			}
			name := c.Env[i].ValueFrom.FileKeyRef.VolumeName
			at := at.Child("env").Index(i).Child("valueFrom", "fileKeyRef", "volumeName")
			switch v := volumes[name]; {
			case v == nil:
				p.notFound(at, name)
			case v.EmptyDir == nil:
				p.invalid(at, name, "referenced volume must be of type emptyDir")
			}
		}
	})
}
