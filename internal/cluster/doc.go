// Package cluster wires the parts of one process together: the API server on
// its store first, then informers, controllers, the scheduler and the simulated
// nodes; or a single part on the API server of another process, with an election
// among several. It starts and stops them in order and owns everything they run.
//
// It decides nothing itself, and the parts know nothing of each other: they
// meet at the API.
package cluster
