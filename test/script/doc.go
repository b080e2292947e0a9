// Package script tells stories about the built binary: each file of testdata is
// a session with a control plane of its own, driven by the kubectl that is built
// in, as a user would drive it. README.md's sessions are run the same way.
//
// What a function returns is tested beside the function; here it counts what
// reaches the terminal.
package script
