// Package static reads the pods that a machine itself asks for: manifests in a
// folder, each a file with one or more pods as YAML or JSON.
//
// A pod is named after its node, and its UID follows from its contents, so that a
// changed file is another pod. Running them, and showing them in the API, is left
// to package agent.
package static
