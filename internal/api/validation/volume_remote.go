package validation

import (
	"net"
	"path"
	"regexp"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apivalidation "k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// remoteSource checks the sources that lie beyond the node, in the order in
// which upstream looks at them. Some of their paths are spelt as upstream does,
// not as the field is.
func (p *podChecker) remoteSource(v *corev1.Volume, one *oneOf) {
	one.check("gcePersistentDisk", v.GCEPersistentDisk != nil, func(*field.Path) {
		p.disk("pdName", v.GCEPersistentDisk.PDName, v.GCEPersistentDisk.Partition, one.at.Child("persistentDisk"))
	})
	one.check("awsElasticBlockStore", v.AWSElasticBlockStore != nil, func(at *field.Path) {
		p.disk("volumeID", v.AWSElasticBlockStore.VolumeID, v.AWSElasticBlockStore.Partition, at)
	})
	one.check("secret", v.Secret != nil, func(at *field.Path) {
		p.needs(at.Child("secretName"), v.Secret.SecretName)
		p.fileMode(at.Child("defaultMode"), v.Secret.DefaultMode)
		p.keyFiles(v.Secret.Items, at.Child("items"))
	})
	one.check("nfs", v.NFS != nil, func(at *field.Path) {
		p.needs(at.Child("server"), v.NFS.Server)
		p.needs(at.Child("path"), v.NFS.Path)
		if !path.IsAbs(v.NFS.Path) {
			p.invalid(at.Child("path"), v.NFS.Path, "must be an absolute path")
		}
	})
	one.check("iscsi", v.ISCSI != nil, func(at *field.Path) { p.iscsi(v.ISCSI, at) })
	if v.ISCSI != nil && v.ISCSI.InitiatorName != nil && len(v.Name+":"+v.ISCSI.TargetPortal) > 64 {
		p.invalid(one.at.Child("name"), v.Name, "Total length of <volume name>:<iscsi.targetPortal> must be under 64 characters if iscsi.initiatorName is specified.")
	}
	one.check("glusterfs", v.Glusterfs != nil, func(at *field.Path) {
		p.needs(at.Child("endpoints"), v.Glusterfs.EndpointsName)
		p.needs(at.Child("path"), v.Glusterfs.Path)
	})
	one.check("flocker", v.Flocker != nil, func(at *field.Path) { p.flocker(v.Flocker, at) })
	one.check("persistentVolumeClaim", v.PersistentVolumeClaim != nil, func(at *field.Path) {
		p.needs(at.Child("claimName"), v.PersistentVolumeClaim.ClaimName)
	})
	p.clusterStorage(v, one)
	one.check("downwarAPI", v.DownwardAPI != nil, func(*field.Path) {
		at := one.at.Child("downwardAPI")
		p.fileMode(at.Child("defaultMode"), v.DownwardAPI.DefaultMode)
		for i := range v.DownwardAPI.Items {
			p.downwardFile(&v.DownwardAPI.Items[i], at)
		}
	})
	one.check("fc", v.FC != nil, func(at *field.Path) { p.fibreChannel(v.FC, at) })
	one.check("flexVolume", v.FlexVolume != nil, func(at *field.Path) { p.flexVolume(v.FlexVolume, at) })
	one.check("configMap", v.ConfigMap != nil, func(at *field.Path) {
		p.needs(at.Child("name"), v.ConfigMap.Name)
		p.fileMode(at.Child("defaultMode"), v.ConfigMap.DefaultMode)
		p.keyFiles(v.ConfigMap.Items, at.Child("items"))
	})
	p.cloudStorage(v, one)
}

func (p *podChecker) clusterStorage(v *corev1.Volume, one *oneOf) {
	one.check("rbd", v.RBD != nil, func(at *field.Path) {
		if len(v.RBD.CephMonitors) == 0 {
			p.required(at.Child("monitors"), "")
		}
		p.needs(at.Child("image"), v.RBD.RBDImage)
	})
	one.check("cinder", v.Cinder != nil, func(at *field.Path) {
		p.needs(at.Child("volumeID"), v.Cinder.VolumeID)
		p.secretRef(v.Cinder.SecretRef, at)
	})
	one.check("cephFS", v.CephFS != nil, func(*field.Path) {
		if len(v.CephFS.Monitors) == 0 {
			p.required(one.at.Child("cephfs", "monitors"), "")
		}
	})
	one.check("quobyte", v.Quobyte != nil, func(at *field.Path) { p.quobyte(v.Quobyte, at) })
}

func (p *podChecker) cloudStorage(v *corev1.Volume, one *oneOf) {
	one.check("azureFile", v.AzureFile != nil, func(at *field.Path) {
		p.needs(at.Child("secretName"), v.AzureFile.SecretName)
		p.needs(at.Child("shareName"), v.AzureFile.ShareName)
	})
	one.check("vsphereVolume", v.VsphereVolume != nil, func(at *field.Path) {
		p.needs(at.Child("volumePath"), v.VsphereVolume.VolumePath)
	})
	one.check("photonPersistentDisk", v.PhotonPersistentDisk != nil, func(at *field.Path) {
		p.needs(at.Child("pdID"), v.PhotonPersistentDisk.PdID)
	})
	one.check("portworxVolume", v.PortworxVolume != nil, func(at *field.Path) {
		p.needs(at.Child("volumeID"), v.PortworxVolume.VolumeID)
	})
	one.check("azureDisk", v.AzureDisk != nil, func(at *field.Path) { p.azureDisk(v.AzureDisk, at) })
	one.check("storageos", v.StorageOS != nil, func(at *field.Path) {
		if p.needs(at.Child("volumeName"), v.StorageOS.VolumeName) {
			p.label(at.Child("volumeName"), v.StorageOS.VolumeName)
		}
		if v.StorageOS.VolumeNamespace != "" {
			p.label(at.Child("volumeNamespace"), v.StorageOS.VolumeNamespace)
		}
		p.secretRef(v.StorageOS.SecretRef, at)
	})
}

// disk checks the name of a disk and the number of a partition.
func (p *podChecker) disk(field, name string, partition int32, at *field.Path) {
	p.needs(at.Child(field), name)
	if partition < 0 || partition > 255 {
		p.invalid(at.Child("partition"), partition, validation.InclusiveRangeError(1, 255))
	}
}

func (p *podChecker) secretRef(ref *corev1.LocalObjectReference, at *field.Path) {
	if ref != nil {
		p.needs(at.Child("secretRef", "name"), ref.Name)
	}
}

// The forms of the names of iSCSI nodes (RFC 3720, 3.2.6).
var iscsiNames = map[string]*regexp.Regexp{
	"iqn": regexp.MustCompile(`iqn\.\d{4}-\d{2}\.([[:alnum:]-.]+)(:[^,;*&$|\s]+)$`),
	"eui": regexp.MustCompile(`^eui.[[:alnum:]]{16}$`),
	"naa": regexp.MustCompile(`^naa.[[:alnum:]]{32}$`),
}

func (p *podChecker) iscsi(v *corev1.ISCSIVolumeSource, at *field.Path) {
	p.needs(at.Child("targetPortal"), v.TargetPortal)
	if p.needs(at.Child("iqn"), v.IQN) {
		p.iscsiName(v.IQN, at.Child("iqn"))
	}
	if v.Lun < 0 || v.Lun > 255 {
		p.invalid(at.Child("lun"), v.Lun, validation.InclusiveRangeError(0, 255))
	}
	if (v.DiscoveryCHAPAuth || v.SessionCHAPAuth) && v.SecretRef == nil {
		p.required(at.Child("secretRef"), "")
	}
	if v.InitiatorName != nil {
		p.iscsiName(*v.InitiatorName, at.Child("initiatorname"))
	}
}

func (p *podChecker) iscsiName(name string, at *field.Path) {
	form, known := iscsiNames[name[:min(3, len(name))]]
	switch {
	case !known:
		p.invalid(at, name, "must be valid format starting with iqn, eui, or naa")
	case !form.MatchString(name):
		p.invalid(at, name, "must be valid format")
	}
}

func (p *podChecker) flocker(v *corev1.FlockerVolumeSource, at *field.Path) {
	switch {
	case v.DatasetName == "" && v.DatasetUUID == "":
		p.required(at, "one of datasetName and datasetUUID is required")
	case v.DatasetName != "" && v.DatasetUUID != "":
		p.invalid(at, "resource", "datasetName and datasetUUID can not be specified simultaneously")
	}
	if strings.Contains(v.DatasetName, "/") {
		p.invalid(at.Child("datasetName"), v.DatasetName, "must not contain '/'")
	}
}

func (p *podChecker) quobyte(v *corev1.QuobyteVolumeSource, at *field.Path) {
	const registry = "must be a host:port pair or multiple pairs separated by commas"
	switch {
	case v.Registry == "":
		p.required(at.Child("registry"), registry)
	case len(v.Tenant) >= 65:
		p.required(at.Child("tenant"), "must be a UUID and may not exceed a length of 64 characters")
	default:
		for pair := range strings.SplitSeq(v.Registry, ",") {
			if _, _, err := net.SplitHostPort(pair); err != nil {
				p.invalid(at.Child("registry"), v.Registry, registry)
			}
		}
	}
	p.needs(at.Child("volume"), v.Volume)
}

func (p *podChecker) fibreChannel(v *corev1.FCVolumeSource, at *field.Path) {
	switch {
	case len(v.TargetWWNs) == 0 && len(v.WWIDs) == 0:
		p.required(at.Child("targetWWNs"), "must specify either targetWWNs or wwids, but not both")
	case len(v.TargetWWNs) != 0 && len(v.WWIDs) != 0:
		p.invalid(at.Child("targetWWNs"), v.TargetWWNs, "targetWWNs and wwids can not be specified simultaneously")
	}
	switch {
	case len(v.TargetWWNs) == 0:
	case v.Lun == nil:
		p.required(at.Child("lun"), "lun is required if targetWWNs is specified")
	case *v.Lun < 0 || *v.Lun > 255:
		p.invalid(at.Child("lun"), *v.Lun, validation.InclusiveRangeError(0, 255))
	}
}

func (p *podChecker) flexVolume(v *corev1.FlexVolumeSource, at *field.Path) {
	p.needs(at.Child("driver"), v.Driver)
	for _, key := range sortedKeys(v.Options) {
		domain, _, _ := strings.Cut(key, "/")
		domain = "." + strings.ToLower(domain)
		if strings.HasSuffix(domain, ".kubernetes.io") || strings.HasSuffix(domain, ".k8s.io") {
			p.invalid(at.Child("options").Key(key), key, "kubernetes.io and k8s.io namespaces are reserved")
		}
	}
}

func (p *podChecker) azureDisk(v *corev1.AzureDiskVolumeSource, at *field.Path) {
	p.needs(at.Child("diskName"), v.DiskName)
	p.needs(at.Child("diskURI"), v.DataDiskURI)
	if v.CachingMode != nil {
		supported(&p.faults, at.Child("cachingMode"), *v.CachingMode,
			corev1.AzureDataDiskCachingNone, corev1.AzureDataDiskCachingReadOnly, corev1.AzureDataDiskCachingReadWrite)
	}
	if v.Kind == nil {
		return
	}
	supported(&p.faults, at.Child("kind"), *v.Kind,
		corev1.AzureDedicatedBlobDisk, corev1.AzureManagedDisk, corev1.AzureSharedBlobDisk)
	prefix, form := "https://", "https://{account-name}.blob.core.windows.net/{container-name}/{disk-name}.vhd"
	if *v.Kind == corev1.AzureManagedDisk {
		prefix, form = "/subscriptions/", "/subscriptions/{sub-id}/resourcegroups/{group-name}/providers/microsoft.compute/disks/{disk-id}"
	}
	if !strings.HasPrefix(v.DataDiskURI, prefix) {
		p.add(field.NotSupported(at.Child("diskURI"), v.DataDiskURI, []string{form}))
	}
}

func (p *podChecker) csi(v *corev1.CSIVolumeSource, at *field.Path) {
	if p.needs(at.Child("driver"), v.Driver) {
		if len(v.Driver) > 63 {
			p.add(field.TooLong(at.Child("driver"), "", 63))
		}
		p.messages(at.Child("driver"), v.Driver, validation.IsDNS1123Subdomain(strings.ToLower(v.Driver)))
	}
	if ref := v.NodePublishSecretRef; ref != nil && p.needs(at.Child("nodePublishSecretRef", "name"), ref.Name) {
		p.messages(at.Child("name"), ref.Name, apivalidation.NameIsDNSSubdomain(ref.Name, false))
	}
}
