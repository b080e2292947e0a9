// Package credentials finds, in pull secrets, what opens the registry of an image.
//
// It reads Secrets of the types kubernetes.io/dockerconfigjson and
// kubernetes.io/dockercfg, and matches their entries as Docker and kubelets do.
// Fetching the secrets and using what is found is left to package agent.
package credentials
