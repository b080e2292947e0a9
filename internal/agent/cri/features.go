package cri

import (
	"context"
	"errors"
	"fmt"

	corev1 "k8s.io/api/core/v1"
	runtimeapi "k8s.io/cri-api/pkg/apis/runtime/v1"
)

// Features are what not every runtime can do. Those that cannot do it may well
// not say so when they are asked to.
type Features struct {
	// RecursiveReadOnly: mounts can be read only with all that is mounted in them.
	RecursiveReadOnly bool
	// SupplementalGroupsPolicy: containers can be kept out of the groups that
	// their image puts their user into.
	SupplementalGroupsPolicy bool
}

// Features asks the runtime what it, and its default handler, can do.
func (r *Runtime) Features(ctx context.Context) (Features, error) {
	response, err := r.runtime.Status(ctx, &runtimeapi.StatusRequest{})
	if err != nil {
		return Features{}, fmt.Errorf("ask the container runtime what it can do: %w", plain(err))
	}
	features := Features{SupplementalGroupsPolicy: response.GetFeatures().GetSupplementalGroupsPolicy()}
	for _, h := range response.GetRuntimeHandlers() {
		if h.GetName() == "" { // the default
			features.RecursiveReadOnly = h.GetFeatures().GetRecursiveReadOnlyMounts()
		}
	}
	return features, nil
}

var errGroupsPolicy = errors.New("SupplementalGroupsPolicy=Strict is not supported in this node")

// checkGroupsPolicy refuses pods whose containers would silently be put into
// groups that they must not be in.
func (r *Runtime) checkGroupsPolicy(ctx context.Context, pod *corev1.Pod) error {
	if _, policy := groups(pod); policy == runtimeapi.SupplementalGroupsPolicy_Merge {
		return nil
	}
	features, err := r.Features(ctx)
	if err != nil {
		return err
	}
	if !features.SupplementalGroupsPolicy {
		return errGroupsPolicy
	}
	return nil
}
