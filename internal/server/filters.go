package server

import (
	"net/http"
	"runtime"

	genericapifilters "k8s.io/apiserver/pkg/endpoints/filters"
	"k8s.io/apiserver/pkg/endpoints/filters/impersonation"
	genericapiserver "k8s.io/apiserver/pkg/server"
	genericfilters "k8s.io/apiserver/pkg/server/filters"
)

// filters are what a request passes on its way to handler, from the last to the
// first. They are those of genericapiserver.DefaultBuildHandlerChain in its order,
// without what nobody here would read: spans for tracing, and how long each filter
// took. Filters for what is not configured (audit, CORS, HSTS) are left out as well.
func filters(handler http.Handler, c *genericapiserver.Config) http.Handler {
	handler = genericapifilters.WithAuthorization(handler, c.Authorization.Authorizer, c.Serializer)
	handler = genericfilters.WithMaxInFlightLimit(handler, c.MaxRequestsInFlight, c.MaxMutatingRequestsInFlight, c.LongRunningFunc)
	handler = impersonation.WithConstrainedImpersonation(handler, c.Authorization.Authorizer, c.Serializer)
	handler = genericapifilters.WithAuthentication(handler, c.Authentication.Authenticator,
		genericapifilters.Unauthorized(c.Serializer), c.Authentication.APIAudiences, c.Authentication.RequestHeaderConfig)
	handler = withStackRoom(genericapifilters.WithWarningRecorder(handler))
	handler = genericfilters.WithTimeoutForNonLongRunningRequests(handler, c.LongRunningFunc)
	handler = genericapifilters.WithRequestDeadline(handler, c.AuditBackend, c.AuditPolicyRuleEvaluator,
		c.LongRunningFunc, c.Serializer, c.RequestTimeout)
	handler = genericfilters.WithWaitGroup(handler, c.LongRunningFunc, c.NonLongRunningRequestWaitGroup)
	handler = genericfilters.WithWatchTerminationDuringShutdown(handler, shutdownSignal{c}, c.WatchRequestWaitGroup)
	handler = genericapifilters.WithCacheControl(handler)
	handler = genericfilters.WithHTTPLogging(handler)
	handler = genericapifilters.WithRequestInfo(handler, c.RequestInfoResolver)
	handler = genericapifilters.WithRequestReceivedTimestamp(handler)
	handler = genericfilters.WithPanicRecovery(handler, c.RequestInfoResolver)
	return genericapifilters.WithAuditInit(handler)
}

// withStackRoom lets the goroutine of a request have the stack that it will need, at
// once. By growing from its few kilobytes step by step, each time copied with ever
// more frames, a request took a twentieth of its time.
func withStackRoom(handler http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		growStack[requestRoom]()
		handler.ServeHTTP(w, r)
	})
}

// What is needed of a stack at most times, in bytes: to answer a request, and to compare
// an object with another down to the last field.
type (
	requestRoom [10 << 10]byte
	compareRoom [20 << 10]byte
)

// growStack lets the goroutine that calls it have a stack with so much room.
//
//go:noinline
func growStack[Room any]() {
	var room Room
	runtime.KeepAlive(&room)
}

// shutdownSignal tells watches that the server is about to end.
type shutdownSignal struct{ *genericapiserver.Config }

func (s shutdownSignal) ShuttingDown() <-chan struct{} { return s.ShutdownInitiatedNotify() }
