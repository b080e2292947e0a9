package serving

import (
	"fmt"
	"net/http"
	"net/url"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/proxy"
	translator "k8s.io/apiserver/pkg/util/proxy"
	"k8s.io/cri-streaming/pkg/streaming/portforward"
	"k8s.io/cri-streaming/pkg/streaming/remotecommand"
	"k8s.io/streaming/pkg/httpstream/wsstream"

	"github.com/garrison-project/garrison/internal/agent"
	"github.com/garrison-project/garrison/internal/agent/cri"
	"github.com/garrison-project/garrison/internal/core/podstep"
	"github.com/garrison-project/garrison/internal/hush"
)

// serveExec runs a command in a container, whose streams are those of the client.
func (s *Server) serveExec(w http.ResponseWriter, r *http.Request) {
	s.serveContainer(w, r, func(id string, _ *corev1.Container, streams cri.Streams) (string, error) {
		return s.Runtime.ExecURL(r.Context(), id, r.URL.Query()[corev1.ExecCommandParam], streams)
	})
}

// serveAttach gives a client the streams of the process that a container runs. Of
// these, whether they are a terminal is not the client's choice.
func (s *Server) serveAttach(w http.ResponseWriter, r *http.Request) {
	s.serveContainer(w, r, func(id string, spec *corev1.Container, streams cri.Streams) (string, error) {
		streams.TTY = spec.TTY
		streams.Stderr = streams.Stderr && !spec.TTY
		return s.Runtime.AttachURL(r.Context(), id, streams)
	})
}

// serveContainer connects a client to the streams of a running container, for
// which prepare gives the URL of the runtime.
func (s *Server) serveContainer(w http.ResponseWriter, r *http.Request, prepare func(id string, spec *corev1.Container, streams cri.Streams) (string, error)) {
	wanted, err := remotecommand.NewOptions(r)
	if err != nil {
		fail(w, http.StatusBadRequest, err.Error())
		return
	}
	found, ok := s.find(w, r)
	if !ok {
		return
	}
	name := r.PathValue("container")
	spec := agent.ContainerNamed(found.Object, name)
	id := runningContainer(found, name)
	if spec == nil || id == "" {
		fail(w, http.StatusInternalServerError, fmt.Sprintf("container not found (%q)", name))
		return
	}
	location, err := prepare(id, spec, cri.Streams{Stdin: wanted.Stdin, Stdout: wanted.Stdout, Stderr: wanted.Stderr, TTY: wanted.TTY})
	if err != nil {
		failRuntime(w, err)
		return
	}
	s.connect(w, r, location, func(direct *proxy.UpgradeAwareHandler) http.Handler {
		streams := translator.Options{Stdin: wanted.Stdin, Stdout: wanted.Stdout, Stderr: wanted.Stderr, Tty: wanted.TTY}
		toSPDY := translator.NewStreamTranslatorHandler(direct.Location, direct.Transport, 0, streams)
		return translator.NewTranslatingHandler(direct, toSPDY, wsstream.IsWebSocketRequestWithStreamCloseProtocol)
	})
}

// runningContainer is the runtime's name of the container that runs, empty if none
// does.
func runningContainer(pod agent.Found, name string) string {
	record, ok := pod.Container(name, false)
	if !ok || record.State != podstep.Running {
		return ""
	}
	return record.ID
}

// servePortForward connects a client to ports of a pod.
func (s *Server) servePortForward(w http.ResponseWriter, r *http.Request) {
	// In a tunnel each connection names its port.
	wanted := &portforward.V4Options{}
	if !wsstream.IsWebSocketRequestWithTunnelingProtocol(r) {
		var err error
		if wanted, err = portforward.NewV4Options(r); err != nil {
			fail(w, http.StatusBadRequest, err.Error())
			return
		}
	}
	found, ok := s.find(w, r)
	if !ok {
		return
	}
	sandbox, ok := found.Sandbox()
	if !ok || !sandbox.Ready {
		fail(w, http.StatusInternalServerError, fmt.Sprintf("pod not found (%q)", found.Object.Name+"_"+found.Object.Namespace))
		return
	}
	location, err := s.Runtime.PortForwardURL(r.Context(), sandbox.ID, wanted.Ports)
	if err != nil {
		failRuntime(w, err)
		return
	}
	s.connect(w, r, location, func(direct *proxy.UpgradeAwareHandler) http.Handler {
		return translator.NewTranslatingHandler(direct, translator.NewTunnelingHandler(direct), wsstream.IsWebSocketRequestWithTunnelingProtocol)
	})
}

// connect passes a client on to the streaming server of the runtime, which is on
// this machine and trusts whoever knows the URL. translate serves the newer
// protocols of WebSockets, which runtimes may not know.
func (s *Server) connect(w http.ResponseWriter, r *http.Request, location string, translate func(*proxy.UpgradeAwareHandler) http.Handler) {
	u, err := url.Parse(location)
	if err != nil || u.Host == "" {
		fail(w, http.StatusInternalServerError, "the container runtime has no streams")
		return
	}
	transport := &http.Transport{DialContext: s.dialer.DialContext}
	direct := proxy.NewUpgradeAwareHandler(u, transport, false, true, responder{})
	hush.Handler(translate(direct)).ServeHTTP(w, r)
}

// responder answers when a client could not be connected.
type responder struct{}

func (responder) Error(w http.ResponseWriter, _ *http.Request, err error) {
	fail(w, http.StatusInternalServerError, err.Error())
}
