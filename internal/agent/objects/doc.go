// Package objects has the ConfigMaps, Secrets and service account tokens that the
// pods of this node name, and nothing else of the cluster.
//
// Each object is read once and then watched, by its name alone: a node is allowed
// to see only what its pods name. So a change is known at once and nothing is asked
// while nothing changes. An object is followed as long as a pod that names it is
// held, and stays known while the API cannot be reached. What the contents are for
// is the matter of agent/volume and agent/environ.
package objects
