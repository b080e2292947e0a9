package server

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/diff"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/util/compatibility"
	"k8s.io/client-go/rest"

	"github.com/garrison-project/garrison/internal/api"
)

// What install serves is what the generic server would, and clients discover it the
// same way.
func TestInstallIsThatOfTheGenericServer(t *testing.T) {
	ours, config := bareServer(t)
	if err := install(ours, config, shared.served); err != nil {
		t.Fatal(err)
	}
	generic, _ := bareServer(t)
	groups := shared.served.APIGroups()
	if err := generic.InstallLegacyAPIGroup(genericapiserver.DefaultLegacyAPIPrefix, groups[0]); err != nil {
		t.Fatal(err)
	}
	if err := generic.InstallAPIGroups(groups[1:]...); err != nil {
		t.Fatal(err)
	}
	got, want := served(ours), served(generic)
	if len(want) < 100 {
		t.Fatalf("%d routes", len(want))
	}
	if d := diff.Diff(want, got); d != "" {
		t.Errorf("routes (- of the generic server, + ours):\n%s", d)
	}
	const aggregated = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"
	for _, c := range []struct{ path, accept string }{
		{"/api", "application/json"}, {"/api/v1", "application/json"}, {"/api", aggregated},
		{"/apis", "application/json"}, {"/apis/apps", "application/json"}, {"/apis/apps/v1", "application/json"}, {"/apis", aggregated},
	} {
		got, want := discovered(t, ours, c.path, c.accept), discovered(t, generic, c.path, c.accept)
		if d := diff.Diff(want, got); d != "" {
			t.Errorf("%s as %s (- of the generic server, + ours):\n%s", c.path, c.accept, d)
		}
	}
}

// bareServer is a generic server without kinds.
func bareServer(t *testing.T) (*genericapiserver.GenericAPIServer, *genericapiserver.Config) {
	t.Helper()
	config := genericapiserver.NewConfig(api.Codecs)
	config.EffectiveVersion = compatibility.DefaultBuildEffectiveVersion()
	config.ExternalAddress = "127.0.0.1:443"
	config.PublicAddress = net.IPv4(127, 0, 0, 1)
	config.LoopbackClientConfig = &rest.Config{}
	describe(config)
	server, err := config.Complete(nil).New("bare", genericapiserver.NewEmptyDelegate())
	if err != nil {
		t.Fatal(err)
	}
	return server, config
}

// served are the requests that a server has handlers for.
func served(server *genericapiserver.GenericAPIServer) []string {
	var out []string
	for _, service := range server.Handler.GoRestfulContainer.RegisteredWebServices() {
		for _, r := range service.Routes() {
			var parameters []string
			for _, p := range r.ParameterDocs {
				parameters = append(parameters, p.Data().Name)
			}
			out = append(out, fmt.Sprint(r.Method, r.Path, r.Operation, r.Consumes, r.Produces, parameters))
		}
	}
	slices.Sort(out)
	return out
}

// discovered is a document about the API.
func discovered(t *testing.T, server *genericapiserver.GenericAPIServer, path, accept string) any {
	t.Helper()
	request := httptest.NewRequest(http.MethodGet, path, nil)
	request.Header.Set("Accept", accept)
	answer := httptest.NewRecorder()
	server.UnprotectedHandler().ServeHTTP(answer, request)
	if answer.Code != http.StatusOK || !strings.HasPrefix(answer.Header().Get("Content-Type"), accept) {
		t.Fatalf("%s as %s: %d %s", path, accept, answer.Code, answer.Header())
	}
	var out map[string]any
	if err := json.Unmarshal(answer.Body.Bytes(), &out); err != nil {
		t.Fatal(err)
	}
	return out
}
