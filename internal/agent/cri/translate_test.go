package cri

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/datadriven"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/yaml"

	"github.com/garrison-project/garrison/internal/agent"
)

// TestTranslation shows what is asked of the runtime for a pod in testdata: the
// sandbox, the control group, or a container: its security context, its limits,
// or the rest.
//
//	sandbox [attempt=N]
//	cgroup
//	container|security|resources name=C [attempt=N] [uid=N | user=NAME] [target=ID] [memory=BYTES] [swap=v1|v2]
func TestTranslation(t *testing.T) {
	datadriven.Walk(t, "testdata/translation", func(t *testing.T, path string) {
		datadriven.RunTest(t, path, func(t *testing.T, d *datadriven.TestData) string {
			pod := &corev1.Pod{}
			if err := yaml.UnmarshalStrict([]byte(d.Input), pod); err != nil {
				d.Fatalf(t, "%v", err)
			}
			var result proto.Message
			var err error
			switch d.Cmd {
			case "sandbox":
				result, err = translateSandbox(t, d, pod)
			case "cgroup":
				result = podCgroup(pod)
			case "container", "security", "resources":
				result, err = translateContainer(t, d, pod)
			default:
				d.Fatalf(t, "unknown command")
			}
			if err != nil {
				return fmt.Sprintf("error: %v\n", err)
			}
			return asYAML(t, result)
		})
	})
}

func testMachine(t *testing.T, d *datadriven.TestData) machine {
	m := machine{
		cgroupParent: "/garrison/podu-1", seccompDirectory: "/var/lib/garrison/seccomp", hugepageSizes: []string{"2MB", "1GB"},
	}
	var swap string
	d.MaybeScanArgs(t, "swap", &swap)
	m.swap = map[string]swapControl{"v1": swapV1, "v2": swapV2}[swap]
	m.unified = swap == "v2"
	d.MaybeScanArgs(t, "owner", &m.owner)
	return m
}

func translateSandbox(t *testing.T, d *datadriven.TestData, pod *corev1.Pod) (proto.Message, error) {
	config := agent.SandboxConfig{
		Pod: pod, Hostname: "web-0", LogDirectory: "/var/log/pods/d_web_u-1",
		DNS: agent.DNS{Servers: []string{"10.96.0.10"}, Searches: []string{"d.svc.cluster.local"}, Options: []string{"ndots:5"}},
	}
	d.MaybeScanArgs(t, "attempt", &config.Attempt)
	return sandboxConfig(config, testMachine(t, d))
}

func translateContainer(t *testing.T, d *datadriven.TestData, pod *corev1.Pod) (proto.Message, error) {
	var name string
	d.ScanArgs(t, "name", &name)
	config := agent.ContainerConfig{
		Pod: pod, Spec: find(pod, name), Hash: "5f2a", ImageID: "sha256:1234", Sandbox: "sandbox",
		Command: []string{"sleep"}, Args: []string{"60"},
		Env:        []agent.EnvVar{{Name: "A", Value: "1"}},
		NodeMemory: 8 << 30,
	}
	if config.Spec == nil {
		d.Fatalf(t, "no container %q", name)
	}
	for _, m := range config.Spec.VolumeMounts { // as the agent resolves them
		mount := agent.Mount{HostPath: "/volumes/" + m.Name, ContainerPath: m.MountPath, ReadOnly: m.ReadOnly,
			RecursiveReadOnly: m.RecursiveReadOnly != nil && *m.RecursiveReadOnly == corev1.RecursiveReadOnlyEnabled}
		if m.MountPropagation != nil {
			mount.Propagation = *m.MountPropagation
		}
		config.Mounts = append(config.Mounts, mount)
	}
	d.MaybeScanArgs(t, "attempt", &config.Attempt)
	d.MaybeScanArgs(t, "target", &config.TargetContainer)
	d.MaybeScanArgs(t, "memory", &config.NodeMemory)
	var user imageUser
	if d.HasArg("uid") {
		user.uid = new(int64)
		d.ScanArgs(t, "uid", user.uid)
	}
	d.MaybeScanArgs(t, "user", &user.name)
	result, err := containerConfig(config, user, testMachine(t, d))
	if err != nil {
		return nil, err
	}
	security := result.Linux.SecurityContext
	if slices.Equal(security.MaskedPaths, maskedPaths) && slices.Equal(security.ReadonlyPaths, readonlyPaths) {
		security.MaskedPaths, security.ReadonlyPaths = []string{"as usual"}, nil
	}
	switch d.Cmd {
	case "security":
		return security, nil
	case "resources":
		return result.Linux.Resources, nil
	}
	result.Linux = nil
	return result, nil
}

func find(pod *corev1.Pod, name string) *corev1.Container {
	for _, list := range [][]corev1.Container{pod.Spec.InitContainers, pod.Spec.Containers} {
		for i := range list {
			if list[i].Name == name {
				return &list[i]
			}
		}
	}
	for i := range pod.Spec.EphemeralContainers {
		if e := &pod.Spec.EphemeralContainers[i]; e.Name == name {
			return (*corev1.Container)(&e.EphemeralContainerCommon)
		}
	}
	return nil
}

func asYAML(t *testing.T, m proto.Message) string {
	t.Helper()
	json, err := protojson.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	text, err := yaml.JSONToYAML(json)
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text)) + "\n"
}
