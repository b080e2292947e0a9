package serving_test

import (
	"bytes"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/remotecommand"
	clientexec "k8s.io/client-go/util/exec"
	statsapi "k8s.io/kubelet/pkg/apis/stats/v1alpha1"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/core/podstep"
)

func TestWhoMayDoWhat(t *testing.T) {
	n := startNode(t)
	for _, may := range []string{"all get proxy", "lister get pods", "doctor get healthz", "scraper get metrics", "scraper get stats", "keeper get log"} {
		n.allowed[may] = true
	}
	for _, c := range []struct {
		user, path string
		want       int
	}{
		{"", "/healthz", 401}, {"", "/pods", 401}, {"doctor", "/healthz", 200}, {"all", "/healthz", 200}, {"lister", "/healthz", 403},
		{"lister", "/pods", 200}, {"lister", "/pods/", 200}, {"lister", "/runningpods/", 200}, {"all", "/pods", 200}, {"doctor", "/pods", 403},
		{"scraper", "/metrics", 200}, {"scraper", "/metrics/resource", 200}, {"scraper", "/stats/summary", 200}, {"all", "/metrics", 403},
		{"keeper", "/logs/", 200}, {"all", "/logs/", 403}, {"keeper", "/containerLogs/ns/a/main", 403}, {"all", "/containerLogs/ns/a/main", 404},
		{"lister", "/podsy", 403}, {"all", "/nothing", 404}, {"all", "/exec/ns/a/main", 400},
	} {
		if code, body := n.get(c.user, c.path); code != c.want {
			t.Errorf("%q gets %s: %d %s, want %d", c.user, c.path, code, body, c.want)
		}
	}
	if code, body := n.get("ada", "/exec/ns/a/main"); code != 403 || body != "Forbidden (user=ada, verb=get, resource=nodes, subresource(s)=[proxy])" {
		t.Errorf("got %d %q", code, body)
	}
	if code, body := n.do("all", "POST", "/exec/ns/a/main", nil); code != 403 || !strings.Contains(body, "verb=create") {
		t.Errorf("got %d %q", code, body)
	}
	if code, _ := n.do("", "GET", "/pods", []tls.Certificate{n.ca.issue(t, root)}); code != 200 {
		t.Errorf("a certificate is answered with %d", code)
	}
	if code, _ := n.do("", "GET", "/pods", []tls.Certificate{newAuthority(t).issue(t, root)}); code != 401 {
		t.Errorf("a certificate of another authority is answered with %d", code)
	}
}

func TestPods(t *testing.T) {
	n := startNode(t)
	n.pods.add(agent.Found{Object: podOf("a", "main", "other"), Holding: agent.Holding{Containers: []agent.ContainerRecord{
		record("main", 0, podstep.Running), record("other", 0, podstep.Exited)}}})
	n.pods.add(agent.Found{Object: podOf("b", "main")})
	names := func(path string) string {
		_, body := n.get(root, path)
		var list corev1.PodList
		if err := json.Unmarshal([]byte(body), &list); err != nil || list.Kind != "PodList" {
			t.Fatalf("%v: %s", err, body)
		}
		text := ""
		for _, p := range list.Items {
			text += fmt.Sprintf("%s/%s %s:", p.Namespace, p.Name, p.UID)
			for _, c := range p.Spec.Containers {
				text += " " + c.Name
			}
			text += "; "
		}
		return text
	}
	if got, want := names("/pods"), "ns/a a-uid: main other; ns/b b-uid: main; "; got != want {
		t.Errorf("pods are %q, want %q", got, want)
	}
	if got, want := names("/runningpods/"), "ns/a a-uid: main; "; got != want {
		t.Errorf("running are %q, want %q", got, want)
	}
}

// logOf makes the log of a container.
func logOf(t *testing.T, text string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "0.log")
	if err := os.WriteFile(name, []byte("2026-03-01T12:00:00Z stdout F "+text+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestLogs(t *testing.T) {
	n := startNode(t)
	waiting := func(reason string) corev1.ContainerState {
		return corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: reason}}
	}
	pod := podOf("a", "fresh", "again", "crashed", "pulling", "unpullable", "creating", "unknown", "lost")
	last := func(id string) corev1.ContainerState {
		return corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{ContainerID: "containerd://" + id}}
	}
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{
		{Name: "fresh", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}},
		{Name: "again", State: corev1.ContainerState{Running: &corev1.ContainerStateRunning{}}, LastTerminationState: last("again-0")},
		{Name: "crashed", State: waiting("CrashLoopBackOff"), LastTerminationState: last("crashed-4")},
		{Name: "pulling", State: waiting("ErrImagePull")},
		{Name: "unpullable", State: waiting("ImagePullBackOff")},
		{Name: "creating", State: waiting("ContainerCreating")},
		{Name: "lost", State: last("gone")},
	}
	holding := agent.Holding{}
	for _, r := range []agent.ContainerRecord{
		record("fresh", 0, podstep.Running), record("again", 0, podstep.Exited), record("again", 1, podstep.Running),
		record("crashed", 3, podstep.Exited), record("crashed", 4, podstep.Exited),
	} {
		r.LogPath = logOf(t, r.ID)
		holding.Containers = append(holding.Containers, r)
	}
	n.pods.add(agent.Found{Object: pod, Holding: holding})
	for query, want := range map[string]string{
		"a/fresh":                 "200 fresh-0\n",
		"a/fresh?previous=true":   `400 previous terminated container "fresh" in pod "a" not found`,
		"a/again":                 "200 again-1\n",
		"a/again?timestamps=1":    "200 2026-03-01T12:00:00.000000000Z again-1\n",
		"a/again?previous=true":   "200 again-0\n",
		"a/crashed":               "200 crashed-4\n",
		"a/crashed?previous=true": "200 crashed-4\n",
		"a/crashed?follow=true":   "200 crashed-4\n",
		"a/pulling":               `400 container "pulling" in pod "a" is waiting to start: image can't be pulled`,
		"a/unpullable":            `400 container "unpullable" in pod "a" is waiting to start: trying and failing to pull image`,
		"a/creating":              `400 container "creating" in pod "a" is waiting to start: ContainerCreating`,
		"a/unknown":               `400 container "unknown" in pod "a" is not available`,
		"a/lost":                  `400 container "lost" in pod "a" is terminated`,
		"a/nobody":                `404 container "nobody" not found in pod "a"`,
		"b/main":                  `404 pod "b" does not exist`,
		"a/fresh?tailLines=many":  `400 {"message": "Unable to decode query."}`,
		"a/fresh?tailLines=-1":    `422 {"message": "Invalid request."}`,
	} {
		code, body := n.get(root, "/containerLogs/ns/"+query)
		if got := fmt.Sprint(code, " ", body); got != want {
			t.Errorf("%s: got %q, want %q", query, got, want)
		}
	}
}

// follow begins to follow a log, and returns once its first line has come.
func (n *node) follow(t *testing.T, path string) io.ReadCloser {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), "GET", n.url+path+"?follow=true", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Header.Set("Authorization", "Bearer root-token")
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	t.Cleanup(transport.CloseIdleConnections)
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { response.Body.Close() })
	line := make([]byte, len("first\n"))
	if _, err := io.ReadFull(response.Body, line); err != nil || string(line) != "first\n" {
		t.Fatalf("got %q, %v", line, err)
	}
	return response.Body
}

func TestFollowEndsWithTheContainer(t *testing.T) {
	n := startNode(t)
	r := record("main", 0, podstep.Running)
	r.LogPath = logOf(t, "first")
	n.pods.add(agent.Found{Object: podOf("a", "main"), Holding: agent.Holding{Containers: []agent.ContainerRecord{r}}})
	body := n.follow(t, "/containerLogs/ns/a/main")
	n.pods.end()
	if rest, err := io.ReadAll(body); err != nil || len(rest) > 0 {
		t.Errorf("ended with %q, %v", rest, err)
	}
}

// running adds a pod that runs.
func (n *node) running() {
	n.pods.add(agent.Found{Object: podOf("a", "main", "terminal", "ended"), Holding: agent.Holding{
		Containers: []agent.ContainerRecord{record("main", 2, podstep.Running), record("terminal", 0, podstep.Running), record("ended", 0, podstep.Exited)},
		Sandboxes:  []agent.SandboxRecord{{Sandbox: podstep.Sandbox{ID: "box", Ready: true}}},
	}})
}

func (n *node) config() *rest.Config {
	return &rest.Config{Host: n.url, BearerToken: "root-token", TLSClientConfig: rest.TLSClientConfig{Insecure: true}}
}

// ways are those in which clients open streams.
var ways = map[string]func(*rest.Config, *url.URL) (remotecommand.Executor, error){
	"SPDY": func(c *rest.Config, u *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewSPDYExecutor(c, "POST", u)
	},
	"WebSocket": func(c *rest.Config, u *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewWebSocketExecutor(c, "GET", u.String())
	},
}

// stream tells what a client of a stream gets.
func (n *node) stream(t *testing.T, way, path string) (string, error) {
	t.Helper()
	u, err := url.Parse(n.url + path)
	if err != nil {
		t.Fatal(err)
	}
	executor, err := ways[way](n.config(), u)
	if err != nil {
		t.Fatal(err)
	}
	var out, problems bytes.Buffer
	o := remotecommand.StreamOptions{Stdin: strings.NewReader("said"), Stdout: &out, Tty: u.Query().Get("tty") != ""}
	if !o.Tty {
		o.Stderr = &problems
	}
	err = executor.StreamWithContext(t.Context(), o)
	return out.String() + problems.String(), err
}

func TestStreams(t *testing.T) {
	n := startNode(t)
	n.running()
	for way := range ways {
		for path, want := range map[string]string{
			"/exec/ns/a/main?command=true&command=b+c&input=1&output=1&error=1": "main-2 [\"true\" \"b c\"] tty=false\nsaida problem",
			"/exec/ns/a/a-uid/main?command=true&input=1&output=1&tty=1":         "main-2 [\"true\"] tty=true\nsaid",
			"/attach/ns/a/main?input=1&output=1&error=1":                        "main-2 tty=false err=true\nsaid",
			"/attach/ns/a/terminal?input=1&output=1&tty=1":                      "terminal-0 tty=true err=false\nsaid",
		} {
			if got, err := n.stream(t, way, path); err != nil || got != want {
				t.Errorf("%s %s: got %q, %v, want %q", way, path, got, err, want)
			}
		}
		_, err := n.stream(t, way, "/exec/ns/a/main?command=false&input=1&output=1&error=1")
		if code := (clientexec.CodeExitError{}); !errors.As(err, &code) || code.Code != 3 {
			t.Errorf("%s: a command that fails ends with %v", way, err)
		}
	}
	for path, want := range map[string]string{
		"/exec/ns/a/ended?command=true&input=1&output=1&error=1": `container not found ("ended")`,
		"/exec/ns/a/none?command=true&input=1&output=1&error=1":  `container not found ("none")`,
		"/exec/ns/b/main?command=true&input=1&output=1&error=1":  "pod does not exist",
		"/exec/ns/a/x/main?command=true&input=1&output=1":        "pod does not exist",
		"/attach/ns/a/main": "you must specify at least 1 of stdin, stdout, stderr",
	} {
		if _, err := n.stream(t, "SPDY", path); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %s", path, err, want)
		}
	}
	if code, body := n.get(root, "/exec/ns/a/main?command=true&output=1"); code != 500 || body != "Upgrade request required" {
		t.Errorf("without streams: %d %s", code, body)
	}
}

// TestStreamsEndWithTheServer has clients that never hang up.
func TestStreamsEndWithTheServer(t *testing.T) {
	n := startNode(t)
	n.running()
	ended := make(chan error, len(ways))
	for way := range ways {
		u, err := url.Parse(n.url + "/attach/ns/a/main?input=1&output=1")
		if err != nil {
			t.Fatal(err)
		}
		executor, err := ways[way](n.config(), u)
		if err != nil {
			t.Fatal(err)
		}
		in, never := io.Pipe()
		defer never.Close()
		out, sink := io.Pipe()
		go func() {
			err := executor.StreamWithContext(t.Context(), remotecommand.StreamOptions{Stdin: in, Stdout: sink})
			sink.CloseWithError(fmt.Errorf("the stream has ended: %v", err))
			ended <- err
		}()
		line := make([]byte, len("main-2"))
		if _, err := io.ReadFull(out, line); err != nil {
			t.Fatal(err)
		}
		go io.Copy(io.Discard, out)
	}
	n.stop()
	for range ways {
		select {
		case <-ended:
		case <-time.After(30 * time.Second):
			t.Fatal("a stream goes on")
		}
	}
}

func TestFigures(t *testing.T) {
	n := startNode(t)
	_, body := n.get(root, "/stats/summary")
	var summary statsapi.Summary
	if err := json.Unmarshal([]byte(body), &summary); err != nil {
		t.Fatal(err)
	}
	node := summary.Node
	if node.NodeName != "post" || *node.CPU.UsageCoreNanoSeconds == 0 || *node.Memory.WorkingSetBytes == 0 || *node.Fs.CapacityBytes == 0 ||
		*node.Runtime.ImageFs.InodesUsed == 0 || *node.Rlimit.MaxPID == 0 || node.StartTime.IsZero() {
		t.Errorf("the node is %s", body)
	}
	if len(summary.Pods) != 1 || summary.Pods[0].Containers[0].Logs == nil {
		t.Errorf("pods are %+v", summary.Pods)
	}
	if node.Swap.SwapUsageBytes == nil || *node.Runtime.ContainerFs.CapacityBytes == 0 {
		t.Errorf("the node is %s", body)
	}
	_, body = n.get(root, "/stats/summary?only_cpu_and_memory=true")
	summary = statsapi.Summary{}
	if err := json.Unmarshal([]byte(body), &summary); err != nil {
		t.Fatal(err)
	}
	if summary.Node.Fs != nil || summary.Node.CPU == nil || summary.Pods[0].Containers[0].Logs != nil || *summary.Pods[0].Memory.WorkingSetBytes != 4096 {
		t.Errorf("CPU and memory alone are %s", body)
	}
	_, body = n.get(root, "/metrics/resource")
	for _, want := range []string{
		`container_cpu_usage_seconds_total{container="main",namespace="ns",pod="a"} 2.5 1000000`,
		`container_memory_working_set_bytes{container="main",namespace="ns",pod="a"} 4096 1000000`,
		`container_start_time_seconds{container="main",namespace="ns",pod="a"} 1000`,
		`pod_cpu_usage_seconds_total{namespace="ns",pod="a"} 2.5 1000000`,
		`pod_memory_working_set_bytes{namespace="ns",pod="a"} 4096 1000000`,
		"resource_scrape_error 0", "node_cpu_usage_seconds_total ", "node_memory_working_set_bytes ",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("metrics lack %s:\n%s", want, body)
		}
	}
}

func TestFiguresOfFiles(t *testing.T) {
	n := startNode(t)
	pod := podOf("a", "main")
	pod.UID = ""
	for name, source := range map[string]corev1.VolumeSource{
		"cache": {EmptyDir: &corev1.EmptyDirVolumeSource{}}, "scratch": {EmptyDir: &corev1.EmptyDirVolumeSource{Medium: corev1.StorageMediumMemory}},
		"config": {ConfigMap: &corev1.ConfigMapVolumeSource{}}, "secret": {Secret: &corev1.SecretVolumeSource{}},
	} {
		pod.Spec.Volumes = append(pod.Spec.Volumes, corev1.Volume{Name: name, VolumeSource: source})
	}
	n.pods.add(agent.Found{Object: pod})
	var summary statsapi.Summary
	for range 2 {
		_, body := n.get(root, "/stats/summary")
		summary = statsapi.Summary{}
		if err := json.Unmarshal([]byte(body), &summary); err != nil {
			t.Fatal(err)
		}
	}
	if _, _ = n.get(root, "/stats/summary?only_cpu_and_memory=true"); n.measured.Load() != 1 {
		t.Errorf("volumes were measured %d times in a minute", n.measured.Load())
	}
	a := summary.Pods[0]
	if len(a.VolumeStats) != 4 || a.VolumeStats[0].Name != "cache" || *a.VolumeStats[0].UsedBytes != 1000 || *a.VolumeStats[0].CapacityBytes != 1<<30 {
		t.Errorf("volumes: %+v", a.VolumeStats)
	}
	// The writable layer and the logs take 300 bytes.
	if e := a.EphemeralStorage; *e.UsedBytes != 1320 || *e.InodesUsed != 4 || *e.CapacityBytes == 0 || *e.InodesFree == 0 {
		t.Errorf("storage: %+v", *e)
	}
	if c := a.Containers[0]; *c.Rootfs.UsedBytes != 300 || *c.Rootfs.AvailableBytes == 0 || *c.Logs.CapacityBytes == 0 {
		t.Errorf("container: %+v", c)
	}
}

func TestAdvisorMetrics(t *testing.T) {
	n := startNode(t)
	pod := podOf("a", "main")
	pod.UID = ""
	pod.Spec.Containers[0].Resources = corev1.ResourceRequirements{
		Requests: corev1.ResourceList{"cpu": resource.MustParse("250m")},
		Limits:   corev1.ResourceList{"cpu": resource.MustParse("500m"), "memory": resource.MustParse("64Mi")},
	}
	main := record("main", 0, podstep.Running)
	main.Image = "busybox:1"
	n.pods.add(agent.Found{Object: pod, Holding: agent.Holding{Containers: []agent.ContainerRecord{main}}})
	_, body := n.get(root, "/metrics/cadvisor")
	container := `{container="main",%sid="/garrison/pod/main-0",image="busybox:1",name="main-0",namespace="ns",pod="a"} `
	plain := fmt.Sprintf(container, "")
	whole := `container="",id="/garrison/pod",image="",%sname="",namespace="ns",pod="a"} `
	for _, want := range []string{
		"container_cpu_usage_seconds_total" + fmt.Sprintf(container, `cpu="total",`) + "2.5 1000000",
		"container_memory_working_set_bytes" + plain + "4096 1000000",
		"container_memory_usage_bytes" + plain + "8192 1000000",
		"container_fs_usage_bytes" + fmt.Sprintf(container, `device="",`) + "300",
		"container_start_time_seconds" + plain + "1000",
		"container_spec_cpu_period" + plain + "100000",
		"container_spec_cpu_quota" + plain + "50000",
		"container_spec_cpu_shares" + plain + "256",
		"container_spec_memory_limit_bytes" + plain + "6.7108864e+07",
		"container_memory_working_set_bytes{" + fmt.Sprintf(whole, "") + "4096 1000000",
		"container_network_receive_bytes_total{" + fmt.Sprintf(whole, `interface="eth0",`) + "10 1000000",
		"container_network_transmit_bytes_total{" + fmt.Sprintf(whole, `interface="eth0",`) + "20 1000000",
		`container_cpu_usage_seconds_total{container="",cpu="total",id="/",`, `container_fs_limit_bytes{container="",device="",id="/",`,
		"machine_cpu_cores{", "machine_memory_bytes{", "container_scrape_error 0",
	} {
		if !strings.Contains(body, want) {
			t.Errorf("it lacks %s:\n%s", want, body)
		}
	}
}

func TestMetrics(t *testing.T) {
	n := startNode(t)
	for path, want := range map[string]string{"/metrics": "go_goroutines ", "/metrics/probes": "probes of the node", "/configz": `{"kubeletconfig":{"maxPods":110}}`} {
		if code, body := n.get(root, path); code != 200 || !strings.Contains(body, want) {
			t.Errorf("%s: %d, %s", path, code, body)
		}
	}
	if _, body := n.get(root, "/metrics"); !strings.Contains(body, "kubelet_test 7\n") {
		t.Errorf("metrics lack the agent's own:\n%s", body)
	}
}
