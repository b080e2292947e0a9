package server

import (
	"context"
	"errors"
	"io"
	"net/http"
	"testing"

	"k8s.io/apiserver/pkg/authentication/user"
	"k8s.io/apiserver/pkg/endpoints/request"
)

// endOfRequest tells when a handler has returned.
type endOfRequest struct {
	http.Handler
	ended chan struct{}
}

func (e endOfRequest) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	defer close(e.ended)
	e.Handler.ServeHTTP(w, req)
}

func get(t *testing.T, ctx context.Context, h http.HandlerFunc) (*http.Response, error) {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://garrison.in-process/a?b=c", nil)
	if err != nil {
		t.Fatal(err)
	}
	return (&transport{user: self, handler: h}).RoundTrip(req)
}

func TestTransportStreams(t *testing.T) {
	more := make(chan struct{})
	resp, err := get(t, t.Context(), func(w http.ResponseWriter, req *http.Request) {
		if req.RequestURI != "/a?b=c" || req.Context().Value(inProcess{}) != self {
			t.Errorf("request %s, context %v", req.RequestURI, req.Context())
		}
		w.Header().Set("X-Test", "yes")
		w.(http.Flusher).Flush()
		w.Header().Set("X-Test", "too late")
		<-more
		io.WriteString(w, "hello")
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("X-Test") != "yes" {
		t.Errorf("before the body: %d, %v", resp.StatusCode, resp.Header)
	}
	close(more)
	if body, err := io.ReadAll(resp.Body); err != nil || string(body) != "hello" {
		t.Errorf("body: %q, %v", body, err)
	}
}

func TestTransportReportsAnAbortedResponse(t *testing.T) {
	resp, err := get(t, t.Context(), func(w http.ResponseWriter, req *http.Request) {
		io.WriteString(w, "hel")
		panic(http.ErrAbortHandler)
	})
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if body, err := io.ReadAll(resp.Body); !errors.Is(err, io.ErrUnexpectedEOF) || string(body) != "hel" {
		t.Errorf("body: %q, %v", body, err)
	}
}

func TestTransportGivesUpWithItsCaller(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	gone := make(chan struct{})
	_, err := get(t, ctx, func(w http.ResponseWriter, req *http.Request) {
		//lint:ignore SA1019 k8s.io/apiserver asks for it
		notify := w.(http.CloseNotifier).CloseNotify()
		cancel()
		<-notify
		<-req.Context().Done()
		close(gone)
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want the caller's cancellation", err)
	}
	<-gone
}

// A request within another one knows nothing of that, and ends with it.
func TestTransportKeepsRequestsApart(t *testing.T) {
	outer, cancel := context.WithCancel(request.WithUser(t.Context(), &user.DefaultInfo{Name: "outer"}))
	ended := make(chan struct{})
	_, err := get(t, outer, func(_ http.ResponseWriter, req *http.Request) {
		defer close(ended)
		if who, ok := request.UserFrom(req.Context()); ok {
			t.Errorf("it is known who asked for the other: %v", who)
		}
		cancel()
		<-req.Context().Done()
	})
	<-ended
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
