package kinds

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	utilnet "k8s.io/apimachinery/pkg/util/net"
	"k8s.io/apimachinery/pkg/util/proxy"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/garrison-project/garrison/internal/hush"
)

var proxyMethods = []string{"GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS"}

var (
	_ rest.Connecter = &podProxyREST{}
	_ rest.Connecter = &nodeProxyREST{}
)

// proxyTo passes a request on, below location.
func proxyTo(location *url.URL, path string, transport http.RoundTripper, responder rest.Responder) http.Handler {
	location.Path = utilnet.JoinPreservingTrailingSlash(location.Path, path)
	return hush.Handler(proxy.NewUpgradeAwareHandler(location, transport, true, false, proxy.NewErrorResponder(responder)))
}

// podProxyREST passes requests on to pods.
type podProxyREST struct {
	pods      podFinder
	transport http.RoundTripper
}

// New returns empty options.
func (r *podProxyREST) New() runtime.Object { return &corev1.PodProxyOptions{} }

// Destroy does nothing: the pods own the store.
func (r *podProxyREST) Destroy() {}

// ConnectMethods are all methods.
func (r *podProxyREST) ConnectMethods() []string { return proxyMethods }

// NewConnectOptions returns empty options. They have the rest of the path.
func (r *podProxyREST) NewConnectOptions() (runtime.Object, bool, string) {
	return &corev1.PodProxyOptions{}, true, "path"
}

// Connect passes a request on. The pod is given as NAME, NAME:PORT or
// SCHEME:NAME:PORT; the port is else the first that a container names.
func (r *podProxyREST) Connect(ctx context.Context, id string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	scheme, name, port, valid := utilnet.SplitSchemeNamePort(id)
	if !valid {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid pod request %q", id))
	}
	pod, err := r.pods.get(ctx, name)
	if err != nil {
		return nil, err
	}
	if port == "" {
		port = firstPort(pod)
	}
	ip := ""
	if len(pod.Status.PodIPs) > 0 {
		ip = pod.Status.PodIPs[0].IP
	}
	if !reachable(ip) {
		return nil, apierrors.NewBadRequest("address not allowed")
	}
	return proxyTo(&url.URL{Scheme: scheme, Host: hostPort(ip, port)}, options.(*corev1.PodProxyOptions).Path, r.transport, responder), nil
}

// firstPort is the first port that a container names, empty if none does.
func firstPort(pod *corev1.Pod) string {
	for _, c := range pod.Spec.Containers {
		if len(c.Ports) > 0 {
			return strconv.Itoa(int(c.Ports[0].ContainerPort))
		}
	}
	return ""
}

func hostPort(ip, port string) string {
	if port != "" {
		return net.JoinHostPort(ip, port)
	}
	if parsed := net.ParseIP(ip); parsed != nil && parsed.To4() == nil {
		return "[" + ip + "]"
	}
	return ip
}

// reachable tells whether requests may be passed on to an address: the machine of
// the API server itself is not for everyone.
func reachable(ip string) bool {
	parsed := net.ParseIP(ip)
	return parsed != nil && parsed.IsGlobalUnicast()
}

// nodeProxyREST passes requests on to nodes.
type nodeProxyREST struct {
	agents    Agents
	transport http.RoundTripper
}

// New returns empty options.
func (r *nodeProxyREST) New() runtime.Object { return &corev1.NodeProxyOptions{} }

// Destroy does nothing: there is nothing of its own.
func (r *nodeProxyREST) Destroy() {}

// ConnectMethods are all methods.
func (r *nodeProxyREST) ConnectMethods() []string { return proxyMethods }

// NewConnectOptions returns empty options. They have the rest of the path.
func (r *nodeProxyREST) NewConnectOptions() (runtime.Object, bool, string) {
	return &corev1.NodeProxyOptions{}, true, "path"
}

// Connect passes a request on, to the node's agent unless another port is given:
// as NAME:PORT or SCHEME:NAME:PORT.
func (r *nodeProxyREST) Connect(ctx context.Context, id string, options runtime.Object, responder rest.Responder) (http.Handler, error) {
	scheme, name, port, valid := utilnet.SplitSchemeNamePort(id)
	if !valid {
		return nil, apierrors.NewBadRequest(fmt.Sprintf("invalid node request %q", id))
	}
	agent, err := r.agents.Agent(ctx, name)
	if err != nil {
		return nil, err
	}
	path := options.(*corev1.NodeProxyOptions).Path
	if port == "" || port == agent.Port {
		return proxyTo(agent.at(nil), path, agent.Transport, responder), nil
	}
	if err := checkReachable(ctx, agent.Address); err != nil {
		return nil, apierrors.NewBadRequest(err.Error())
	}
	return proxyTo(&url.URL{Scheme: scheme, Host: net.JoinHostPort(agent.Address, port)}, path, r.transport, responder), nil
}

// checkReachable tells why requests may not be passed on to an address, which may
// be a name.
func checkReachable(ctx context.Context, address string) error {
	found, err := net.DefaultResolver.LookupIPAddr(ctx, address)
	if err != nil {
		return err
	}
	for _, a := range found {
		if !a.IP.IsGlobalUnicast() {
			return fmt.Errorf("address not allowed")
		}
	}
	return nil
}
