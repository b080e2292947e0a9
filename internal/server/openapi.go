package server

import (
	"net/http"
	"sync"

	apiopenapi "k8s.io/apiserver/pkg/endpoints/openapi"
	genericapiserver "k8s.io/apiserver/pkg/server"
	"k8s.io/apiserver/pkg/server/mux"
	"k8s.io/apiserver/pkg/server/routes"
	"k8s.io/klog/v2"
	"k8s.io/kube-openapi/pkg/builder"
	"k8s.io/kube-openapi/pkg/common"
	"k8s.io/kube-openapi/pkg/common/restfuladapter"
	"k8s.io/kube-openapi/pkg/handler"
	"k8s.io/kube-openapi/pkg/validation/spec"

	"github.com/garrison-project/garrison/internal/api"
	"github.com/garrison-project/garrison/internal/api/openapi"
)

// describe lets config describe the API. The generic server would build all
// documents while it starts and keep them: half of what it has in memory, for
// the few clients that ask. They are left to serveOpenAPI.
func describe(config *genericapiserver.Config) {
	namer := apiopenapi.NewDefinitionNamer(api.OpenAPIScheme())
	config.OpenAPIConfig = genericapiserver.DefaultOpenAPIConfig(openapi.GetOpenAPIDefinitions, namer)
	config.OpenAPIConfig.Info.Title = "Garrison"
	config.OpenAPIV3Config = genericapiserver.DefaultOpenAPIV3Config(openapi.GetOpenAPIDefinitions, namer)
	config.OpenAPIV3Config.Info.Title = "Garrison"
	config.SkipOpenAPIInstallation = true
}

// serveOpenAPI serves the documents of all that is installed, each version of
// OpenAPI from the first request for it. It is to be called last: what only
// installing needs, it lets go.
func serveOpenAPI(server *genericapiserver.GenericAPIServer, config *genericapiserver.Config) {
	config.OpenAPIV3Config.Definitions = nil
	v2 := sync.OnceValue(func() http.Handler { return buildOpenAPIV2(server, config.OpenAPIConfig) })
	v3 := sync.OnceValue(func() http.Handler { return buildOpenAPIV3(server, *config.OpenAPIV3Config) })
	paths := server.Handler.NonGoRestfulMux
	paths.HandleFunc("/openapi/v2", func(w http.ResponseWriter, r *http.Request) { v2().ServeHTTP(w, r) })
	paths.HandleFunc("/openapi/v3", func(w http.ResponseWriter, r *http.Request) { v3().ServeHTTP(w, r) })
	paths.HandlePrefix("/openapi/v3/", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { v3().ServeHTTP(w, r) }))
}

func buildOpenAPIV2(server *genericapiserver.GenericAPIServer, config *common.Config) http.Handler {
	installed := server.Handler.GoRestfulContainer.RegisteredWebServices()
	document, err := builder.BuildOpenAPISpecFromRoutes(restfuladapter.AdaptWebServices(installed), config)
	if err != nil {
		klog.Background().Error(err, "Cannot describe the API in OpenAPI v2")
		return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			http.Error(w, "the API cannot be described in OpenAPI v2", http.StatusInternalServerError)
		})
	}
	document.Definitions = handler.PruneDefaults(document.Definitions)
	paths := mux.NewPathRecorderMux("openapi-v2")
	handler.NewOpenAPIService(document).RegisterOpenAPIVersionedService("/openapi/v2", paths)
	return paths
}

func buildOpenAPIV3(server *genericapiserver.GenericAPIServer, config common.OpenAPIV3Config) http.Handler {
	// Given here they are made once, else for each group.
	config.Definitions = config.GetDefinitions(func(name string) spec.Ref {
		short, _ := config.GetDefinitionName(name)
		return spec.MustCreateRef("#/components/schemas/" + common.EscapeJsonPointer(short))
	})
	paths := mux.NewPathRecorderMux("openapi-v3")
	routes.OpenAPI{V3Config: &config}.InstallV3(server.Handler.GoRestfulContainer, paths)
	return paths
}
