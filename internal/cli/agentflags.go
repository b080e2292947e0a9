package cli

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/component-base/version"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/containerd"
	"github.com/garrison-project/garrison/internal/agent/node"
	"github.com/garrison-project/garrison/internal/cluster"
)

const (
	defaultAgentPort = 10250
	defaultMaxPods   = 110
	defaultPodLogs   = "/var/log/pods"
	// These lie in the data directory.
	agentFolder    = "agent"
	manifestFolder = "manifests"
	imageFolder    = "images"
	seccompFolder  = "seccomp"
)

// agentFlags say how this machine is a node. They are named as kubelets name them.
type agentFlags struct {
	nodeName   string
	nodeIPs    []net.IP
	nodeLabels map[string]string
	taints     []string

	runtimeEndpoint string
	containerd      string
	runtimeHandlers map[string]string
	cniConfDir      string
	cniBinDir       string
	podCIDR         string
	clusterDNS      []net.IP
	clusterDomain   string

	maxPods           int
	extendedResources map[string]string
	systemReserved    map[string]string
	kubeReserved      map[string]string
	evictionHard      string
	unsafeSysctls     []string

	address     string
	port        int
	healthzBind net.IP
	healthzPort int
	podLogsDir  string
	manifestDir string

	leaseSeconds int

	imageGCHigh, imageGCLow int
	imageMinAge             time.Duration
}

func (f *agentFlags) add(flags *pflag.FlagSet) {
	flags.IPSliceVar(&f.nodeIPs, "node-ip", nil, "IP address at which others reach this machine, of each family at most one (default that of the interface with the default route)")
	flags.StringToStringVar(&f.nodeLabels, "node-labels", nil, "labels of the node when it is registered, NAME=VALUE,…")
	flags.StringSliceVar(&f.taints, "register-with-taints", nil, "taints of the node when it is registered, KEY=VALUE:EFFECT,…")

	flags.StringVar(&f.runtimeEndpoint, "container-runtime-endpoint", "", "socket of a containerd or CRI-O that runs already, such as unix:///run/containerd/containerd.sock (default a containerd of Garrison's own)")
	flags.StringVar(&f.containerd, "containerd", "", "containerd to start (default the one on the PATH)")
	flags.StringToStringVar(&f.runtimeHandlers, "runtime-handlers", nil, "what runtime classes can name besides runc, in that containerd: NAME=PROGRAM for a program that runs as runc does, or NAME=SHIM, such as kata=io.containerd.kata.v2")
	flags.StringVar(&f.cniConfDir, "cni-conf-dir", "", "folder with the configuration of a pod network made by others (default a bridge of Garrison's own)")
	flags.StringVar(&f.cniBinDir, "cni-bin-dir", "", "folder with the CNI plugins (default where distributions put them)")
	flags.StringVar(&f.podCIDR, "pod-cidr", "", "range of addresses for the pods of this node, such as 10.84.7.0/24 (default what the cluster hands out)")
	flags.IPSliceVar(&f.clusterDNS, "cluster-dns", nil, "addresses of the DNS servers for pods (default those of this machine)")
	flags.StringVar(&f.clusterDomain, "cluster-domain", "cluster.local", "domain that pods search, if there are cluster DNS servers")

	flags.IntVar(&f.maxPods, "max-pods", defaultMaxPods, "number of pods that can run here")
	flags.StringToStringVar(&f.extendedResources, "extended-resources", nil, "further resources of this node, such as example.com/gpu=2")
	flags.StringToStringVar(&f.systemReserved, "system-reserved", nil, "resources kept back for the system, such as cpu=200m,memory=500Mi")
	flags.StringToStringVar(&f.kubeReserved, "kube-reserved", nil, "resources kept back for the agent and the runtime, such as cpu=200m,memory=500Mi")
	flags.StringVar(&f.evictionHard, "eviction-hard", node.DefaultEviction, "what must stay free lest the node report pressure; replaces the whole default")

	flags.StringSliceVar(&f.unsafeSysctls, "allowed-unsafe-sysctls", nil, "kernel parameters that pods may set besides the safe ones, such as kernel.msg*,net.core.somaxconn")

	flags.IntVar(&f.port, "agent-port", defaultAgentPort, "port for logs, exec and metrics; 0 picks a free one")
	flags.IPVar(&f.healthzBind, "healthz-bind-address", net.IPv4(127, 0, 0, 1), "IP address to serve /healthz of the agent on, to everybody")
	flags.IntVar(&f.healthzPort, "healthz-port", cluster.DefaultHealthzPort, "port of /healthz of the agent; 0 turns it off")
	flags.StringVar(&f.podLogsDir, "pod-logs-dir", defaultPodLogs, "folder for the output of containers")
	flags.StringVar(&f.manifestDir, "pod-manifest-path", "", "folder with the manifests of static pods (default "+manifestFolder+" in the data directory)")

	flags.IntVar(&f.leaseSeconds, "node-lease-duration-seconds", int(node.DefaultLeaseDuration/time.Second), "how long the node's lease is good for; it is renewed four times in that time")

	flags.IntVar(&f.imageGCHigh, "image-gc-high-threshold", node.DefaultImageGC.High, "per cent of the disk in use above which unused images are removed; 100 keeps them")
	flags.IntVar(&f.imageGCLow, "image-gc-low-threshold", node.DefaultImageGC.Low, "per cent of the disk in use to which unused images are removed")
	flags.DurationVar(&f.imageMinAge, "minimum-image-ttl-duration", node.DefaultImageGC.MinAge, "how long an unused image stays at least")
}

// config checks the flags. Name and address of the node are left to the caller.
func (f *agentFlags) config(dataDir string) (cluster.AgentConfig, error) {
	var none cluster.AgentConfig
	dir, err := filepath.Abs(dataDir)
	if err != nil {
		return none, fmt.Errorf("find the data directory: %w", err)
	}
	cfg := cluster.AgentConfig{
		Dir:             filepath.Join(dir, agentFolder),
		ImageFolder:     filepath.Join(dir, imageFolder),
		ManifestFolder:  f.manifestDir,
		SeccompFolder:   filepath.Join(dir, seccompFolder),
		PodLogs:         f.podLogsDir,
		RuntimeEndpoint: f.runtimeEndpoint,
		ContainerdPath:  f.containerd,
		CNIConfDir:      f.cniConfDir,
		CNIBinDir:       f.cniBinDir,
		ClusterDomain:   f.clusterDomain,
		BindAddress:     f.address,
		Port:            f.port,
		HealthzAddress:  f.healthzBind.String(),
		HealthzPort:     f.healthzPort,

		AllowedUnsafeSysctls: f.unsafeSysctls,
	}
	if cfg.ManifestFolder == "" {
		cfg.ManifestFolder = filepath.Join(dir, manifestFolder)
	}
	for _, ip := range f.clusterDNS {
		cfg.ClusterDNS = append(cfg.ClusterDNS, ip.String())
	}
	if err := f.check(); err != nil {
		return none, err
	}
	if err := agent.CheckSysctls(f.unsafeSysctls); err != nil {
		return none, usagef("--allowed-unsafe-sysctls: %w", err)
	}
	if cfg.RuntimeHandlers, err = containerd.ParseHandlers(f.runtimeHandlers); err != nil {
		return none, usagef("--runtime-handlers: %w", err)
	}
	cfg.Node, err = f.settings()
	return cfg, err
}

// check finds what is wrong with single flags.
func (f *agentFlags) check() error {
	switch {
	case f.port < 0 || f.port > 65535:
		return usagef("--agent-port must be between 0 and 65535, not %d", f.port)
	case f.healthzPort < 0 || f.healthzPort > 65535:
		return usagef("--healthz-port must be between 0 and 65535, not %d", f.healthzPort)
	case f.address != "" && net.ParseIP(f.address) == nil:
		return usagef("--agent-address must be an IP address, not %q", f.address)
	case f.maxPods < 1:
		return usagef("--max-pods must be positive")
	case f.leaseSeconds < 1:
		return usagef("--node-lease-duration-seconds must be positive")
	case f.imageGCHigh < 0 || f.imageGCHigh > 100:
		return usagef("--image-gc-high-threshold must be between 0 and 100, not %d", f.imageGCHigh)
	case f.imageGCLow < 0 || f.imageGCLow >= f.imageGCHigh:
		return usagef("--image-gc-low-threshold must be at least 0 and less than --image-gc-high-threshold")
	case f.imageMinAge < 0:
		return usagef("--minimum-image-ttl-duration must not be negative")
	case f.runtimeEndpoint != "" && f.containerd != "":
		return usagef("--containerd and --container-runtime-endpoint exclude each other")
	case f.runtimeEndpoint != "" && len(f.runtimeHandlers) > 0:
		return usagef("with --container-runtime-endpoint the handlers are that runtime's: --runtime-handlers has no effect")
	case f.runtimeEndpoint != "" && (f.cniConfDir != "" || f.cniBinDir != "" || f.podCIDR != ""):
		return usagef("with --container-runtime-endpoint the pod network is that runtime's: --cni-conf-dir, --cni-bin-dir and --pod-cidr have no effect")
	case f.cniConfDir != "" && f.podCIDR != "":
		return usagef("--pod-cidr is for the bridge of Garrison's own, which --cni-conf-dir replaces")
	case len(f.nodeIPs) > 2, len(f.nodeIPs) == 2 && (f.nodeIPs[0].To4() == nil) == (f.nodeIPs[1].To4() == nil):
		return usagef("--node-ip may name one address of each family")
	case f.nodeName != "" && len(validation.IsDNS1123Subdomain(f.nodeName)) > 0:
		return usagef("--node-name: %q cannot be the name of a node: %s", f.nodeName, strings.Join(validation.IsDNS1123Subdomain(f.nodeName), "; "))
	}
	for _, ip := range f.nodeIPs {
		if !ip.IsGlobalUnicast() {
			return usagef("--node-ip: others cannot reach this machine at %v", ip)
		}
	}
	return nil
}

// settings are what the flags say of the Node object.
func (f *agentFlags) settings() (node.Settings, error) {
	s := node.Settings{
		Name: f.nodeName, Addresses: f.nodeIPs, MaxPods: f.maxPods, PodCIDR: f.podCIDR,
		ImageGC:       node.ImageGC{High: f.imageGCHigh, Low: f.imageGCLow, MinAge: f.imageMinAge},
		LeaseDuration: time.Duration(f.leaseSeconds) * time.Second, Version: version.Get().GitVersion,
	}
	var err error
	if f.podCIDR != "" {
		if prefix, failure := netip.ParsePrefix(f.podCIDR); failure != nil || prefix != prefix.Masked() {
			return s, usagef("--pod-cidr: %q is not a range of addresses such as 10.84.7.0/24", f.podCIDR)
		}
	}
	if s.Labels, err = parseNodeLabels(f.nodeLabels); err != nil {
		return s, usagef("--node-labels: %w", err)
	}
	if s.Taints, err = parseTaints(f.taints); err != nil {
		return s, usagef("--register-with-taints: %w", err)
	}
	for _, list := range []struct {
		flag    string
		values  map[string]string
		to      *corev1.ResourceList
		problem func(name string) error
	}{
		{"extended-resources", f.extendedResources, &s.ExtendedResources, checkExtended},
		{"system-reserved", f.systemReserved, &s.SystemReserved, checkReservable},
		{"kube-reserved", f.kubeReserved, &s.KubeReserved, checkReservable},
	} {
		if *list.to, err = parseResources(list.values, list.problem); err != nil {
			return s, usagef("--%s: %w", list.flag, err)
		}
	}
	if s.Eviction, err = node.ParseThresholds(f.evictionHard); err != nil {
		return s, usagef("--eviction-hard: %w", err)
	}
	return s, nil
}

// ownLabels are those in Kubernetes' own domains that a node may set on itself.
var ownLabels = []string{
	corev1.LabelHostname, corev1.LabelInstanceTypeStable, corev1.LabelOSStable, corev1.LabelArchStable,
	corev1.LabelTopologyZone, corev1.LabelTopologyRegion,
	"beta.kubernetes.io/instance-type", "beta.kubernetes.io/os", "beta.kubernetes.io/arch",
	"failure-domain.beta.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/region",
	corev1.LabelWindowsBuild,
}

func parseNodeLabels(given map[string]string) (map[string]string, error) {
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if problems := validation.IsQualifiedName(name); len(problems) > 0 {
			return nil, fmt.Errorf("%q is not the name of a label: %s", name, strings.Join(problems, "; "))
		}
		if problems := validation.IsValidLabelValue(given[name]); len(problems) > 0 {
			return nil, fmt.Errorf("%q cannot be the value of label %s: %s", given[name], name, strings.Join(problems, "; "))
		}
		domain, _, _ := strings.Cut(name, "/")
		reserved := within(domain, "kubernetes.io") || within(domain, "k8s.io")
		allowed := within(domain, "kubelet.kubernetes.io") || within(domain, "node.kubernetes.io") || slices.Contains(ownLabels, name)
		if reserved && !allowed {
			return nil, fmt.Errorf("a node may not give itself %s: of Kubernetes' own labels only %s and those of kubelet.kubernetes.io and node.kubernetes.io", name, strings.Join(ownLabels, ", "))
		}
	}
	return given, nil
}

// within tells whether a domain is another one or part of it.
func within(domain, other string) bool {
	return domain == other || strings.HasSuffix(domain, "."+other)
}

// parseTaints reads taints such as key=value:NoSchedule and key:NoExecute.
func parseTaints(given []string) ([]corev1.Taint, error) {
	var taints []corev1.Taint
	for _, text := range given {
		pair, effect, found := strings.Cut(text, ":")
		key, value, _ := strings.Cut(pair, "=")
		taint := corev1.Taint{Key: key, Value: value, Effect: corev1.TaintEffect(effect)}
		known := []corev1.TaintEffect{corev1.TaintEffectNoSchedule, corev1.TaintEffectPreferNoSchedule, corev1.TaintEffectNoExecute}
		switch {
		case !found:
			return nil, fmt.Errorf("%q is not of the form KEY=VALUE:EFFECT", text)
		case len(validation.IsQualifiedName(key)) > 0:
			return nil, fmt.Errorf("%q: %s", text, strings.Join(validation.IsQualifiedName(key), "; "))
		case len(validation.IsValidLabelValue(value)) > 0:
			return nil, fmt.Errorf("%q: %s", text, strings.Join(validation.IsValidLabelValue(value), "; "))
		case !slices.Contains(known, taint.Effect):
			return nil, fmt.Errorf("%q: the effect must be NoSchedule, PreferNoSchedule or NoExecute", text)
		}
		taints = append(taints, taint)
	}
	return taints, nil
}

func parseResources(given map[string]string, problem func(name string) error) (corev1.ResourceList, error) {
	list := corev1.ResourceList{}
	for _, name := range slices.Sorted(maps.Keys(given)) {
		if err := problem(name); err != nil {
			return nil, err
		}
		quantity, err := resource.ParseQuantity(given[name])
		if err != nil || quantity.Sign() < 0 {
			return nil, fmt.Errorf("%s: %q is not a quantity", name, given[name])
		}
		list[corev1.ResourceName(name)] = quantity
	}
	return list, nil
}

// checkReservable wants a resource that can be kept back from pods.
func checkReservable(name string) error {
	switch corev1.ResourceName(name) {
	case corev1.ResourceCPU, corev1.ResourceMemory, corev1.ResourceEphemeralStorage:
		return nil
	}
	return fmt.Errorf("%q is not one of cpu, memory, ephemeral-storage", name)
}

// checkExtended wants a resource that Kubernetes knows nothing of.
func checkExtended(name string) error {
	domain, _, found := strings.Cut(name, "/")
	if !found || within(domain, "kubernetes.io") || len(validation.IsQualifiedName(name)) > 0 {
		return fmt.Errorf("%q is not the name of an extended resource, such as example.com/gpu, in a domain other than kubernetes.io", name)
	}
	return nil
}
