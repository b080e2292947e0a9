// Package defaults fills in what a client left out of an object, exactly as
// Kubernetes v1.36 does, and keeps the legacy twins of a field (serviceAccount
// and serviceAccountName, podIP and podIPs) in step.
//
// Every function completes its argument in place, looks at nothing else, and
// changes nothing on a second run. The order follows one rule: what is a
// default of the pod alone never touches a pod template, because the bytes of
// a template are the identity of a revision.
//
// Left to others: whatever depends on other objects (admission), on the
// request (strategies) or on whether the values make sense (validation).
package defaults
