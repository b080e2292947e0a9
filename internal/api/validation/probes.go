package validation

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/intstr"
	"k8s.io/apimachinery/pkg/util/validation"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

// probes checks the three probes of a container.
func (p *podChecker) probes(c *corev1.Container, at *field.Path) {
	p.probe(c.LivenessProbe, at.Child("livenessProbe"))
	p.onceIsSuccess(c.LivenessProbe, at.Child("livenessProbe"))

	p.probe(c.ReadinessProbe, at.Child("readinessProbe"))
	if r := c.ReadinessProbe; r != nil && r.TerminationGracePeriodSeconds != nil {
		p.invalid(at.Child("readinessProbe", "terminationGracePeriodSeconds"), *r.TerminationGracePeriodSeconds,
			"must not be set for readinessProbes")
	}

	p.probe(c.StartupProbe, at.Child("startupProbe"))
	p.onceIsSuccess(c.StartupProbe, at.Child("startupProbe"))
}

func (p *podChecker) onceIsSuccess(probe *corev1.Probe, at *field.Path) {
	if probe != nil && probe.SuccessThreshold != 1 {
		p.invalid(at.Child("successThreshold"), probe.SuccessThreshold, "must be 1")
	}
}

func (p *podChecker) probe(probe *corev1.Probe, at *field.Path) {
	if probe == nil {
		return
	}
	p.handler(handler{
		exec: probe.Exec, httpGet: probe.HTTPGet, tcpSocket: probe.TCPSocket, grpc: probe.GRPC,
	}, at)
	p.nonNegative(at.Child("initialDelaySeconds"), int64(probe.InitialDelaySeconds))
	p.nonNegative(at.Child("timeoutSeconds"), int64(probe.TimeoutSeconds))
	p.nonNegative(at.Child("periodSeconds"), int64(probe.PeriodSeconds))
	p.nonNegative(at.Child("successThreshold"), int64(probe.SuccessThreshold))
	p.nonNegative(at.Child("failureThreshold"), int64(probe.FailureThreshold))
	if grace := probe.TerminationGracePeriodSeconds; grace != nil && *grace <= 0 {
		p.invalid(at.Child("terminationGracePeriodSeconds"), *grace, "must be greater than 0")
	}
}

func (p *podChecker) lifecycle(l *corev1.Lifecycle, at *field.Path) {
	if l == nil {
		return
	}
	if h := l.PostStart; h != nil {
		p.handler(handler{exec: h.Exec, httpGet: h.HTTPGet, tcpSocket: h.TCPSocket, sleep: h.Sleep}, at.Child("postStart"))
	}
	if h := l.PreStop; h != nil {
		p.handler(handler{exec: h.Exec, httpGet: h.HTTPGet, tcpSocket: h.TCPSocket, sleep: h.Sleep}, at.Child("preStop"))
	}
	if l.StopSignal != nil {
		p.stopSignal(*l.StopSignal, at.Child("stopSignal"))
	}
}

// handler is what a probe or a hook does: exactly one of these.
type handler struct {
	exec      *corev1.ExecAction
	httpGet   *corev1.HTTPGetAction
	tcpSocket *corev1.TCPSocketAction
	grpc      *corev1.GRPCAction
	sleep     *corev1.SleepAction
}

func (p *podChecker) handler(h handler, at *field.Path) {
	one := oneOf{faults: &p.faults, at: at, what: "handler type"}
	one.check("exec", h.exec != nil, func(at *field.Path) {
		if len(h.exec.Command) == 0 {
			p.required(at.Child("command"), "")
		}
	})
	one.check("httpGet", h.httpGet != nil, func(at *field.Path) { p.httpGet(h.httpGet, at) })
	one.check("tcpSocket", h.tcpSocket != nil, func(at *field.Path) { p.port(h.tcpSocket.Port, at.Child("port")) })
	one.check("grpc", h.grpc != nil, func(at *field.Path) {
		p.port(intstr.FromInt32(h.grpc.Port), at.Child("port"))
		p.grpcMode(h.grpc, at)
	})
	one.check("sleep", h.sleep != nil, func(at *field.Path) { p.sleep(h.sleep, at) })
	if !one.found {
		p.required(at, "must specify a handler type")
	}
}

func (p *podChecker) httpGet(get *corev1.HTTPGetAction, at *field.Path) {
	p.needs(at.Child("path"), get.Path)
	p.port(get.Port, at.Child("port"))
	supported(&p.faults, at.Child("scheme"), get.Scheme, corev1.URISchemeHTTP, corev1.URISchemeHTTPS)
	for _, header := range get.HTTPHeaders {
		p.messages(at.Child("httpHeaders"), header.Name, validation.IsHTTPHeaderName(header.Name))
	}
	p.httpProtocol(get, at)
}

// port checks a port given by number or by name.
func (f *faults) port(port intstr.IntOrString, at *field.Path) {
	switch port.Type {
	case intstr.Int:
		f.messages(at, port.IntVal, validation.IsValidPortNum(int(port.IntVal)))
	case intstr.String:
		f.messages(at, port.StrVal, validation.IsValidPortName(port.StrVal))
	default:
		f.add(field.InternalError(at, fmt.Errorf("unknown type: %v", port.Type)))
	}
}

// sleep must fit into the grace period. A missing grace period is reported
// where it is missing.
func (p *podChecker) sleep(sleep *corev1.SleepAction, at *field.Path) {
	grace := p.spec.TerminationGracePeriodSeconds
	if grace != nil && (sleep.Seconds < 0 || sleep.Seconds > *grace) {
		p.invalid(at, sleep.Seconds, fmt.Sprintf("must be non-negative and less than terminationGracePeriodSeconds (%d)", *grace))
	}
}

// stopSignal checks that the pod's system, which must be known, has the signal.
func (p *podChecker) stopSignal(signal corev1.Signal, at *field.Path) {
	switch {
	case p.spec.OS == nil:
		p.forbidden(at, "may not be set for containers with empty `spec.os.name`")
	case p.spec.OS.Name == corev1.Windows:
		supported(&p.faults, at, signal, corev1.SIGKILL, corev1.SIGTERM)
	case p.spec.OS.Name == corev1.Linux:
		supported(&p.faults, at, signal, linuxSignals...)
	}
}

var linuxSignals = []corev1.Signal{
	corev1.SIGABRT, corev1.SIGALRM, corev1.SIGBUS, corev1.SIGCHLD, corev1.SIGCLD, corev1.SIGCONT, corev1.SIGFPE,
	corev1.SIGHUP, corev1.SIGILL, corev1.SIGINT, corev1.SIGIO, corev1.SIGIOT, corev1.SIGKILL, corev1.SIGPIPE,
	corev1.SIGPOLL, corev1.SIGPROF, corev1.SIGPWR, corev1.SIGQUIT, corev1.SIGRTMAX, corev1.SIGRTMAXMINUS1,
	corev1.SIGRTMAXMINUS10, corev1.SIGRTMAXMINUS11, corev1.SIGRTMAXMINUS12, corev1.SIGRTMAXMINUS13,
	corev1.SIGRTMAXMINUS14, corev1.SIGRTMAXMINUS2, corev1.SIGRTMAXMINUS3, corev1.SIGRTMAXMINUS4,
	corev1.SIGRTMAXMINUS5, corev1.SIGRTMAXMINUS6, corev1.SIGRTMAXMINUS7, corev1.SIGRTMAXMINUS8,
	corev1.SIGRTMAXMINUS9, corev1.SIGRTMIN, corev1.SIGRTMINPLUS1, corev1.SIGRTMINPLUS10, corev1.SIGRTMINPLUS11,
	corev1.SIGRTMINPLUS12, corev1.SIGRTMINPLUS13, corev1.SIGRTMINPLUS14, corev1.SIGRTMINPLUS15,
	corev1.SIGRTMINPLUS2, corev1.SIGRTMINPLUS3, corev1.SIGRTMINPLUS4, corev1.SIGRTMINPLUS5, corev1.SIGRTMINPLUS6,
	corev1.SIGRTMINPLUS7, corev1.SIGRTMINPLUS8, corev1.SIGRTMINPLUS9, corev1.SIGSEGV, corev1.SIGSTKFLT,
	corev1.SIGSTOP, corev1.SIGSYS, corev1.SIGTERM, corev1.SIGTRAP, corev1.SIGTSTP, corev1.SIGTTIN, corev1.SIGTTOU,
	corev1.SIGURG, corev1.SIGUSR1, corev1.SIGUSR2, corev1.SIGVTALRM, corev1.SIGWINCH, corev1.SIGXCPU, corev1.SIGXFSZ,
}
