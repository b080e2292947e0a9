// Package revision decides about the history of one DaemonSet: which stored
// revision is the current template, what must be created, raised, merged or
// pruned, and how a revision is named.
//
// Like all of the core it reads and writes nothing. The bytes of a template
// come from view, the stored revisions and every write from the controller.
package revision
