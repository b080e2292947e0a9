// Package volume makes the files that the containers of a pod see: its volumes,
// mounts of parts of volumes, and /etc/hosts. All that belongs to a pod is in one
// folder of the machine, and what is there is the state that counts: a manager
// that starts anew goes on with what it finds.
//
// Objects and tokens come from agent/objects, values of the downward API from
// agent/environ. The runtime does the mounting into containers. Volumes that need
// storage from elsewhere are refused. docs/design/volumes.md tells the rules.
package volume
