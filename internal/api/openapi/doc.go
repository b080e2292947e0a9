// Package openapi holds the OpenAPI definitions of every type the API server
// serves. They are generated from the Go types: the OpenAPI documents, kubectl
// explain and server-side apply all come from them. Which paths the documents
// list is left to package server.
package openapi

//go:generate go tool openapi-gen --output-dir=. --output-pkg=github.com/garrison-project/garrison/internal/api/openapi --output-file=zz_generated.openapi.go --report-filename=/dev/null --go-header-file=header.txt k8s.io/api/core/v1 k8s.io/api/apps/v1 k8s.io/api/authentication/v1 k8s.io/api/authorization/v1 k8s.io/api/autoscaling/v1 k8s.io/api/coordination/v1 k8s.io/api/discovery/v1 k8s.io/api/events/v1 k8s.io/api/networking/v1 k8s.io/api/node/v1 k8s.io/api/policy/v1 k8s.io/api/rbac/v1 k8s.io/api/scheduling/v1 k8s.io/api/storage/v1 k8s.io/apimachinery/pkg/apis/meta/v1 k8s.io/apimachinery/pkg/runtime k8s.io/apimachinery/pkg/version k8s.io/apimachinery/pkg/api/resource k8s.io/apimachinery/pkg/util/intstr
