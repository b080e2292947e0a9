package kinds

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/apiserver/pkg/registry/rest"
	translator "k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/streaming/pkg/httpstream/wsstream"

	"github.com/garrison-project/garrison/internal/hush"
)

// streamREST connects the streams of a client, over SPDY or a WebSocket, to the
// agent of a pod's node. T are the options, such as those of exec.
type streamREST[T runtime.Object] struct {
	pods podFinder
	Connections
	kind streamKind[T]
}

// streamKind is what the kinds of streams differ in.
type streamKind[T runtime.Object] interface {
	// options returns empty ones.
	options() T
	// path is that of the agent, and query its parameters.
	path(pod *corev1.Pod, o T) ([]string, error)
	query(o T) url.Values
	// translate serves the newer WebSocket protocols, which agents need not know,
	// and gives other requests to direct.
	translate(o T, direct *proxy.UpgradeAwareHandler) http.Handler
}

var _ rest.Connecter = &streamREST[*corev1.PodExecOptions]{}

// New returns empty options.
func (r *streamREST[T]) New() runtime.Object { return r.kind.options() }

// Destroy does nothing: the pods own the store.
func (r *streamREST[T]) Destroy() {}

// ConnectMethods has GET for browsers, which open a WebSocket with it.
func (r *streamREST[T]) ConnectMethods() []string { return []string{"GET", "POST"} }

// NewConnectOptions returns empty options.
func (r *streamREST[T]) NewConnectOptions() (runtime.Object, bool, string) {
	return r.kind.options(), false, ""
}

// Connect returns what connects a client.
func (r *streamREST[T]) Connect(ctx context.Context, name string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	if err := authorizeCreate(ctx, r.Authorizer); err != nil {
		return nil, err
	}
	o := options.(T)
	pod, err := r.pods.get(ctx, name)
	if err != nil {
		return nil, err
	}
	path, err := r.kind.path(pod, o)
	if err != nil {
		return nil, err
	}
	if pod.Spec.NodeName == "" {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("pod %s does not have a host assigned", name))
	}
	agent, err := r.Agents.Agent(ctx, pod.Spec.NodeName)
	if err != nil {
		return nil, err
	}
	location := agent.at(r.kind.query(o), path...)
	direct := proxy.NewUpgradeAwareHandler(location, agent.Transport, false, true, proxy.NewErrorResponder(responder))
	return hush.Handler(r.kind.translate(o, direct)), nil
}

// translateStreams serves a WebSocket whose streams close one by one with the SPDY
// that agents speak.
func translateStreams(streams translator.Options, direct *proxy.UpgradeAwareHandler) http.Handler {
	toSPDY := translator.NewStreamTranslatorHandler(direct.Location, direct.Transport, 0, streams)
	return translator.NewTranslatingHandler(direct, toSPDY, wsstream.IsWebSocketRequestWithStreamCloseProtocol)
}

func streamQuery(streams translator.Options) url.Values {
	q := url.Values{}
	for name, wanted := range map[string]bool{
		corev1.ExecStdinParam:  streams.Stdin,
		corev1.ExecStdoutParam: streams.Stdout,
		corev1.ExecStderrParam: streams.Stderr,
		corev1.ExecTTYParam:    streams.Tty,
	} {
		if wanted {
			q.Set(name, "1")
		}
	}
	return q
}

// execStreams run a command in a container.
type execStreams struct{}

func (execStreams) options() *corev1.PodExecOptions { return &corev1.PodExecOptions{} }

func (execStreams) path(pod *corev1.Pod, o *corev1.PodExecOptions) ([]string, error) {
	container, err := containerOf(pod, o.Container)
	return []string{"exec", pod.Namespace, pod.Name, container}, err
}

func (k execStreams) query(o *corev1.PodExecOptions) url.Values {
	q := streamQuery(k.streams(o))
	q[corev1.ExecCommandParam] = o.Command
	return q
}

func (execStreams) streams(o *corev1.PodExecOptions) translator.Options {
	return translator.Options{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Tty: o.TTY}
}

func (k execStreams) translate(o *corev1.PodExecOptions, direct *proxy.UpgradeAwareHandler) http.Handler {
	return translateStreams(k.streams(o), direct)
}

// attachStreams are those of the process that a container runs.
type attachStreams struct{}

func (attachStreams) options() *corev1.PodAttachOptions { return &corev1.PodAttachOptions{} }

func (attachStreams) path(pod *corev1.Pod, o *corev1.PodAttachOptions) ([]string, error) {
	container, err := containerOf(pod, o.Container)
	return []string{"attach", pod.Namespace, pod.Name, container}, err
}

func (k attachStreams) query(o *corev1.PodAttachOptions) url.Values { return streamQuery(k.streams(o)) }

func (attachStreams) streams(o *corev1.PodAttachOptions) translator.Options {
	return translator.Options{Stdin: o.Stdin, Stdout: o.Stdout, Stderr: o.Stderr, Tty: o.TTY}
}

func (k attachStreams) translate(o *corev1.PodAttachOptions, direct *proxy.UpgradeAwareHandler) http.Handler {
	return translateStreams(k.streams(o), direct)
}

// forwardStreams lead to ports of a pod.
type forwardStreams struct{}

func (forwardStreams) options() *corev1.PodPortForwardOptions { return &corev1.PodPortForwardOptions{} }

func (forwardStreams) path(pod *corev1.Pod, _ *corev1.PodPortForwardOptions) ([]string, error) {
	return []string{"portForward", pod.Namespace, pod.Name}, nil
}

func (forwardStreams) query(o *corev1.PodPortForwardOptions) url.Values {
	if len(o.Ports) == 0 {
		return nil
	}
	ports := make([]string, len(o.Ports))
	for i, p := range o.Ports {
		ports[i] = strconv.Itoa(int(p))
	}
	return url.Values{corev1.PortHeader: {strings.Join(ports, ",")}}
}

func (forwardStreams) translate(_ *corev1.PodPortForwardOptions, direct *proxy.UpgradeAwareHandler) http.Handler {
	tunnel := translator.NewTunnelingHandler(direct)
	return translator.NewTranslatingHandler(direct, tunnel, wsstream.IsWebSocketRequestWithTunnelingProtocol)
}
