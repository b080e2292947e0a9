package cluster

import (
	"cmp"
	"fmt"
	"math"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubeletconfig "k8s.io/kubelet/config/v1beta1"
	"k8s.io/utils/ptr"

	"github.com/garrison-project/garrison/internal/agent/node"
)

// configuration is that of the agent in the terms of kubelets, without what they
// decide and it does not.
func (a *nodeAgent) configuration() (map[string]any, error) {
	fields, err := runtime.DefaultUnstructuredConverter.ToUnstructured(a.kubeletConfiguration())
	if err != nil {
		return nil, fmt.Errorf("show the agent's configuration: %w", err)
	}
	return decided(fields), nil
}

// decided leaves out durations that are not set, which have no other way to be left
// out, and what is empty then.
func decided(fields map[string]any) map[string]any {
	for name, value := range fields {
		inner, nested := value.(map[string]any)
		if nested && len(decided(inner)) == 0 || value == "0s" {
			delete(fields, name)
		}
	}
	return fields
}

// kubeletConfiguration has what the flags of the agent say.
func (a *nodeAgent) kubeletConfiguration() *kubeletconfig.KubeletConfiguration {
	cfg, settings := a.cfg, a.cfg.Node
	lease := cmp.Or(settings.LeaseDuration, node.DefaultLeaseDuration)
	return &kubeletconfig.KubeletConfiguration{
		TypeMeta:           metav1.TypeMeta{Kind: "KubeletConfiguration", APIVersion: kubeletconfig.SchemeGroupVersion.String()},
		StaticPodPath:      cfg.ManifestFolder,
		PodLogsDir:         cfg.PodLogs,
		Address:            cfg.BindAddress,
		Port:               int32(settings.Port),
		HealthzBindAddress: cfg.HealthzAddress,
		HealthzPort:        ptr.To(int32(cfg.HealthzPort)),
		Authentication: kubeletconfig.KubeletAuthentication{
			Anonymous: kubeletconfig.KubeletAnonymousAuthentication{Enabled: ptr.To(false)},
			Webhook:   kubeletconfig.KubeletWebhookAuthentication{Enabled: ptr.To(true)},
		},
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
