package containerd

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
)

// maxLog is how much containerd and its shims may write, in bytes, before it is
// moved aside.
const maxLog = 4 << 20

// trimLog moves what a long log holds to the same name with .1, in place of what
// was moved there last. The file itself stays, since containerd has it open, for appending only.
func trimLog(path string) error {
	info, err := os.Stat(path)
	if err != nil || info.Size() < maxLog {
		return nil // it may not be there yet
	}
	content, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path+".1", content, 0o644)
	}
	if err == nil {
		err = os.Truncate(path, 0)
	}
	if err != nil {
		return fmt.Errorf("trim containerd's log: %w", err)
	}
	return nil
}

// describeExit says why containerd ended: how, and what it said in the
// end, apart from what it went on after.
func describeExit(err error, log string) error {
	if err == nil {
		err = errors.New("exit status 0")
	}
	content, readErr := os.ReadFile(log)
	if readErr != nil {
		return err
	}
	const tail = 8 << 10
	content = content[max(0, len(content)-tail):]
	lines := slices.DeleteFunc(strings.Split(string(content), "\n"), func(line string) bool {
		return line == "" || strings.Contains(line, "level=") && !strings.Contains(line, "level=fatal")
	})
	if len(lines) == 0 {
		return err
	}
	return fmt.Errorf("%w; its log %s ends with: %s", err, log, strings.Join(lines[max(0, len(lines)-2):], "; "))
}
