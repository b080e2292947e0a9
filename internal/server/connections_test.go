package server

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/net/websocket"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/portforward"
	"k8s.io/client-go/tools/remotecommand"
	"k8s.io/client-go/transport/spdy"
	"k8s.io/client-go/util/exec"
	streamforward "k8s.io/cri-streaming/pkg/streaming/portforward"
	streamcommand "k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/streaming/pkg/httpstream"
	utilexec "k8s.io/utils/exec"
	"k8s.io/utils/ptr"
)

// machine plays a node's machine: an agent that tells what it was asked for.
type machine struct{ *httptest.Server }

const callerName = "kube-apiserver-kubelet-client"

// startMachine registers a node called name whose agent serves with the certificate
// of the node called certified.
func startMachine(t *testing.T, name, certified string) *machine {
	t.Helper()
	file, err := shared.NodeCertificate(certified)
	if err != nil {
		t.Fatal(err)
	}
	certificate, err := tls.LoadX509KeyPair(file, file)
	if err != nil {
		t.Fatal(err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/containerLogs/", serveLog)
	mux.HandleFunc("/exec/", serveCommand)
	mux.HandleFunc("/attach/", serveCommand)
	mux.HandleFunc("/portForward/", servePort)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprintf(w, "%s %s", r.Method, r.URL) })
	m := &machine{httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if len(r.TLS.PeerCertificates) == 0 || r.TLS.PeerCertificates[0].Subject.CommonName != callerName {
			http.Error(w, "who are you?", http.StatusUnauthorized)
			return
		}
		mux.ServeHTTP(w, r)
	}))}
	m.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, ClientAuth: tls.RequestClientCert}
	m.StartTLS()
	t.Cleanup(m.Close)
	address := m.Listener.Addr().(*net.TCPAddr)
	createNode(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: name}, Status: corev1.NodeStatus{
		Addresses:       []corev1.NodeAddress{{Type: corev1.NodeHostName, Address: "nowhere.invalid"}, {Type: corev1.NodeInternalIP, Address: address.IP.String()}},
		DaemonEndpoints: corev1.NodeDaemonEndpoints{KubeletEndpoint: corev1.DaemonEndpoint{Port: int32(address.Port)}},
	}})
	return m
}

func createNode(t *testing.T, node *corev1.Node) {
	t.Helper()
	nodes := shared.Client().CoreV1().Nodes()
	if _, err := nodes.Create(t.Context(), node, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nodes.Delete(context.Background(), node.Name, metav1.DeleteOptions{}) })
}

func serveLog(w http.ResponseWriter, r *http.Request) {
	if r.URL.Query().Get("previous") != "" {
		w.WriteHeader(http.StatusBadRequest)
		io.WriteString(w, "previous terminated container not found")
		return
	}
	fmt.Fprintf(w, "%s?%s\n", r.URL.Path, r.URL.Query().Encode())
	if r.URL.Query().Get("follow") != "" {
		w.(http.Flusher).Flush()
		<-r.Context().Done()
	}
}

func serveCommand(w http.ResponseWriter, r *http.Request) {
	o, err := streamcommand.NewOptions(r)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	streamcommand.ServeExec(w, r, command{}, r.URL.Path, "", "", r.URL.Query()["command"], o,
		time.Minute, time.Minute, streamcommand.SupportedStreamingProtocols)
}

// command says what it is, repeats its input and ends as its arguments say.
type command struct{}

func (command) ExecInContainer(_ context.Context, path, _, _ string, args []string, in io.Reader, out, problems io.WriteCloser, tty bool, _ <-chan streamcommand.TerminalSize, _ time.Duration) error {
	fmt.Fprintf(out, "%s %q tty=%v\n", path, args, tty)
	if in != nil {
		io.Copy(out, in)
	}
	if problems != nil {
		io.WriteString(problems, "a problem")
	}
	if len(args) > 0 && args[0] == "false" {
		return utilexec.CodeExitError{Err: errors.New("it failed"), Code: 3}
	}
	return nil
}

func servePort(w http.ResponseWriter, r *http.Request) {
	streamforward.ServePortForward(w, r, echo{}, r.URL.Path, "", &streamforward.V4Options{}, time.Minute, time.Minute, streamforward.SupportedProtocols)
}

// echo names its port and repeats what it is told.
type echo struct{}

func (echo) PortForward(_ context.Context, _, _ string, port int32, stream io.ReadWriteCloser) error {
	defer stream.Close()
	fmt.Fprintf(stream, "%d: ", port)
	_, err := io.Copy(stream, stream)
	return err
}

// placePod makes a pod of the containers named, on a node if one is given.
func placePod(t *testing.T, namespace, node string, containers ...string) string {
	t.Helper()
	pod := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{GenerateName: "p-", Namespace: namespace}, Spec: corev1.PodSpec{
		NodeName: node, AutomountServiceAccountToken: ptr.To(false), TerminationGracePeriodSeconds: ptr.To[int64](0)}}
	for _, c := range containers {
		pod.Spec.Containers = append(pod.Spec.Containers, corev1.Container{Name: c, Image: "i"})
	}
	made, err := shared.Client().CoreV1().Pods(namespace).Create(t.Context(), pod, metav1.CreateOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return made.Name
}

// readLog gives a log, or the text of the error.
func readLog(t *testing.T, namespace, pod string, options *corev1.PodLogOptions) string {
	t.Helper()
	stream, err := shared.Client().CoreV1().Pods(namespace).GetLogs(pod, options).Stream(t.Context())
	if err != nil {
		return err.Error()
	}
	defer stream.Close()
	text, err := io.ReadAll(stream)
	if err != nil {
		t.Error(err)
	}
	return string(text)
}

func TestLogs(t *testing.T) {
	startMachine(t, "with-logs", "with-logs")
	createNode(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "no-machine", Annotations: map[string]string{"garrison.dev/simulated": "true"}}})
	createNode(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "no-address"}})
	ns := namespace(t)
	one, two := placePod(t, ns, "with-logs", "a"), placePod(t, ns, "with-logs", "a", "b")
	since := metav1.NewTime(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC))
	for _, c := range []struct {
		name    string
		pod     string
		options corev1.PodLogOptions
		want    string // what comes, or what the error has
	}{
		{"only container", one, corev1.PodLogOptions{}, "/containerLogs/" + ns + "/" + one + "/a?\n"},
		{"named container", two, corev1.PodLogOptions{Container: "b", Timestamps: true, TailLines: ptr.To[int64](2), LimitBytes: ptr.To[int64](3), SinceTime: &since},
			"/containerLogs/" + ns + "/" + two + "/b?limitBytes=3&sinceTime=2026-03-01T12%3A00%3A00Z&tailLines=2&timestamps=true\n"},
		{"unverified", one, corev1.PodLogOptions{InsecureSkipTLSVerifyBackend: true, SinceSeconds: ptr.To[int64](4), Stream: ptr.To("Stderr")}, "?sinceSeconds=4&stream=Stderr\n"},
		{"no container", two, corev1.PodLogOptions{}, "a container name must be specified for pod " + two + ", choose one of: [a b]"},
		{"other container", two, corev1.PodLogOptions{Container: "c"}, "container c is not valid for pod " + two},
		{"bad options", one, corev1.PodLogOptions{TailLines: ptr.To[int64](-1)}, `PodLogOptions "` + one + `" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0`},
		{"agent refuses", one, corev1.PodLogOptions{Previous: true}, "previous terminated container not found"},
		{"no pod", "nobody", corev1.PodLogOptions{}, `pods "nobody" not found`},
		{"no node yet", placePod(t, ns, "", "a"), corev1.PodLogOptions{}, ""},
		{"node is gone", placePod(t, ns, "nowhere", "a"), corev1.PodLogOptions{}, `nodes "nowhere" not found`},
		{"simulated", placePod(t, ns, "no-machine", "a"), corev1.PodLogOptions{}, "node no-machine is simulated: it has no machine"},
		{"no address", placePod(t, ns, "no-address", "a"), corev1.PodLogOptions{}, "no preferred addresses found"},
	} {
		t.Run(c.name, func(t *testing.T) {
			text := readLog(t, ns, c.pod, &c.options)
			if !strings.Contains(text, c.want) || c.want == "" && text != "" {
				t.Errorf("got %q, want %q", text, c.want)
			}
		})
	}
}

func TestFollowedLogComesAtOnceAndEndsWithTheClient(t *testing.T) {
	startMachine(t, "followed", "followed")
	ns := namespace(t)
	pod := placePod(t, ns, "followed", "a")
	ctx, cancel := context.WithCancel(t.Context())
	stream, err := shared.Client().CoreV1().Pods(ns).GetLogs(pod, &corev1.PodLogOptions{Follow: true}).Stream(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	line := make([]byte, 14)
	if _, err := io.ReadFull(stream, line); err != nil || string(line) != "/containerLogs" {
		t.Fatalf("got %q, %v", line, err)
	}
	cancel()
	if _, err := io.ReadAll(stream); err != nil && !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}

func TestLogOverAWebSocket(t *testing.T) {
	startMachine(t, "watched", "watched")
	ns := namespace(t)
	pod := placePod(t, ns, "watched", "a")
	config := adminConfig(t, shared)
	address := strings.Replace(config.Host, "https", "wss", 1) + "/api/v1/namespaces/" + ns + "/pods/" + pod + "/log"
	ws, err := websocket.NewConfig(address, "http://localhost")
	if err != nil {
		t.Fatal(err)
	}
	ws.Protocol = []string{"binary.k8s.io"}
	if ws.TlsConfig, err = rest.TLSConfigFor(config); err != nil {
		t.Fatal(err)
	}
	connection, err := ws.DialContext(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer connection.Close()
	got, err := io.ReadAll(connection)
	if want := "/containerLogs/" + ns + "/" + pod + "/a?\n"; err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestAgentOfAnotherNodeIsNotBelieved(t *testing.T) {
	startMachine(t, "itself", "somebody-else")
	ns := namespace(t)
	pod := placePod(t, ns, "itself", "a")
	got := readLog(t, ns, pod, &corev1.PodLogOptions{})
	if !strings.Contains(got, "certificate is valid for somebody-else, not itself") {
		t.Errorf("got %v", got)
	}
}

func TestAgentIsReachedWhereTheProcessSays(t *testing.T) {
	m := startMachine(t, "elsewhere", "local")
	createNode(t, &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: "local"}})
	shared.SetAgentAddress("local", m.Listener.Addr().String())
	ns := namespace(t)
	pod := placePod(t, ns, "local", "a")
	if got := readLog(t, ns, pod, &corev1.PodLogOptions{}); !strings.HasPrefix(got, "/containerLogs/") {
		t.Errorf("got %q", got)
	}
}

// executors are the ways in which clients run commands.
var executors = map[string]func(*rest.Config, *url.URL) (remotecommand.Executor, error){
	"SPDY": func(c *rest.Config, u *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewSPDYExecutor(c, "POST", u)
	},
	"WebSocket": func(c *rest.Config, u *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewWebSocketExecutor(c, "GET", u.String())
	},
	"older WebSocket": func(c *rest.Config, u *url.URL) (remotecommand.Executor, error) {
		return remotecommand.NewWebSocketExecutorForProtocols(c, "GET", u.String(), "v4.channel.k8s.io")
	},
}

func TestExec(t *testing.T) {
	startMachine(t, "with-shell", "with-shell")
	ns := namespace(t)
	pod := placePod(t, ns, "with-shell", "a")
	client := shared.Client().CoreV1().RESTClient()
	for way, executor := range executors {
		for _, run := range []string{"true", "false"} {
			t.Run(way+" "+run, func(t *testing.T) {
				location := client.Post().Namespace(ns).Resource("pods").Name(pod).SubResource("exec").
					VersionedParams(&corev1.PodExecOptions{Command: []string{run, "a b"}, Stdin: way != "older WebSocket", Stdout: true, Stderr: true}, scheme.ParameterCodec).URL()
				config := adminConfig(t, shared)
				location.Host = strings.TrimPrefix(config.Host, "https://")
				e, err := executor(config, location)
				if err != nil {
					t.Fatal(err)
				}
				var out, problems bytes.Buffer
				streams := remotecommand.StreamOptions{Stdout: &out, Stderr: &problems}
				want := fmt.Sprintf("/exec/%s/%s/a %q tty=false\n", ns, pod, []string{run, "a b"})
				if way != "older WebSocket" {
					streams.Stdin = strings.NewReader("said")
					want += "said"
				}
				err = e.StreamWithContext(t.Context(), streams)
				if code := (exec.CodeExitError{}); run == "false" && (!errors.As(err, &code) || code.Code != 3) || run == "true" && err != nil {
					t.Errorf("ended with %v", err)
				}
				if out.String() != want || problems.String() != "a problem" {
					t.Errorf("out %q, want %q, err %q", out.String(), want, problems.String())
				}
			})
		}
	}
}

func TestPortForward(t *testing.T) {
	startMachine(t, "with-ports", "with-ports")
	ns := namespace(t)
	pod := placePod(t, ns, "with-ports", "a")
	location := shared.Client().CoreV1().RESTClient().Post().Namespace(ns).Resource("pods").Name(pod).SubResource("portforward").URL()
	config := adminConfig(t, shared)
	location.Host = strings.TrimPrefix(config.Host, "https://")
	rt, upgrader, err := spdy.RoundTripperFor(config)
	if err != nil {
		t.Fatal(err)
	}
	tunnel, err := portforward.NewSPDYOverWebsocketDialerForStreaming(location, config)
	if err != nil {
		t.Fatal(err)
	}
	for way, dialer := range map[string]httpstream.Dialer{
		"SPDY":      spdy.NewDialerForStreaming(upgrader, &http.Client{Transport: rt}, "POST", location),
		"WebSocket": tunnel,
	} {
		t.Run(way, func(t *testing.T) { forward(t, dialer) })
	}
}

// forward talks to two ports over several connections at the same time.
func forward(t *testing.T, dialer httpstream.Dialer) {
	ctx, cancel := context.WithCancel(t.Context())
	ready, ended := make(chan struct{}), make(chan error, 1)
	forwarder, err := portforward.NewOnAddressesForStreamingWithContext(ctx, dialer, []string{"127.0.0.1"}, []string{"0:80", "0:443"}, ready, io.Discard, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	go func() { ended <- forwarder.ForwardPorts() }()
	defer func() {
		cancel()
		if err := <-ended; err != nil && !errors.Is(err, portforward.ErrLostConnectionToPod) {
			t.Error(err)
		}
	}()
	select {
	case <-ready:
	case err := <-ended:
		ended <- nil
		t.Fatal(err)
	}
	ports, err := forwarder.GetPorts()
	if err != nil {
		t.Fatal(err)
	}
	var connections sync.WaitGroup
	defer connections.Wait()
	for _, port := range ports {
		for range 3 {
			connections.Go(func() { talk(t, port) })
		}
	}
}

func talk(t *testing.T, port portforward.ForwardedPort) {
	connection, err := net.Dial("tcp", fmt.Sprintf("127.0.0.1:%d", port.Local))
	if err != nil {
		t.Error(err)
		return
	}
	defer connection.Close()
	fmt.Fprint(connection, "said")
	connection.(*net.TCPConn).CloseWrite()
	got, err := io.ReadAll(connection)
	if want := fmt.Sprintf("%d: said", port.Remote); err != nil || string(got) != want {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestProxyToNode(t *testing.T) {
	startMachine(t, "proxied", "proxied")
	raw := func(path string) (string, error) {
		stream, err := shared.Client().CoreV1().RESTClient().Get().AbsPath(path).Param("a", "b").Stream(t.Context())
		if err != nil {
			return "", err
		}
		defer stream.Close()
		text, err := io.ReadAll(stream)
		return string(text), err
	}
	for path, want := range map[string]string{
		"/api/v1/nodes/proxied/proxy/metrics/resource": "GET /metrics/resource?a=b",
		"/api/v1/nodes/proxied/proxy/pods/":            "GET /pods/?a=b",
	} {
		if got, err := raw(path); err != nil || got != want {
			t.Errorf("%s: got %q, %v", path, got, err)
		}
	}
	if _, err := raw("/api/v1/nodes/proxied:1/proxy/"); !apierrors.IsBadRequest(err) || !strings.Contains(err.Error(), "address not allowed") {
		t.Errorf("another port of this machine: %v", err)
	}
}

func TestConnectionNeedsCreate(t *testing.T) {
	ns := namespace(t)
	pod := placePod(t, ns, "", "a")
	client := shared.Client()
	role := &rbacv1.Role{ObjectMeta: metav1.ObjectMeta{Name: "reader"}, Rules: []rbacv1.PolicyRule{{
		Verbs: []string{"get"}, APIGroups: []string{""}, Resources: []string{"pods/exec", "pods/attach", "pods/portforward"}}}}
	if _, err := client.RbacV1().Roles(ns).Create(t.Context(), role, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	binding := &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Name: "reader"}, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "reader"},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: "reader"}}}
	if _, err := client.RbacV1().RoleBindings(ns).Create(t.Context(), binding, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
	config := adminConfig(t, shared)
	config.Impersonate.UserName = "reader"
	reader := kubernetes.NewForConfigOrDie(config).CoreV1().RESTClient()
	for _, sub := range []string{"exec", "attach", "portforward"} {
		want := fmt.Sprintf(`pods %q is forbidden: User "reader" cannot create resource "pods/%s"`, pod, sub)
		eventually(t, "the role is known, and does not suffice", func() bool {
			err := reader.Get().Namespace(ns).Resource("pods").Name(pod).SubResource(sub).Do(t.Context()).Error()
			return apierrors.IsForbidden(err) && strings.Contains(err.Error(), want)
		})
	}
}
