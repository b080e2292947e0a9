// Package view is the bridge between API objects and the core: it turns what
// informers hold into the inputs of core/rollout, core/revision and core/podstep,
// sorted, and what these decide into API objects.
//
// It neither reads nor writes, and it decides nothing: which nodes qualify is
// core/place's, what to do is the core's, and doing it the controller's.
package view
