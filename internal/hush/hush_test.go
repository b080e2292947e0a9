package hush_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/go-logr/logr/funcr"
	"k8s.io/klog/v2"

	"github.com/garrison-project/garrison/internal/hush"
)

func TestErrorsAreForThoseWhoWantToSeeMuch(t *testing.T) {
	for verbosity, want := range map[int]string{0: "", 4: `n "level"=4 "msg"="stream ended" "stream"="s" "part"="p" "err"="gone"`} {
		got := ""
		logger := funcr.New(func(prefix, args string) { got += prefix + " " + args }, funcr.Options{Verbosity: verbosity})
		r := httptest.NewRequestWithContext(klog.NewContext(t.Context(), logger), "GET", "/", nil)
		hush.Handler(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			klog.FromContext(r.Context()).WithName("n").WithValues("stream", "s").Error(errors.New("gone"), "stream ended", "part", "p")
		})).ServeHTTP(httptest.NewRecorder(), r)
		if got != want {
			t.Errorf("at %d: logged %q, want %q", verbosity, got, want)
		}
	}
}

func TestInformationIsNotHushed(t *testing.T) {
	got := ""
	logger := funcr.New(func(_, args string) { got += args }, funcr.Options{})
	klog.FromContext(hush.Context(klog.NewContext(t.Context(), logger))).Info("well")
	if want := `"level"=0 "msg"="well"`; got != want {
		t.Errorf("logged %q, want %q", got, want)
	}
}
