package probe

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/component-base/version"
)

// dialer leaves no connection behind that waits for minutes to be forgotten:
// many probes would use up the ports of the machine.
func dialer() *net.Dialer {
	return &net.Dialer{Control: func(_, _ string, connection syscall.RawConn) error {
		return connection.Control(func(fd uintptr) {
			// Without it a probe works as well.
			_ = syscall.SetsockoptLinger(int(fd), syscall.SOL_SOCKET, syscall.SO_LINGER, &syscall.Linger{Onoff: 1, Linger: 1})
		})
	}}
}

// newTransport reaches pods as they are: by no proxy, with no trust in their
// certificates asked for, and anew each time.
func newTransport() *http.Transport {
	return &http.Transport{
		TLSClientConfig:    &tls.Config{InsecureSkipVerify: true}, //nolint:gosec // certificates of pods are nobody's to check
		DisableKeepAlives:  true,
		DisableCompression: true,
		DialContext:        dialer().DialContext,
	}
}

// httpGet is a request that a spec asks for. For is what it is sent for, as the
// server may see.
type httpGet struct {
	action    *corev1.HTTPGetAction
	container *corev1.Container
	podIP     string
	purpose   string
}

func newRequest(ctx context.Context, get httpGet) (*http.Request, error) {
	port, err := resolvePort(get.action.Port, get.container)
	if err != nil {
		return nil, err
	}
	target, err := url.Parse(get.action.Path)
	if err != nil {
		target = &url.URL{Path: get.action.Path} // the server may understand it
	}
	target.Scheme = strings.ToLower(string(get.action.Scheme))
	if target.Scheme == "" {
		target.Scheme = "http"
	}
	target.Host = joinHostPort(get.action.Host, get.podIP, port)
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, err
	}
	for _, header := range get.action.HTTPHeaders {
		request.Header.Add(header.Name, header.Value)
	}
	if _, set := request.Header["User-Agent"]; !set {
		request.Header.Set("User-Agent", userAgent(get.purpose))
	}
	if values, set := request.Header["Accept"]; !set {
		request.Header.Set("Accept", "*/*")
	} else if values[0] == "" {
		request.Header.Del("Accept")
	}
	request.Host = request.Header.Get("Host")
	return request, nil
}

func userAgent(purpose string) string {
	v := version.Get()
	return fmt.Sprintf("kube-%s/%s.%s", purpose, v.Major, v.Minor)
}

// stayLocal follows redirects on the same host only: a pod must not make the
// agent ask others.
func stayLocal(request *http.Request, via []*http.Request) error {
	if request.URL.Hostname() != via[0].URL.Hostname() {
		return http.ErrUseLastResponse
	}
	if len(via) >= 10 {
		return errors.New("stopped after 10 redirects")
	}
	return nil
}

// askHTTP succeeds with any status from 200 up to 399. What a failing server
// says is not shown, since it may be meant for others.
func askHTTP(transport http.RoundTripper, request *http.Request, limit time.Duration) (answer, error) {
	client := &http.Client{Timeout: limit, Transport: transport, CheckRedirect: stayLocal}
	response, err := client.Do(request)
	if err != nil {
		return answer{failure, err.Error()}, nil
	}
	defer response.Body.Close()
	body, err := io.ReadAll(io.LimitReader(response.Body, maxOutput))
	if err != nil {
		return answer{}, err
	}
	switch status := response.StatusCode; {
	case status < http.StatusOK || status >= http.StatusBadRequest:
		return fail("HTTP probe failed with statuscode: %d", status), nil
	case status >= http.StatusMultipleChoices:
		return answer{warning, "Probe terminated redirects, Response body: " + string(body)}, nil
	}
	return answer{success, string(body)}, nil
}
