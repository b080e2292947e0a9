package server

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"sync"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/klog/v2"
)

// inProcess is the key, in the context of requests that this process makes of
// itself, of the user that makes them. Nothing that comes over the network can
// carry it.
type inProcess struct{}

// transport is a RoundTripper that calls the API server's handler directly, as
// a user. It must be given the handler before the first request.
type transport struct {
	user    user.Info
	handler http.Handler
}

func (t *transport) RoundTrip(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithCancel(context.WithValue(apart{req.Context()}, inProcess{}, t.user))
	served := req.Clone(ctx)
	served.RequestURI = req.URL.RequestURI()
	served.RemoteAddr = "127.0.0.1:0"
	served.Proto, served.ProtoMajor, served.ProtoMinor = "HTTP/2.0", 2, 0
	if served.Body == nil {
		served.Body = http.NoBody
	}
	body, sink := io.Pipe()
	w := &responseWriter{ctx: ctx, header: http.Header{}, body: sink, started: make(chan struct{})}
	go w.serve(t.handler, served)
	select {
	case <-w.started:
		return &http.Response{
			Status:        http.StatusText(w.status),
			StatusCode:    w.status,
			Proto:         served.Proto,
			ProtoMajor:    served.ProtoMajor,
			Header:        w.sent,
			Body:          &responseBody{body, cancel},
			ContentLength: -1,
			Request:       req,
		}, nil
	case <-ctx.Done():
		defer cancel()
		body.CloseWithError(ctx.Err())
		return nil, ctx.Err()
	}
}

// apart is a context that ends with another and has none of its values, as on the
// other side of a network: a request that is made while another one is served, such
// as to authenticate that, is a request of its own for audit and all the rest.
type apart struct{ context.Context }

func (apart) Value(any) any { return nil }

// AfterFunc spares package context a goroutine.
func (a apart) AfterFunc(f func()) (stop func() bool) { return context.AfterFunc(a.Context, f) }

// responseBody ends the request when the client has had enough, as closing a
// connection would.
type responseBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (b *responseBody) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}

// responseWriter passes what a handler writes to the reader of the response.
type responseWriter struct {
	ctx     context.Context
	header  http.Header
	body    *io.PipeWriter
	once    sync.Once
	started chan struct{} // closed when status and sent are set
	status  int
	sent    http.Header
}

// The API server streams watches only to a writer that has both.
var (
	_ http.Flusher = &responseWriter{}
	//lint:ignore SA1019 k8s.io/apiserver asks for it
	_ http.CloseNotifier = &responseWriter{}
)

func (w *responseWriter) serve(h http.Handler, req *http.Request) {
	var failure error
	defer func() {
		// A handler aborts a response by panicking; over a network the
		// connection would break.
		if r := recover(); r != nil {
			failure = io.ErrUnexpectedEOF
			if r != http.ErrAbortHandler {
				klog.FromContext(req.Context()).Error(fmt.Errorf("%v", r), "Panic while serving an in-process request", "path", req.URL.Path)
			}
			w.WriteHeader(http.StatusInternalServerError)
		}
		w.WriteHeader(http.StatusOK)
		w.body.CloseWithError(failure)
		req.Body.Close()
	}()
	h.ServeHTTP(w, req)
}

func (w *responseWriter) Header() http.Header { return w.header }

func (w *responseWriter) WriteHeader(status int) {
	w.once.Do(func() {
		w.status, w.sent = status, w.header.Clone()
		close(w.started)
	})
}

func (w *responseWriter) Write(p []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(p)
}

// Flush has nothing to do but start the response: nothing is buffered.
func (w *responseWriter) Flush() { w.WriteHeader(http.StatusOK) }

func (w *responseWriter) CloseNotify() <-chan bool {
	gone := make(chan bool, 1)
	context.AfterFunc(w.ctx, func() { gone <- true })
	return gone
}
