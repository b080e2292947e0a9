package cluster

import (
	"math"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/agent/node"
)

// kubeletConfiguration is the configuration of the agent in the terms of kubelets, as
// far as it has a say in what they say. Fields that are empty are not decided here.
func (a *nodeAgent) kubeletConfiguration() *kubeletconfig.KubeletConfiguration {
	cfg, settings := a.cfg, a.cfg.Node
	lease := settings.LeaseDuration
	if lease == 0 {
		lease = node.DefaultLeaseDuration
	}
	return &kubeletconfig.KubeletConfiguration{
		TypeMeta:                    metav1.TypeMeta{Kind: "KubeletConfiguration", APIVersion: kubeletconfig.SchemeGroupVersion.String()},
		StaticPodPath:               cfg.ManifestFolder,
		PodLogsDir:                  cfg.PodLogs,
		Address:                     cfg.BindAddress,
		Port:                        int32(settings.Port),
		HealthzBindAddress:          cfg.HealthzAddress,
		HealthzPort:                 ptr.To(int32(cfg.HealthzPort)),
		Authentication:              kubeletconfig.KubeletAuthentication{Anonymous: kubeletconfig.KubeletAnonymousAuthentication{Enabled: ptr.To(false)}, Webhook: kubeletconfig.KubeletWebhookAuthentication{Enabled: ptr.To(true)}},
		Authorization:               kubeletconfig.KubeletAuthorization{Mode: kubeletconfig.KubeletAuthorizationModeWebhook},
		ClusterDomain:               cfg.ClusterDomain,
		ClusterDNS:                  cfg.ClusterDNS,
		NodeLeaseDurationSeconds:    int32(lease.Seconds()),
		ImageMinimumGCAge:           metav1.Duration{Duration: settings.ImageGC.MinAge},
		ImageGCHighThresholdPercent: ptr.To(int32(settings.ImageGC.High)),
		ImageGCLowThresholdPercent:  ptr.To(int32(settings.ImageGC.Low)),
		MaxPods:                     int32(settings.MaxPods),
		PodCIDR:                     settings.PodCIDR,
		ContainerLogMaxSize:         resource.NewQuantity(maxLogSize, resource.BinarySI).String(),
		ContainerLogMaxFiles:        ptr.To[int32](maxLogFiles),
		EvictionHard:                evictionOf(settings.Eviction),
		SystemReserved:              textsOf(settings.SystemReserved),
		KubeReserved:                textsOf(settings.KubeReserved),
		RegisterWithTaints:          settings.Taints,
		ContainerRuntimeEndpoint:    a.runtimeEndpoint(),
	}
}

// runtimeEndpoint is the socket of the runtime, whoever started it.
func (a *nodeAgent) runtimeEndpoint() string {
	if a.containerd != nil {
		return "unix://" + a.containerd.Endpoint()
	}
	return a.cfg.RuntimeEndpoint
}

func evictionOf(thresholds node.Thresholds) map[string]string {
	texts := map[string]string{}
	for signal, t := range thresholds {
		if t.Share > 0 {
			texts[string(signal)] = strconv.FormatFloat(math.Round(t.Share*1e6)/1e4, 'f', -1, 64) + "%"
		} else {
			texts[string(signal)] = resource.NewQuantity(t.Amount, resource.BinarySI).String()
		}
	}
	return texts
}

func textsOf(list corev1.ResourceList) map[string]string {
	texts := map[string]string{}
	for name, quantity := range list {
		texts[string(name)] = quantity.String()
	}
	return texts
}
