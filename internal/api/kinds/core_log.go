package kinds

import (
	"context"
	"io"
	"net/url"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	genericrest "k8s.io/apiserver/pkg/registry/generic/rest"
	"k8s.io/apiserver/pkg/registry/rest"

	"github.com/garrison-project/garrison/internal/api/validation"
)

// logREST serves the output of containers, which their node has.
type logREST struct {
	pods   podFinder
	agents Agents
}

var (
	_ rest.GetterWithOptions = &logREST{}
	_ rest.StorageMetadata   = &logREST{}
)

// New returns a pod, as which the text is described.
func (r *logREST) New() runtime.Object { return &corev1.Pod{} }

// Destroy does nothing: the pods own the store.
func (r *logREST) Destroy() {}

// ProducesMIMETypes says that logs are text.
func (r *logREST) ProducesMIMETypes(string) []string { return []string{"text/plain"} }

// ProducesObject says that logs are text.
func (r *logREST) ProducesObject(string) any { return "" }

// OverrideMetricsVerb counts requests for logs as connections, which they are.
func (r *logREST) OverrideMetricsVerb(verb string) string {
	if verb == "GET" {
		return "CONNECT"
	}
	return verb
}

// NewGetOptions returns empty options.
func (r *logREST) NewGetOptions() (runtime.Object, bool, string) {
	return &corev1.PodLogOptions{}, false, ""
}

// Get leads to the log of a container. A pod without a node has an empty one.
func (r *logREST) Get(ctx context.Context, name string, options runtime.Object) (runtime.Object, error) {
	o := options.(*corev1.PodLogOptions)
	if errs := validation.PodLogOptions(o); len(errs) > 0 {
		return nil, apierrors.NewInvalid(coreV1.WithKind("PodLogOptions").GroupKind(), name, errs)
	}
	pod, err := r.pods.get(ctx, name)
	if err != nil {
		return nil, err
	}
	container, err := containerOf(pod, o.Container)
	if err != nil {
		return nil, err
	}
	streamer := &genericrest.LocationStreamer{
		ContentType:     "text/plain",
		Flush:           o.Follow,
		ResponseChecker: genericrest.NewGenericHttpResponseChecker(coreV1.WithResource("pods/log").GroupResource(), name),
		RedirectChecker: genericrest.PreventRedirects,
	}
	if pod.Spec.NodeName == "" {
		return logStreamer{streamer}, nil
	}
	agent, err := r.agents.Agent(ctx, pod.Spec.NodeName)
	if err != nil {
		return nil, err
	}
	streamer.Location = agent.at(logParameters(o), "containerLogs", pod.Namespace, pod.Name, container)
	streamer.Transport = agent.Transport
	if o.InsecureSkipTLSVerifyBackend {
		streamer.Transport = agent.Unverified
	}
	return logStreamer{streamer}, nil
}

// logStreamer tells of the end of a log apart from its last bytes, which are lost
// to WebSockets otherwise.
type logStreamer struct{ *genericrest.LocationStreamer }

// InputStream implements rest.ResourceStreamer.
func (s logStreamer) InputStream(ctx context.Context, version, accept string) (io.ReadCloser, bool, string, error) {
	stream, flush, contentType, err := s.LocationStreamer.InputStream(ctx, version, accept)
	if stream != nil {
		stream = lateEnd{stream}
	}
	return stream, flush, contentType, err
}

type lateEnd struct{ io.ReadCloser }

func (r lateEnd) Read(p []byte) (int, error) {
	n, err := r.ReadCloser.Read(p)
	if n > 0 && err == io.EOF {
		err = nil // it comes again
	}
	return n, err
}

// logParameters are the options as agents take them.
func logParameters(o *corev1.PodLogOptions) url.Values {
	q := url.Values{}
	flag := func(name string, value bool) {
		if value {
			q.Set(name, "true")
		}
	}
	number := func(name string, value *int64) {
		if value != nil {
			q.Set(name, strconv.FormatInt(*value, 10))
		}
	}
	flag("follow", o.Follow)
	flag("previous", o.Previous)
	flag("timestamps", o.Timestamps)
	number("sinceSeconds", o.SinceSeconds)
	number("tailLines", o.TailLines)
	number("limitBytes", o.LimitBytes)
	if o.SinceTime != nil {
		q.Set("sinceTime", o.SinceTime.Format(time.RFC3339))
	}
	if o.Stream != nil {
		q.Set("stream", *o.Stream)
	}
	return q
}
