package admission

import (
	corev1 "k8s.io/api/core/v1"

	"github.com/garrison-project/garrison/internal/api/podrefs"
)

// namedObjects says which kind of object a pod names first, in the words of a
// refusal; empty if it names none. A volume of an unknown kind may name any.
func namedObjects(pod *corev1.Pod) string {
	if pod.Spec.ServiceAccountName != "" {
		return "serviceaccounts"
	}
	for range podrefs.Secrets(pod) {
		return "secrets"
	}
	for range podrefs.ConfigMaps(pod) {
		return "configmaps"
	}
	if len(pod.Spec.ResourceClaims) > 0 {
		return "resourceclaims"
	}
	for i := range pod.Spec.Volumes {
		if what := namedByVolume(&pod.Spec.Volumes[i]); what != "" {
			return what
		}
	}
	return ""
}

func namedByVolume(v *corev1.Volume) string {
	switch {
	case v.ConfigMap != nil:
		return "configmaps (via configmap volumes)"
	case v.Secret != nil:
		return "secrets (via secret volumes)"
	case v.CSI != nil:
		return "csidrivers (via CSI volumes)"
	case v.Glusterfs != nil:
		return "endpoints (via glusterFS volumes)"
	case v.PersistentVolumeClaim != nil:
		return "persistentvolumeclaims"
	case v.Ephemeral != nil:
		return "persistentvolumeclaims (via ephemeral volumes)"
	case v.AzureFile != nil:
		return "secrets (via azureFile volumes)"
	case v.Projected != nil:
		for i := range v.Projected.Sources {
			if what := namedByProjection(&v.Projected.Sources[i]); what != "" {
				return what
			}
		}
		return ""
	case onMachine(&v.VolumeSource):
		return ""
	}
	return "objects (via volume " + v.Name + " of an unknown kind)"
}

func namedByProjection(s *corev1.VolumeProjection) string {
	switch {
	case s.ConfigMap != nil:
		return "configmaps (via projected volumes)"
	case s.Secret != nil:
		return "secrets (via projected volumes)"
	case s.ServiceAccountToken != nil:
		return "serviceaccounts (via projected volumes)"
	case s.ClusterTrustBundle != nil:
		return "clustertrustbundles"
	case s.PodCertificate != nil:
		return "podcertificates"
	case s.DownwardAPI != nil:
		return ""
	}
	return "objects (via a projection of an unknown kind)"
}

// onMachine tells whether a volume comes from the machine, or from a server that
// the pod names itself.
func onMachine(v *corev1.VolumeSource) bool {
	return v.HostPath != nil || v.EmptyDir != nil || v.DownwardAPI != nil || v.Image != nil ||
		v.NFS != nil || v.ISCSI != nil || v.FC != nil || v.CephFS != nil || v.RBD != nil ||
		v.Cinder != nil || v.FlexVolume != nil || v.Flocker != nil || v.GitRepo != nil ||
		v.AWSElasticBlockStore != nil || v.AzureDisk != nil || v.GCEPersistentDisk != nil ||
		v.PhotonPersistentDisk != nil || v.PortworxVolume != nil || v.Quobyte != nil ||
		v.ScaleIO != nil || v.StorageOS != nil || v.VsphereVolume != nil
}
