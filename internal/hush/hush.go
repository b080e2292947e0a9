// Package hush keeps libraries from reporting as errors of the server that its
// clients have gone away: those who end a stream hang up, and that is all.
//
// It is left to the caller to know that a context is used for nothing else.
package hush

import (
	"context"
	"net/http"

	"github.com/go-logr/logr"
	"k8s.io/klog/v2"
)

// level is the verbosity at which errors are seen nonetheless.
const level = 4

// Handler serves requests whose contexts have a logger that hushes errors.
func Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		next.ServeHTTP(w, r.WithContext(Context(r.Context())))
	})
}

// Context returns a context with a logger that writes errors as information for
// those who want to see much.
func Context(ctx context.Context) context.Context {
	return klog.NewContext(ctx, klog.FromContext(ctx).WithSink(sink{klog.FromContext(ctx).GetSink()}))
}

type sink struct{ logr.LogSink }

// Error implements logr.LogSink.
func (s sink) Error(err error, message string, values ...any) {
	if s.Enabled(level) {
		s.Info(level, message, append(values, "err", err)...)
	}
}

// WithValues implements logr.LogSink.
func (s sink) WithValues(values ...any) logr.LogSink { return sink{s.LogSink.WithValues(values...)} }

// WithName implements logr.LogSink.
func (s sink) WithName(name string) logr.LogSink { return sink{s.LogSink.WithName(name)} }
