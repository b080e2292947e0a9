package serving

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"k8s.io/klog/v2"
)

// fail answers with the text of an error, of which the API server makes a Status.
func fail(w http.ResponseWriter, code int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(code)
	io.WriteString(w, text) // who has gone does not read it
}

// failRuntime answers with an error of the runtime.
func failRuntime(w http.ResponseWriter, err error) {
	code := http.StatusInternalServerError
	var known interface{ GRPCStatus() *status.Status }
	if errors.As(err, &known) {
		switch known.GRPCStatus().Code() {
		case codes.NotFound:
			code = http.StatusNotFound
		case codes.ResourceExhausted:
			w.Header().Set("Retry-After", "1")
			code = http.StatusTooManyRequests
		}
	}
	fail(w, code, err.Error())
}

func answer(w http.ResponseWriter, r *http.Request, value any) {
	body, err := json.Marshal(value)
	if err != nil {
		fail(w, http.StatusInternalServerError, err.Error())
		return
	}
	w.Header().Set("Content-Type", "application/json")
	if _, err := w.Write(body); err != nil {
		klog.FromContext(r.Context()).V(3).Info("Client has gone", "path", r.URL.Path, "reason", err)
	}
}
