// Command garrison is the whole of Garrison in one binary: the API server, the
// controllers, the scheduler, the simulated nodes and kubectl.
package main

import (
	"os"

	"github.com/garrison-project/garrison/internal/cli"
)

func main() {
	os.Exit(cli.Main(os.Args[1:], cli.Streams{In: os.Stdin, Out: os.Stdout, Err: os.Stderr}))
}
