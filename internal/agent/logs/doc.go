// Package logs reads the output of containers from the files that a container
// runtime writes, in the format of CRI, together with what was rotated out of
// them.
//
// Which file is that of a container, and who may read it, is left to
// agent/serving; rotating files is left to agent/cri.
package logs
