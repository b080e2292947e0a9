// Command shell stands in for the shell of upstream's busybox image, which hands
// on all variables of its environment. That of Debian's busybox drops those whose
// names are no identifiers.
//
// A command of one word needs no shell: it is run as it is. All else is left to
// busybox.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"syscall"
)

var word = regexp.MustCompile(`^[a-z]+$`)

func main() {
	program, args := "/bin/busybox", append([]string{"sh"}, os.Args[1:]...)
	if len(os.Args) == 3 && os.Args[1] == "-c" && word.MatchString(os.Args[2]) {
		if path, err := exec.LookPath(os.Args[2]); err == nil {
			program, args = path, os.Args[2:]
		}
	}
	err := syscall.Exec(program, args, os.Environ())
	fmt.Fprintln(os.Stderr, "shell:", err)
	os.Exit(126)
}
