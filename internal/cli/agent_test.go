package cli

import (
	"net"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/pflag"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/garrison-project/garrison/internal/agent/node"
)

func TestAgentChecksItsFlags(t *testing.T) {
	for flags, want := range map[string]string{
		"--agent-port=70000":                                     "--agent-port must be between 0 and 65535, not 70000",
		"--healthz-port=-1":                                      "--healthz-port must be between 0 and 65535, not -1",
		"--agent-address=everywhere":                             `--agent-address must be an IP address, not "everywhere"`,
		"--node-lease-duration-seconds=0":                        "--node-lease-duration-seconds must be positive",
		"--max-pods=0":                                           "--max-pods must be positive",
		"--image-gc-high-threshold=101":                          "--image-gc-high-threshold must be between 0 and 100, not 101",
		"--image-gc-high-threshold=70":                           "--image-gc-low-threshold must be at least 0 and less than --image-gc-high-threshold",
		"--minimum-image-ttl-duration=-1s":                       "--minimum-image-ttl-duration must not be negative",
		"--node-name=Post":                                       `--node-name: "Post" cannot be the name of a node: a lowercase RFC 1123 subdomain must consist of`,
		"--node-ip=0.0.0.0":                                      "--node-ip: others cannot reach this machine at 0.0.0.0",
		"--node-ip=127.0.0.1":                                    "--node-ip: others cannot reach this machine at 127.0.0.1",
		"--node-ip=10.0.0.1,10.0.0.2":                            "--node-ip may name one address of each family",
		"--node-labels=node-role.kubernetes.io/x":                "node-role.kubernetes.io/x must be formatted as key=value",
		"--node-labels=node-role.kubernetes.io/x=":               "--node-labels: a node may not give itself node-role.kubernetes.io/x: of Kubernetes' own labels only",
		"--node-labels=a_=b":                                     `--node-labels: "a_" is not the name of a label: `,
		"--node-labels=a=b c":                                    `--node-labels: "b c" cannot be the value of label a: `,
		"--register-with-taints=reserved":                        `--register-with-taints: "reserved" is not of the form KEY=VALUE:EFFECT`,
		"--register-with-taints=a=b:Never":                       `--register-with-taints: "a=b:Never": the effect must be NoSchedule, PreferNoSchedule or NoExecute`,
		"--register-with-taints==b:NoExecute":                    `--register-with-taints: "=b:NoExecute": name part must be non-empty`,
		"--extended-resources=gpu=1":                             `--extended-resources: "gpu" is not the name of an extended resource, such as example.com/gpu`,
		"--extended-resources=example.com/gpu=-1":                `--extended-resources: example.com/gpu: "-1" is not a quantity`,
		"--system-reserved=example.com/gpu=1":                    `--system-reserved: "example.com/gpu" is not one of cpu, memory, ephemeral-storage`,
		"--kube-reserved=cpu=lots":                               `--kube-reserved: cpu: "lots" is not a quantity`,
		"--allowed-unsafe-sysctls=kernel.msg*,vm.swappiness":     `--allowed-unsafe-sysctls: the sysctls "vm.swappiness" are not known to be namespaced`,
		"--runtime-handlers=kata=kata":                           `--runtime-handlers: handler kata: "kata" is neither the path of a program nor the type of a shim`,
		"--runtime-handlers=a=/b|--container-runtime-endpoint=c": "with --container-runtime-endpoint the handlers are that runtime's: --runtime-handlers has no effect",
		"--eviction-hard=disk<10%":                               `--eviction-hard: "disk" is not one of`,
		"--pod-cidr=10.84.7.1/24":                                `--pod-cidr: "10.84.7.1/24" is not a range of addresses such as 10.84.7.0/24`,
		"--pod-cidr=10.84.7.0/24|--cni-conf-dir=x":               "--pod-cidr is for the bridge of Garrison's own, which --cni-conf-dir replaces",
		"--containerd=x|--container-runtime-endpoint=y":          "--containerd and --container-runtime-endpoint exclude each other",
		"--cni-bin-dir=x|--container-runtime-endpoint=unix:///y": "with --container-runtime-endpoint the pod network is that runtime's",
	} {
		for _, command := range []string{"up", "agent --kubeconfig none"} {
			args := append(strings.Fields(command), "--data-dir", t.TempDir())
			args = append(args, strings.Split(flags, "|")...)
			code, stdout, stderr := run(args...)
			if code != exitUsage || stdout != "" || !strings.Contains(stderr, want) {
				t.Errorf("garrison %s: code %d, stdout %q, stderr %q; want %q", strings.Join(args, " "), code, stdout, stderr, want)
			}
		}
	}
}

func TestAgentConfig(t *testing.T) {
	f := &agentFlags{}
	flags := pflag.NewFlagSet("agent", pflag.ContinueOnError)
	f.add(flags)
	err := flags.Parse([]string{
		"--node-labels=disk=nvme,topology.kubernetes.io/zone=a", "--register-with-taints=reserved=ml:NoSchedule,lone:NoExecute",
		"--extended-resources=example.com/gpu=2", "--system-reserved=cpu=500m", "--eviction-hard=", "--cluster-dns=10.96.0.10", "--node-ip=192.0.2.7",
		"--allowed-unsafe-sysctls=kernel.msg*,kernel.sem", "--runtime-handlers=kata=io.containerd.kata.v2",
	})
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := f.config("/data")
	if err != nil {
		t.Fatal(err)
	}
	want := node.Settings{
		Addresses: []net.IP{net.ParseIP("192.0.2.7")},
		Labels:    map[string]string{"disk": "nvme", "topology.kubernetes.io/zone": "a"},
		Taints: []corev1.Taint{
			{Key: "reserved", Value: "ml", Effect: corev1.TaintEffectNoSchedule}, {Key: "lone", Effect: corev1.TaintEffectNoExecute},
		},
		MaxPods: 110, ExtendedResources: corev1.ResourceList{"example.com/gpu": resource.MustParse("2")},
		SystemReserved: corev1.ResourceList{"cpu": resource.MustParse("500m")}, KubeReserved: corev1.ResourceList{},
		Eviction: node.Thresholds{}, ImageGC: node.DefaultImageGC, LeaseDuration: node.DefaultLeaseDuration, Version: cfg.Node.Version,
	}
	if !reflect.DeepEqual(cfg.Node, want) {
		t.Errorf("node %+v\nwant %+v", cfg.Node, want)
	}
	if cfg.Dir != "/data/agent" || cfg.ImageFolder != "/data/images" || cfg.ManifestFolder != "/data/manifests" ||
		cfg.SeccompFolder != "/data/seccomp" || cfg.Port != 10250 || cfg.ClusterDNS[0] != "10.96.0.10" ||
		!slices.Equal(cfg.AllowedUnsafeSysctls, []string{"kernel.msg*", "kernel.sem"}) ||
		len(cfg.RuntimeHandlers) != 1 || cfg.RuntimeHandlers[0].Type != "io.containerd.kata.v2" {
		t.Errorf("config %+v", cfg)
	}
}

func TestMachineThatCannotBeANode(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gets as far as looking for programs")
	}
	code, _, stderr := run("up", "--data-dir", t.TempDir(), "--containerd", "/nowhere/containerd", "--cni-bin-dir", "/nowhere")
	if code != exitFailed || !strings.Contains(stderr, "error: make this machine a node: ") || !strings.Contains(stderr, "apt-get install ") || !strings.Contains(stderr, "--no-agent") {
		t.Errorf("code %d, stderr %q", code, stderr)
	}
}

func TestAgentNeedsTheCredentialsOfItsNode(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("only root gets as far as the credentials")
	}
	dir := controlPlane(t, "https://127.0.0.1:1")
	kubeconfig := filepath.Join(t.TempDir(), "post.kubeconfig")
	if code, _, stderr := run("--data-dir", dir, "kubeconfig", "node", "post", "-o", kubeconfig); code != exitOK {
		t.Fatal(stderr)
	}
	for args, want := range map[string]string{
		"":                     "--kubeconfig is required",
		"--kubeconfig nowhere": "find the API server: stat nowhere: no such file or directory",
		"--kubeconfig " + kubeconfig + " --node-name other": "the kubeconfig is that of node post, not of other: each node needs its own, made with 'garrison kubeconfig node other'",
	} {
		code, _, stderr := run(append([]string{"agent", "--data-dir", dir}, strings.Fields(args)...)...)
		if code == exitOK || !strings.Contains(stderr, want) {
			t.Errorf("garrison agent %s: code %d, stderr %q; want %q", args, code, stderr, want)
		}
	}
}
