// Package serving is the HTTPS server of an agent, by the paths and permissions of
// a kubelet: logs of containers, commands in them, streams to them and to ports of
// pods, and what pods and machine use.
//
// Which pods there are is left to package agent, how their files are read to
// agent/logs; the streams themselves are the runtime's, to which this package
// passes clients on. docs/design/serving.md shows the way of a request.
package serving
