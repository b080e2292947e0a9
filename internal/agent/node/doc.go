// Package node keeps the record of one machine at the API server: the Node object
// with its capacity and conditions, and the Lease that says it is alive. When the
// disk fills up it removes images that nobody uses.
//
// It reads the machine through agent/machine and asks the runtime how it is. What
// pods do is left to package agent; evicting pods under pressure is not done yet,
// and would go by [Node.Pressure]. docs/design/node.md tells the details.
package node
