package serving

import (
	"context"
	"errors"
	"log"
	"net"
	"net/http"
	"time"

	"k8s.io/apiserver/pkg/server/healthz"
	"k8s.io/klog/v2"
)

// installHealth serves /healthz, and below it each check alone.
func (s *Server) installHealth(mux *http.ServeMux) {
	healthz.InstallHandler(mux, append([]healthz.HealthChecker{healthz.PingHealthz, healthz.LogHealthz}, s.Checks...)...)
}

const (
	// listenRetry is the pause before an address is tried again that is in use.
	listenRetry = 5 * time.Second
	// healthTimeout bounds a request for health, which no stream hangs on.
	healthTimeout = 30 * time.Second
)

// RunHealth serves /healthz, and nothing else, to all who reach an address, until
// ctx is done. As long as the address is another's it is tried again; failed is
// told so once, if that happens.
func (s *Server) RunHealth(ctx context.Context, address string, failed func(error)) {
	for told := false; ctx.Err() == nil; {
		listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err == nil {
			err = s.serveHealth(ctx, listener)
		}
		if err != nil && ctx.Err() == nil && !told {
			failed(err)
			told = true
		}
		select {
		case <-ctx.Done():
		case <-time.After(listenRetry):
		}
	}
}

func (s *Server) serveHealth(ctx context.Context, listener net.Listener) error {
	mux := http.NewServeMux()
	s.installHealth(mux)
	server := &http.Server{
		Handler: mux, ReadTimeout: healthTimeout, WriteTimeout: healthTimeout, IdleTimeout: idleTimeout,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    log.New(quiet{klog.FromContext(ctx)}, "", 0),
	}
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
