package probe

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthapi "google.golang.org/grpc/health/grpc_health_v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/client-go/tools/record"

	"github.com/garrison-project/garrison/internal/agent"
)

// newProber makes one that runs until the test ends.
func newProber(t *testing.T, exec Executor) *Prober {
	t.Helper()
	p := New(Options{Exec: exec, Recorder: record.NewFakeRecorder(10), Wake: func(types.UID) {}})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		p.Run(ctx)
	}()
	t.Cleanup(func() {
		cancel()
		<-done
	})
	return p
}

// askOnce runs a probe against 127.0.0.1. The port of the server is also known
// by the name web.
func askOnce(t *testing.T, handler corev1.ProbeHandler, port int) (answer, error) {
	t.Helper()
	target := agent.ProbeTarget{ID: "1", PodIP: "127.0.0.1", Spec: &corev1.Container{
		Name: "main", Ports: []corev1.ContainerPort{{Name: "other", ContainerPort: 1}, {Name: "web", ContainerPort: int32(port)}},
	}}
	return newProber(t, nil).ask(t.Context(), complete(&corev1.Probe{ProbeHandler: handler}), target)
}

// portOf is the port that a server listens on.
func portOf(t *testing.T, address string) int {
	t.Helper()
	_, text, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	port, err := strconv.Atoi(text)
	if err != nil {
		t.Fatal(err)
	}
	return port
}

// closedPort is one that nobody listens on.
func closedPort(t *testing.T) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	return portOf(t, listener.Addr().String())
}

// website is a server with all that a probe may meet.
func website() http.Handler {
	mux := http.NewServeMux()
	for _, status := range []int{200, 204, 399, 400, 404, 500} {
		mux.HandleFunc(fmt.Sprintf("/%d", status), func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			if status != http.StatusNoContent {
				io.WriteString(w, "secret")
			}
		})
	}
	mux.HandleFunc("/query", func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, r.URL.RawQuery) })
	mux.HandleFunc("/headers", func(w http.ResponseWriter, r *http.Request) {
		for _, name := range slices.Sorted(maps.Keys(r.Header)) {
			fmt.Fprintf(w, "%s=%s;", name, strings.Join(r.Header[name], ","))
		}
		fmt.Fprintf(w, "Host=%s", r.Host)
	})
	mux.HandleFunc("/local", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/200", http.StatusFound) })
	mux.HandleFunc("/gone-local", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/404", http.StatusFound) })
	mux.HandleFunc("/away", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Location", "http://example.invalid/")
		w.WriteHeader(http.StatusFound)
		io.WriteString(w, "moved")
	})
	mux.HandleFunc("/round", func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/round", http.StatusFound) })
	mux.HandleFunc("/long", func(w http.ResponseWriter, _ *http.Request) {
		io.WriteString(w, strings.Repeat("x", 2*maxOutput))
	})
	mux.HandleFunc("/hang", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	return mux
}

func TestHTTP(t *testing.T) {
	t.Setenv("HTTP_PROXY", "http://127.0.0.1:1")
	server := httptest.NewServer(website())
	defer server.Close()
	port := portOf(t, server.Listener.Addr().String())
	for _, test := range []struct {
		path string
		want answer
	}{
		{"/200", answer{success, "secret"}},
		{"/204", answer{success, ""}},
		{"/399", answer{warning, "Probe terminated redirects, Response body: secret"}},
		{"/400", answer{failure, "HTTP probe failed with statuscode: 400"}},
		{"/500", answer{failure, "HTTP probe failed with statuscode: 500"}},
		{"/query?a=b&c=d", answer{success, "a=b&c=d"}},
		{"/local", answer{success, "secret"}},
		{"/gone-local", answer{failure, "HTTP probe failed with statuscode: 404"}},
		{"/away", answer{warning, "Probe terminated redirects, Response body: moved"}},
		{"/round", answer{failure, `Get "/round": stopped after 10 redirects`}},
		{"/long", answer{success, strings.Repeat("x", maxOutput)}},
		{"/hang", answer{failure, fmt.Sprintf(`Get "http://127.0.0.1:%d/hang": context deadline exceeded (Client.Timeout exceeded while awaiting headers)`, port)}},
	} {
		t.Run(test.path, func(t *testing.T) {
			got, err := askOnce(t, corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: test.path, Port: intstr.FromString("web")}}, port)
			if err != nil || got != test.want {
				t.Errorf("got  %v, %v\nwant %v", got, err, test.want)
			}
		})
	}
}

func TestHTTPHeaders(t *testing.T) {
	server := httptest.NewServer(website())
	defer server.Close()
	port := portOf(t, server.Listener.Addr().String())
	for _, test := range []struct {
		headers []corev1.HTTPHeader
		want    string
	}{
		{nil, fmt.Sprintf("Accept=*/*;Connection=close;User-Agent=%s;Host=127.0.0.1:%d", userAgent("probe"), port)},
		{
			[]corev1.HTTPHeader{{Name: "X-A", Value: "1"}, {Name: "x-a", Value: "2"}, {Name: "host", Value: "example.test"}, {Name: "User-Agent", Value: "me"}},
			"Accept=*/*;Connection=close;User-Agent=me;X-A=1,2;Host=example.test",
		},
		{[]corev1.HTTPHeader{{Name: "Accept", Value: ""}, {Name: "User-Agent", Value: ""}}, fmt.Sprintf("Connection=close;Host=127.0.0.1:%d", port)},
	} {
		got, err := askOnce(t, corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{
			Path: "/headers", Port: intstr.FromInt32(int32(port)), HTTPHeaders: test.headers,
		}}, port)
		if err != nil || got.text != test.want {
			t.Errorf("got  %s, %v\nwant %s", got.text, err, test.want)
		}
	}
	if agent := userAgent("probe"); !strings.HasPrefix(agent, "kube-probe/") {
		t.Errorf("the user agent is %s", agent)
	}
}

func TestHTTPS(t *testing.T) {
	server := httptest.NewTLSServer(website())
	defer server.Close()
	port := portOf(t, server.Listener.Addr().String())
	get := &corev1.HTTPGetAction{Path: "/200", Port: intstr.FromInt32(int32(port)), Scheme: corev1.URISchemeHTTPS, Host: "localhost"}
	if got, err := askOnce(t, corev1.ProbeHandler{HTTPGet: get}, port); err != nil || got.grade != success {
		t.Errorf("a server whose certificate nobody knows: got %v, %v", got, err)
	}
}

func TestRefused(t *testing.T) {
	port := closedPort(t)
	for name, test := range map[string]struct {
		handler corev1.ProbeHandler
		want    string
	}{
		"http": {
			corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/x", Port: intstr.FromInt32(int32(port))}},
			fmt.Sprintf(`Get "http://127.0.0.1:%[1]d/x": dial tcp 127.0.0.1:%[1]d: connect: connection refused`, port),
		},
		"tcp": {
			corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromInt32(int32(port))}},
			fmt.Sprintf("dial tcp 127.0.0.1:%d: connect: connection refused", port),
		},
		"grpc": {
			corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: int32(port)}},
			fmt.Sprintf(`timeout: failed to connect service "127.0.0.1:%d" within 1s: context deadline exceeded`, port),
		},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := askOnce(t, test.handler, port)
			if want := (answer{failure, test.want}); err != nil || got != want {
				t.Errorf("got  %v, %v\nwant %v", got, err, want)
			}
		})
	}
}

func TestTCP(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	port := portOf(t, listener.Addr().String())
	got, err := askOnce(t, corev1.ProbeHandler{TCPSocket: &corev1.TCPSocketAction{Port: intstr.FromString("web")}}, port)
	if err != nil || got.grade != success {
		t.Errorf("got %v, %v", got, err)
	}
}

// serveGRPC serves on a free port until the test ends.
func serveGRPC(t *testing.T, register func(*grpc.Server)) int {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := grpc.NewServer()
	register(server)
	done := make(chan error, 1)
	go func() { done <- server.Serve(listener) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return portOf(t, listener.Addr().String())
}

func TestGRPC(t *testing.T) {
	services := health.NewServer()
	services.SetServingStatus("sick", healthapi.HealthCheckResponse_NOT_SERVING)
	port := serveGRPC(t, func(s *grpc.Server) { healthapi.RegisterHealthServer(s, services) })
	sick, unknown := "sick", "unknown"
	for _, test := range []struct {
		service *string
		want    answer
	}{
		{nil, answer{success, "service healthy"}},
		{&sick, answer{failure, `service unhealthy (responded with "NOT_SERVING")`}},
		{&unknown, answer{failure, "error: health rpc probe failed: rpc error: code = NotFound desc = unknown service"}},
	} {
		got, err := askOnce(t, corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: int32(port), Service: test.service}}, port)
		if err != nil || got != test.want {
			t.Errorf("got  %v, %v\nwant %v", got, err, test.want)
		}
	}
	port = serveGRPC(t, func(*grpc.Server) {})
	got, err := askOnce(t, corev1.ProbeHandler{GRPC: &corev1.GRPCAction{Port: int32(port)}}, port)
	if err != nil || !strings.HasPrefix(got.text, "error: this server does not implement the grpc health protocol (grpc.health.v1.Health): ") {
		t.Errorf("a server without health: got %v, %v", got, err)
	}
}

// executor is a container that answers every command alike.
type executor struct {
	result  agent.ExecResult
	err     error
	command []string
	id      string
}

func (e *executor) Exec(_ context.Context, id string, command []string) (agent.ExecResult, error) {
	e.id, e.command = id, command
	return e.result, e.err
}

func TestCommand(t *testing.T) {
	exec := &executor{result: agent.ExecResult{Output: []byte(strings.Repeat("x", maxOutput+1)), ExitCode: 1}}
	target := agent.ProbeTarget{ID: "7", Spec: &corev1.Container{Env: []corev1.EnvVar{{Name: "A", Value: "b"}, {Name: "FROM", ValueFrom: &corev1.EnvVarSource{}}}}}
	spec := complete(&corev1.Probe{ProbeHandler: corev1.ProbeHandler{Exec: &corev1.ExecAction{Command: []string{"test", "$(A)", "$$(A)", "$(B)", "[$(FROM)]"}}}})
	got, err := newProber(t, exec).ask(t.Context(), spec, target)
	if err != nil || got.grade != failure || len(got.text) != maxOutput {
		t.Errorf("got grade %v and %d bytes, %v", got.grade, len(got.text), err)
	}
	if want := []string{"test", "b", "$(A)", "$(B)", "[]"}; !slices.Equal(exec.command, want) || exec.id != "7" {
		t.Errorf("container %s ran %q, want %q", exec.id, exec.command, want)
	}
}

func TestPorts(t *testing.T) {
	container := &corev1.Container{Ports: []corev1.ContainerPort{{Name: "web", ContainerPort: 80}}}
	for _, test := range []struct {
		port intstr.IntOrString
		want int
		err  string
	}{
		{intstr.FromString("web"), 80, ""},
		{intstr.FromInt32(8080), 8080, ""},
		{intstr.FromString("8080"), 8080, ""},
		{intstr.FromString("none"), 0, "port none not found"},
		{intstr.FromInt32(0), 0, "invalid port number: 0"},
		{intstr.FromInt32(65536), 0, "invalid port number: 65536"},
	} {
		got, err := resolvePort(test.port, container)
		if got != test.want || (err == nil) != (test.err == "") || err != nil && err.Error() != test.err {
			t.Errorf("%v: got %d, %v", &test.port, got, err)
		}
	}
}

// runHook runs a handler in a pod on 127.0.0.1, and returns the event if there
// was one.
func runHook(t *testing.T, exec Executor, handler corev1.LifecycleHandler) (event string, err error) {
	t.Helper()
	recorder := record.NewFakeRecorder(1)
	err = NewHooks(exec, recorder).Run(t.Context(), agent.HookRequest{
		Pod: &corev1.Pod{}, Spec: &corev1.Container{Name: "main"}, ContainerID: "1", PodIP: "127.0.0.1", Handler: &handler,
	})
	select {
	case event = <-recorder.Events:
	default:
	}
	return event, err
}

func TestExecHook(t *testing.T) {
	hook := corev1.LifecycleHandler{Exec: &corev1.ExecAction{Command: []string{"prepare", "$(A)"}}}
	exec := &executor{}
	if _, err := runHook(t, exec, hook); err != nil || !slices.Equal(exec.command, []string{"prepare", "$(A)"}) {
		t.Errorf("got error %v of %q", err, exec.command)
	}
	exec = &executor{result: agent.ExecResult{ExitCode: 7, Output: []byte("password")}}
	if _, err := runHook(t, exec, hook); err == nil || err.Error() != "exec hook of container main: command exited with code 7" {
		t.Errorf("got error %v", err)
	}
	exec = &executor{err: errors.New("gone")}
	if _, err := runHook(t, exec, hook); err == nil || !errors.Is(err, exec.err) {
		t.Errorf("got error %v", err)
	}
}

func TestHTTPHook(t *testing.T) {
	var seen []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		seen = append(seen, fmt.Sprintf("%s %s %s %q", r.Method, r.URL, r.UserAgent(), r.Header.Get("Authorization")))
		w.WriteHeader(http.StatusInternalServerError)
	}))
	defer server.Close()
	get := corev1.HTTPGetAction{Path: "/hook?x=y", Port: intstr.FromInt32(int32(portOf(t, server.Listener.Addr().String())))}
	get.HTTPHeaders = []corev1.HTTPHeader{{Name: "Authorization", Value: "token"}}
	// Any answer is one.
	if event, err := runHook(t, nil, corev1.LifecycleHandler{HTTPGet: &get}); err != nil || event != "" {
		t.Errorf("got event %q and error %v", event, err)
	}
	get.Scheme = corev1.URISchemeHTTPS
	event, err := runHook(t, nil, corev1.LifecycleHandler{HTTPGet: &get})
	if err != nil || !strings.HasPrefix(event, "Warning LifecycleHTTPFallback request to HTTPS lifecycle hook 127.0.0.1:") {
		t.Errorf("https where the server has http: got event %q and error %v", event, err)
	}
	want := []string{`GET /hook?x=y ` + userAgent("lifecycle") + ` "token"`, `GET /hook?x=y ` + userAgent("lifecycle") + ` ""`}
	if !slices.Equal(seen, want) {
		t.Errorf("the server saw\n%q, want\n%q", seen, want)
	}
	server.Close()
	get.Scheme = corev1.URISchemeHTTP
	var refused *url.Error
	if _, err := runHook(t, nil, corev1.LifecycleHandler{HTTPGet: &get}); !errors.As(err, &refused) {
		t.Errorf("nobody listens: got error %v", err)
	}
}

func TestSleepHook(t *testing.T) {
	sleep := corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: 30}}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := NewHooks(nil, record.NewFakeRecorder(1)).Run(ctx, agent.HookRequest{Spec: &corev1.Container{Name: "main"}, Handler: &sleep})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("a sleep that is cut short: got error %v", err)
	}
	synctest.Test(t, func(t *testing.T) {
		begun := time.Now()
		if _, err := runHook(t, nil, sleep); err != nil || time.Since(begun) != 30*time.Second {
			t.Errorf("it took %v and ended with %v", time.Since(begun), err)
		}
	})
}

// The longest sleep that a spec can ask for is no short one.
func TestLongSleepHook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), 24*time.Hour)
		defer cancel()
		err := NewHooks(nil, record.NewFakeRecorder(1)).Run(ctx, agent.HookRequest{
			Spec: &corev1.Container{Name: "main"}, Handler: &corev1.LifecycleHandler{Sleep: &corev1.SleepAction{Seconds: math.MaxInt64}},
		})
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
	})
}

func TestHookWithoutHandler(t *testing.T) {
	for _, handler := range []corev1.LifecycleHandler{{}, {TCPSocket: &corev1.TCPSocketAction{}}} {
		if _, err := runHook(t, nil, handler); err == nil {
			t.Errorf("%v is no error", handler)
		}
	}
}
