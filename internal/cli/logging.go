package cli

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"strconv"
	"strings"

	"google.golang.org/grpc/grpclog"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	"k8s.io/klog/v2"
)

// setUpLogging sets the log on standard error. At verbosity 0 it has only
// warnings and errors, so that a log with anything in it is worth reading.
func setUpLogging(verbosity int) error {
	threshold := "INFO"
	if verbosity == 0 {
		threshold = "WARNING"
	}
	flags := flag.NewFlagSet("log", flag.ContinueOnError)
	klog.InitFlags(flags)
	for _, setting := range []struct{ name, value string }{
		{"v", strconv.Itoa(verbosity)},
		{"legacy_stderr_threshold_behavior", "false"}, // with it the threshold is ignored
		{"stderrthreshold", threshold},
	} {
		if err := flags.Set(setting.name, setting.value); err != nil {
			return fmt.Errorf("set up the log: --%s=%s: %w", setting.name, setting.value, err)
		}
	}
	if verbosity == 0 {
		// What gRPC warns of are connections that fail, such as those of a probe to a
		// server that is not up yet. Whoever wanted the connection is told, too.
		grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, os.Stderr))
	}
	return nil
}

// hushAfter makes the quiet log quieter once ctx is done: the end cuts requests
// and watches short, and that is no news.
func hushAfter(ctx context.Context) {
	for i, handle := range utilruntime.ErrorHandlers {
		utilruntime.ErrorHandlers[i] = func(of context.Context, err error, message string, details ...any) {
			if ctx.Err() == nil {
				handle(of, err, message, details...)
				return
			}
			klog.FromContext(of).V(1).Info(message, append(details, "err", err)...)
		}
	}
	if klog.V(1).Enabled() {
		return
	}
	context.AfterFunc(ctx, func() {
		flags := flag.NewFlagSet("log", flag.ContinueOnError)
		klog.InitFlags(flags)
		if err := flags.Set("stderrthreshold", "ERROR"); err != nil {
			klog.ErrorS(err, "Setting the log's threshold failed")
		}
	})
}

// hushDeparted keeps out of the quiet log that a client has gone before it got its
// answer, which the API server tells at length. A client that stops, or dies, is
// none of the server's faults.
func hushDeparted() {
	for i, handle := range utilruntime.ErrorHandlers {
		utilruntime.ErrorHandlers[i] = func(of context.Context, err error, message string, details ...any) {
			if !departed(err, message) {
				handle(of, err, message, details...)
				return
			}
			klog.FromContext(of).V(1).Info(message, append(details, "err", err)...)
		}
	}
}

// departed recognises, by their texts alone, the errors about answers that nobody
// waits for any more.
func departed(err error, message string) bool {
	if err != nil {
		message += ": " + err.Error()
	}
	return strings.Contains(message, http.ErrHandlerTimeout.Error()) ||
		strings.Contains(strings.ToLower(message), "post-timeout activity")
}
